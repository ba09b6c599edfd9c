"""What Pulumi's own SDK says of a resource: its properties, their nesting and types, and which of them must be given.

The SDK's classes are generated from the provider's schema, so their annotations are that schema: `NetworkArgs` holds
what may be set, `Network` what is read back, and an argument without a default is required. The texts of the
properties name values that a string may have, and properties that cannot change in place.

To import an SDK takes seconds, and a provider's process lives for one command of the engine: what was found is kept in
a file.
"""

import functools
import hashlib
import importlib
import inspect
import os
import pickle
import re
import threading
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = {"gcp": "pulumi_gcp", "aws": "pulumi_aws"}
"""The SDK of each Pulumi package that can be served."""

KEPT = Path(__file__).parents[3] / ".tools" / "recorded-sdk"

SCALARS = {str: "string", bool: "boolean", int: "integer", float: "number"}
VALUES = re.compile(
    r"possible values(?: are| include)?:?\s*((?:[`\"][^`\"]+[`\"](?:\s*,?\s*(?:and|or)?\s*))+)", re.IGNORECASE
)
REPLACES = re.compile(r"forc(?:es|ing)(?: the)?(?: creation of)?(?: an?)? (?:new|replacement|recreation)", re.I)

_lock = threading.RLock()
_classes: dict[str, Mapping[str, "Field"]] = {}
"""The fields of every class that some type refers to."""


class UnknownToken(Exception):
    """There is no resource or function with this name in the SDK."""


@dataclass(frozen=True)
class Type:
    """The type of a value.

    Attributes:
        kind: `string`, `boolean`, `integer`, `number`, `list`, `map`, `object`, `asset`, or `any`.
        element: what a list or a map holds.
        cls: the name of the class whose annotations are the fields of an object.
    """

    kind: str
    element: "Type | None" = None
    cls: str = ""

    @property
    def fields(self) -> Mapping[str, "Field"]:
        """The fields of an object, by their names in Pulumi's protocol."""
        return _classes[self.cls] if self.cls else {}

    def __str__(self) -> str:
        return f"{self.kind} of {self.element}s" if self.element else self.kind


@dataclass(frozen=True)
class Field:
    """One property.

    Attributes:
        name: in Pulumi's protocol: `autoCreateSubnetworks`.
        type: of its value.
        required: whether it must be given.
        values: the values that its text allows, if it lists them.
        replaces: whether its text says that a change makes a new resource.
    """

    name: str
    type: Type
    required: bool
    values: frozenset[str]
    replaces: bool


@dataclass(frozen=True)
class Resource:
    """A kind of resource.

    Attributes:
        token: its type: `gcp:compute/network:Network`.
        inputs: what may be set.
        outputs: what can be read, with the inputs among it.
        always: the outputs that have a value whatever was set.
    """

    token: str
    inputs: Mapping[str, Field]
    outputs: Mapping[str, Type]
    always: frozenset[str]


@dataclass(frozen=True)
class Function:
    """A data source: what it takes and what it gives."""

    token: str
    inputs: Mapping[str, Type | None]
    outputs: Mapping[str, Type]


@functools.cache
def resource(token: str) -> Resource:
    """What the SDK says of a kind of resource.

    Raises:
        UnknownToken: it has none with this name.
    """
    return _kept(token, _resource)


@functools.cache
def function(token: str) -> Function:
    """What the SDK says of a data source.

    Raises:
        UnknownToken: it has none with this name.
    """
    return _kept(token, _function)


@functools.cache
def provider_inputs(package: str) -> frozenset[str]:
    """The names of what a provider of a package can be given."""
    return _kept(f"{package}:provider", _provider)


