"""What the provider must know of a kind of resource beyond the SDK and the API's description.

The facts are Google's and those of the Terraform provider that Pulumi's real one wraps; each is looked up there:
https://cloud.google.com/compute/docs/reference/rest/v1 and its like for the other services, and
https://github.com/GoogleCloudPlatform/magic-modules (products/*.yaml) for what cannot change in place, defaults, ids.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from google_provider import descriptions
from google_provider.descriptions import Schema

Inputs = Mapping[str, Any]
Refusal = tuple[str, str]
"""A property's path, and why its value is refused."""
EVERYTHING = frozenset({"*"})
"""No property can change in place."""


@dataclass(frozen=True)
class Reference:
    """A property that names another resource.

    Attributes:
        kinds: tokens of what it may name.
        holds: whether what it names cannot be deleted while it does.
        outsiders: a pattern of values that name something which no stack makes.
    """

    kinds: tuple[str, ...]
    holds: bool = False
    outsiders: str = r"(?!)"


@dataclass(frozen=True)
class Encryption:
    """A property with the key that the service encrypts with: the service's agent must be allowed to use it.

    Attributes:
        path: of the property.
        agent: the service agent's address, with `{number}` for the project's.
        location: the property with the place, which must be the key's; empty if the service does not mind.
    """

    path: str
    agent: str
    location: str = "location"


@dataclass(frozen=True, eq=False)
class Kind:
    """A kind of resource.

    Attributes:
        token: `gcp:compute/network:Network`.
        described: its schema in Google's documents: `compute.v1/Network` or `bigquery.v2/Dataset.access[]`; empty if it
            has none.
        id: how its id is made of its properties.
        renames: property -> field of the API where names differ, relative to the object that it is in.
        inside: object -> objects of the API within it that Pulumi has flattened.
        own: properties that are in no field of the API -> what they are instead.
        rules: property -> why a value is refused, or None.
        documents: properties that hold JSON -> the schema of that, after a `[]` if it is a list of such.
        one_of: of each group exactly one is given.
        at_most_one_of: of each group at most one is given.
        whole: what is wrong with properties together.
        replaces: properties that cannot change in place.
        defaults: what the provider takes if they are not given.
        computed: outputs that the service sets: a text made of properties, or a function of `Facts`.
        named: the property that gets a name made of the logical one.
        name_limit: how long such a name may be.
        known_as: further texts by which others name such a resource.
        references: property -> what it names.
        encryption: where a key of one's own is named.
        remains: why it stays when deleted, or a function of its state that says so; empty if it does not.
        restorable: whether making it again brings back what remained.
        guards: property -> the value with which it cannot be deleted.
        idempotent: whether making what is there already is no error.
        brings: the service agent that is there once it has been made.
    """

    token: str
    described: str = ""
    id: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)
    inside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, Callable[[Any], str | None]] = field(default_factory=dict)
    documents: Mapping[str, str] = field(default_factory=dict)
    one_of: tuple[tuple[str, ...], ...] = ()
    at_most_one_of: tuple[tuple[str, ...], ...] = ()
    whole: Callable[[Inputs], Iterable[Refusal]] | None = None
    replaces: frozenset[str] = frozenset()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    computed: Mapping[str, "str | Callable[[Facts], Any]"] = field(default_factory=dict)
    named: str = "name"
    name_limit: int = 255
    known_as: tuple[str, ...] = ()
    references: Mapping[str, Reference] = field(default_factory=dict)
    encryption: Encryption | None = None
    remains: str | Callable[[Inputs], str] = ""
    restorable: bool = False
    guards: Mapping[str, Any] = field(default_factory=dict)
    idempotent: bool = False
    brings: str = ""

    @property
    def schema(self) -> Schema | None:
        """Its schema in Google's documents."""
        return descriptions.find(self.described) if self.described else None

    @property
    def service(self) -> str:
        """The service that makes it: `compute.googleapis.com`."""
        return f"{self.described.partition('.')[0]}.googleapis.com" if self.described else ""

    @property
    def short(self) -> str:
        """Its name without package and module: `Network`."""
        return self.token.split(":")[-1]


