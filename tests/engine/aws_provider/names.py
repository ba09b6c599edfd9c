"""Pulumi's names and Terraform's: of types, and of what they have."""

import importlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

TYPES = {
    "aws:iam/openIdConnectProvider:OpenIdConnectProvider": "aws_iam_openid_connect_provider",
    "aws:s3/bucketObjectv2:BucketObjectv2": "aws_s3_object",
    "aws:s3/bucketObject:BucketObject": "aws_s3_object",
}
"""Tokens whose Terraform type does not follow from the rule in `terraform_type`."""

PROPERTIES = {
    ("aws_sns_topic_subscription", "topic"): "topic_arn",
    ("aws_cloudwatch_metric_alarm", "name"): "alarm_name",
    ("aws_s3_bucket", "bucketRegion"): "region",
}
"""(Terraform type, Pulumi property) -> Terraform attribute, where no spelling leads from one to the other."""

PLURALS = (("ies", "y"), ("ices", "ex"), ("es", ""), ("s", ""))


class NoSuchType(Exception):
    """Terraform's provider has no type for a token."""


def snake(name: str) -> str:
    """`securityGroup` -> `security_group`."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def camel(name: str) -> str:
    """`security_group` -> `securityGroup`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


def is_data_source(token: str) -> bool:
    """Whether a token is a function's, such as `aws:ec2/getAmi:getAmi`."""
    return token.split(":")[2].startswith("get")


def terraform_type(token: str, known: Collection[str]) -> str:
    """`aws:ec2/routeTable:RouteTable` -> `aws_route_table`.

    Args:
        token: Pulumi's, of a resource or a function.
        known: Terraform's types.

    Raises:
        NoSuchType: none is called alike.
    """
    if token in TYPES:
        return TYPES[token]
    _, module, name = token.split(":")
    module = module.split("/")[0]
    name = snake(re.sub(r"^get(?=[A-Z])|V2$|Legacy$", "", name))
    for candidate in (f"aws_{module}_{name}", f"aws_{name}"):
        if candidate in known:
            return candidate
    raise NoSuchType(f"terraform-provider-aws has no type for {token}")


def sdk_properties(token: str) -> Mapping[str, Any]:
    """Pulumi property -> Python type, of a resource or of a function's result, from the SDK's own classes."""
    from pulumi._types import output_type_types, resource_types

    _, module, name = token.split(":")
    package = module.split("/")[0]
    home = "pulumi_aws" if package == "index" else f"pulumi_aws.{snake(package)}"
    try:
        found = importlib.import_module(home)
    except ModuleNotFoundError:
        found = importlib.import_module(f"{home}_")  # where a word is Python's own: lambda_
    if is_data_source(token):
        return output_type_types(getattr(found, f"{name[0].upper()}{name[1:]}Result"))
    return resource_types(getattr(found, name))


def letters(name: str) -> str:
    """A name without what the two write differently: underscores and capitals."""
    return name.replace("_", "").lower()


def spellings(name: str) -> Iterator[str]:
    """The letters of a name and of its singulars, the likeliest first: Pulumi's lists are plural, Terraform's not."""
    plain = letters(name)
    yield plain
    for plural, singular in PLURALS:
        if plain.endswith(plural):
            yield plain.removesuffix(plural) + singular


def pairs(attributes: Iterable[str], properties: Iterable[str], terraform_type: str) -> dict[str, str]:
    """Terraform attribute -> Pulumi property, for those that are spelled alike; exact spellings come first."""
    free = {letters(name): name for name in attributes}
    left = {name: list(spellings(PROPERTIES.get((terraform_type, name), name))) for name in properties}
    found: dict[str, str] = {}
    for rank in range(1 + len(PLURALS)):
        for name, tried in list(left.items()):
            if rank < len(tried) and tried[rank] in free:
                found[free.pop(tried[rank])] = name
                del left[name]
    return found
