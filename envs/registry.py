"""The tasks by id. Listing them imports no TensorFlow; making one does."""

import dataclasses
import difflib
import importlib
from typing import TYPE_CHECKING, Any

import gymnasium

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
        id: `slipway/Name-vN`, or another's `name/Name-vN`; the version rises when results stop being comparable.
        entry_point: `module:class` of the task; the module imports TensorFlow.
        parameters: `module:class` of its parameters; the module does not.
        family: which kind of task.
        summary: one sentence.
        reward_threshold: mean return from which the task counts as solved; None if none is agreed on.
    """

    id: str
    entry_point: str
    parameters: str
    family: str
    summary: str
    reward_threshold: float | None = None


SPECS = {
    spec.id: spec
    for spec in (
        EnvSpec(
            "slipway/LostSales-v0",
            "envs.inventory.dynamics:LostSales",
            "envs.inventory.model:Params",
            "decision-making",
            "Order stock with a lead time when unmet demand is lost; the optimum is known.",
        ),
        EnvSpec(
            "slipway/InventoryManagement-v0",
            "envs.supply_chain.dynamics:InventoryManagement",
            "envs.supply_chain.model:Params",
            "decision-making",
            "Order at each of three stages of a supply chain for one season: OR-Gym's InvManagement.",
        ),
        EnvSpec(
            "slipway/FrozenLake-v1",
            "envs.navigation.frozen_lake.dynamics:FrozenLake",
            "envs.navigation.frozen_lake.model:Params",
            "navigation",
            "Cross slippery ice round the holes: Gymnasium's FrozenLake-v1, compiled; the optimum is known.",
            reward_threshold=0.70,
        ),
        EnvSpec(
            "slipway/JobShop-v0",
            "envs.jobshop.dynamics:JobShop",
            "envs.jobshop.model:Params",
            "optimisation",
            "Dispatch jobs to machines so that the last operation ends early; the instances of the literature ship.",
        ),
        EnvSpec(
            "slipway/LidarNavigation-v0",
            "envs.navigation.lidar.dynamics:LidarNavigation",
            "envs.navigation.lidar.model:Params",
            "navigation",
            "Drive a robot by LiDAR through a field of obstacles as fast as is safe, in the manner of BARN.",
        ),
        EnvSpec(
            "slipway/CartPole-v1",
            "envs.classic.cart_pole.dynamics:CartPole",
            "envs.classic.cart_pole.model:Params",
            "classic",
            "Balance a pole on a cart: Gymnasium's CartPole-v1, compiled.",
            reward_threshold=475.0,
        ),
        EnvSpec(
            "slipway/Pendulum-v1",
            "envs.classic.pendulum.dynamics:Pendulum",
            "envs.classic.pendulum.model:Params",
            "classic",
            "Swing a rod up and hold it: Gymnasium's Pendulum-v1, compiled.",
        ),
        EnvSpec(
            "slipway/Acrobot-v1",
            "envs.classic.acrobot.dynamics:Acrobot",
            "envs.classic.acrobot.model:Params",
            "classic",
            "Swing the tip of two links above a line: Gymnasium's Acrobot-v1, compiled.",
            reward_threshold=-100.0,
        ),
        EnvSpec(
            "slipway/MountainCar-v0",
            "envs.classic.mountain_car.dynamics:MountainCar",
            "envs.classic.mountain_car.model:Params",
            "classic",
            "Get a car out of a valley in few steps: Gymnasium's MountainCar-v0, compiled.",
            reward_threshold=-110.0,
        ),
        EnvSpec(
            "slipway/MountainCarContinuous-v0",
            "envs.classic.mountain_car.dynamics:MountainCarContinuous",
            "envs.classic.mountain_car.model:ContinuousParams",
            "classic",
            "Get a car out of a valley with little force: Gymnasium's MountainCarContinuous-v0, compiled.",
            reward_threshold=90.0,
        ),
    )
}


def names() -> list[str]:
    """All ids, sorted."""
    return sorted(SPECS)


def spec(env_id: str) -> EnvSpec:
    """What is known of a task without importing it.

    Args:
        env_id: its id; as `module:ID`, the module that registers it is imported first, as Gymnasium does.

    Raises:
        UnknownEnvironment: if no task has the id.
        Exception: whatever the module raises.
    """
    module, _, name = env_id.rpartition(":")
    if module:
        importlib.import_module(module)
    if name not in SPECS:
        raise UnknownEnvironment(env_id)
    return SPECS[name]


def env_type(env_id: str) -> "type[TensorEnv[Any]]":
    """A task's class.

    Raises:
        UnknownEnvironment: if no task has the id.
    """
    found: type[TensorEnv[Any]] = _load(spec(env_id).entry_point)
    return found


def params_type(env_id: str) -> type:
    """The frozen dataclass of a task's parameters; imports no TensorFlow.

    Raises:
        UnknownEnvironment: if no task has the id.
    """
    found: type = _load(spec(env_id).parameters)
    return found


def parameters(env_id: str) -> "tuple[dataclasses.Field[Any], ...]":
    """A task's parameters: fields with `metadata` help, low, high, choices (`envs.parameters.allowed` in words).

    Raises:
        UnknownEnvironment: if no task has the id.
    """
    return dataclasses.fields(params_type(env_id))


def check(env_id: str, **params: Any) -> Any:
    """A task's parameters, checked; others keep their default. Imports no TensorFlow.

    Raises:
        UnknownEnvironment: if no task has the id.
        UnknownParameter: if the task has no such parameter.
        ParameterOutOfRange: if a value is not allowed.
    """
    return task_parameters.build(params_type(env_id), params)


def make(env_id: str, **params: Any) -> "TensorEnv[Any]":
    """A task with parameters; others keep their default.

    Raises:
        UnknownEnvironment: if no task has the id.
        UnknownParameter: if the task has no such parameter.
        ParameterOutOfRange: if a value is not allowed.
    """
    checked = check(env_id, **params)
    return env_type(env_id)(checked)


def register(new: EnvSpec) -> None:
    """Adds a task, here and to Gymnasium.

    Raises:
        ValueError: if the id is taken.
    """
    if new.id in SPECS:
        raise ValueError(f"the id {new.id!r} is taken")
    SPECS[new.id] = new
    offer_to_gymnasium(new)


def _load(path: str) -> Any:
    module, name = path.split(":")
    return getattr(importlib.import_module(module), name)


def offer_to_gymnasium(new: EnvSpec) -> None:
    """Makes `gymnasium.make(id)` and `gymnasium.make_vec(id)` work, without importing the task yet."""
    gymnasium.register(
        id=new.id,
        entry_point="envs.adapters.gymnasium_env:GymnasiumEnv",
        vector_entry_point="envs.adapters.gymnasium_vector:GymnasiumVectorEnv",
        reward_threshold=new.reward_threshold,
        kwargs={"task": new.id},
    )
