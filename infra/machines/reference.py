"""Machine types, their prices and those of a site as a page of the docs.

`python -m infra.machines.reference > docs/reference/machines.md`
"""

import sys
from collections.abc import Iterable

from infra import machines
from infra.cost import Egress, Site, estimate
from infra.service_prices import SERVICES, SMALL_PRICES_OF, UNKNOWN

_TITLES = {"aws": "AWS", "gcp": "Google Cloud"}

_HEADER = """\
# Machine types and prices

Generated from `infra/machines` and `infra/service_prices.py` by `python -m infra.machines.reference`; do not edit.

On-demand list prices in US dollars, before taxes, discounts and free allowances. They were read on the days that
`infra/machines/__init__.py` names, and change: the providers' pages have the last word. Where a cell is empty, no price
of the type is known in that region, and a site there cannot have it. Every type is x86_64, and lent as a spot machine,
too; spot prices change by the hour, so estimates count the price on demand, as the most that it can be.
"""

_EXAMPLES = (
    Site(
        "aws",
        "us-east-1",
        ("g6.xlarge",),
        spot=True,
        egress=Egress.ENDPOINTS,
        endpoints=5,
        alarms=6,
        metrics=40,
        dashboards=1,
        storage_gb=50,
        logs_gb_per_month=2,
    ),
    Site("gcp", "us-central1", ("g2-standard-4",), spot=True, keys=2, storage_gb=50, logs_gb_per_month=2),
)


def page() -> str:
    """The page, in Markdown."""
    return _HEADER + "".join(_cloud(cloud) for cloud in machines.CLOUDS) + _zones() + _services() + _examples()


def _cloud(cloud: str) -> str:
    regions = machines.regions(cloud)
    rows = (
        (f"`{machine.name}`", machine.vcpus, machine.memory_gib, _gpus(machine), *_prices(machine, regions))
        for machine in machines.MACHINES[cloud].values()
    )
    return (
        f"\n## {_TITLES[cloud]}\n\nUS dollars an hour, by [{_TITLES[cloud]}'s page]({machines.PRICE_PAGES[cloud]}).\n\n"
        + _table(("Type", "vCPUs", "GiB", "GPUs", *regions), rows)
    )


def _prices(machine: machines.Machine, regions: Iterable[str]) -> Iterable[str]:
    for region in regions:
        there = machines.offered(machine.cloud, machine.name, region)
        yield f"{machines.price_per_hour(machine.cloud, machine.name, region):.5g}" if there else ""


def _gpus(machine: machines.Machine) -> str:
    return f"{machine.gpus} {machine.gpu}" if machine.gpus else ""


def _zones() -> str:
    first = {machine.accelerator: machine for machine in machines.MACHINES["gcp"].values() if machine.accelerator}
    rows = (
        (
            f"`{accelerator}`",
            ", ".join(zone for region in machines.regions("gcp") for zone in machines.zones(machine, region)),
        )
        for accelerator, machine in first.items()
    )
    return "\n### Zones with GPUs\n\n" + _table(("Accelerator", "Zones"), rows)


def _services() -> str:
    text = "\n## Everything else\n"
    for cloud in machines.CLOUDS:
        rows = (
            (price.what, f"{price.usd:f}", price.unit, price.where, f"[page]({price.page})", price.read)
            for price in SERVICES[cloud].values()
        )
        text += f"\n### {_TITLES[cloud]}, {SMALL_PRICES_OF[cloud]}\n\n"
        text += _table(("What", "US dollars", "for one", "Where", "Provider's", "Read in"), rows)
        text += f"\nNo sure price was found of {'; '.join(UNKNOWN[cloud])}.\n"
    return text


def _examples() -> str:
    text = "\n## Examples\n\nOne node, and what stays when it has gone.\n"
    for site in _EXAMPLES:
        text += f"\n{_TITLES[site.cloud]}, {site.region}:\n\n```text\n{estimate(site).to_text()}```\n"
    return text


def _table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (header, *rows)]
    lines.insert(1, "|" + "---|" * lines[0].count(" | ") + "---|")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
