"""Estimates against sums by hand, and what holds for every site."""

import dataclasses
import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import machines
from infra.cost import HOURS_PER_MONTH, Egress, Site, When, estimate
from infra.service_prices import SERVICES
from trainer.errors import BadInput, BadInputs

AWS = Site(
    "aws",
    "eu-west-1",
    ("g4dn.xlarge", "g5.xlarge"),
    nodes=3,
    spot=True,
    disk_gb=200,
    zones=2,
    egress=Egress.ENDPOINTS,
    endpoints=5,
    keys=1,
    alarms=6,
    metrics=40,
    dashboards=1,
    storage_gb=100,
    logs_gb_per_month=4,
)
GCP = Site(
    "gcp",
    "us-central1",
    ("g2-standard-4",),
    nodes=2,
    disk_gb=50,
    keys=2,
    alarms=6,
    storage_gb=100,
    logs_gb_per_month=4,
    nat_gb_per_month=30,
)


def by_what(site):
    return {line.what: line for line in estimate(site).lines}


def test_an_amazon_site_by_hand():
    """Three nodes at the dearer of their types (1.123), 600 GB of disks, 5 endpoints in 2 zones, and the rest."""
    found = estimate(AWS)
    idle = 10 * 0.01 * 730 + 1 + 6 * 0.10 + 40 * 0.30 + 3 + 100 * 0.023 + 4 * 0.50
    assert idle == pytest.approx(93.90)
    assert float(found.idle_monthly_usd) == pytest.approx(93.90)
    assert float(found.running_monthly_usd) == pytest.approx(93.90 + 3 * 1.123 * 730 + 600 * 0.08)
    assert float(found.running_hourly_usd) == pytest.approx(3.369 + 48 / 730 + 93.90 / 730)


def test_a_google_site_by_hand():
    """Two nodes, 100 GB of disks, Cloud NAT with an address; alert policies have no known price, so none is counted."""
    found = estimate(GCP)
    idle = 0.005 * 730 + 30 * 0.045 + 2 * 0.06 + 100 * 0.02 + 4 * 0.50
    assert idle == pytest.approx(9.12)
    assert float(found.idle_monthly_usd) == pytest.approx(9.12)
    assert float(found.running_monthly_usd) == pytest.approx(9.12 + 2 * (0.706832255 + 0.0014) * 730 + 100 * 0.10)
    assert any("alert policies" in what for what in found.left_out)


def test_the_way_out_decides_what_the_network_costs():
    nat = by_what(dataclasses.replace(AWS, egress=Egress.NAT, nat_gateways=2, nat_gb_per_month=10))
    assert float(nat["NAT gateway"].hourly_usd) == pytest.approx(0.09)
    assert float(nat["Public IPv4 address"].hourly_usd) == pytest.approx(0.01)
    assert float(nat["Data through NAT gateways"].monthly_usd) == pytest.approx(0.45)
    assert "Interface endpoint in a zone" not in nat
    endpoints = by_what(dataclasses.replace(AWS, zones=3))
    assert float(endpoints["Interface endpoint in a zone"].hourly_usd) == pytest.approx(0.15)
    assert "NAT gateway" not in endpoints
    private = by_what(dataclasses.replace(GCP, egress=Egress.ENDPOINTS))
    assert not any("NAT" in what for what in private)


def test_spot_is_counted_at_the_price_on_demand_and_says_so():
    spot, on_demand = (estimate(dataclasses.replace(AWS, spot=spot)) for spot in (True, False))
    assert spot.running_hourly_usd == on_demand.running_hourly_usd
    assert spot.lines[0].what == "g5.xlarge, spot, at most"
    assert on_demand.lines[0].what == "g5.xlarge, on demand"
    assert [what for what in spot.left_out if what not in on_demand.left_out] == [
        "how far spot is below the price on demand, which changes by the hour"
    ]


def test_what_it_leaves_out_it_says():
    assert any("us-east-1" in what for what in estimate(AWS).left_out)
    assert not any("us-central1" in what for what in estimate(GCP).left_out)
    assert any("t3" in what for what in estimate(dataclasses.replace(AWS, machines=("t3.medium",))).left_out)
    assert any("SSD" in what for what in estimate(dataclasses.replace(GCP, machines=("a2-ultragpu-1g",))).left_out)


@pytest.mark.parametrize("cloud", machines.CLOUDS)
def test_every_small_price_has_its_source_and_is_used(cloud):
    """A site with everything has a line for each price of its cloud, whichever way out it has."""
    region = machines.regions(cloud)[0]
    full = Site(
        cloud, region, (machines.in_region(cloud, region)[0].name,), endpoints=1, alarms=1, metrics=1, dashboards=1
    )
    full = dataclasses.replace(full, storage_gb=1, logs_gb_per_month=1, nat_gb_per_month=1)
    lines = [by_what(dataclasses.replace(full, egress=egress)) for egress in Egress]
    for price in SERVICES[cloud].values():
        assert price.usd > 0
        assert price.page.startswith("https://aws.amazon.com/" if cloud == "aws" else "https://cloud.google.com/")
        assert price.read
        assert any(price.what in found for found in lines), price.what


