"""Log groups of CloudWatch Logs, encrypted, with an end to how long they keep what they are told."""

import dataclasses

import pulumi
import pulumi_aws as aws

from infra.deployment import Deployment
from infra.options import child


def prefix(deployment: Deployment) -> str:
    """What the names of the site's log groups begin with; the key may be used for these alone."""
    return f"/slipway/{deployment.stack}/"


def group(
    deployment: Deployment, what: str, key_arn: pulumi.Input[str], parent: pulumi.Resource
) -> aws.cloudwatch.LogGroup:
    """A log group `/slipway/STACK/WHAT-...`.

    Args:
        deployment: the site.
        what: what logs there.
        key_arn: of the key that encrypts it, whose policy must let CloudWatch Logs use it.
        parent: the component.
    """
    return aws.cloudwatch.LogGroup(
        deployment.named(f"{what}-logs"),
        name_prefix=f"{prefix(deployment)}{what}-",
        retention_in_days=deployment.settings.rules.log_retention_days,
        kms_key_id=key_arn,
        opts=child(parent),
    )


@dataclasses.dataclass(frozen=True)
class LogsArgs:
    """What `Logs` needs.

    Attributes:
        deployment: the site.
        key_arn: of the site's key.
    """

    deployment: Deployment
    key_arn: pulumi.Input[str]


class Logs(pulumi.ComponentResource):
    """Where the site's machines log.

    Attributes:
        group_name: the log group's name.
        group_arn: its ARN, without `:*` at the end.
    """

    def __init__(self, name: str, args: LogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Logs", name, None, opts)
        made = group(args.deployment, "nodes", args.key_arn, self)
        self.group_name: pulumi.Output[str] = made.name
        self.group_arn: pulumi.Output[str] = made.arn
        self.register_outputs({"group_name": self.group_name, "group_arn": self.group_arn})
