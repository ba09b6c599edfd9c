"""Parameters of tasks: frozen dataclasses whose fields say what they mean and what they may be."""

import dataclasses
from collections.abc import Mapping
from typing import Any

LONGEST_TEXT = 4096
"""Characters that a text may have: as many as a path."""


class ParameterError(ValueError):
    """A parameter that a task refuses.

    Attributes:
        name: of the parameter.
        value: what was given.
        allowed: what it may be, in words.
    """

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name, self.value, self.allowed = name, value, allowed
        super().__init__(f"{name} is {value!r}; allowed: {allowed}")


class UnknownParameter(ParameterError):
    """A parameter that the task has not."""


class ParameterOutOfRange(ParameterError):
    """A value of the wrong type, out of range or not among the choices."""


def parameter(
    default: Any, meaning: str, low: float | None = None, high: float | None = None, choices: tuple[str, ...] = ()
) -> Any:
    """A dataclass field: a number within bounds, or one of some words.

    Args:
        default: its default; its type is the parameter's.
        meaning: one sentence, with the unit.
        low: the least value.
        high: the greatest value.
        choices: what a word may be.
    """
    return dataclasses.field(default=default, metadata={"help": meaning, "low": low, "high": high, "choices": choices})


def text(default: str, meaning: str, allowed: str, longest: int = LONGEST_TEXT) -> Any:
    """A dataclass field that holds any text; what it may say is checked in `__post_init__` of the parameters.

    Args:
        default: its default.
        meaning: one sentence.
        allowed: what it may be, in words.
        longest: how many characters it may have.
    """
    metadata = {"help": meaning, "low": None, "high": None, "choices": (), "allowed": allowed, "longest": longest}
    return dataclasses.field(default=default, metadata=metadata)


def build(params_type: type, given: Mapping[str, Any]) -> Any:
    """A task's parameters, checked: each by itself here, together by `__post_init__` where a task has one.

    Raises:
        UnknownParameter: if a name is not the task's.
        ParameterOutOfRange: if a value is not allowed.
    """
    fields = {field.name: field for field in dataclasses.fields(params_type)}
    checked = {}
    for name, value in given.items():
        if name not in fields:
            raise UnknownParameter(name, value, f"one of {', '.join(fields)}")
        checked[name] = _checked(fields[name], value)
    return params_type(**checked)


def allowed(field: "dataclasses.Field[Any]") -> str:
    """What a parameter may be, in words."""
    if is_text(field):
        return str(field.metadata["allowed"])
    if field.metadata["choices"]:
        return " or ".join(field.metadata["choices"])
    kind = "a whole number" if isinstance(field.default, int) else "a number"
    return f"{kind} from {field.metadata['low']:g} to {field.metadata['high']:g}"


def is_text(field: "dataclasses.Field[Any]") -> bool:
    """Whether a parameter is any text (`text`), neither a number nor one of some words."""
    return "longest" in field.metadata


def _checked(field: "dataclasses.Field[Any]", value: Any) -> Any:
    kind, limits, given = type(field.default), field.metadata, value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    right = type(value) is kind
    if right and is_text(field):
        right = len(value) <= limits["longest"]
    elif right and limits["choices"]:
        right = value in limits["choices"]
    elif right:
        right = limits["low"] <= value <= limits["high"]
    if not right:
        raise ParameterOutOfRange(field.name, given, allowed(field))
    return value
