"""`--set agent.learning_rate=3e-4`: a dotted key and a YAML value over what the run file says."""

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from trainer.config import explain, schema, yaml_text
from trainer.errors import BadInput

EXAMPLE = "KEY=VALUE with a dotted key, such as agent.learning_rate=3e-4"


def apply(data: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of a run file's data with overrides set, later ones over earlier ones.

    Args:
        data: the run file as parsed.
        overrides: each `key.key=value`, the value in YAML.

    Raises:
        BadInput: if one has not that form, has a key that the run file does not know, or leads through a value that
            is no mapping.
    """
    result = copy.deepcopy(dict(data))
    if isinstance(result.get("env"), str):
        result["env"] = {"id": result["env"]}  # so that `--set env.parameters.x=1` leaves the id
    for override in overrides:
        key, equals, value = override.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not all(path):
            raise BadInput("--set", override, EXAMPLE, f"write --set {key.strip('. ') or 'KEY'}=VALUE")
        _check_known(path)
        _put(result, path, yaml_text.parse(value, f"--set {key.strip()}"))
    return result


def _check_known(path: tuple[str, ...]) -> None:
    """Refuses the first key on the way that the run file does not have; `env.parameters` is the task's own."""
    for depth in range(1, len(path) + 1):
        parent = schema.node_at(path[: depth - 1])
        if parent is not None and not schema.keys_at(path[: depth - 1]):
            if "mapping" in schema.allowed(parent):
                return
            field = explain.dotted(path[: depth - 1])
            allowed = f"no keys below {field}, which is {schema.allowed(parent)}"
            raise BadInput(f"--set {explain.dotted(path)}", path[depth - 1], allowed, f"write --set {field}=VALUE")
        if schema.node_at(path[:depth]) is None:
            found = explain.unknown_key(path[:depth])
            raise BadInput(f"--set {explain.dotted(path)}", found.value, found.allowed, found.cure)


def _put(data: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for depth, part in enumerate(path[:-1], start=1):
        following = data.get(part)
        if following is None:
            following = data[part] = {}
        elif not isinstance(following, dict):
            field = explain.dotted(path[:depth])
            raise BadInput(
                f"--set {explain.dotted(path)}",
                value,
                f"a key of a mapping, but {field} is {following!r}",
                f"set {field} whole, such as --set '{field}={{{path[depth]}: {value}}}'",
            )
        data = following
    data[path[-1]] = value
