"""Where the site's logs are kept."""

import dataclasses

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp.keys import Key
from infra.gcp.network import Network
from infra.options import child


@dataclasses.dataclass(frozen=True)
class LogBucketArgs:
    """What a log bucket needs.

    Attributes:
        deployment: the site.
        key: encrypts it.
    """

    deployment: Deployment
    key: Key


class LogBucket(pulumi.ComponentResource):
    """A bucket of Cloud Logging, which is there before the site's other buckets, and goes after them.

    A deleted log bucket keeps its name for a week (https://cloud.google.com/logging/docs/buckets#delete-bucket). So its
    name ends with the key ring's random characters; and where a removal stops at a bucket that is not empty, the log
    bucket is still there, and the next `up` does not ask for a name that is taken.

    Attributes:
        bucket: the log bucket's full name: `projects/P/locations/R/buckets/B`.
    """

    bucket: pulumi.Output[str]

    def __init__(self, args: LogBucketArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:LogBucket", deployment.named("log-bucket"), None, opts)
        settings = deployment.settings
        bucket = gcp.logging.ProjectBucketConfig(
            deployment.named("logs"),
            project=str(settings.project),
            location=settings.region,
            bucket_id=args.key.suffix.apply(lambda suffix: f"{deployment.name}-{suffix}"),
            description=f"Lines of {deployment.name}'s runs and machines, and of its network.",
            retention_days=settings.rules.log_retention_days,
            cmek_settings={"kms_key_name": args.key.key_id},
            opts=child(self, depends_on=[args.key]),
        )
        self.bucket = bucket.id
        self.register_outputs({"bucket": self.bucket})


@dataclasses.dataclass(frozen=True)
class LogsArgs:
    """What logs need.

    Attributes:
        deployment: the site.
        bucket: the log bucket's full name.
        network: whose logs are kept, too.
    """

    deployment: Deployment
    bucket: pulumi.Output[str]
    network: Network


class Logs(pulumi.ComponentResource):
    """What goes to the log bucket: lines of runs and of first boots, and what the network logs of the site.

    It is left out of the project's own bucket, `_Default`: that would keep it a second time, unencrypted by the site's
    key, for another time, and at the same price again.

    Attributes:
        log_name: the short name of the log that nodes write.
        bucket: the log bucket's full name: `projects/P/locations/R/buckets/B`.
    """

    log_name: str
    bucket: pulumi.Output[str]

    def __init__(self, args: LogsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Logs", deployment.named("logs"), None, opts)
        project = str(deployment.settings.project)
        found = _filter(project, deployment.log_name, args.network)
        sink = gcp.logging.ProjectSink(
            deployment.named("sink"),
            project=project,
            description=f"What {deployment.name} logs.",
            destination=pulumi.Output.format("logging.googleapis.com/{0}", args.bucket),
            filter=found,
            # To a bucket of the same project a sink writes as Cloud Logging itself: nobody needs a right.
            unique_writer_identity=True,
            opts=child(self),
        )
        gcp.logging.ProjectExclusion(
            deployment.named("kept-elsewhere"),
            project=project,
            description=f"{deployment.name} keeps these in a bucket of its own.",
            filter=found,
            opts=child(self, depends_on=[sink]),
        )
        self.log_name, self.bucket = deployment.log_name, args.bucket
        self.register_outputs({"bucket": self.bucket})


def _filter(project: str, log_name: str, network: Network) -> pulumi.Output[str]:
    """The log that nodes write, and the network's own: flows, the firewall's decisions, names, failures of NAT.

    Sources of the fields: https://cloud.google.com/vpc/docs/access-flow-logs,
    https://cloud.google.com/firewall/docs/using-firewall-rules-logging, https://cloud.google.com/dns/docs/monitoring,
    https://cloud.google.com/nat/docs/monitoring
    """
    logs = f"projects/{project}/logs/"
    parts: list[pulumi.Input[str]] = [
        f'logName="{logs}{log_name}"',
        pulumi.Output.format(
            '(logName=("{0}compute.googleapis.com%2Fvpc_flows" OR "{0}compute.googleapis.com%2Ffirewall")'
            ' AND resource.labels.subnetwork_name="{1}")',
            logs,
            network.subnet_name,
        ),
        pulumi.Output.format(
            '(logName="{0}dns.googleapis.com%2Fdns_queries" AND jsonPayload.sourceNetwork="{1}")', logs, network.name
        ),
    ]
    if network.nat_name is not None:
        parts.append(
            pulumi.Output.format(
                '(logName="{0}compute.googleapis.com%2Fnat_flows" AND resource.labels.gateway_name="{1}")',
                logs,
                network.nat_name,
            )
        )
    return pulumi.Output.all(*parts).apply(" OR ".join)
