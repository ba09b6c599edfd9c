"""What is wrong with a resource's properties: everything that can be known before it is made."""

import contextlib
import difflib
import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any

from google_provider import descriptions, matching, sdk
from google_provider.descriptions import Schema
from google_provider.kind import Kind, Refusal, values_at
from google_provider.wire import UNKNOWN, is_asset, step

TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "list": (list,),
    "map": (dict,),
    "object": (dict,),
}


class NotKnown(Exception):
    """A value was asked for that is not known yet."""


class Known(dict[str, Any]):
    """Properties of which none that is read is unknown."""

    def __getitem__(self, name: str) -> Any:
        return _known(super().__getitem__(name))

    def get(self, name: str, default: Any = None) -> Any:
        return _known(super().get(name, default))


def _known(value: Any) -> Any:
    if value is UNKNOWN:
        raise NotKnown
    if isinstance(value, Mapping):
        return Known(value)
    return [_known(item) for item in value] if isinstance(value, list) else value


def refusals(token: str, kind: Kind | None, inputs: Mapping[str, Any]) -> list[Refusal]:
    """Everything that is wrong with the inputs of a resource.

    Args:
        token: its type.
        kind: what is known of it; None: only what the SDK says is checked.
        inputs: its properties; those that are unknown are not checked.

    Raises:
        sdk.UnknownToken: the SDK has no such resource.
    """
    schemas = _schemas(kind) if kind else {}
    found = list(_object(sdk.resource(token).inputs, inputs, "", "", schemas))
    if kind is not None and not found:  # the rest takes types for granted
        found += _rules(kind, inputs)
        found += _groups(kind, inputs)
        found += _documents(kind, inputs)
    if kind is not None and kind.whole is not None and not found:
        with contextlib.suppress(NotKnown):
            found += kind.whole(Known(inputs))
    return found


@functools.cache
def _schemas(kind: Kind) -> Mapping[str, Schema | None]:
    return {match.path: match.schema for match in matching.matches(kind)}


def fits(type_: sdk.Type | None, value: Any) -> bool:
    """Whether a value is of a type, as far as can be said without looking into it."""
    if type_ is None or type_.kind not in TYPES:
        return True
    return isinstance(value, TYPES[type_.kind]) and (not isinstance(value, bool) or type_.kind == "boolean")


def _object(
    fields: Mapping[str, sdk.Field], values: Mapping[str, Any], at: str, path: str, schemas: Mapping[str, Schema | None]
) -> Iterator[Refusal]:
    """What is wrong with an object; `at` has indices, `path` has none."""
    for name, value in values.items():
        if name.startswith("__") or value is None:
            continue
        here = step(at, name)
        if name not in fields:
            near = difflib.get_close_matches(sdk.camel(name), fields, 1)
            yield here, "there is no such property" + (f"; did you mean {near[0]}?" if near else "")
            continue
        below = f"{path}.{name}" if path else name
        yield from _value(fields[name].type, value, here, below, schemas, fields[name])
    for name, field in fields.items():
        if field.required and values.get(name) is None:
            yield step(at, name), "is missing"


def _value(
    type_: sdk.Type, value: Any, at: str, path: str, schemas: Mapping[str, Schema | None], field: sdk.Field
) -> Iterator[Refusal]:
    """What is wrong with a value."""
    if value is UNKNOWN or value is None or type_.kind == "any":
        return
    if type_.kind == "asset":
        if not is_asset(value):
            yield at, f"{value!r} is no asset"
        return
    if not fits(type_, value):
        yield at, f"{value!r} is no {type_.kind}"
        return
    if type_.kind == "object":
        yield from _object(type_.fields, value, at, path, schemas)
    elif type_.kind == "list":
        assert type_.element
        for index, item in enumerate(value):
            yield from _value(type_.element, item, f"{at}[{index}]", path, schemas, field)
    elif type_.kind == "map":
        assert type_.element
        for name, item in value.items():
            yield from _value(type_.element, item, step(at, name), path, {}, field)
    else:
        schema = schemas.get(path)
        while schema is not None and schema.kind == "list":
            schema = schema.element
        why = schema.refusal(value) if schema is not None and schema.kind not in ("map", "object", "any") else None
        if why is None and not (schema and schema.values) and field.values and value not in field.values:
            why = f"{value!r} is none of {', '.join(sorted(field.values))}"
        if why is not None:
            yield at, why


def _rules(kind: Kind, inputs: Mapping[str, Any]) -> Iterator[Refusal]:
    for path, rule in kind.rules.items():
        for at, value in values_at(inputs, path):
            why = None if value is UNKNOWN else rule(value)
            if why is not None:
                yield at, why


def _groups(kind: Kind, inputs: Mapping[str, Any]) -> Iterator[Refusal]:
    for group in (*kind.one_of, *kind.at_most_one_of):
        given = [name for name in group if inputs.get(name) is not None]
        if len(given) > 1:
            yield given[1], f"cannot be given with {given[0]}"
        elif not given and group in kind.one_of:
            yield group[0], f"one of {', '.join(group)} is needed"


def _documents(kind: Kind, inputs: Mapping[str, Any]) -> Iterator[Refusal]:
    for path, described in kind.documents.items():
        for at, text in values_at(inputs, path):
            if not isinstance(text, str):
                continue
            try:
                document = json.loads(text)
            except ValueError as error:
                yield at, f"is no JSON: {error}"
                continue
            schema = descriptions.find(described)
            if not described.endswith("[]"):
                yield from (
                    (f"{at}.{below}" if below else at, why) for below, why in descriptions.refusals(schema, document)
                )
            elif not isinstance(document, list):
                yield at, "is no list"
            else:
                for index, item in enumerate(document):
                    found = descriptions.refusals(schema, item)
                    yield from ((f"{at}[{index}]" + (f".{below}" if below else ""), why) for below, why in found)
