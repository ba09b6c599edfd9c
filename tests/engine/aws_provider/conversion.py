"""Values in Pulumi's shape and in Terraform's, and what Terraform's core would propose to a provider."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from aws_provider.shapes import Field, Shape
from aws_provider.values import UNKNOWN, has_unknown

HIDDEN = "__"
"""Properties that begin so are Pulumi's own."""


class Rejected(Exception):
    """A value that has no place in a shape.

    Attributes:
        path: of the property.
        reason: what is wrong with it.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


def to_terraform(shape: Shape, value: Any, path: str = "") -> Any:
    """A Pulumi value in Terraform's shape, with every attribute present.

    Raises:
        Rejected: a property that there is not, or a value of another type.
    """
    if value is None or value == UNKNOWN:
        return value
    if shape.kind == "primitive":
        return _primitive(shape.primitive, value, path)
    if shape.is_sequence:
        assert shape.element is not None
        if not isinstance(value, list):  # a single object of Pulumi's
            return [to_terraform(shape.element, value, path)]
        return [to_terraform(shape.element, each, f"{path}[{index}]") for index, each in enumerate(value)]
    if not isinstance(value, dict):
        raise Rejected(path, f"expected an object, got {type(value).__name__}")
    if shape.kind == "map":
        assert shape.element is not None
        known = {key: each for key, each in value.items() if each is not None}
        return {key: to_terraform(shape.element, each, f"{path}.{key}") for key, each in known.items()}
    converted = {field.attribute: _absent(field) for field in shape.fields}
    for key, each in value.items():
        if key.startswith(HIDDEN):
            continue
        where = f"{path}.{key}" if path else key
        field = shape.by_property(key)
        if field is None:
            raise Rejected(where, "terraform-provider-aws 5.100.0 has no such argument")
        if field.settable and not (field.block and each is None):
            converted[field.attribute] = to_terraform(field.shape, each, where)
    return converted


def _absent(field: Field) -> Any:
    if not field.block:
        return None
    return [] if field.shape.is_sequence else {} if field.shape.kind == "map" else None


def _primitive(name: str, value: Any, path: str) -> Any:
    if name == "dynamic":
        return value
    if name == "string":
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, dict | list):  # a policy document may be given as one
            return UNKNOWN if has_unknown(value) else json.dumps(value)
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
    if name == "bool" and value in (True, False, "true", "false"):
        return value in (True, "true")
    if name == "number" and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, TypeError):
            pass
        else:
            return int(number) if number.is_integer() else number
    raise Rejected(path, f"expected a {name}, got {value!r}")


def to_pulumi(shape: Shape, value: Any, secret: Callable[[Any], Any] = lambda value: value) -> Any:
    """A Terraform value in Pulumi's shape, without what is null.

    Args:
        shape: of the value.
        value: in Terraform's shape.
        secret: wraps what is sensitive.
    """
    if value is None or value == UNKNOWN or shape.kind == "primitive":
        return value
    if shape.kind != "object":
        assert shape.element is not None
        element = shape.element
        if shape.is_sequence:
            return [to_pulumi(element, each, secret) for each in value]
        return {key: to_pulumi(element, each, secret) for key, each in value.items() if each is not None}
    converted = {}
    for field in shape.fields:
        each = to_pulumi(field.shape, value.get(field.attribute), secret)
        if field.single and isinstance(each, list):
            each = each[0] if each else None
        if each is not None:
            converted[field.property] = secret(each) if field.sensitive else each
    return converted


def proposed(shape: Shape, prior: Any, config: Any) -> Any:
    """What Terraform's core proposes to a provider: what the configuration sets, else what was computed before.

    Args:
        shape: of both values.
        prior: the state; None: there is none.
        config: the configuration.
    """
    if config is None or config == UNKNOWN:
        return config
    before = prior if isinstance(prior, dict) else {}
    return {
        each.attribute: _proposed_field(each, before.get(each.attribute), config[each.attribute])
        for each in shape.fields
    }


def _proposed_field(field: Field, prior: Any, config: Any) -> Any:
    if not field.block:
        return prior if config is None and field.computed else config
    if config is None or config == UNKNOWN or field.shape.kind == "object":
        return proposed(field.shape, prior, config)
    element = field.shape.element
    assert element is not None
    if field.shape.kind == "map":
        return {key: proposed(element, (prior or {}).get(key), each) for key, each in config.items()}
    before = list(prior) if isinstance(prior, list) else []
    if field.shape.kind == "list":
        before += [None] * (len(config) - len(before))
        return [proposed(element, old, each) for old, each in zip(before, config, strict=False)]
    # Elements of a set have no place: each goes with the prior one that it can have become.
    merged = []
    for each in config:
        match = next((index for index, old in enumerate(before) if _could_be(element, old, each)), None)
        merged.append(proposed(element, None if match is None else before.pop(match), each))
    return merged


def _could_be(shape: Shape, prior: Mapping[str, Any], config: Any) -> bool:
    """Whether an element of a set in the state is the one in the configuration, what was computed set aside."""
    if not isinstance(config, dict):
        return False
    for field in shape.fields:
        old, new = prior.get(field.attribute), config.get(field.attribute)
        if field.block and isinstance(old, list) and isinstance(new, list):
            assert field.shape.element is not None
            element = field.shape.element
            if len(old) != len(new) or not all(_could_be(element, *both) for both in zip(old, new, strict=True)):
                return False
        elif old != new and not (new is None and field.computed):
            return False
    return True
