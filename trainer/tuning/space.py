"""The space that is searched: keys of the run file, each with a range or a choice.

    agent.learning_rate: {low: 1e-5, high: 1e-2, log: true}
    agent.epochs: {low: 1, high: 20}
    agent.minibatch_size: [64, 128, 256]

Only keys of `agent` may vary: all else decides what is measured, and scores would not compare.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from trainer.config import explain, load, overrides, schema, yaml_text
from trainer.config.models import RunFile
from trainer.errors import MISSING, BadInput, SlipwayError
from trainer.run import files

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

OPTION = "--space"
ALLOWED = (
    "a range such as {low: 1e-5, high: 1e-2, log: true} (log and step may be left out), or a list of two or more values"
)
DEFAULTS = Path(__file__).parent / "spaces"


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Attributes:
        low: the least.
        high: the greatest.
        log: whether each factor counts alike, and not each difference.
        step: the distance of neighbours; None: any number, or for whole numbers 1.
        whole: whether only whole numbers are meant.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def samples(self) -> tuple[float, float]:
        """Values that stand for all: the two ends."""
        return self.low, self.high

    def distribution(self) -> "BaseDistribution":
        """The range as Optuna has it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.whole:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def value(self, drawn: Any) -> Any:
        """What goes into the run file for what Optuna drew."""
        return drawn


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of some values, whatever they are."""

    options: tuple[Any, ...]

    def samples(self) -> tuple[Any, ...]:
        """All of them."""
        return self.options

    def distribution(self) -> "BaseDistribution":
        """The choice as Optuna has it: by each value's JSON, as it takes no lists or mappings."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([json.dumps(option) for option in self.options])

    def value(self, drawn: Any) -> Any:
        """What goes into the run file for what Optuna drew."""
        return json.loads(drawn)


Space = dict[str, Range | Choice]
"""By dotted key of the run file."""


def default(run_file: RunFile) -> Space:
    """The space that ships for a run file's algorithm.

    Raises:
        BadInput: if there is none for it.
    """
    path = DEFAULTS / f"{run_file.agent.algorithm}.yaml"
    if not path.is_file():
        cure = f"give {OPTION} FILE, or {OPTION} KEY=RANGE"
        raise BadInput(OPTION, MISSING, f"a space, as none ships for {run_file.agent.algorithm}", cure)
    written = _read(str(path))
    agent = run_file.model_dump(mode="json")["agent"]
    # A schedule keeps its course, and only where it starts varies.
    starts = {key: isinstance(agent.get(key.removeprefix("agent.")), dict) for key in written}
    return from_json({f"{key}.start" if starts[key] else key: value for key, value in written.items()}, run_file)


def parse(items: Sequence[str], run_file: RunFile) -> Space:
    """The space that a command line means, checked against the run file that it varies.

    Args:
        items: each a YAML file, or `key.key=` and a range or a choice in YAML.
        run_file: what all else is taken from.

    Raises:
        BadInput: if an item is no space, a key is not the run file's or comes twice, or a value is out of its bounds.
    """
    written: dict[str, Any] = {}
    for item in items:
        key, equals, text = item.partition("=")
        found = {key.strip(): yaml_text.parse(text, f"{OPTION} {key.strip()}")} if equals else _read(item)
        for name, value in found.items():
            if name in written:
                raise BadInput(f"{OPTION} {name}", value, "each key once", "take one of the two out")
            written[name] = value
    return from_json(written, run_file)


def from_json(written: Mapping[str, Any], run_file: RunFile) -> Space:
    """The space that a mapping describes, as a YAML file does or `to_json` gives it.

    Raises:
        BadInput: as `parse`.
    """
    if not written:
        cure = "name a key, such as agent.learning_rate: {low: 1e-5, high: 1e-2, log: true}"
        raise BadInput(OPTION, MISSING, "at least one key to vary", cure)
    base = run_file.model_dump(mode="json")
    space: Space = {}
    for key, value in written.items():
        _check_key(key, run_file.agent.algorithm)
        dimension = _dimension(key, value, base)
        for sample in dimension.samples():
            if (refusal := _refusal(base, key, sample)) is not None:
                raise BadInput(f"{OPTION} {key}", sample, refusal.allowed, f"keep {key} within that")
        space[key] = dimension
    nested = next((pair for pair in ((a, b) for a in space for b in space) if pair[1].startswith(f"{pair[0]}.")), None)
    if nested is not None:
        cure = "vary one of the two"
        raise BadInput(f"{OPTION} {nested[1]}", nested[1], f"no key below {nested[0]}, which varies whole", cure)
    return space


def to_json(space: Space) -> dict[str, Any]:
    """The space as `from_json` takes it."""
    written: dict[str, Any] = {}
    for key, dimension in space.items():
        if isinstance(dimension, Choice):
            written[key] = list(dimension.options)
        else:
            written[key] = {"low": dimension.low, "high": dimension.high, "log": dimension.log}
            written[key] |= {"step": dimension.step} if dimension.step is not None else {}
    return written