def camel(name: str) -> str:
    """`ip_cidr_range` as `ipCidrRange`."""
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def snake(name: str) -> str:
    """`getKMSKeyRing` as `get_kms_key_ring`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


Made = typing.TypeVar("Made")


def _kept(name: str, make: Callable[[str], Made]) -> Made:
    """What a file says, or else what is made now and then kept in that file."""
    package = PACKAGES.get(name.partition(":")[0])
    if package is None:
        raise UnknownToken(f"there is no SDK for {name}")
    with _lock:  # modules must not be imported by two threads at once: either may see one that is not complete
        identity = f"{name} {metadata.version(package.replace('_', '-'))} {_own_digest()}"
        path = KEPT / hashlib.sha256(identity.encode()).hexdigest()[:24]
        try:
            made, used = pickle.loads(path.read_bytes())
        except (OSError, EOFError):
            made = make(name)
            used = _used(made)
            KEPT.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            part.write_bytes(pickle.dumps((made, used)))
            part.replace(path)
        _classes.update(used)
        return made  # type: ignore[no-any-return]


@functools.cache
def _own_digest() -> str:
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()


def _used(made: Any) -> dict[str, Mapping[str, Field]]:
    """The fields of all classes that something refers to."""
    left, used = [made], {}
    while left:
        one = left.pop()
        if isinstance(one, Type):
            left.append(one.element)
            if one.cls and one.cls not in used:
                used[one.cls] = _classes[one.cls]
                left.extend(used[one.cls].values())
        elif isinstance(one, Field):
            left.append(one.type)
        elif isinstance(one, (Resource, Function)):
            left.extend([*one.inputs.values(), *one.outputs.values()])
    return used


# ---- what needs the SDK itself ---------------------------------------------------
def _resource(token: str) -> Resource:
    from pulumi import _types

    cls = _class_of(token)
    module = importlib.import_module(cls.__module__)
    # Its name is not to be relied on: it is another where a property's class has it already.
    (arguments,) = (getattr(module, name) for name in module.__all__ if name != cls.__name__)
    outputs = {name: _type(found) for name, found in _types.resource_types(cls).items()}
    hints = {name: typing.get_args(hint)[0] for name, hint in _types._raw_return_hints(cls).items()}
    always = frozenset(name for name, hint in hints.items() if type(None) not in typing.get_args(hint))
    return Resource(token, _fields(arguments), outputs, always)


def _function(token: str) -> Function:
    from pulumi import _types

    package, module, name = [*token.split(":"), "", ""][:3]
    home = module.split("/")[0].lower()
    try:
        found = importlib.import_module(PACKAGES[package] if home == "index" else f"{PACKAGES[package]}.{home}")
        called = getattr(found, snake(name))
        result = getattr(found, f"{name[0].upper()}{name[1:]}Result")
    except (ImportError, AttributeError):
        raise UnknownToken(f"the SDK has no function {token}") from None
    hints = typing.get_type_hints(called, vars(importlib.import_module(called.__module__)))
    inputs = {camel(n): _type(hints[n]) if n in hints else None for n in inspect.signature(called).parameters}
    inputs.pop("opts", None)
    return Function(token, inputs, {n: _type(each) for n, each in _types.output_type_types(result).items()})


def _provider(name: str) -> frozenset[str]:
    from pulumi import _types

    home = importlib.import_module(PACKAGES[name.partition(":")[0]])
    return frozenset(_types.input_type_types(home.ProviderArgs))


def _class_of(token: str) -> type:
    """The class of a resource, which the SDK registers under its token."""
    from pulumi.runtime import rpc

    package, module, _ = [*token.split(":"), "", ""][:3]
    importlib.import_module(PACKAGES[package])
    for registered in rpc._RESOURCE_MODULES.get(f"{package}:{module}", []):
        info = registered.mod_info
        if token in info["classes"]:
            return getattr(importlib.import_module(info["fqn"]), info["classes"][token])  # type: ignore[no-any-return]
    raise UnknownToken(f"the SDK has no resource {token}")


def _type(annotation: Any) -> Type:
    """The type that an annotation means; `Input`, `Optional` and the dictionary twins of classes are looked through."""
    from pulumi import _types
    from pulumi.asset import Archive, Asset

    if annotation in SCALARS:
        return Type(SCALARS[annotation])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _union(arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return Type("map", _type(arguments[1]))
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return Type("list", _type(arguments[0]))
    if isinstance(annotation, type):
        if issubclass(annotation, (Asset, Archive)):
            return Type("asset")
        if _types.is_input_type(annotation) or _types.is_output_type(annotation):
            name = f"{annotation.__module__}.{annotation.__qualname__}"
            if name not in _classes:
                _classes[name] = {}  # a class may have itself as a field
                _classes[name] = _fields(annotation)
            return Type("object", cls=name)
        if issubclass(annotation, str):  # an enumeration, which the SDK lets any string through for
            return Type("string")
    return Type("any")


def _union(arguments: Sequence[Any]) -> Type:
    """One of these: what is left without None, outputs, awaitables and typed dictionaries."""
    found = []
    for argument in arguments:
        origin = typing.get_origin(argument)
        outer = getattr(origin or argument, "__name__", "")
        if argument is not type(None) and not typing.is_typeddict(argument) and outer not in ("Output", "Awaitable"):
            found.append(_type(argument))
    distinct = list(dict.fromkeys(found))
    return distinct[0] if len(distinct) == 1 else Type("any")


def _fields(cls: type) -> dict[str, Field]:
    """The fields of an input or output class."""
    from pulumi import _types

    is_input = _types.is_input_type(cls)
    annotated = _types.input_type_types(cls) if is_input else _types.output_type_types(cls)
    signature = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    python_names = {p: n for n, p in _types.input_type_py_to_pulumi_names(cls).items()} if is_input else {}
    found = {}
    for name, annotation in annotated.items():
        python = python_names.get(name, snake(name))
        parameter = signature.get(python)
        required = parameter is not None and parameter.default is inspect.Parameter.empty
        text = " ".join((getattr(vars(cls).get(python), "__doc__", None) or "").split())
        listed = VALUES.search(text)
        values = frozenset(re.findall(r"[`\"]([^`\"]+)[`\"]", listed.group(1))) if listed else frozenset()
        found[name] = Field(name, _type(annotation), required, values, bool(REPLACES.search(text)))
    return found
