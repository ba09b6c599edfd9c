"""Priority rules: of the jobs that compete for a machine, the one that a rule puts first (Haupt 1989).

R. Haupt, "A survey of priority rule-based scheduling", OR Spektrum 11, 1989, 3-16.
"""

from collections.abc import Callable

import tensorflow as tf

from envs import seeding
from envs.jobshop.shop import Decision, State

Priority = Callable[[State, Decision, tf.Tensor], tf.Tensor]
"""(state, what is to be decided, key) -> float32 [B, J]; the greatest goes first, the first of equals."""


def by_chance(state: State, decision: Decision, key: tf.Tensor) -> tf.Tensor:
    """Any job, each as likely as another."""
    del decision
    return seeding.uniform(key, tf.shape(state.dispatched))


def shortest_processing_time(state: State, decision: Decision, key: tf.Tensor) -> tf.Tensor:
    """SPT: the shortest next operation."""
    del state, key
    return -decision.next_duration


def first_in_first_out(state: State, decision: Decision, key: tf.Tensor) -> tf.Tensor:
    """FIFO: who has been waiting longest."""
    del decision, key
    return -state.job_ready


def most_operations_remaining(state: State, decision: Decision, key: tf.Tensor) -> tf.Tensor:
    """MOR: the most operations left."""
    del decision, key
    return -state.dispatched


def most_work_remaining(state: State, decision: Decision, key: tf.Tensor) -> tf.Tensor:
    """MWKR: the most work left, the next operation included."""
    del decision, key
    left = state.positions >= state.dispatched[..., None]
    return tf.reduce_sum(tf.where(left, state.durations, 0.0), 2)


RULES: dict[str, Priority] = {
    "random": by_chance,
    "shortest-processing-time": shortest_processing_time,
    "first-in-first-out": first_in_first_out,
    "most-operations-remaining": most_operations_remaining,
    "most-work-remaining": most_work_remaining,
}
"""By name, the strongest last (on ta01 to ta10)."""


def choose(rule: Priority, state: State, decision: Decision, key: tf.Tensor) -> tf.Tensor:
    """The job that a rule dispatches, int32 [B]."""
    priority = tf.where(decision.allowed, rule(state, decision, key), -float("inf"))
    return tf.argmax(priority, 1, output_type=tf.int32)