def applied(run_file: RunFile, values: Mapping[str, Any]) -> RunFile:
    """The run file with a trial's values.

    Raises:
        BadInput, BadInputs: if they contradict one another.
    """
    return load.validate(_with(run_file.model_dump(mode="json"), values))


def _with(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return overrides.apply(base, [f"{key}={json.dumps(value)}" for key, value in values.items()])


def _read(item: str) -> dict[str, Any]:
    path = Path(item)
    if not files.is_file(path):
        cure = f"give a file, or {OPTION} agent.learning_rate='{{low: 1e-5, high: 1e-2, log: true}}'"
        raise BadInput(OPTION, item, "a YAML file that is there, or KEY=RANGE", cure)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(OPTION, item, f"a YAML file that can be read ({error})", "save it as UTF-8 text") from None
    found = yaml_text.parse(text, item)
    if not isinstance(found, dict):
        shown = MISSING if found is None else found
        raise BadInput(
            item, shown, "a mapping of keys to ranges and choices", "write lines such as agent.epochs: [1, 4]"
        )
    return found


def _check_key(key: str, algorithm: str) -> None:
    path = tuple(str(key).split("."))
    if path[0] != "agent" or len(path) < 2:
        known = schema.keys_at(()) if path[0] not in schema.keys_at(()) else []
        cure = "vary keys of the agent alone; set others with --set"
        allowed = "a key of agent, such as agent.learning_rate"
        raise BadInput(OPTION, key, allowed, "write it in full, as agent.learning_rate" if known else cure)
    if path[1:] == ("algorithm",):
        cure = "tune each algorithm by itself, and use `slipway compare`"
        raise BadInput(f"{OPTION} {key}", key, f"a key of agent with algorithm {algorithm}", cure)
    within = ("agent", algorithm, *path[1:])
    for depth in range(3, len(within) + 1):
        if schema.node_at(within[:depth]) is None:
            found = explain.unknown_key(within[:depth])
            raise BadInput(f"{OPTION} {key}", found.value, found.allowed, found.cure)


def _dimension(key: str, value: Any, base: Mapping[str, Any]) -> Range | Choice:
    field = f"{OPTION} {key}"
    if isinstance(value, list):
        if len(value) < 2:
            raise BadInput(field, value, "two values or more", "add a value, or set it with --set")
        twice = next((item for number, item in enumerate(value) if item in value[:number]), None)
        if twice is not None:
            raise BadInput(field, twice, "each value once", "take one of the two out")
        return Choice(tuple(value))
    if not isinstance(value, dict) or not {"low", "high"} <= set(value):
        raise BadInput(field, value, ALLOWED, f"write {key}: {{low: ..., high: ...}}, or {key}: [..., ...]")
    unknown = next((name for name in value if name not in ("low", "high", "log", "step")), None)
    if unknown is not None:
        raise BadInput(f"{field}.{unknown}", unknown, "the keys low, high, log, step", "take it out")
    low, high, log, step = value["low"], value["high"], value.get("log", False), value.get("step")
    for name, number in (("low", low), ("high", high), *((("step", step),) if step is not None else ())):
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise BadInput(f"{field}.{name}", number, "a number", f"write a number for {name}")
    if not isinstance(log, bool):
        raise BadInput(f"{field}.log", log, "true or false", "write log: true, or leave it out")
    if low >= high:
        raise BadInput(f"{field}.high", high, f"more than low = {low}", "exchange the two, or widen the range")
    if log and low <= 0:
        raise BadInput(f"{field}.low", low, "more than 0, as log is true", "raise low, or leave log out")
    if step is not None and (step <= 0 or log):
        allowed = "more than 0" if step <= 0 else "left out, as log is true"
        raise BadInput(f"{field}.step", step, allowed, "take step out")
    # A field that refuses the number with a point takes whole numbers alone.
    whole = _refusal(base, key, float(low)) is not None and _refusal(base, key, low) is None
    numbers = [number for number in (low, high, step) if number is not None]
    if whole and any(isinstance(number, float) for number in numbers):
        wrong = next(number for number in numbers if isinstance(number, float))
        raise BadInput(field, wrong, "whole numbers", "write the range with whole numbers")
    return Range(low, high, log, step, whole)


def _refusal(base: Mapping[str, Any], key: str, value: Any) -> BadInput | None:
    """Why a value cannot stand at a key, whatever the others are; None if it can.

    That it contradicts others says nothing yet: those may vary too.
    """
    try:
        RunFile.model_validate(_with(base, {key: value}))
    except pydantic.ValidationError as error:
        if all(item["type"] == "contradiction" for item in error.errors()):
            return None
        found = explain.bad_inputs(error)
        return found if isinstance(found, BadInput) else _first(found)
    except BadInput as error:
        return error
    return None


def _first(found: SlipwayError) -> BadInput:
    errors: Iterable[BadInput] = getattr(found, "errors", ())
    return next(iter(errors))
