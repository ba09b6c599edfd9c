"""What a site costs by the hour and the month, before it is made: while its nodes run, and with none.

An estimate is made of list prices (`infra.machines`, `infra.service_prices`). Nodes, which are most of it, are counted
at the most that they can be: a group that may take several machine types at the dearest, spot machines at the price on
demand. All else is counted at the price of a US region, wherever the site is. What is not in it it says.
"""

import dataclasses
import enum
import math
from collections.abc import Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from infra import machines
from infra.service_prices import SERVICES, SMALL_PRICES_OF, UNKNOWN, ServicePrice, Unit
from trainer.errors import BadInput, BadInputs

HOURS_PER_MONTH = 730
"""As both providers' calculators count."""


class Egress(enum.StrEnum):
    """How nodes without public addresses reach what is outside."""

    NAT = "nat"
    """Through NAT gateways (AWS) or Cloud NAT (Google)."""
    ENDPOINTS = "endpoints"
    """The cloud's own services alone: interface endpoints (AWS), Private Google Access (Google, no charge)."""


@dataclasses.dataclass(frozen=True)
class Site:
    """What of a site has a price.

    Attributes:
        cloud: `aws` or `gcp`.
        region: the cloud's name of it.
        machines: the machine types that the group may take, as in `machines.Machine.name`; at least one.
        nodes: how many run at most.
        spot: whether they are spot machines.
        disk_gb: size of each node's disk.
        zones: in how many zones the network lies.
        egress: how nodes reach what is outside.
        nat_gateways: number of NAT gateways on AWS, with an address each; Google's Cloud NAT is one, with one address.
        endpoints: number of interface endpoints on AWS, each in every zone.
        keys: number of customer-managed keys; on Google, of their active versions.
        alarms: number of alarms.
        metrics: number of custom metrics, each combination of labels for itself.
        dashboards: number of dashboards.
        storage_gb: what lies in the buckets.
        logs_gb_per_month: what is logged, flow logs included.
        nat_gb_per_month: what goes through NAT.
    """

    cloud: str
    region: str
    machines: tuple[str, ...]
    nodes: int = 1
    spot: bool = False
    disk_gb: int = 100
    zones: int = 2
    egress: Egress = Egress.NAT
    nat_gateways: int = 1
    endpoints: int = 0
    keys: int = 1
    alarms: int = 0
    metrics: int = 0
    dashboards: int = 0
    storage_gb: float = 0
    logs_gb_per_month: float = 0
    nat_gb_per_month: float = 0


