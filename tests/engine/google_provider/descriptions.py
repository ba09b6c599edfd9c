"""What Google says of the data of its services: the description documents that google-api-python-client carries.

Each document is the machine-readable description of one service, from which Google's own clients are made
(https://developers.google.com/discovery/v1/reference/apis): names and types of all fields, the values of enumerations,
formats, patterns, and what only the service sets.
"""

import base64
import binascii
import datetime
import functools
import ipaddress
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import googleapiclient.discovery_cache

DOCUMENTS = Path(googleapiclient.discovery_cache.__file__).parent / "documents"
OUTPUT_ONLY = re.compile(r"^\W*output[ -]only|\[output[ -]only\]", re.IGNORECASE)
INTEGERS = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}


@functools.cache
def _document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DOCUMENTS / f"{name}.json").read_text())
    return found["schemas"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Schema:
    """What a document says of one value.

    Attributes:
        document: its name: `compute.v1`.
        said: the entry in the document.
    """

    document: str
    said: Mapping[str, Any] = field(hash=False)

    @property
    def kind(self) -> str:
        """`string`, `boolean`, `integer`, `number`, `list`, `map`, `object` or `any`."""
        if "properties" in self.said:
            return "object"
        if "additionalProperties" in self.said:
            return "map"
        found = self.said.get("type", "any")
        return {"array": "list", "object": "any"}.get(found, found)

    @property
    def element(self) -> "Schema":
        """What a list or a map holds."""
        return _schema(self.document, self.said.get("items") or self.said["additionalProperties"])

    @property
    def properties(self) -> Mapping[str, "Schema"]:
        """The fields of an object."""
        return {name: _schema(self.document, said) for name, said in self.said.get("properties", {}).items()}

    @property
    def values(self) -> frozenset[str]:
        """The values of an enumeration."""
        return frozenset(self.said.get("enum", ()))

    @property
    def set_by_service(self) -> bool:
        """Whether nobody but the service sets it."""
        return bool(self.said.get("readOnly") or OUTPUT_ONLY.search(self.said.get("description", "")))

    def refusal(self, value: Any) -> str | None:
        """Why this service takes no such scalar value; None if it may."""
        if self.values and value not in self.values:
            return f"{value!r} is none of {', '.join(sorted(self.values))}"
        pattern = self.said.get("pattern")
        if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
            return f"{value!r} does not match {pattern}"
        for limit, beyond in (("minimum", lambda a, b: a < b), ("maximum", lambda a, b: a > b)):
            if limit in self.said and _number(value) is not None and beyond(_number(value), float(self.said[limit])):
                return f"{value!r} is beyond the {limit} of {self.said[limit]}"
        check = FORMATS.get(self.said.get("format", ""))
        return check(value) if check else None


def find(address: str) -> Schema:
    """The schema at an address such as `compute.v1/Network`, or `bigquery.v2/Dataset.access[]` for one within it.

    Raises:
        KeyError: there is none.
    """
    document, _, rest = address.partition("/")
    name, _, path = rest.partition(".")
    found = Schema(document, _document(document)[name.removesuffix("[]")])
    return follow(path, found) if path else found


def follow(path: str, schema: Schema) -> Schema:
    """The field at a path of an API, lists and maps looked through: `properties.disks[].initializeParams`.

    Raises:
        KeyError: there is none.
    """
    for step in path.split("."):
        if schema.kind in ("list", "map"):
            schema = schema.element
        schema = schema.properties[step.removesuffix("[]")]
        if step.endswith("[]"):
            schema = schema.element
    return schema


def _schema(document: str, said: Mapping[str, Any]) -> Schema:
    """An entry, with what it refers to; what it says itself counts more."""
    if "$ref" in said:
        return Schema(document, {**_document(document)[said["$ref"]], **{k: v for k, v in said.items() if k != "$ref"}})
    return Schema(document, said)


def refusals(expected: Schema, value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Everything in a JSON document that a service would refuse by its description.

    Args:
        expected: what the document should be.
        value: the document, as `json.loads` gives it.
        path: where it is; comes before the paths that are given.

    Yields:
        The path of what is wrong, and why.
    """
    if value is None or expected.kind == "any":
        return
    types: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "boolean": bool,
        "list": list,
        "map": dict,
        "object": dict,
    }
    wanted = types.get(expected.kind, (int, float, str))
    digits = expected.kind == "string" and expected.said.get("format") in INTEGERS and isinstance(value, int)
    fits = isinstance(value, wanted) and (not isinstance(value, bool) or expected.kind == "boolean")
    if not fits and not digits:
        yield path, f"{value!r} is no {expected.kind}"
        return
    if expected.kind == "list":
        for index, item in enumerate(value):
            yield from refusals(expected.element, item, f"{path}[{index}]")
    elif expected.kind == "map":
        for name, item in value.items():
            yield from refusals(expected.element, item, f"{path}.{name}")
    elif expected.kind == "object":
        for name, item in value.items():
            below = f"{path}.{name}" if path else name
            if name not in expected.properties:
                yield below, f"there is no such field; there are {', '.join(sorted(expected.properties))}"
            else:
                yield from refusals(expected.properties[name], item, below)
    elif (why := expected.refusal(value)) is not None:
        yield path, why


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _integer(limits: tuple[int, int]) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        number = _number(value)
        if number is None or not number.is_integer():
            return f"{value!r} is no integer"
        return None if limits[0] <= number <= limits[1] else f"{value!r} is not within {limits[0]} to {limits[1]}"

    return check


def _duration(value: Any) -> str | None:
    """https://protobuf.dev/reference/protobuf/google.protobuf/#duration."""
    fits = isinstance(value, str) and re.fullmatch(r"-?\d{1,12}(\.\d{1,9})?s", value)
    return None if fits else f"{value!r} is no duration in seconds, such as '60s'"


def _datetime(value: Any) -> str | None:
    """https://protobuf.dev/reference/protobuf/google.protobuf/#timestamp."""
    try:
        fits = datetime.datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        fits = False
    return None if fits else f"{value!r} is no time such as '2026-01-31T12:00:00Z'"


def _base64(value: Any) -> str | None:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return f"{value!r} is not base64"
    return None


def _date(value: Any) -> str | None:
    try:
        datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        return f"{value!r} is no date such as '2026-01-31'"
    return None


def cidr(value: Any) -> str | None:
    """Why this is no range of addresses whose host bits are zero; None if it is one."""
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        return f"{value!r} is no range of addresses: {error}"
    return None


FORMATS: Mapping[str, Callable[[Any], str | None]] = {
    **{name: _integer(limits) for name, limits in INTEGERS.items()},
    "google-duration": _duration,
    "google-datetime": _datetime,
    "date-time": _datetime,
    "date": _date,
    "byte": _base64,
}
"""Why a value of a format would be refused (https://developers.google.com/discovery/v1/type-format)."""
