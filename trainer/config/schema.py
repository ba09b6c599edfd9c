"""The run file's JSON Schema (for editors), and what it says about one key in words (for people).

A **path** leads from the top to a key. Where a section has several forms told apart by one of its keys, as `agent` has
by `algorithm`, the form's name may follow in the path: `("agent", "dqn", "networks")`. Without it all forms are meant.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from trainer.config import sinks
from trainer.config.models import NAME_PATTERN, RunFile

Node = Mapping[str, Any]
_ARTICLES = {"integer": "a whole number", "number": "a number", "string": "a word", "boolean": "true or false"}


@functools.cache
def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a run file."""
    schema = RunFile.model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Slipway run file"}


def text() -> str:
    """The JSON Schema as a file's text."""
    return json.dumps(json_schema(), indent=2) + "\n"


def node_at(path: Sequence[str | int]) -> Node | None:
    """The schema of one key.

    Args:
        path: keys from the top; an integer stands for an item of a list.

    Returns:
        None if the run file has no such key; the first form's, if several have it.
    """
    nodes = _nodes_at(path)
    return nodes[0] if nodes else None


def _nodes_at(path: Sequence[str | int]) -> list[Node]:
    nodes: list[Node] = [json_schema()]
    for part in path:
        forms = [form for node in nodes for name, form in _forms(node).items() if name == part]
        nodes = forms or [child for node in nodes for option in _options(node) if (child := _child(option, part))]
    return nodes


def forms_at(path: Sequence[str | int]) -> list[str]:
    """The names of the forms that the section at a path has; none if it has but one."""
    node = node_at(path)
    return list(_forms(node)) if node is not None else []


def keys_at(path: Sequence[str | int]) -> list[str]:
    """The keys that the mapping at a path may have; none if it is no mapping of known keys."""
    found = (key for node in _nodes_at(path) for option in _options(node) for key in option.get("properties", {}))
    return list(dict.fromkeys(found))


def allowed(node: Node) -> str:
    """What a value may be, in words: `a whole number from 1 to 4096, or null`."""
    if forms := _forms(node):
        return f"a mapping with the keys of one algorithm ({', '.join(forms)})"
    options = list(_options(node))
    bounds = {key: node[key] for key in _BOUNDS if key in node}
    words = [
        _words({**option, **bounds} if option.get("type") in ("integer", "number") else option) for option in options
    ]
    words = list(dict.fromkeys(words))
    return words[0] if len(words) == 1 else ", or ".join([", ".join(words[:-1]), words[-1]])


_PATTERNS = {
    NAME_PATTERN: "letters, digits, dots, dashes and underscores, starting with a letter or digit, at most 100",
    **sinks.PATTERNS,
}
"""Regular expressions in words."""
_BOUNDS = ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum")


def _options(node: Node) -> Iterator[Node]:
    """A node without references and alternatives: one for each alternative."""
    if "$ref" in node:
        yield from _options(json_schema()["$defs"][node["$ref"].rsplit("/", 1)[1]])
    elif "anyOf" in node:
        for option in node["anyOf"]:
            yield from _options(option)
    elif "oneOf" in node:
        for option in node["oneOf"]:
            yield from _options(option)
    else:
        yield node


def _forms(node: Node) -> dict[str, Node]:
    """A section's forms by name, in order; empty if it has but one."""
    names = {reference: name for name, reference in node.get("discriminator", {}).get("mapping", {}).items()}
    return {names[option["$ref"]]: option for option in node["oneOf"]} if names else {}


def _child(node: Node, part: str | int) -> Node | None:
    child = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
    return child if isinstance(child, Mapping) else None


def _words(node: Node) -> str:
    if "const" in node:
        return str(node["const"])
    if "enum" in node:
        return " or ".join(str(value) for value in node["enum"])
    match node.get("type"):
        case "null":
            return "null"
        case "object":
            keys = list(node.get("properties", {}))
            return f"a mapping with the keys {', '.join(keys)}" if keys else "a mapping"
        case "array":
            return f"a list of {_count(node)}, each {allowed(node['items'])}"
        case "string":
            if "pattern" in node:
                return _PATTERNS[node["pattern"]]
            return "a word that is not empty" if node.get("minLength") else "a word"
        case kind:
            return _ARTICLES.get(str(kind), "any value") + _range(node)


def _count(node: Node) -> str:
    return f"{node['minItems']} to {node['maxItems']} items" if "maxItems" in node else "items"


def _range(node: Node) -> str:
    low, above = node.get("minimum"), node.get("exclusiveMinimum")
    high, below = node.get("maximum"), node.get("exclusiveMaximum")
    if low is not None and high is not None:
        return f" from {low:.10g} to {high:.10g}"
    parts = [
        f"at least {low:.10g}" if low is not None else "",
        f"more than {above:.10g}" if above is not None else "",
        f"at most {high:.10g}" if high is not None else "",
        f"less than {below:.10g}" if below is not None else "",
    ]
    said = " and ".join(part for part in parts if part)
    return f", {said}" if said else ""
