"""The tasks by id. Listing them imports no TensorFlow; making one does."""

import dataclasses
import difflib
import importlib
from typing import TYPE_CHECKING, Any

from envs import parameters as task_parameters

if TYPE_CHECKING:
    from envs.core import TensorEnv


class UnknownEnvironment(ValueError):
    """An id that no task has.

    Attributes:
        env_id: what was asked for.
        nearest: the id most like it, or None.
    """

    def __init__(self, env_id: str) -> None:
        self.env_id = env_id
        near = difflib.get_close_matches(env_id, names(), n=1, cutoff=0.5)
        self.nearest = near[0] if near else None
        super().__init__(f"no task is called {env_id!r}; there are {', '.join(names())}")


@dataclasses.dataclass(frozen=True)
class EnvSpec:
    """A registered task.

    Attributes:
        id: `slipway/Name-vN`; the version rises when results stop being comparable.
        entry_point: `module:class`.
        family: which kind of task.
        summary: one sentence.
    """

    id: str
    entry_point: str
    family: str
    summary: str


SPECS = {
    spec.id: spec
    for spec in (
        EnvSpec(
            "slipway/LostSales-v0",
            "envs.inventory.dynamics:LostSales",
            "optimisation",
            "Order stock with a lead time when unmet demand is lost; the optimum is known.",
        ),
        EnvSpec(
            "slipway/CartPole-v1",
            "envs.classic.dynamics:CartPole",
            "classic",
            "Balance a pole on a cart: Gymnasium's CartPole-v1, compiled.",
        ),
    )
}


def names() -> list[str]:
    """All ids, sorted."""
    return sorted(SPECS)


def spec(env_id: str) -> EnvSpec:
    """What is known of a task without importing it.

    Raises:
        UnknownEnvironment: if no task has the id.
    """
    if env_id not in SPECS:
        raise UnknownEnvironment(env_id)
    return SPECS[env_id]


def env_type(env_id: str) -> "type[TensorEnv[Any]]":
    """A task's class.

    Raises:
        UnknownEnvironment: if no task has the id.
    """
    module, name = spec(env_id).entry_point.split(":")
    found: type[TensorEnv[Any]] = getattr(importlib.import_module(module), name)
    return found


def parameters(env_id: str) -> "tuple[dataclasses.Field[Any], ...]":
    """A task's parameters: fields with `metadata` help, low, high, choices.

    Raises:
        UnknownEnvironment: if no task has the id.
    """
    return dataclasses.fields(env_type(env_id).params_type)


def make(env_id: str, **params: Any) -> "TensorEnv[Any]":
    """A task with parameters; others keep their default.

    Raises:
        UnknownEnvironment: if no task has the id.
        UnknownParameter: if the task has no such parameter.
        ParameterOutOfRange: if a value is not allowed.
    """
    kind = env_type(env_id)
    return kind(task_parameters.build(kind.params_type, params))
