"""What `slipway train` takes: a YAML file, a preset's name, or an environment's id."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import check, load, overrides, presets
from trainer.config.models import RunFile
from trainer.errors import MISSING, BadInput, nearest
from trainer.run import files

ALLOWED = "a YAML file, a preset's name, or an environment's id (slipway/..., gymnasium:..., module:...)"
_VERSIONED = re.compile(r".*-v\d+")


def run_file(source: str | None, settings: Sequence[str], seed: int | None = None, store: str | None = None) -> RunFile:
    """The validated run file that a command line means.

    Args:
        source: a file, a preset or an environment; None if `settings` say everything.
        settings: overrides, each `key.key=value`.
        seed: over the run file's and the overrides'.
        store: likewise.

    Raises:
        BadInput, BadInputs: for everything that is wrong whatever the environment.
    """
    if source is None and not settings:
        raise BadInput("RUNFILE", MISSING, ALLOWED, "try `slipway train lost-sales-ppo`")
    resolved = overrides.apply(data(source) if source is not None else {}, settings)
    if seed is not None:
        resolved["seed"] = seed
    if store is not None:
        resolved["store"] = store
    return load.validate(resolved)


def data(source: str) -> dict[str, Any]:
    """The mapping that a file, preset or environment stands for, not yet validated.

    Raises:
        BadInput: if it is none of them.
    """
    if source in presets.names():
        return presets.data(source)
    if source.startswith((check.OURS, check.GYMNASIUM)) or check.OF_A_MODULE.fullmatch(source):
        return _for_environment(source)
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or files.is_file(path):
        return load.read(path)
    if _VERSIONED.fullmatch(source):
        raise check.unknown_environment(source)
    near = nearest(source, [*presets.names(), *_yaml_files()])
    cure = f"write {near}" if near else "see `slipway presets list` and `slipway envs list`"
    raise BadInput("RUNFILE", source, ALLOWED, cure)


def _for_environment(env_id: str) -> dict[str, Any]:
    name = presets.FOR_ENVIRONMENT.get(env_id)
    if name is None:
        name = presets.FOR_ACTIONS[check.action_kind(env_id)]
    found = presets.data(name)
    return {**found, "env": {"id": env_id}}


def _yaml_files() -> list[str]:
    return [path.name for path in Path().glob("*.y*ml")]
