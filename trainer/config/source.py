"""What `slipway train` takes: a YAML file, a preset's name, or an environment's id."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config import check, explain, load, overrides, presets, schema
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
    base = data(source, _algorithm(settings)) if source is not None else {}
    resolved = overrides.apply(base, settings)
    if source is not None:
        _check_section(source, base, resolved, settings)
    if seed is not None:
        resolved["seed"] = seed
    if store is not None:
        resolved["store"] = store
    return load.validate(resolved)


def data(source: str, algorithm: str = presets.DEFAULT_ALGORITHM) -> dict[str, Any]:
    """The mapping that a file, preset or environment stands for, not yet validated.

    Args:
        source: the file, preset or environment.
        algorithm: what an environment is to be trained by; files and presets say so themselves.

    Raises:
        BadInput: if it is none of them.
    """
    if source in presets.names():
        return presets.data(source)
    if source.startswith((check.OURS, check.GYMNASIUM)) or check.OF_A_MODULE.fullmatch(source):
        return _for_environment(source, algorithm)
    path = Path(source)
    if path.suffix in (".yaml", ".yml") or files.is_file(path):
        return load.read(path)
    if _VERSIONED.fullmatch(source):
        raise check.unknown_environment(source)
    near = nearest(source, [*presets.names(), *_yaml_files()])
    cure = f"write {near}" if near else "see `slipway presets list` and `slipway envs list`"
    raise BadInput("RUNFILE", source, ALLOWED, cure)


def _for_environment(env_id: str, algorithm: str) -> dict[str, Any]:
    """The preset for an environment and an algorithm, or that for its kind of actions, or the algorithm's defaults."""
    name = presets.for_task(env_id, algorithm)
    if name is None:
        by_kind = {kind: found for (kind, of), found in presets.FOR_ACTIONS.items() if of == algorithm}
        # An algorithm for one kind of actions alone has its settings whatever the environment's default parameters are.
        name = by_kind[check.action_kind(env_id)] if len(by_kind) > 1 else next(iter(by_kind.values()), None)
    if name is None:
        return {"env": {"id": env_id}, "agent": {"algorithm": algorithm}}
    parameters = presets.NEEDED_PARAMETERS.get(name)
    return {**presets.data(name), "env": {"id": env_id, **({"parameters": dict(parameters)} if parameters else {})}}


def _algorithm(settings: Sequence[str]) -> str:
    """The algorithm that overrides ask for."""
    return _algorithm_of(overrides.apply({}, settings))


def _algorithm_of(run: Mapping[str, Any]) -> str:
    agent = run.get("agent")
    named = agent.get("algorithm") if isinstance(agent, dict) else None
    return named if isinstance(named, str) else presets.DEFAULT_ALGORITHM


def _check_section(source: str, base: dict[str, Any], resolved: dict[str, Any], settings: Sequence[str]) -> None:
    """Refuses another algorithm over a section with settings that it does not have, once for all of them.

    Raises:
        BadInput: with the presets that fit.
    """
    had, asked = _algorithm_of(base), _algorithm_of(resolved)
    if had == asked or asked not in schema.forms_at(("agent",)) or not isinstance(base.get("agent"), dict):
        return
    path = ("agent", asked)
    own = _strange(overrides.apply({**base, "agent": {}}, settings)["agent"], path)
    strange = [key for key in _strange(resolved["agent"], path) if key not in own]
    if not strange:
        return
    if source in presets.names():
        env_id = base["env"]["id"]
        name = presets.for_task(env_id, asked)
        by_id = f"train {env_id} with --set agent.algorithm={asked}"
        cure = f"train {name}, or {by_id}" if name else f"{by_id}, which takes settings of {asked}"
    else:
        cure = f"give the whole section, such as --set 'agent={{algorithm: {asked}}}'"
    allowed = f"{had}, as {source} has settings that {asked} does not know: {', '.join(strange)}"
    raise BadInput("agent.algorithm", asked, allowed, cure)


def _strange(section: Any, path: tuple[str, ...]) -> list[str]:
    """The dotted keys of a section, and of those in it, that the run file does not have there."""
    if not isinstance(section, dict) or not schema.keys_at(path):
        return []
    found = []
    for key, value in section.items():
        below = (*path, str(key))
        found += [explain.dotted(below)] if schema.node_at(below) is None else _strange(value, below)
    return found


def _yaml_files() -> list[str]:
    return [path.name for path in Path().glob("*.y*ml")]
