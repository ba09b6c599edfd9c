"""The machines: for each run a launch template, and an Auto Scaling group of one machine or none."""

import base64
import dataclasses
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from infra import bundle
from infra.aws.alarms import LONGEST_INTERVAL_SECONDS
from infra.aws.identity import Identity
from infra.aws.keys import Key
from infra.aws.logs import Logs
from infra.aws.network import Network
from infra.aws.storage import BUNDLES, Storage
from infra.deployment import Deployment, Run
from infra.names import shortened
from infra.options import child
from infra.settings import BY_NAME, NAMESPACE, STAY
from trainer.node.user_data import UserData, render

GPU_IMAGE = "/aws/service/deeplearning/ami/x86_64/base-with-single-cuda-ubuntu-22.04/latest/ami-id"
"""The parameter that holds the current Deep Learning Base AMI with a single CUDA.

The node brings the libraries of CUDA in its wheels and needs the driver alone; this image is the smallest with one.
Source: https://docs.aws.amazon.com/dlami/latest/devguide/appendix-ami-release-notes.html
"""
CPU_IMAGE = "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id"
"""The parameter that holds Canonical's current image.

Source: https://documentation.ubuntu.com/aws/en/latest/aws-how-to/instances/find-ubuntu-images/
"""
ROOT_DEVICE = "/dev/sda1"
"""The name of the disk in both."""
PARAMETER = "resolve:ssm:"
"""What makes a parameter's name an image of a launch template: it is looked up whenever a machine is launched.

Source: https://docs.aws.amazon.com/autoscaling/ec2/userguide/using-systems-manager-parameters.html
"""

LONGEST_ID = 60
"""How much of a run's id names of resources have: a launch template's may have 128 characters, and the site's name, a
word or two and Pulumi's random digits stand in them, too."""
RUN_TAG = "slipway-run"
TAGGED = ("instance", "volume", "network-interface")
"""What a launched machine consists of; none of it gets the provider's default tags."""
GROUP_METRICS = (
    aws.autoscaling.Metric.GROUP_DESIRED_CAPACITY,
    aws.autoscaling.Metric.GROUP_IN_SERVICE_INSTANCES,
    aws.autoscaling.Metric.GROUP_PENDING_INSTANCES,
    aws.autoscaling.Metric.GROUP_TERMINATING_INSTANCES,
    aws.autoscaling.Metric.GROUP_TOTAL_INSTANCES,
)
"""What the groups tell CloudWatch each minute, free of charge."""
GRACE_SECONDS = 300
"""How long a new machine may take to pass EC2's status checks."""
BOOT_MINUTES = 45
"""How long a first boot may take: some minutes, and less than until a machine counts as silent."""
ON_DEMAND, SPOT = 100, 0
"""Percent of the machines that are on demand."""


@dataclasses.dataclass(frozen=True)
class ComputeArgs:
    """What `Compute` needs.

    Attributes:
        deployment: the site.
        network: where machines stand.
        storage: where bundles are uploaded, and runs are kept.
        identity: what machines may do.
        key: encrypts disks and bundles.
        logs: where machines log.
    """

    deployment: Deployment
    network: Network
    storage: Storage
    identity: Identity
    key: Key
    logs: Logs


@dataclasses.dataclass(frozen=True)
class Image:
    """A machine image.

    Attributes:
        image_id: as launch templates have it.
        root_device: the name of the disk it starts from.
    """

    image_id: str
    root_device: str