@dataclass(frozen=True)
class Facts:
    """What outputs are made of.

    Attributes:
        state: the properties that are known: inputs, defaults, and outputs that were made before.
        project: the project's id.
        number: the project's number.
        region: of the provider.
        zone: of the provider.
        unique: a whole number that no other resource has.
        now: the time, as services write it.
    """

    state: Mapping[str, Any]
    project: str
    number: str
    region: str
    zone: str
    unique: int
    now: str

    def fill(self, template: str) -> str:
        """A text with `{property}` replaced, and `{number}`, `{unique}`, `{now}` by what they mean."""
        known = {"project": self.project, "region": self.region, "zone": self.zone}
        known |= {name: value for name, value in self.state.items() if value is not None}
        known |= {"number": self.number, "unique": self.unique, "now": self.now}
        return template.format_map({name: last_part(name, value) for name, value in known.items()})


def last_part(name: str, value: Any) -> Any:
    """The region's own name of its link; other values as they are."""
    return value.rpartition("/")[2] if name in ("region", "zone") and isinstance(value, str) else value


def matching(pattern: str, meaning: str) -> Callable[[Any], str | None]:
    """A rule: the value matches a pattern.

    Args:
        pattern: a regular expression for all of it.
        meaning: what that is, for the message.
    """

    def rule(value: Any) -> str | None:
        fits = isinstance(value, str) and re.fullmatch(pattern, value)
        return None if fits else f"{value!r} is not {meaning}"

    return rule


def one_of(*values: Any) -> Callable[[Any], str | None]:
    """A rule: the value is one of these."""

    def rule(value: Any) -> str | None:
        return None if value in values else f"{value!r} is none of {', '.join(map(str, values))}"

    return rule


def between(least: float, most: float) -> Callable[[Any], str | None]:
    """A rule: the value, which may be text, is a number in a range, with both ends."""

    def rule(value: Any) -> str | None:
        try:
            fits = least <= float(value) <= most
        except (TypeError, ValueError):
            fits = False
        return None if fits else f"{value!r} is not from {least:g} to {most:g}"

    return rule


def seconds(least: float, most: float) -> Callable[[Any], str | None]:
    """A rule: the value is a duration such as `60s` in a range, with both ends."""
    within = between(least, most)

    def rule(value: Any) -> str | None:
        fits = isinstance(value, str) and value.endswith("s") and within(value.removesuffix("s")) is None
        return None if fits else f"{value!r} is not from {least:g}s to {most:g}s"

    return rule


def labels(value: Any) -> str | None:
    """Why this is no map of labels; None if it is (https://cloud.google.com/resource-manager/docs/labels-overview)."""
    if not isinstance(value, Mapping):
        return None
    if len(value) > 64:
        return f"there are {len(value)} labels, more than 64"
    for key, text in value.items():
        if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", key):
            return f"the key {key!r} is not a small letter, then up to 62 small letters, digits, _ and -"
        if isinstance(text, str) and not re.fullmatch(r"[a-z0-9_-]{0,63}", text):
            return f"the value {text!r} of {key} is not up to 63 small letters, digits, _ and -"
    return None


def values_at(inputs: Any, path: str, at: str = "") -> Iterator[tuple[str, Any]]:
    """All values at a path, with where each is: `disks.boot` gives `disks[0].boot`, `disks[1].boot`."""
    if isinstance(inputs, list):
        for index, item in enumerate(inputs):
            yield from values_at(item, path, f"{at}[{index}]")
    elif not path:
        if inputs is not None:
            yield at, inputs
    elif isinstance(inputs, Mapping):
        name, _, rest = path.partition(".")
        if name in inputs:
            yield from values_at(inputs[name], rest, f"{at}.{name}" if at else name)
