"""The generated pages of a site are those that the code gives, and the guides say what is so."""

import re
from pathlib import Path

import pytest

from infra import machines, reference, settings
from infra.policy import reference as policies

ROOT = Path(__file__).parents[2]


def test_the_page_of_the_keys_is_made_from_them():
    page = reference.page()
    assert (ROOT / "docs/reference/site.md").read_text() == page
    assert all(f"| `{key.option}` |" in page for key in settings.KEYS)


def test_the_page_of_the_policies_is_made_from_them():
    assert (ROOT / "docs/reference/policies.md").read_text() == policies.page() + "\n"


@pytest.mark.parametrize(("page", "cloud", "region"), [("aws", "aws", "us-east-1"), ("gcp", "gcp", "us-central1")])
def test_prices_in_the_guides_are_those_of_the_table(page, cloud, region):
    rows = re.findall(
        r"^\| `([a-z0-9.+-]+)`, \S+ \| \$([\d.]+) \| \$(\d+) \|$", (ROOT / f"docs/{page}.md").read_text(), re.M
    )
    assert len(rows) >= 3
    for name, hour, month in rows:
        price = machines.price_per_hour(cloud, name, region)
        assert float(hour) == pytest.approx(float(price), abs=0.006)
        assert float(month) == pytest.approx(float(price) * 730, abs=1)


@pytest.mark.parametrize("page", ["aws", "gcp", "cloud"])
def test_configurations_in_the_guides_are_allowed(page):
    text = (ROOT / f"docs/{page}.md").read_text()
    found = dict(re.findall(r"pulumi config set slipway:(\w+) (\S+)", text))
    if page == "cloud":
        del found["lifecycle"]  # of the last paragraph: by itself
    assert settings.load(found)
