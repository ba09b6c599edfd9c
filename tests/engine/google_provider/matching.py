"""Which field of a service's API each property of a Pulumi resource is.

Most names agree. Pulumi makes plurals of lists and singular objects of lists with one element; where it differs
further, a kind says so (`kinds.py`). What has no counterpart is not passed in silence: `unmatched` lists it.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

from google_provider import sdk
from google_provider.descriptions import Schema, follow
from google_provider.kind import Kind

SCALARS = ("string", "boolean", "integer", "number")


@dataclass(frozen=True)
class Match:
    """A property of Pulumi's beside the field of the API.

    Attributes:
        path: of the property, without indices: `disks.diskSizeGb`.
        type: of the property.
        schema: of the field; None where the kind names the property as the provider's own.
        why_none: why there is no field.
    """

    path: str
    type: sdk.Type
    schema: Schema | None
    why_none: str = ""


def spellings(name: str) -> Iterator[str]:
    """A name in small letters as it is, and in the singular."""
    letters = name.lower()
    yield letters
    for plural, singular in (("ies", "y"), ("ices", "ex"), ("es", ""), ("s", "")):
        if letters.endswith(plural):
            yield letters.removesuffix(plural) + singular


def find(name: str, schema: Schema) -> Schema | None:
    """The field of an object with this name, give or take a plural."""
    if name in schema.properties:
        return schema.properties[name]
    wanted = list(spellings(name))
    for spelling in wanted:
        for candidate in schema.properties:
            if spelling in spellings(candidate):
                return schema.properties[candidate]
    return None


def agree(mine: sdk.Type, theirs: Schema) -> Schema | None:
    """The API's schema that a property of this type is checked with; None if the two are of different shapes."""
    if mine.kind in SCALARS:
        if theirs.kind == "list":  # Pulumi makes one value of a list that holds one at most
            return agree(mine, theirs.element)
        numeric = mine.kind in ("integer", "number") and theirs.kind in ("integer", "number")
        digits = {mine.kind, theirs.kind} <= {"string", "integer", "number"} and "format" in theirs.said
        return theirs if theirs.kind in (mine.kind, "any") or numeric or digits else None
    if mine.kind == "object":
        if theirs.kind == "list":
            return agree(mine, theirs.element)
        return theirs if theirs.kind == "object" else None
    if mine.kind == "list":
        assert mine.element
        within = theirs.element if theirs.kind == "list" else theirs
        return theirs if agree(mine.element, within) else None
    if mine.kind == "map":
        return theirs if theirs.kind in ("map", "any") else None
    return theirs if mine.kind == "any" else None


@functools.cache
def matches(kind: Kind) -> tuple[Match, ...]:
    """All properties that may be set of a kind, outer ones first."""
    found: list[Match] = []

    def walk(fields: "dict[str, sdk.Field]", schema: Schema | None, prefix: str) -> None:
        for field in fields.values():
            path = f"{prefix}.{field.name}" if prefix else field.name
            match = _match(kind, path, field, schema)
            found.append(match)
            inner = field.type
            while inner.kind in ("list", "map") and inner.element:
                inner = inner.element
            if inner.kind == "object" and (match.schema is not None or match.why_none == ""):
                below = match.schema
                while below is not None and below.kind in ("list", "map"):
                    below = below.element
                walk(dict(inner.fields), below, path)

    walk(dict(sdk.resource(kind.token).inputs), kind.schema, "")
    return tuple(found)


def _match(kind: Kind, path: str, field: sdk.Field, schema: Schema | None) -> Match:
    if (why := kind.own.get(path)) is not None:
        return Match(path, field.type, None, why)
    if schema is None or kind.schema is None:
        return Match(path, field.type, None)
    if path in kind.renames:
        target = kind.renames[path]
        theirs = follow(target.removeprefix("/"), kind.schema if target.startswith("/") else schema)
        return Match(path, field.type, agree(field.type, theirs))
    places = [schema]
    for inside in kind.inside.get(path.rpartition(".")[0], ()):
        places.append(follow(inside, schema))
    for place in places:
        theirs = find(field.name, place)
        if theirs is not None and (agreed := agree(field.type, theirs)) is not None:
            return Match(path, field.type, agreed)
    return Match(path, field.type, None)


def unmatched(kind: Kind) -> tuple[str, ...]:
    """The properties of a kind that nothing but the SDK's types checks, without reasons given for it."""
    return tuple(match.path for match in matches(kind) if match.schema is None and not match.why_none)
