"""Who the nodes are, and what they may do: as much as they ask for, and no more."""

import dataclasses
from collections.abc import Mapping

import pulumi
import pulumi_gcp as gcp

from infra.deployment import Deployment
from infra.gcp.keys import Key
from infra.gcp.storage import RUNS, Storage
from infra.options import child
from infra.settings import SCALE_IN

ACCOUNT_SUFFIX = 5
"""Characters of the key's suffix in a service account's id, which has at most 30."""
READ = "roles/storage.objectViewer"
WRITE = ("storage.objects.create", "storage.objects.delete")
"""Objects below the runs' prefix. To replace one is to create and delete it
(https://cloud.google.com/storage/docs/access-control/iam-json)."""
LOG, MEASURE = "roles/logging.logWriter", "roles/monitoring.metricWriter"
LEAVE = ("compute.instanceGroupManagers.update",)
"""What `regionInstanceGroupManagers.deleteInstances` asks for
(https://cloud.google.com/compute/docs/reference/rest/v1/regionInstanceGroupManagers/deleteInstances)."""


@dataclasses.dataclass(frozen=True)
class IdentityArgs:
    """What the nodes' identity needs.

    Attributes:
        deployment: the site.
        key: whose suffix names take.
        storage: what nodes read and write.
    """

    deployment: Deployment
    key: Key
    storage: Storage


class Identity(pulumi.ComponentResource):
    """The nodes' service account, without keys: a node gets its tokens from the metadata server.

    It reads its site's bucket, writes below `runs/` and nowhere else there, and writes the project's logs and metrics.
    Those two cannot be bound to less than a project: neither logs nor metrics have policies of their own, or
    conditions (https://cloud.google.com/iam/docs/conditions-resource-attributes).

    Where nodes take themselves out of their groups, they may update the project's managed instance groups. Conditions
    do not know such groups' names, and groups have no policies of their own, so this reaches groups beside the site's;
    a project of its own, or `whenDone` set to `stay`, is the way around. Wherever tags of Resource Manager can be used,
    a condition on a tag would narrow it; they need an organization's rights, which a site must do without.

    People are not named here. Who is to reach a node needs, in the project, roles/compute.osAdminLogin,
    roles/iap.tunnelResourceAccessor and, on this account, roles/iam.serviceAccountUser
    (https://cloud.google.com/compute/docs/oslogin/set-up-oslogin).

    Attributes:
        email: the account's.
        member: the same as policies have it.
        account_id: its full name: `projects/P/serviceAccounts/EMAIL`.
    """

    email: pulumi.Output[str]
    member: pulumi.Output[str]
    account_id: pulumi.Output[str]

    def __init__(self, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        deployment = args.deployment
        super().__init__("slipway:gcp:Identity", deployment.named("identity"), None, opts)
        project = str(deployment.settings.project)
        account = gcp.serviceaccount.Account(
            deployment.named("nodes"),
            project=project,
            account_id=args.key.suffix.apply(lambda suffix: f"{deployment.name}-{suffix[:ACCOUNT_SUFFIX]}"),
            display_name=f"Slipway's nodes of {deployment.stack}",
            description="Trains; it has no keys.",
            opts=child(self),
        )
        self.email, self.account_id = account.email, account.name
        self.member = pulumi.Output.format("serviceAccount:{0}", account.email)
        bucket = args.storage.bucket
        gcp.storage.BucketIAMMember(
            deployment.named("nodes-read"), bucket=bucket, role=READ, member=self.member, opts=child(self)
        )
        gcp.storage.BucketIAMMember(
            deployment.named("nodes-write"),
            bucket=bucket,
            role=self._role(args, "write", "Writes and deletes objects", WRITE),
            member=self.member,
            condition={
                "title": "runs",
                "description": "Runs' folders alone: bundles are what nodes execute.",
                "expression": pulumi.Output.format(
                    'resource.name.startsWith("projects/_/buckets/{0}/objects/{1}")', bucket, RUNS
                ),
            },
            opts=child(self),
        )
        in_project: Mapping[str, pulumi.Input[str]] = {"log": LOG, "measure": MEASURE}
        if deployment.settings.when_done == SCALE_IN:
            in_project = {**in_project, "leave": self._role(args, "leave", "Leaves a managed instance group", LEAVE)}
        for what, role in in_project.items():
            gcp.projects.IAMMember(
                deployment.named(f"nodes-{what}"), project=project, role=role, member=self.member, opts=child(self)
            )
        self.register_outputs({"email": self.email})

    def _role(self, args: IdentityArgs, what: str, title: str, permissions: tuple[str, ...]) -> pulumi.Output[str]:
        """A role with these permissions; its name. A deleted role's id cannot be had again for weeks."""
        deployment = args.deployment
        prefix = f"{deployment.name}-{what}".replace("-", "_")
        role = gcp.projects.IAMCustomRole(
            deployment.named(f"{what}-role"),
            project=deployment.settings.project,
            role_id=args.key.suffix.apply(lambda suffix: f"{prefix}_{suffix}"),
            title=f"{title} ({deployment.name})",
            description="Of Slipway's nodes.",
            permissions=list(permissions),
            stage="GA",
            opts=child(self),
        )
        name: pulumi.Output[str] = role.name
        return name
