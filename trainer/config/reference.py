"""The run file as a page of the docs: `python -m trainer.config.reference > docs/reference/run-file.md`."""

import sys
from collections.abc import Iterator
from typing import Any

from trainer.config import explain, presets, schema, yaml_text
from trainer.config.models import RunFile
from trainer.errors import MISSING

_HEADER = """\
# Run file

Generated from `trainer/config/` by `python -m trainer.config.reference`; do not edit.

A run file is YAML (1.2's plain types, without tags and aliases; each key once) and says everything that decides a run.
`slipway train FILE` checks it before anything is written, and saves the resolved file, defaults included, as `run.yaml`
in the run directory. `slipway schema > run-file.schema.json` writes a JSON Schema for editors.

Any key can be set on the command line, by its dotted name and a YAML value:

```bash
slipway train run.yaml --set agent.learning_rate=3e-4 --set 'agent.networks.actor=[128, 128]'
```

A **schedule** is a number, which stays, or a mapping `{start, end, until}`: a straight line from `start` to `end`,
reached at the fraction `until` of the budgeted environment steps (1 if left out).

`agent.algorithm` says which of the sections named `agent` below applies; [Algorithms](../algorithms.md) compares them.
An environment's id in place of a file picks the preset for it and the algorithm that is asked for:

```bash
slipway train slipway/Pendulum-v1 --set agent.algorithm=td3
```

A file or a preset keeps its own settings: another algorithm over them is refused if it does not know one of them, with
what to write instead. `--set 'agent={algorithm: td3}'` replaces the whole section.

The least run file names an environment:

```yaml
env: slipway/CartPole-v1
```
"""


def page() -> str:
    """The page, in Markdown."""
    return _HEADER + "".join(_sections()) + _presets()


def _sections() -> Iterator[str]:
    yield _section((), "The run file", _defaults())
    for path in _mappings(()):
        form = path[1] if path[1:2] and path[1] in schema.forms_at(path[:1]) else None
        inner: Any = _defaults(form)
        for part in path:
            if part != form:
                inner = (inner or {}).get(part)
        title = f"`{explain.dotted(path)}`" + (f" with `algorithm: {form}`" if form else "")
        yield _section(path, title, inner)


def _defaults(algorithm: str | None = None) -> dict[str, Any]:
    agent = {} if algorithm is None else {"agent": {"algorithm": algorithm}}
    return RunFile.model_validate({"env": {"id": "-"}, **agent}).model_dump(mode="json")


def _mappings(path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The paths of all mappings of known keys, but for schedules, which are explained once."""
    for key in schema.forms_at(path) or schema.keys_at(path):
        below = (*path, key)
        if schema.forms_at(below):
            yield from _mappings(below)
        elif schema.keys_at(below) and not _is_schedule(below):
            yield below
            yield from _mappings(below)


def _is_schedule(path: tuple[str, ...]) -> bool:
    return schema.keys_at(path) == ["start", "end", "until"]


def _section(path: tuple[str, ...], title: str, defaults: dict[str, Any] | None) -> str:
    """One table; without `defaults`, as for a section that is left out by default, they are the schema's."""
    rows = "".join(
        _row((*path, key), _in_schema((*path, key)) if defaults is None else defaults.get(key))
        for key in schema.keys_at(path)
    )
    return f"\n## {title}\n\n| Key | Allowed | Default | Meaning |\n|---|---|---|---|\n{rows}"


def _in_schema(path: tuple[str, ...]) -> Any:
    return (schema.node_at(path) or {}).get("default", MISSING)


def _row(path: tuple[str, ...], default: Any) -> str:
    node = schema.node_at(path) or {}
    below = bool(schema.keys_at(path)) and not _is_schedule(path)
    allowed = schema.allowed(node) if schema.forms_at(path) else "the keys below" if below else schema.allowed(node)
    if _is_schedule(path):
        allowed = allowed.split(", or a mapping")[0] + ", or a schedule"
    if below and default is None:
        allowed, below = "null, or the keys below", False
    required = default is MISSING or path == ("env", "id")
    shown = "" if below else "required" if required else f"`{yaml_text.inline(default)}`"
    return f"| `{explain.dotted(path)}` | {allowed} | {shown} | {node.get('description', '')} |\n"


def _presets() -> str:
    rows = "".join(f"| `{name}` | {presets.summary(name)} |\n" for name in presets.names())
    return (
        "\n## Presets\n\nRun files that ship. `slipway presets show NAME` prints one; `slipway train NAME` trains it."
        f"\n\n| Preset | What it is for |\n|---|---|\n{rows}"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
