"""The account that a site is made in, as the provider's credentials know it."""

import dataclasses
from typing import cast

import pulumi
import pulumi_aws as aws

from infra.deployment import Deployment
from infra.settings import BY_NAME


@dataclasses.dataclass(frozen=True)
class Account:
    """Where a site is made.

    Attributes:
        account_id: twelve digits.
        partition: `aws`, or that of China or the government.
        region: such as `us-east-1`.
        zones: the availability zones that the site spreads over, sorted.
    """

    account_id: str
    partition: str
    region: str
    zones: tuple[str, ...]

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something of this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    def iam_arn(self, resource: str) -> str:
        """The ARN of something of IAM, which knows no regions."""
        return f"arn:{self.partition}:iam::{self.account_id}:{resource}"


def look_up(deployment: Deployment, provider: aws.Provider) -> Account:
    """Ask the account; of its zones come first those that have one of the site's machine types.

    Raises:
        BadInput: if the region has fewer zones than are asked for; nothing is made then.
    """
    settings, ask = deployment.settings, pulumi.InvokeOptions(provider=provider)
    wanted = cast(int, settings.zones)  # a key with a default in AWS
    found = aws.get_availability_zones(
        state="available",
        # Local Zones and Wavelength Zones lack most of what a site needs, and must be asked for.
        filters=[aws.GetAvailabilityZonesFilterArgs(name="opt-in-status", values=["opt-in-not-required"])],
        opts=ask,
    )
    offering = aws.ec2.get_instance_type_offerings(
        location_type="availability-zone",
        filters=[aws.ec2.GetInstanceTypeOfferingsFilterArgs(name="instance-type", values=list(settings.machines))],
        opts=ask,
    )
    zones = sorted(found.names, key=lambda zone: (zone not in offering.locations, zone))
    if len(zones) < wanted:
        allowed, cure = f"at most {len(zones)} in {settings.region}", "ask for fewer zones, or choose another region"
        raise BY_NAME["zones"].wrong(wanted, allowed, cure)
    return Account(
        account_id=aws.get_caller_identity(opts=ask).account_id,
        partition=aws.get_partition(opts=ask).partition,
        region=settings.region,
        zones=tuple(sorted(zones[:wanted])),
    )
