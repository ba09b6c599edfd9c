"""Environments as people ask about them: which there are, and what one is like."""

from typing import TYPE_CHECKING, Any

from trainer.config import check, gymnasium_task, presets

if TYPE_CHECKING:
    from envs.core import TensorEnv


def known(gymnasium_too: bool = False) -> list[dict[str, Any]]:
    """Id, family, preset and summary of each environment. Imports no TensorFlow.

    Args:
        gymnasium_too: with what Gymnasium has registered.
    """
    from envs import registry

    found = []
    for name in registry.names():
        spec = registry.spec(name)
        preset = presets.for_task(name)
        found.append({"id": name, "family": spec.family, "preset": preset, "summary": spec.summary})
    if gymnasium_too:
        import gymnasium

        for name in sorted(gymnasium.registry):
            if not name.startswith(check.OURS):
                env_id = check.GYMNASIUM + name
                preset = presets.for_task(env_id)
                found.append({"id": env_id, "family": "gymnasium", "preset": preset, "summary": None})
    return found


def describe(env_id: str) -> dict[str, Any]:
    """Everything about one environment with its default parameters.

    Raises:
        BadInput: if there is no such environment, or it cannot be made.
    """
    return _gymnasium(env_id) if env_id.startswith(check.GYMNASIUM) else _ours(env_id)


def _ours(env_id: str) -> dict[str, Any]:
    env: TensorEnv[Any] = check.make_task(env_id, {})
    from envs import registry
    from envs.parameters import allowed

    spec = registry.spec(env_id)
    return {
        "id": env_id,
        "summary": spec.summary,
        "family": spec.family,
        "preset": presets.for_task(env_id),
        "objective": str(env.objective),
        "score": f"{env.score.name}, {env.score.unit}, {'lower' if env.score.sign < 0 else 'higher'} is better",
        "observation_space": str(env.observation_space),
        "action_space": str(env.action_space),
        "max_episode_steps": env.max_episode_steps,
        "optimum": env.optimum(),
        "baselines": list(env.baselines()),
        "offers": check.offers(env),
        "parameters": [
            {
                "name": field.name,
                "default": field.default,
                "allowed": allowed(field),
                "help": field.metadata["help"],
            }
            for field in registry.parameters(env_id)
        ],
    }


def _gymnasium(env_id: str) -> dict[str, Any]:
    from trainer.rollout.gym_vector import GymVector

    env: GymVector = gymnasium_task.make(env_id, {})
    try:
        kind = check.kind_of(env.action_space)
        return {
            "id": env_id,
            "family": "gymnasium",
            "preset": presets.for_task(env_id) or presets.FOR_ACTIONS[kind, presets.DEFAULT_ALGORITHM],
            "objective": "episodic",
            "score": "return, reward per episode, higher is better",
            "observation_space": str(env.observation_space),
            "action_space": str(env.action_space),
            "max_episode_steps": env.max_episode_steps,
            "parameters": [],
        }
    finally:
        env.close()
