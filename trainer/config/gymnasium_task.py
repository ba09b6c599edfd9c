"""Makes one copy of a Gymnasium environment, or says what is wrong with its id or parameters. Imports no TensorFlow."""

import inspect
import warnings
from typing import TYPE_CHECKING, Any

from trainer.config import explain
from trainer.errors import BadInput, SlipwayError, nearest

if TYPE_CHECKING:
    from trainer.rollout.gym_vector import GymVector

PREFIX = "gymnasium:"
"""What the id of any Gymnasium environment starts with."""
EXTRAS = {"box2d": "uv sync --extra box2d"}
"""Gymnasium's optional packages that slipway has an extra for."""
EVERYWHERE = ("max_episode_steps", "vectorization_mode")
"""Parameters that every environment takes."""


def make(env_id: str, parameters: dict[str, Any]) -> "GymVector":
    """One copy of the environment; the caller closes it.

    Raises:
        BadInput, BadInputs: if it cannot be made or trained on, or a parameter is not known, or its value no good.
    """
    import gymnasium

    from trainer.rollout.gym_vector import GymVector

    if parameters.get("vectorization_mode") == "async":
        parameters = {**parameters, "vectorization_mode": "sync"}  # a process of its own would only take time
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Gymnasium's advice about ids; the training itself lets it through
        try:
            env = GymVector(env_id, parameters, 1)
        except BadInput as error:
            if isinstance(error.__cause__, gymnasium.error.DependencyNotInstalled):
                raise _with_extra(error) from None
            if error.field == "env.parameters":
                raise _about_parameters(env_id, parameters, error.cure) from None
            raise
        if not parameters.keys() <= set(EVERYWHERE):
            _try(env, parameters)
    return env


def _with_extra(error: BadInput) -> BadInput:
    """The same error, with the command that installs what is missing where slipway has one."""
    said = str(error.__cause__).lower()
    command = next((command for extra, command in EXTRAS.items() if extra in said), None)
    return error if command is None else BadInput(error.field, error.value, error.allowed, f"run `{command}`")


def _about_parameters(env_id: str, parameters: dict[str, Any], reason: str) -> SlipwayError:
    """The error for parameters that an environment refused: the unknown ones if there are any, or else all."""
    known = _known_parameters(env_id.removeprefix(PREFIX))
    unknown = [name for name in parameters if known and name not in known]
    if not unknown:
        return _no_good(parameters, reason)
    found = []
    for name in unknown:
        near = nearest(name, known)
        cure = f"write env.parameters.{near}" if near else "take it out"
        found.append(BadInput(f"env.parameters.{name}", name, f"one of {', '.join(known)}", cure))
    return explain.together(found)


def _no_good(parameters: dict[str, Any], reason: str) -> BadInput:
    cure = "see what the environment's documentation says of its parameters"
    return BadInput("env.parameters", parameters, f"what the environment takes ({reason.removesuffix('.')})", cure)


def _known_parameters(name: str) -> list[str]:
    """What an environment's constructor takes; empty if it does not say."""
    import gymnasium
    from gymnasium.envs import registration

    from trainer.rollout.gym_vector import OWN_ARGUMENTS

    entry: Any = gymnasium.spec(name).entry_point
    try:
        taken = inspect.signature(registration.load_env_creator(entry) if isinstance(entry, str) else entry).parameters
    except (TypeError, ValueError, ImportError, AttributeError):
        return []
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return []
    return [*(parameter for parameter in taken if parameter not in OWN_ARGUMENTS), *EVERYWHERE]


def _try(env: "GymVector", parameters: dict[str, Any]) -> None:
    """Take one step, as many environments look at their parameters only then.

    Raises:
        BadInput: if that fails; the environment is closed then.
    """
    import numpy as np

    try:
        env.reset(np.ones(1, np.bool_), [0])
        env.action_space.seed(0)
        mask = None if env.action_mask is None else env.action_mask[0].astype(np.int8)
        env.step(np.asarray(env.action_space.sample(mask=mask))[np.newaxis])
    except SlipwayError as error:
        env.close()
        raise _no_good(parameters, str(error)) from None
