"""Pydantic's errors in the words of a run file: field, value, what is allowed, what to do."""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from trainer.config import schema, yaml_text
from trainer.config.section import Contradiction
from trainer.errors import MISSING, BadInput, BadInputs, SlipwayError, nearest

Path = tuple[str | int, ...]


def dotted(path: Iterable[str | int]) -> str:
    """A path as people write it: `agent.networks.actor[0]`."""
    text, parts = "", list(path)
    if len(parts) > 1 and parts[1] in schema.forms_at(parts[:1]):
        del parts[1]  # the name of a form is no key
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the run file"


def together(errors: Sequence[BadInput]) -> SlipwayError:
    """One error for all: the only one by itself."""
    return errors[0] if len(errors) == 1 else BadInputs(list(errors))


def bad_inputs(error: ValidationError) -> SlipwayError:
    """What to raise instead of pydantic's error."""
    found = error.errors(include_url=False)
    paths = [_path(item["loc"]) for item in found]
    errors: list[BadInput] = []
    for item, path in zip(found, paths, strict=True):
        # A list with a wrong item is also called too short: the item alone is worth saying.
        if item["type"] == "too_short" and any(len(p) > len(path) and p[: len(path)] == path for p in paths):
            continue
        errors.extend(_explained(item, path))
    return together(errors)


def _path(location: Path) -> Path:
    """The path as far as the run file knows it: below `env.parameters` pydantic's own words follow."""
    for length in range(1, len(location) + 1):
        if schema.node_at(location[:length]) is None:
            return location[: max(length, 1)] if schema.keys_at(location[: length - 1]) else location[: length - 1]
    return location


def _explained(item: Any, path: Path) -> list[BadInput]:
    kind, value = item["type"], item["input"]
    if kind == "contradiction":
        found: list[Contradiction] = item["ctx"]["contradictions"]
        return [BadInput(dotted((*path, c.field)), c.value, c.allowed, c.cure) for c in found]
    if kind == "extra_forbidden":
        return [unknown_key(path)]
    if kind == "union_tag_invalid":
        return [_unknown_form(path, value)]
    node = schema.node_at(path)
    allowed = schema.allowed(node) if node is not None else str(item["msg"])
    if kind == "schedule_bounds":
        allowed = f"{item['ctx']['allowed']} (a number, or a mapping with the keys start, end, until)"
    if kind == "missing":
        return [BadInput(dotted(path), MISSING, allowed, f"add {dotted(path)}")]
    return [BadInput(dotted(path), value, allowed, _cure(path, node, value))]


def unknown_key(path: Path) -> BadInput:
    """The error for a key that the run file does not have."""
    *parent, key = path
    known = schema.keys_at(parent)
    for place, form in enumerate(parent):
        forms = schema.forms_at(parent[:place])
        others = [other for other in forms if key in schema.keys_at((*parent[:place], other, *parent[place + 1 :]))]
        if form in forms and others:
            cure = f"take it out, or set {dotted(parent[:place])}.algorithm to {' or '.join(others)}"
            told = f"a key of {dotted(parent)} with algorithm {form}: {', '.join(known)}"
            return BadInput(dotted(path), key, told, cure)
    near = nearest(str(key), known)
    elsewhere = _elsewhere(str(key)) if near is None else None
    cure = f"take it out (`{elsewhere}` is a key, if that is meant)" if elsewhere else "take it out"
    return BadInput(
        dotted(path),
        key,
        f"a key of {dotted(parent)}: {', '.join(known)}" if known else f"nothing: {dotted(parent)} has no keys",
        f"write {dotted((*parent, near))}" if near else cure,
    )


def _unknown_form(path: Path, section: Any) -> BadInput:
    """The error for an algorithm that there is not."""
    forms, field, value = schema.forms_at(path), f"{dotted(path)}.algorithm", section["algorithm"]
    near = nearest(value, forms) if isinstance(value, str) else None
    return BadInput(field, value, " or ".join(forms), f"set {field} to {near or 'one of them, or leave it out'}")


def _elsewhere(key: str) -> str | None:
    """The one dotted path that ends in a key, if there is one."""
    found: list[str] = []
    stack: list[tuple[str, ...]] = [()]
    while stack:
        path = stack.pop()
        for child in schema.keys_at(path):
            if child == key:
                found.append(dotted((*path, child)))
            stack.append((*path, child))
    return found[0] if len(found) == 1 else None


def _cure(path: Path, node: schema.Node | None, value: object) -> str:
    field = dotted(path)
    if node is not None and "enum" in node and isinstance(value, str):
        near = nearest(value, [str(choice) for choice in node["enum"]])
        if near is not None:
            return f"set {field} to {near}"
    if node is not None and "default" in node and not isinstance(node["default"], dict | list):
        default = yaml_text.inline(node["default"])
        return f"set {field} to such a value, or leave it out to get {default}"
    if isinstance(value, str) and node is not None and "integer" in schema.allowed(node):
        return f"write {field} without quotes"
    return f"set {field} to such a value"
