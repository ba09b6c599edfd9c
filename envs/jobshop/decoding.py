"""Schedules from a dispatcher: of an instance, of its mirror image too, and the best of several samples.

It stands beside the task and not in the trainer, because it needs nothing but the task's functions and a policy of
states, which priority rules and trained policies both are.
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from envs import seeding
from envs.core import StatePolicy
from envs.jobshop import schedule
from envs.jobshop.dynamics import JobShop, starts_of
from envs.jobshop.schedule import Instance, Integers
from envs.jobshop.shop import State, finished


class Decoded(NamedTuple):
    """The best schedule that was found."""

    starts: Integers  # int64 [J, M], in the order of `Instance`
    makespan: int
    makespans: list[int]  # of all attempts, the instance's first, then the mirror image's


def decode(
    env: JobShop, instance: Instance, policy: StatePolicy, key: tf.Tensor, *, samples: int = 1, mirror: bool = False
) -> Decoded:
    """Schedules an instance some times and keeps the first of the shortest schedules.

    Args:
        env: a task of the instance's size; its `delay` counts, not its instance.
        instance: what is to be done.
        policy: (state, key) -> jobs int32 [B]. A greedy one needs one sample.
        key: int32 [2], for a policy that draws.
        samples: attempts on the instance, and as many on its mirror image.
        mirror: also try the mirror image, and read its schedules backwards.

    Raises:
        ValueError: if the instance has another size than the task, or there are no samples.
    """
    if samples < 1:
        raise ValueError(f"samples is {samples}; allowed: 1 or more")
    makespans: list[int] = []
    schedules: list[Integers] = []
    for number, work in enumerate([instance, instance.mirrored()] if mirror else [instance]):
        # A lone row is another program to XLA, so there are never fewer than two.
        ended = _runner(env, policy)(env.start(work, max(samples, 2)), seeding.fold(key, number))
        reached = ended.bound.numpy()[:samples].astype(int).tolist()
        starts = starts_of(ended, reached.index(min(reached)))
        schedules.append(schedule.mirrored_starts(work, starts) if number else starts)
        makespans += reached
    best = min(schedules, key=lambda starts: schedule.makespan(instance, starts))
    return Decoded(best, min(makespans), makespans)


@functools.lru_cache(maxsize=8)
def _runner(env: JobShop, policy: StatePolicy) -> "tf.types.experimental.GenericFunction":
    """Whole episodes, compiled once for a task and a policy."""

    def run(state: State, key: tf.Tensor) -> State:
        def body(t: tf.Tensor, state: State) -> tuple[tf.Tensor, State]:
            return t + 1, env.step(state, policy(state, seeding.fold(key, t)), ())[0]

        def goes_on(t: tf.Tensor, state: State) -> tf.Tensor:
            return tf.logical_and(t < env.jobs * env.machines, tf.logical_not(tf.reduce_all(finished(state))))

        return tf.while_loop(goes_on, body, (0, state), parallel_iterations=1)[1]

    return tf.function(run, jit_compile=True, autograph=False)