class When(enum.StrEnum):
    """When a line is paid."""

    NODES = "nodes"
    """While nodes run."""
    ALWAYS = "always"
    """With no node, too, until the site is destroyed."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A line of an estimate.

    Attributes:
        what: what is paid for.
        quantity: how much of it.
        unit: `each`, `GB`, or `GB a month`.
        hourly_usd: US dollars an hour, not rounded.
        when: when it is paid.
        source: the provider's page of the price.
    """

    what: str
    quantity: Decimal
    unit: str
    hourly_usd: Decimal
    when: When
    source: str

    @property
    def monthly_usd(self) -> Decimal:
        """US dollars a month, not rounded."""
        return self.hourly_usd * HOURS_PER_MONTH


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a site costs.

    Attributes:
        site: what was estimated.
        lines: what is paid for.
        left_out: what is paid for, too, and not in it.
    """

    site: Site
    lines: tuple[Line, ...]
    left_out: tuple[str, ...]

    @property
    def running_hourly_usd(self) -> Decimal:
        """US dollars an hour while all nodes run, not rounded."""
        return sum((line.hourly_usd for line in self.lines), Decimal(0))

    @property
    def idle_hourly_usd(self) -> Decimal:
        """US dollars an hour with no node, not rounded."""
        return sum((line.hourly_usd for line in self.lines if line.when is When.ALWAYS), Decimal(0))

    @property
    def running_monthly_usd(self) -> Decimal:
        """US dollars a month while all nodes run, not rounded."""
        return self.running_hourly_usd * HOURS_PER_MONTH

    @property
    def idle_monthly_usd(self) -> Decimal:
        """US dollars a month with no node, not rounded."""
        return self.idle_hourly_usd * HOURS_PER_MONTH

    def to_json(self) -> dict[str, Any]:
        """As numbers, strings and lists; dollars are rounded as in the text."""
        return {
            "cloud": self.site.cloud,
            "region": self.site.region,
            "currency": "USD",
            "hours_per_month": HOURS_PER_MONTH,
            "running": {"hourly": _hourly(self.running_hourly_usd), "monthly": _monthly(self.running_monthly_usd)},
            "idle": {"hourly": _hourly(self.idle_hourly_usd), "monthly": _monthly(self.idle_monthly_usd)},
            "lines": [
                {
                    "what": line.what,
                    "quantity": float(line.quantity),
                    "unit": line.unit,
                    "hourly": _hourly(line.hourly_usd),
                    "monthly": _monthly(line.monthly_usd),
                    "when": str(line.when),
                    "source": line.source,
                }
                for line in self.lines
            ],
            "left_out": list(self.left_out),
        }

    def to_text(self) -> str:
        """As a table for a terminal."""
        rows = [("", "quantity", "USD/hour", "USD/month")]
        for when, title in ((When.NODES, "While nodes run"), (When.ALWAYS, "Always, with no node too")):
            lines = [_row(line) for line in self.lines if line.when is when]
            rows += [(title, "", "", ""), *lines] if lines else []
        rows.append(_total("Running", self.running_hourly_usd, self.running_monthly_usd))
        rows.append(_total("Idle", self.idle_hourly_usd, self.idle_monthly_usd))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = "\n".join(
            f"{what:<{widths[0]}}  {quantity:>{widths[1]}}  {hourly:>{widths[2]}}  {monthly:>{widths[3]}}".rstrip()
            for what, quantity, hourly, monthly in rows
        )
        left_out = "".join(f"  {what}\n" for what in self.left_out)
        return f"{table}\nList prices; a month is {HOURS_PER_MONTH} hours. Not in it:\n{left_out}"

    def to_line(self) -> str:
        """In one line: by the hour and the month with its nodes, and with none."""
        running = (
            f"{_hourly(self.running_hourly_usd):.2f} USD an hour, {_monthly(self.running_monthly_usd):.2f} a month"
        )
        if not self.site.nodes:
            return f"{running}, with no node"
        with_nodes = f"with {self.site.nodes} node{'s' if self.site.nodes > 1 else ''}"
        return f"{running}, {with_nodes}; {_monthly(self.idle_monthly_usd):.2f} a month with none"


def estimate(site: Site) -> Estimate:
    """What a site costs by list prices.

    Raises:
        BadInput: if there is no such cloud.
        BadInputs: if the region or a machine type is not in the tables, a type is not known in the region, none is
            named, or a number is too small; all that is wrong at once.
    """
    errors = _errors(site)
    if errors:
        raise BadInputs(errors)
    return Estimate(site, (*_node_lines(site), *_site_lines(site)), _left_out(site))


_LEAST = {"disk_gb": 1, "zones": 1, "nat_gateways": 1}
"""The least that makes sense, where that is not 0."""


def _errors(site: Site) -> list[BadInput]:
    errors = machines.check(site.cloud, site.region, site.machines, spot=site.spot, machines_field="machines")
    if not site.machines:
        errors.append(BadInput("machines", site.machines, "at least one machine type", "name one"))
    for field in dataclasses.fields(site):
        value = getattr(site, field.name)
        least = _LEAST.get(field.name, 0)
        if isinstance(value, int | float) and not least <= value < math.inf:
            errors.append(BadInput(field.name, value, f"a number from {least} on", f"write {least} or more"))
    return errors


def _node_lines(site: Site) -> Iterator[Line]:
    """What is paid while nodes run."""
    if not site.nodes:
        return
    prices = {name: machines.price_per_hour(site.cloud, name, site.region) for name in site.machines}
    dearest = max(prices, key=lambda name: prices[name])
    nodes = Decimal(site.nodes)
    lent = "spot, at most" if site.spot else "on demand"
    yield Line(
        f"{dearest}, {lent}", nodes, "each", nodes * prices[dearest], When.NODES, machines.PRICE_PAGES[site.cloud]
    )
    services = SERVICES[site.cloud]
    yield _line(services["disk"], site.nodes * site.disk_gb, When.NODES)
    if site.cloud == "gcp" and site.egress is Egress.NAT:
        yield _line(services["nat_gateway"], site.nodes, When.NODES)


def _site_lines(site: Site) -> Iterator[Line]:
    """What is paid until the site is destroyed."""
    counted = [
        *_network(site),
        ("key", site.keys),
        ("storage", site.storage_gb),
        ("logs", site.logs_gb_per_month),
        ("metric", site.metrics),
        ("alarm", site.alarms),
        ("dashboard", site.dashboards),
    ]
    services = SERVICES[site.cloud]
    for key, quantity in counted:
        if quantity and key in services:
            yield _line(services[key], quantity, When.ALWAYS)


def _network(site: Site) -> list[tuple[str, float]]:
    """Keys of the prices of the way out, and how much of each."""
    data = ("nat_data", site.nat_gb_per_month)
    match site.cloud, site.egress:
        case "aws", Egress.NAT:
            return [("nat_gateway", site.nat_gateways), ("address", site.nat_gateways), data]
        case "aws", Egress.ENDPOINTS:
            return [("endpoint", site.endpoints * site.zones)]
        case "gcp", Egress.NAT:
            return [("address", 1), data]
    return []


_UNITS = {Unit.HOUR: "each", Unit.MONTH: "each", Unit.GB: "GB a month", Unit.GB_MONTH: "GB"}


def _line(price: ServicePrice, quantity: float, when: When) -> Line:
    exact = Decimal(str(quantity))
    hours = 1 if price.unit is Unit.HOUR else HOURS_PER_MONTH
    return Line(price.what, exact, _UNITS[price.unit], exact * price.usd / hours, when, price.page)


def _left_out(site: Site) -> tuple[str, ...]:
    left_out = [
        "data that leaves the cloud or crosses zones",
        "requests to the bucket, the key and the metrics",
        "taxes, discounts and free allowances",
        *UNKNOWN[site.cloud],
    ]
    if site.spot:
        left_out.append("how far spot is below the price on demand, which changes by the hour")
    if site.region != SMALL_PRICES_OF[site.cloud]:
        left_out.append(f"how the prices but the machines' differ from those of {SMALL_PRICES_OF[site.cloud]}")
    if any(name.startswith("t3.") for name in site.machines):
        left_out.append("CPU credits that t3 machines take beyond their share")
    if any(name.startswith(("a2-ultragpu", "a3-")) for name in site.machines):
        left_out.append("local SSDs that come with such machines")
    return tuple(left_out)


def _row(line: Line) -> tuple[str, str, str, str]:
    return (
        f"  {line.what}",
        f"{line.quantity.normalize():f}" + (f" {line.unit}" if line.unit != "each" else ""),
        f"{_hourly(line.hourly_usd):.4f}",
        f"{_monthly(line.monthly_usd):.2f}",
    )


def _total(what: str, hourly: Decimal, monthly: Decimal) -> tuple[str, str, str, str]:
    return what, "", f"{_hourly(hourly):.4f}", f"{_monthly(monthly):.2f}"


def _hourly(usd: Decimal) -> float:
    return float(usd.quantize(Decimal("0.0001"), ROUND_HALF_UP))


def _monthly(usd: Decimal) -> float:
    return float(usd.quantize(Decimal("0.01"), ROUND_HALF_UP))
