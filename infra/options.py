"""What every component does alike: options of its children, and configured values that stay secret."""

from typing import Any

import pulumi

from infra.deployment import Deployment


def child(parent: pulumi.Resource, **more: Any) -> pulumi.ResourceOptions:
    """Options of a resource within a component, which brings the provider.

    Args:
        parent: the component.
        more: further arguments of `pulumi.ResourceOptions`.
    """
    return pulumi.ResourceOptions(parent=parent, **more)


def kept(parent: pulumi.Resource, deployment: Deployment, **more: Any) -> pulumi.ResourceOptions:
    """Options of a bucket, dataset or key within a component: the lifecycle decides whether Pulumi may delete it.

    Args:
        parent: the component.
        deployment: the site.
        more: further arguments of `pulumi.ResourceOptions`.
    """
    return child(parent, protect=deployment.settings.rules.protect, **more)


def value(deployment: Deployment, name: str) -> pulumi.Input[str]:
    """A configured value as a resource's argument: encrypted in the stack's state if it was set with `--secret`.

    Args:
        deployment: the site.
        name: of an attribute of its settings that is not None.

    Raises:
        ValueError: if it is None: whether to make the resource at all is asked before.
    """
    found = getattr(deployment.settings, name)
    if found is None:
        raise ValueError(f"{name} is not set")
    text = str(found)
    return pulumi.Output.secret(text) if name in deployment.settings.secret_keys else text


def after(known: pulumi.Input[str], *others: pulumi.Input[Any]) -> pulumi.Output[str]:
    """A value that is there only when other resources are ready as well, so that whoever needs it waits for them.

    Args:
        known: the value.
        others: an output of each of the others.
    """
    return pulumi.Output.all(known, *others).apply(lambda values: str(values[0]))
