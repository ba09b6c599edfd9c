"""One episode of a policy as a filmstrip for a report."""

import base64
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import core, drawing, seeding

SEED = 0
FRAMES = 12


def filmstrip(
    env: core.TensorEnv[Any],
    policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]],
    stride: int,
    step_seconds: float,
) -> dict[str, Any]:
    """Pictures of a held-out episode's first seconds.

    Args:
        env: a task without noise.
        policy: maps observations [N, ...] to actions [N, ...].
        stride: steps between two pictures.
        step_seconds: how long a step lasts, in the task's own time.
    """
    dtype = tf.int32 if isinstance(env.action_space, gymnasium.spaces.Discrete) else tf.float32
    episode = core.begin(env, seeding.key_from_seed(SEED, seeding.Split.HELD_OUT), 1)
    pictures = []
    for step in range(FRAMES * stride):
        if step % stride == 0:
            pictures.append(env.render(episode.state))
        action = tf.constant(policy(env.observe(episode.state).numpy()), dtype)
        episode, outcome = core.proceed(env, episode, action, ())
        if outcome.terminated[0] or outcome.truncated[0]:
            pictures.append(env.render(episode.state))
            break
    return {
        "kind": "filmstrip",
        "title": "One episode",
        "frames": [base64.b64encode(drawing.png(picture)).decode("ascii") for picture in pictures],
        "note": f"One picture every {stride * step_seconds:g} s,"
        " from the start of an episode to its end or the last picture.",
    }