class Compute(pulumi.ComponentResource):
    """A group of one machine for each run, which starts when the group is made.

    The group's size is Pulumi's to begin with, and afterwards the machine's: when its run has ended for good it makes
    the group smaller. A run whose file has changed has another id, and so another group.

    Attributes:
        groups: the Auto Scaling groups' names, by run id.
    """

    def __init__(self, name: str, args: ComputeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("slipway:aws:Compute", name, None, opts)
        self._args = args
        used = image(args.deployment, self)
        self.groups: Mapping[str, pulumi.Output[str]] = {
            run.run_id: self._group(run, used) for run in args.deployment.runs
        }
        self.register_outputs({"groups": dict(self.groups)})

    def _group(self, run: Run, used: Image) -> pulumi.Output[str]:
        args, deployment, what = self._args, self._args.deployment, shortened(run.run_id, LONGEST_ID)
        settings, tags = deployment.settings, {**deployment.tags, RUN_TAG: run.run_id, "Name": f"slipway {run.run_id}"}
        built = pulumi.Output.all(args.storage.store, args.logs.group_name).apply(
            lambda known: bundle.build(deployment, run, place(deployment, run, known[0], known[1]))
        )
        objects = self._upload(run, built, what)
        script = pulumi.Output.all(args.storage.bucket, args.logs.group_name, built).apply(
            lambda known: base64.b64encode(user_data(deployment, run, *known).encode()).decode()
        )
        template = aws.ec2.LaunchTemplate(
            deployment.named(what),
            description=f"The machine that trains {run.run_id}",
            image_id=used.image_id,
            user_data=script,
            update_default_version=True,
            ebs_optimized="true",
            iam_instance_profile={"arn": args.identity.profile_arn},
            # What switches itself off, for whatever reason, must not be paid for any more.
            instance_initiated_shutdown_behavior="terminate",
            metadata_options={
                "http_endpoint": "enabled",
                "http_tokens": "required",
                "http_put_response_hop_limit": 1,
                "instance_metadata_tags": "disabled",
            },
            monitoring={"enabled": True},
            network_interfaces=[
                {
                    "device_index": 0,
                    "associate_public_ip_address": "false",
                    "security_groups": [args.network.security_group_id],
                    "delete_on_termination": "true",
                }
            ],
            block_device_mappings=[
                {
                    "device_name": used.root_device,
                    "ebs": {
                        "volume_size": settings.disk_gib,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "kms_key_id": args.key.arn,
                        "delete_on_termination": "true",
                    },
                }
            ],
            tag_specifications=[{"resource_type": kind, "tags": tags} for kind in TAGGED],
            opts=child(self),
        )
        group = aws.autoscaling.Group(
            deployment.named(what),
            min_size=0,
            max_size=1,
            desired_capacity=1,
            vpc_zone_identifiers=args.network.subnet_ids,
            mixed_instances_policy={
                "launch_template": {
                    "launch_template_specification": {
                        "launch_template_id": template.id,
                        "version": template.latest_version.apply(str),
                    },
                    "overrides": [{"instance_type": each} for each in settings.machines],
                },
                "instances_distribution": {
                    "on_demand_base_capacity": 0,
                    "on_demand_percentage_above_base_capacity": SPOT if settings.spot else ON_DEMAND,
                    "on_demand_allocation_strategy": "prioritized",
                    "spot_allocation_strategy": "price-capacity-optimized",
                },
            },
            capacity_rebalance=settings.spot,
            health_check_type="EC2",
            health_check_grace_period=GRACE_SECONDS,
            # Capacity may come much later; an alarm tells of it, and `up` does not wait.
            wait_for_capacity_timeout="0",
            service_linked_role_arn=args.key.autoscaling_role_arn,
            enabled_metrics=list(GROUP_METRICS),
            metrics_granularity="1Minute",
            tags=[{"key": key, "value": value, "propagate_at_launch": True} for key, value in tags.items()],
            # The machine boots at once, and asks for its bundle then.
            opts=child(self, depends_on=[*objects], ignore_changes=["desiredCapacity"]),
        )
        return group.name

    def _upload(self, run: Run, built: pulumi.Output[bundle.Bundle], what: str) -> Sequence[pulumi.Resource]:
        """The bundle and what lies beside it, as the first boot fetches them."""
        deployment = self._args.deployment
        suffixes = ("", ".sha256") if deployment.settings.signing_key is None else ("", ".sha256", ".sha256.sig")
        return [self._object(run, built, what, suffix) for suffix in suffixes]

    def _object(self, run: Run, built: pulumi.Output[bundle.Bundle], what: str, suffix: str) -> pulumi.Resource:
        return aws.s3.BucketObjectv2(
            self._args.deployment.named(f"{what}-bundle{suffix.replace('.', '-')}"),
            bucket=self._args.storage.bucket,
            key=built.apply(lambda made: f"{key(run, made)}{suffix}"),
            source=built.apply(lambda made: pulumi.FileAsset(f"{made.path}{suffix}")),
            server_side_encryption="aws:kms",
            kms_key_id=self._args.key.arn,
            bucket_key_enabled=True,
            # All versions go with it: the archive may be some GB, and can be made again.
            force_destroy=True,
            opts=child(self),
        )


def image(deployment: Deployment, parent: pulumi.Resource) -> Image:
    """The image of the site's machines. One that was chosen is looked up, as its disk may have another name.

    Args:
        deployment: the site.
        parent: brings the provider that asks.

    Raises:
        BadInput: if the image is larger than the disk that is asked for.
    """
    settings = deployment.settings
    if settings.image is None:
        return Image(f"{PARAMETER}{GPU_IMAGE if settings.has_gpu else CPU_IMAGE}", ROOT_DEVICE)
    asking = pulumi.InvokeOptions(parent=parent)
    chosen = settings.image.removeprefix(PARAMETER)
    is_id = chosen.startswith("ami-")
    image_id = chosen if is_id else aws.ssm.get_parameter(name=chosen, opts=asking).insecure_value
    found = aws.ec2.get_ami(
        filters=[aws.ec2.GetAmiFilterArgs(name="image-id", values=[image_id])], include_deprecated=True, opts=asking
    )
    sizes = {each.device_name: int(each.ebs.get("volume_size", 0)) for each in found.block_device_mappings}
    least = sizes.get(found.root_device_name, 0)
    if least > settings.disk_gib:
        cure = f"pulumi config set {NAMESPACE}:diskGib {least}"
        raise BY_NAME["disk_gib"].wrong(settings.disk_gib, f"at least {least}, the image's size in GiB", cure)
    return Image(chosen if is_id else f"{PARAMETER}{chosen}", found.root_device_name)


def place(deployment: Deployment, run: Run, store: str, log_group: str) -> dict[str, object]:
    """What the site adds to a run file: where the run is kept, and whom it tells.

    Alarms look at the essential metrics, so these are sent whatever else is, and often enough.

    Args:
        deployment: the site.
        run: one of its runs.
        store: `s3://BUCKET/PREFIX`.
        log_group: the nodes' log group.
    """
    sink = run.run_file.sinks.cloudwatch
    return {
        "store": store,
        "preemption.watch": "ec2",
        "sinks.cloudwatch.enabled": True,
        "sinks.cloudwatch.namespace": deployment.metric_namespace,
        "sinks.cloudwatch.metrics": list(dict.fromkeys(("essential", *sink.metrics))),
        "sinks.cloudwatch.interval_seconds": min(sink.interval_seconds, LONGEST_INTERVAL_SECONDS),
        "sinks.logs.cloudwatch.enabled": True,
        "sinks.logs.cloudwatch.group": log_group,
    }


def key(run: Run, made: bundle.Bundle) -> str:
    """The key of a run's bundle in the bucket; another bundle has another one."""
    return f"{BUNDLES}{run.run_id}/{made.sha256}.tar.gz"


def user_data(deployment: Deployment, run: Run, bucket: str, log_group: str, made: bundle.Bundle) -> str:
    """The script of a machine's first boot.

    Raises:
        BadInput: if it is longer than EC2 takes.
    """
    settings = deployment.settings
    stays = settings.when_done == STAY
    return render(
        UserData(
            bundle_uri=f"s3://{bucket}/{key(run, made)}",
            bundle_sha256=made.sha256,
            public_key=bundle.public_key(deployment),
            variables={
                "trainer_when_done": "nothing" if stays else "scale-in-asg",
                "trainer_environment": {"AWS_REGION": settings.region},
            },
            environment={"AWS_REGION": settings.region},
            log=log_group,
            when_failed="nothing" if stays else "scale-in",
            limit_minutes=BOOT_MINUTES,
        )
    )
