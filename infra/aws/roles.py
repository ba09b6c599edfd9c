"""Roles: what takes them may do what they need, and no more, whatever is attached to them later."""

import dataclasses

import pulumi
import pulumi_aws as aws

from infra.deployment import Deployment
from infra.options import after, child


@dataclasses.dataclass(frozen=True)
class Role:
    """A role that may do what it must.

    Attributes:
        name: its name.
        arn: its ARN; ready when it has its permissions.
    """

    name: pulumi.Output[str]
    arn: pulumi.Output[str]


def bounded(
    deployment: Deployment,
    what: str,
    description: str,
    trusted: pulumi.Input[str],
    permissions: pulumi.Input[str],
    parent: pulumi.Resource,
) -> Role:
    """Make a role whose permissions are its permissions boundary as well.

    Args:
        deployment: the site.
        what: the role's name within it.
        description: whose it is.
        trusted: the policy that says who may take it.
        permissions: the policy that says what it may do.
        parent: the component.
    """
    name = deployment.named(what)
    boundary = aws.iam.Policy(
        name, description=f"The most that this role can ever do: {description}", policy=permissions, opts=child(parent)
    )
    role = aws.iam.Role(
        name,
        description=description,
        assume_role_policy=trusted,
        permissions_boundary=boundary.arn,
        opts=child(parent),
    )
    allowed = aws.iam.RolePolicy(name, role=role.name, policy=permissions, opts=child(parent))
    return Role(after(role.name, allowed.id), after(role.arn, allowed.id))
