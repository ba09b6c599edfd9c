"""The shape of a resource's values: types by Terraform's schema, names by the Pulumi SDK's own classes.

The SDK also says which of Terraform's lists are a single object in Pulumi, so there is no rule for that here.
"""

import dataclasses
import json
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from aws_provider import names

SINGLE, LIST, SET, MAP, GROUP = range(1, 6)
"""How Terraform's protocol numbers the nesting of blocks."""


@dataclasses.dataclass(frozen=True)
class Shape:
    """The shape of a value.

    Attributes:
        kind: `primitive`, `list`, `set`, `map` or `object`.
        primitive: Terraform's name of it: `string`, `number`, `bool` or `dynamic`.
        element: of a list, set or map.
        fields: of an object.
        only_in_sdk: properties of an object that Terraform's provider does not have.
    """

    kind: str
    primitive: str = ""
    element: "Shape | None" = None
    fields: "tuple[Field, ...]" = ()
    only_in_sdk: tuple[str, ...] = ()

    @property
    def is_sequence(self) -> bool:
        """Whether it is a list or a set."""
        return self.kind in ("list", "set")

    def by_property(self, name: str) -> "Field | None":
        """The field that Pulumi calls so; a name that is not the SDK's may be Terraform's, singular or plural."""
        exact = next((field for field in self.fields if field.property == name), None)
        if exact is not None:
            return exact
        tried = set(names.spellings(name))
        return next((field for field in self.fields if names.letters(field.attribute) in tried), None)

    def by_attribute(self, name: str) -> "Field | None":
        """The field that Terraform calls so."""
        return next((field for field in self.fields if field.attribute == name), None)


@dataclasses.dataclass(frozen=True)
class Field:
    """What an object has.

    Attributes:
        attribute: Terraform's name of it.
        property: Pulumi's.
        shape: of its value.
        settable: whether a program may give it.
        computed: whether the provider gives it where the program does not.
        sensitive: whether it is a secret.
        block: whether it is a block of Terraform's, which is empty rather than null.
        single: whether Pulumi has one object where Terraform has a list or set.
        in_sdk: whether the Pulumi SDK has it.
    """

    attribute: str
    property: str
    shape: Shape
    settable: bool
    computed: bool
    sensitive: bool = False
    block: bool = False
    single: bool = False
    in_sdk: bool = False


@dataclasses.dataclass(frozen=True)
class _Declared:
    """A field before it has a Pulumi name."""

    attribute: str
    build: Callable[[Any], Shape]
    settable: bool
    computed: bool
    sensitive: bool = False
    block: bool = False
    single: bool = False


def of_type(encoded: bytes | str | Sequence[Any], sdk: Any = None, terraform_type: str = "") -> Shape:
    """The shape of an attribute.

    Args:
        encoded: Terraform's type, as JSON or decoded: `"string"`, `["list", "string"]`, `["object", {...}]`.
        sdk: the Python type that the Pulumi SDK gives it, if any.
        terraform_type: of the resource.
    """
    declared: Any = json.loads(encoded) if isinstance(encoded, bytes) else encoded
    if isinstance(declared, str):
        return Shape("primitive", primitive=declared)
    kind, inner = declared
    if kind == "object":
        members = [
            _Declared(name, partial(of_type, each, terraform_type=terraform_type), settable=True, computed=False)
            for name, each in inner.items()
        ]
        return _object(members, _properties(sdk), terraform_type)
    return Shape(kind, element=of_type(inner, _element(sdk), terraform_type))


def of_block(block: Any, properties: Mapping[str, Any], terraform_type: str = "") -> Shape:
    """The shape of a resource, a data source, a provider's configuration, or a block in one.

    Args:
        block: Terraform's schema of it.
        properties: Pulumi property -> Python type.
        terraform_type: of the resource.
    """
    attributes = [
        _Declared(
            each.name,
            partial(of_type, each.type, terraform_type=terraform_type),
            settable=each.required or each.optional,
            computed=each.computed,
            sensitive=each.sensitive,
        )
        for each in block.attributes
    ]
    blocks = [
        _Declared(
            each.type_name,
            partial(_of_nested, each, terraform_type=terraform_type),
            settable=True,
            computed=False,
            block=True,
            single=each.nesting in (LIST, SET) and each.max_items == 1,
        )
        for each in block.block_types
    ]
    return _object([*attributes, *blocks], properties, terraform_type)


def _of_nested(block: Any, sdk: Any, terraform_type: str) -> Shape:
    kind = {LIST: "list", SET: "set", MAP: "map"}.get(block.nesting)
    inner = of_block(block.block, _properties(_element(sdk) if kind else sdk), terraform_type)
    return Shape(kind, element=inner) if kind else inner


def _object(members: Iterable[_Declared], properties: Mapping[str, Any], terraform_type: str) -> Shape:
    members = list(members)
    found = names.pairs((each.attribute for each in members), properties, terraform_type)
    fields = []
    for each in members:
        name = found.get(each.attribute)
        shape = each.build(properties[name] if name else None)
        single = shape.is_sequence and not _is_sequence(properties[name]) if name else each.single
        fields.append(
            Field(
                each.attribute,
                name or names.camel(each.attribute),
                shape,
                each.settable,
                each.computed,
                each.sensitive,
                each.block,
                single,
                name is not None,
            )
        )
    return Shape("object", fields=tuple(fields), only_in_sdk=tuple(sorted(set(properties) - set(found.values()))))


def _is_sequence(sdk: Any) -> bool:
    return "Sequence" in str(typing.get_origin(sdk))


def _element(sdk: Any) -> Any:
    """The SDK's type of the elements of a collection, or of the object that stands for one."""
    arguments = typing.get_args(sdk)
    return arguments[-1] if arguments else sdk


def _properties(sdk: Any) -> Mapping[str, Any]:
    from pulumi._types import is_output_type, output_type_types

    return output_type_types(sdk) if isinstance(sdk, type) and is_output_type(sdk) else {}
