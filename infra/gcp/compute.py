"""The machines that train: for each run a managed instance group of one."""

import dataclasses
import hashlib
import re
from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from infra import bundle, machines
from infra.deployment import Deployment, Run
from infra.gcp.identity import Identity
from infra.gcp.keys import Key
from infra.gcp.logs import Logs
from infra.gcp.network import SSH_PORT, Network
from infra.gcp.storage import BUNDLES, Storage
from infra.machines import Machine
from infra.options import child, value
from infra.settings import GCP, SCALE_IN
from trainer.node import user_data
from trainer.node.user_data import UserData

GPU_IMAGE = "projects/deeplearning-platform-release/global/images/family/common-cu129-ubuntu-2204-nvidia-580"
"""Deep Learning VM with CUDA 12.9 and NVIDIA's driver on Ubuntu 22.04, patched until August 2028
(https://docs.cloud.google.com/deep-learning-vm/docs/images)."""
CPU_IMAGE = "projects/debian-cloud/global/images/family/debian-12"
SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
"""Roles decide what an account may do; this is what Google advises beside them
(https://cloud.google.com/compute/docs/access/service-accounts#scopes_best_practice)."""
LONGEST_NAME = 30
"""Of a run in a resource's name, which has 63 characters: 25 are the site's, 8 are random."""
UNAVAILABLE = 10
"""How many machines may be away at once when an operator replaces them: of a regional group none, or at least as many
as it has zones, and no region has so many."""
BOOT_SECONDS = 300
"""How long after its start a machine need not answer; sshd does after one minute or two."""


@dataclasses.dataclass(frozen=True)
class ComputeArgs:
    """What machines need.

    Attributes:
        deployment: the site.
        key: encrypts their disks.
        storage: has their bundles, and takes what they make.
        identity: who they are.
        network: where they are.
        logs: where they say what goes wrong.
    """

    deployment: Deployment
    key: Key
    storage: Storage
    identity: Identity
    network: Network
    logs: Logs


