"""Refuses a run file for what depends on its environment (the id, parameters, what the agent asks of it) or machine.

TensorFlow is imported only if the agent asks something of a task of ours that not every task offers.
"""

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer import backend
from trainer.config import algorithms, explain, gymnasium_task
from trainer.config.models import PPO, Agent, RunFile
from trainer.config.networks import Networks
from trainer.errors import BadInput, nearest

if TYPE_CHECKING:
    from envs.core import TensorEnv
    from trainer.rollout.gym_vector import GymVector

OURS, GYMNASIUM = "slipway/", gymnasium_task.PREFIX
"""What the ids of tasks of ours, and of any Gymnasium environment, start with."""
OF_A_MODULE = re.compile(r"[A-Za-z_][\w.]*:[\w.-]+/[\w.-]+-v\d+")
"""The id of a task that a module registers: `module:name/Name-v0`."""


def check(run_file: RunFile) -> None:
    """Find out whether the environment exists, takes its parameters and offers what is asked, and the port is free.

    Raises:
        BadInput, BadInputs: for everything that does not fit.
    """
    env_id, parameters = run_file.env.id, dict(run_file.env.parameters)
    if env_id.startswith(GYMNASIUM):
        made = gymnasium_task.make(env_id, parameters)
        try:
            algorithms.check(run_file.agent, env_id, made.action_space, _masks(made), model=False)
        finally:
            made.close()
        found = [_not_offered(*item, env_id) for item in _asked_of_a_model(run_file.agent)]
    else:
        _check_parameters(env_id, parameters)
        asked = _asked_of_a_model(run_file.agent)
        # Making the task imports TensorFlow: only for what PPO, which can act anywhere, does not ask.
        plain = isinstance(run_file.agent, PPO) and not algorithms.asks_for_deviation(run_file.agent)
        env = make_task(env_id, parameters) if asked or not plain else None
        if env is not None:
            algorithms.check(run_file.agent, env_id, env.action_space, masks(env), model=True)
        offered = offers(env) if env is not None and asked else []
        found = [_not_offered(*item, env_id) for item in asked if item[0] not in offered]
    if found:
        raise explain.together(found)
    _check_sinks(run_file)


def _check_sinks(run_file: RunFile) -> None:
    """Find out whether metrics and logs could go where they should, by opening all sinks for a moment.

    Raises:
        BadInput: if a port is taken, or a cloud is not set up, or has no such log group.
    """
    from trainer.logs import outlets
    from trainer.metrics.sinks.exporters import open_exporters

    info = {"run_id": "", "env_id": run_file.env.id, "algorithm": run_file.agent.algorithm}
    for sink in open_exporters(run_file.sinks, info, lambda _: None).values():
        sink.close()
    outlets.check(run_file.sinks.logs)


def action_kind(env_id: str) -> str:
    """`discrete` or `continuous`.

    Raises:
        BadInput: if there is no such environment, or no algorithm can act in it.
    """
    if not env_id.startswith(GYMNASIUM):
        return kind_of(make_task(env_id, {}).action_space)
    env = gymnasium_task.make(env_id, {})
    env.close()
    return kind_of(env.action_space)


def kind_of(action_space: Any) -> str:
    """`discrete` or `continuous`."""
    from gymnasium.spaces import Discrete

    return "discrete" if isinstance(action_space, Discrete) else "continuous"


def unknown_environment(env_id: str) -> BadInput:
    """The error for an id that nobody knows, with the nearest that somebody does."""
    import gymnasium

    from envs import registry

    ours = registry.names()
    short = env_id.removeprefix(OURS)
    # Without the prefix, which alone would make any two ids alike.
    by_short = {name.removeprefix(OURS): name for name in ours}
    near = by_short.get(nearest(short, by_short) or "")
    if short in gymnasium.registry and short not in by_short:
        near = GYMNASIUM + short
    cure = f"write {near}" if near else "see `slipway envs list`"
    return BadInput("env.id", env_id, f"{', '.join(ours)}, or gymnasium: and an id of Gymnasium's", cure)


def make_task(env_id: str, parameters: dict[str, Any]) -> "TensorEnv[Any]":
    """A task of ours; imports TensorFlow.

    Raises:
        BadInput: if there is none of that id, or it refuses a parameter.
    """
    from envs import registry

    _check_parameters(env_id, parameters)
    backend.prepare()
    return registry.make(env_id, **parameters)