def test_the_text_and_the_json_say_the_same():
    found = estimate(AWS)
    data = json.loads(json.dumps(found.to_json()))
    text = found.to_text()
    assert "\t" not in text
    assert text.isascii()
    for line in data["lines"]:
        row = next(row for row in text.splitlines() if row.startswith(f"  {line['what']}  "))
        assert row.split()[-2:] == [f"{line['hourly']:.4f}", f"{line['monthly']:.2f}"]
    for name in ("running", "idle"):
        row = next(row for row in text.splitlines() if row.startswith(name.capitalize()))
        assert row.split()[1:] == [f"{data[name]['hourly']:.4f}", f"{data[name]['monthly']:.2f}"]
    assert data["left_out"] == list(found.left_out)
    assert all(what in text for what in found.left_out)
    assert data["hours_per_month"] == HOURS_PER_MONTH
    assert [line["source"] for line in data["lines"] if line["what"].startswith("g5")] == [machines.PRICE_PAGES["aws"]]


def test_a_line_says_it_with_its_nodes_and_with_none():
    one = dataclasses.replace(GCP, nodes=1)
    assert estimate(GCP).to_line() == "1.44 USD an hour, 1053.14 a month, with 2 nodes; 9.12 a month with none"
    assert estimate(one).to_line() == "0.73 USD an hour, 531.13 a month, with 1 node; 9.12 a month with none"
    assert estimate(dataclasses.replace(GCP, nodes=0)).to_line() == "0.01 USD an hour, 9.12 a month, with no node"


def test_a_site_without_nodes_costs_what_an_idle_one_does():
    idle = estimate(dataclasses.replace(AWS, nodes=0))
    assert idle.running_hourly_usd == idle.idle_hourly_usd == estimate(AWS).idle_hourly_usd
    assert "While nodes run" not in idle.to_text()


def test_all_that_is_wrong_is_told_at_once():
    wrong = dataclasses.replace(
        AWS, region="eu-wets-1", machines=("g5.xlrge",), nodes=-1, zones=0, storage_gb=float("nan")
    )
    with pytest.raises(BadInputs) as caught:
        estimate(wrong)
    assert [error.field for error in caught.value.errors] == ["region", "machines", "nodes", "zones", "storage_gb"]
    with pytest.raises(BadInputs, match="at least one machine type"):
        estimate(dataclasses.replace(AWS, machines=()))
    with pytest.raises(BadInput, match="aws or gcp"):
        estimate(dataclasses.replace(AWS, cloud="azure"))


NUMBERS = [field.name for field in dataclasses.fields(Site) if field.name.endswith("_gb")] + [
    *("nodes", "zones", "nat_gateways", "endpoints", "keys", "alarms", "metrics", "dashboards"),
    *("logs_gb_per_month", "nat_gb_per_month"),
]


@st.composite
def sites(draw):
    cloud = draw(st.sampled_from(machines.CLOUDS))
    region = draw(st.sampled_from(machines.regions(cloud)))
    here = [machine.name for machine in machines.in_region(cloud, region)]
    return Site(
        cloud,
        region,
        tuple(draw(st.lists(st.sampled_from(here), min_size=1, max_size=4))),
        spot=draw(st.booleans()),
        egress=draw(st.sampled_from(Egress)),
        **{name: draw(st.integers(1, 50)) for name in NUMBERS},
    )


@given(site=sites(), name=st.sampled_from(NUMBERS), more=st.integers(1, 50))
def test_more_of_anything_never_costs_less(site, name, more):
    before, after = estimate(site), estimate(dataclasses.replace(site, **{name: getattr(site, name) + more}))
    assert after.running_hourly_usd >= before.running_hourly_usd
    assert after.idle_hourly_usd >= before.idle_hourly_usd
    assert name != "nodes" or after.running_hourly_usd > before.running_hourly_usd


@given(site=sites())
def test_the_lines_are_the_total_and_idling_never_costs_more(site):
    found = estimate(site)
    nodes = sum(line.hourly_usd for line in found.lines if line.when is When.NODES)
    assert abs(found.running_hourly_usd - found.idle_hourly_usd - nodes) < Decimal("1e-20")
    assert found.idle_hourly_usd <= found.running_hourly_usd
    assert all(line.hourly_usd > 0 for line in found.lines)
    dearest = max(machines.price_per_hour(site.cloud, name, site.region) for name in site.machines)
    assert found.lines[0].hourly_usd == dearest * site.nodes