class Compute(pulumi.ComponentResource):
    """For each run its bundle in the bucket, an instance template, and a group of one machine made by it.

    A group is wherever in the region its machine can be had, and makes another when one is lost. Its size is the
    site's only when it is made: from then on a run that has ended, and an operator who pauses, decide it.

    **Health.** A machine that answers no more is replaced. What must answer is its SSH server: that says that kernel
    and services live, at any time from the first minute on. Not the trainer's exporter: it begins to serve after ten
    minutes of installing, ends with the run, and would have a machine replaced that is to stay (`whenDone`); systemd
    starts a trainer that fails again, and alerts tell of one that does not train.

    **A new bundle**, machine type or image makes a new template and a new group. The old group goes first, its machine
    with a last checkpoint, as two machines of one run must not be, and a template that a machine was made by cannot be
    deleted (https://github.com/hashicorp/terraform-provider-google/issues/10365). The new group begins with one
    machine, also for a run that has ended: that finds so, and its machine leaves again.

    Attributes:
        groups: the groups' names, by run id.
    """

    groups: Mapping[str, pulumi.Output[str]]

    def __init__(self, args: ComputeArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Compute", deployment.named("compute"), None, opts)
        self._args, self._machine = args, machines.find(GCP, deployment.settings.machines[0])
        health = gcp.compute.HealthCheck(
            deployment.named("alive"),
            project=deployment.settings.project,
            description="Whether a node's SSH server greets.",
            check_interval_sec=60,
            timeout_sec=10,
            healthy_threshold=1,
            unhealthy_threshold=3,
            tcp_health_check={"port": int(SSH_PORT), "response": "SSH-2.0"},
            log_config={"enable": True},
            opts=child(self, depends_on=[args.network]),
        )
        self.groups = {run.run_id: self._group(run, health) for run in deployment.runs}
        self.register_outputs({"groups": self.groups})

    def _group(self, run: Run, health: gcp.compute.HealthCheck) -> pulumi.Output[str]:
        args, settings = self._args, self._args.deployment.settings
        name = args.deployment.named(short(run.run_id))
        script, objects = self._script(run, name)
        template = self._template(name, run, script)
        zones = machines.zones(self._machine, settings.region)
        group = gcp.compute.RegionInstanceGroupManager(
            name,
            project=settings.project,
            region=settings.region,
            description=f"Trains {run.run_id}.",
            base_instance_name=name,
            versions=[{"name": "current", "instance_template": template.self_link}],
            target_size=1,
            distribution_policy_zones=list(zones) or None,
            distribution_policy_target_shape="ANY",
            auto_healing_policies={"health_check": health.id, "initial_delay_sec": BOOT_SECONDS},
            update_policy={
                "type": "OPPORTUNISTIC",
                "minimal_action": "REPLACE",
                "instance_redistribution_type": "NONE",  # as the shape ANY demands
                "max_surge_fixed": 0,
                "max_unavailable_fixed": UNAVAILABLE,
            },
            # Who trains must find its bundle, its rights and its way when it boots, and have them until it has gone.
            opts=child(
                self,
                depends_on=[args.key, args.storage, args.identity, args.network, args.logs, *objects],
                ignore_changes=["targetSize"],
                replace_on_changes=["versions"],
                delete_before_replace=True,
            ),
        )
        group_name: pulumi.Output[str] = group.name
        return group_name

    def _template(self, name: str, run: Run, script: pulumi.Input[str]) -> gcp.compute.RegionInstanceTemplate:
        args, machine = self._args, self._machine
        deployment, settings = args.deployment, args.deployment.settings
        labels = {**deployment.tags, "slipway-run": short(run.run_id)}
        image = GPU_IMAGE if settings.has_gpu else CPU_IMAGE
        return gcp.compute.RegionInstanceTemplate(
            name,
            project=settings.project,
            region=settings.region,
            description=f"Trains {run.run_id}.",
            machine_type=machine.instance_type,
            guest_accelerators=[{"type": machine.accelerator, "count": machine.gpus}] if machine.attached else None,
            scheduling=_scheduling(machine, spot=settings.spot),
            disks=[
                {
                    "boot": True,
                    "auto_delete": True,
                    "source_image": image if settings.image is None else value(deployment, "image"),
                    "disk_type": "pd-balanced",
                    "disk_size_gb": settings.disk_gib,
                    "disk_encryption_key": {"kms_key_self_link": args.key.key_id},
                    "labels": labels,
                }
            ],
            # No access config: no address of its own outside.
            network_interfaces=[{"subnetwork": args.network.subnet_id, "stack_type": "IPV4_ONLY"}],
            can_ip_forward=False,
            service_account={"email": args.identity.email, "scopes": list(SCOPES)},
            shielded_instance_config={
                # Secure Boot loads no module that it does not know to be signed, and so not NVIDIA's on these images.
                "enable_secure_boot": not settings.has_gpu,
                "enable_vtpm": True,
                "enable_integrity_monitoring": True,
            },
            metadata={
                "startup-script": script,
                "enable-oslogin": "TRUE",
                "block-project-ssh-keys": "TRUE",
                "serial-port-enable": "FALSE",
            },
            labels=labels,
            opts=child(self, depends_on=[args.key]),
        )

    def _script(self, run: Run, name: str) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
        """The first boot's script, and the objects that it fetches."""
        deployment, storage = self._args.deployment, self._args.storage
        built = storage.store.apply(lambda store: bundle.build(deployment, run, _place(deployment, store)))
        key = built.apply(lambda made: f"{BUNDLES}{run.run_id}/{made.sha256}.tar.gz")
        parts = [("", built.apply(lambda made: made.path)), (".sha256", built.apply(lambda made: made.checksum))]
        if deployment.settings.signing_key is not None:
            parts.append((".sha256.sig", built.apply(lambda made: made.signature)))
        objects = [
            gcp.storage.BucketObject(
                f"{name}-bundle{suffix}",
                bucket=storage.bucket,
                name=pulumi.Output.concat(key, suffix),
                source=path.apply(lambda path: pulumi.FileAsset(str(path))),
                content_type="application/octet-stream",
                opts=child(self),
            )
            for suffix, path in parts
        ]
        leaves = deployment.settings.when_done == SCALE_IN
        script = pulumi.Output.all(storage.bucket, key, built.apply(lambda made: made.sha256)).apply(
            lambda known: user_data.render(
                UserData(
                    bundle_uri=f"gs://{known[0]}/{known[1]}",
                    bundle_sha256=known[2],
                    public_key=bundle.public_key(deployment),
                    variables={"trainer_when_done": "scale-in-mig" if leaves else "nothing"},
                    log=self._args.logs.log_name,
                    when_failed="scale-in" if leaves else "nothing",
                )
            )
        )
        return script, list(objects)


def short(run_id: str) -> str:
    """A run's name as names and labels in Google Cloud take it: small letters, digits and dashes, 30 at most."""
    name = re.sub(r"[^a-z0-9-]", "-", run_id.lower())
    if name == run_id and len(name) <= LONGEST_NAME and not name.endswith("-"):
        return name
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:6]
    return f"{name[: LONGEST_NAME - 7].rstrip('-')}-{digest}"


def _place(deployment: Deployment, store: str) -> Mapping[str, object]:
    """What is added to the run file."""
    project = deployment.settings.project
    return {
        "store": store,
        "preemption.watch": "compute-engine",
        "sinks.cloud_monitoring.enabled": True,
        "sinks.cloud_monitoring.project": project,
        "sinks.cloud_monitoring.namespace": deployment.name,
        "sinks.logs.cloud_logging.enabled": True,
        "sinks.logs.cloud_logging.project": project,
        "sinks.logs.cloud_logging.log_name": deployment.log_name,
    }


def _scheduling(machine: Machine, *, spot: bool) -> gcp.compute.RegionInstanceTemplateSchedulingArgs:
    """How a machine is lent: with GPUs, or as spot capacity, it cannot move to another host.

    Source: https://cloud.google.com/compute/docs/instances/live-migration-process#limitations
    """
    return gcp.compute.RegionInstanceTemplateSchedulingArgs(
        provisioning_model="SPOT" if spot else "STANDARD",
        preemptible=spot,
        automatic_restart=not spot,
        on_host_maintenance="TERMINATE" if spot or machine.gpus else "MIGRATE",
        # Nothing on its disk is wanted again, and the group makes another one.
        instance_termination_action="DELETE" if spot else None,
    )