def find_task(env_id: str) -> None:
    """Find out whether a task exists that is a model, without TensorFlow; the module of `module:ID` is imported.

    That may lie in the current folder, as for `python -m`.

    Raises:
        BadInput: if there is none, or its module cannot be imported.
    """
    from envs import registry

    module = env_id.rpartition(":")[0]
    here = str(Path.cwd())
    if module and here not in sys.path:
        sys.path.append(here)
    try:
        registry.spec(env_id)
    except registry.UnknownEnvironment:
        if not module:
            raise unknown_environment(env_id) from None
        others = [name for name in registry.names() if not name.startswith(OURS)]
        near = nearest(env_id.rpartition(":")[2], others)
        allowed = f"an id that {module} registers: {', '.join(others) or 'it registers none'}"
        raise BadInput("env.id", env_id, allowed, f"write {module}:{near}" if near else "register it there") from None
    except Exception as error:
        if not module:
            raise
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        allowed = f"a module that can be imported, which {module} cannot ({reason})"
        raise BadInput("env.id", env_id, allowed, "mend it, or go to the folder that it lies in") from None


def _check_parameters(env_id: str, parameters: dict[str, Any]) -> None:
    """Find out whether a task of ours exists and takes its parameters, without TensorFlow."""
    from envs import registry
    from envs.parameters import ParameterError

    find_task(env_id)
    known = [field.name for field in registry.parameters(env_id)]
    try:
        registry.check(env_id, **parameters)
    except ParameterError as error:
        near = None if error.name in known else nearest(error.name, known)
        cure = f"write env.parameters.{near}" if near else f"see `slipway envs describe {env_id}`"
        value = error.value if error.name in known else error.name
        raise BadInput(f"env.parameters.{error.name}", value, error.allowed, cure) from None


def masks(env: "TensorEnv[Any]") -> bool:
    """Whether a task of ours masks its actions."""
    from envs import seeding

    return env.action_mask(env.reset(seeding.key_from_seed(0), 1)) is not None


def _masks(env: "GymVector") -> bool:
    """Whether a Gymnasium environment masks its actions, as its first reset says."""
    if env.action_mask is None:
        import numpy as np

        env.reset(np.ones(env.num_envs, np.bool_), [0] * env.num_envs)
    return env.action_mask is not None


def _asked_of_a_model(agent: Agent) -> list[tuple[str, object, str, str]]:
    """What only a task that is a model can give: field, value, what is allowed, and what the task lacks."""
    asked: list[tuple[str, object, str, str]] = []
    if agent.observation_normalisation == "nominal":
        asked.append(
            (
                "observation_normalisation",
                "nominal",
                "none or running",
                "does not state the usual size of its observations",
            )
        )
    networks = agent.networks
    if isinstance(networks, Networks) and networks.kind == "permutation-equivariant":
        asked.append(("networks.kind", networks.kind, "fully-connected", "is no choice among alike entities"))
    if not isinstance(agent, PPO):
        return asked
    if agent.expected_reward:
        asked.append(("expected_reward", True, "false", "does not know its rewards averaged over its noise"))
    if agent.expectation_over_noise:
        asked.append(("expectation_over_noise", True, "false", "does not state the law of its noise"))
    if agent.objective == "average-reward":
        asked.append(("objective", "average-reward", "discounted", "has episodes that end"))
    if agent.common_random_numbers:
        asked.append(
            ("common_random_numbers", agent.common_random_numbers, "null", "has no noise that environments could share")
        )
    return asked


def offers(env: "TensorEnv[Any]") -> list[str]:
    """The settings of an agent that a task of ours can serve, of those that not every task can."""
    import tensorflow as tf

    from envs import core, seeding

    key, space = seeding.key_from_seed(0), env.action_space
    action = tf.zeros([1, *(space.shape or ())], tf.int32 if kind_of(space) == "discrete" else tf.float32)
    found = {
        "expected_reward": env.expected_reward(env.reset(key, 1), action) is not None,
        "expectation_over_noise": env.noise_law() is not None,
        "observation_normalisation": env.nominal_observation() is not None,
        "objective": env.objective is core.Objective.AVERAGE_REWARD,
        "networks.kind": env.entities() is not None,
        "common_random_numbers": bool(tf.nest.flatten(env.noise(key, 1))),  # without noise there is none to share
    }
    return [field for field, offered in found.items() if offered]


def _not_offered(field: str, value: object, allowed: str, lacking: str, env_id: str) -> BadInput:
    cure = f"set agent.{field} to {allowed}"
    return BadInput(f"agent.{field}", value, f"{allowed}, as {env_id} {lacking}", cure)
