"""What a dispatcher sees: numbers about each job, the same for every job, and a few about the whole shop.

A network that treats all jobs alike takes them as [B, J, features] (`structured`, `split`), and one that was trained on
some numbers of jobs and machines can run on others. Plain networks take them in a row (`flat`).
"""

from typing import NamedTuple

import tensorflow as tf

from envs.jobshop.model import LONGEST_UNITS
from envs.jobshop.shop import NEVER, Decision, State, arrivals, bounds, remaining

JOB = (
    "allowed",  # 1 if the job may be dispatched now
    "operations_left",  # share of its operations
    "wait",  # until it can start its next operation, in mean durations
    "duration",  # of the next operation, in mean durations
    "work_left",  # its remaining work, as a share of the time left
    "job_bound",  # when it can be done at the earliest, as a share of the time left
    "machine_load",  # work left for the machine of its next operation, as a share of the time left
    "machine_bound",  # when that machine can be done at the earliest, as a share of the time left
    "following_duration",  # of the operation after the next, in mean durations
    "following_bound",  # when the machine of that operation can be done, as a share of the time left
    "following_queue",  # how long that machine is busy when the job could come to it, in mean durations
    "will_come",  # 1 if it has yet to visit the machine whose turn it is
    "comes_in",  # how long until it could, in mean durations
    "duration_here",  # and for how long, in mean durations
    "work_after",  # what it has to do after that, as a share of the time left
    "bound_rise",  # how much later the whole is done at least if this job is dispatched now, in mean durations
)
"""A job's numbers, in order. All are 0 for a finished job.

"Now" is the earliest start on the machine whose turn it is, and "the time left" is from now to the lower bound on the
makespan, at least a mean duration.
"""
SHOP = (
    "operations_left",  # share of all
    "choices",  # share of the jobs that are allowed
    "elapsed",  # now, as a share of the lower bound on the makespan
    "bound",  # the lower bound on the makespan, in (J + M) / 2 mean durations of random instances
)
"""The shop's numbers, in order."""
LIMIT = 10.0
"""No number is further from 0: beyond, it is cut."""


class Features(NamedTuple):
    """What a dispatcher sees, by jobs."""

    jobs: tf.Tensor  # float32 [B, J, len(JOB)]
    shop: tf.Tensor  # float32 [B, len(SHOP)]


def width(jobs: int) -> int:
    """Numbers in a row for J jobs."""
    return jobs * len(JOB) + len(SHOP)


def flat(features: Features) -> tf.Tensor:
    """In a row: the jobs one after another, then the shop; float32 [B, width(J)]."""
    count = features.jobs.shape[1] * len(JOB)
    return tf.concat([tf.reshape(features.jobs, [-1, count]), features.shop], 1)


def split(row: tf.Tensor) -> Features:
    """The inverse of `flat`, for any number of jobs."""
    jobs = (row.shape[-1] - len(SHOP)) // len(JOB)
    return Features(tf.reshape(row[:, : -len(SHOP)], [-1, jobs, len(JOB)]), row[:, -len(SHOP) :])


def structured(state: State, decision: Decision) -> Features:
    """What a dispatcher sees of a state and of what is to be decided in it."""
    jobs, machines = state.durations.shape[1], state.durations.shape[2]
    number = tf.range(machines, dtype=tf.float32)
    left, arrival, bound = remaining(state), arrivals(state), bounds(state)
    total = tf.reduce_sum(state.durations, 2)
    now = decision.time[:, None]
    mean = tf.maximum(tf.reduce_sum(total, 1, keepdims=True) * (1.0 / (jobs * machines)), 1.0)  # [B, 1]
    # One division each, and products: a compiler may turn a division into a product, which rounds otherwise.
    per_mean = 1.0 / mean
    per_time_left = 1.0 / tf.maximum(state.bound[:, None] - now, mean)
    load = tf.reduce_sum(tf.where(left, state.durations, 0.0), 1)

    def at(machine: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Machines' values [B, M] at one machine for each job [B, J]; 0 at none."""
        return tf.reduce_sum(tf.where(tf.equal(machine[..., None], number), values[:, None], 0.0), 2)

    def of(where: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        """Each job's operation [B, J] among [B, J, M]; 0 for none."""
        return tf.reduce_sum(tf.where(where, values, 0.0), 2)

    start = tf.where(decision.unfinished, decision.next_start, now)
    work = of(left, state.durations)
    following = tf.equal(state.positions, state.dispatched[..., None] + 1.0)
    has_following = tf.cast(state.dispatched + 1.0 < float(machines), tf.float32)
    following_machine = of(following, number) - (1.0 - has_following)
    queue = at(following_machine, state.machine_ready) - (start + decision.next_duration)
    here = tf.logical_and(left, tf.equal(number, decision.machine[:, None])[:, None])
    comes = tf.reduce_any(here, 2)
    comes_at, duration_here = of(here, arrival), of(here, state.durations)
    after = of(here, total[..., None] - state.heads - state.durations)
    values = {
        "allowed": tf.cast(decision.allowed, tf.float32),
        "operations_left": (float(machines) - state.dispatched) * (1.0 / machines),
        "wait": (start - now) * per_mean,
        "duration": decision.next_duration * per_mean,
        "work_left": work * per_time_left,
        "job_bound": (bound.job - now) * per_time_left,
        "machine_load": at(decision.next_machine, load) * per_time_left,
        "machine_bound": (at(decision.next_machine, bound.machine) - now) * per_time_left,
        "following_duration": of(following, state.durations) * per_mean,
        "following_bound": has_following * (at(following_machine, bound.machine) - now) * per_time_left,
        "following_queue": has_following * tf.maximum(queue, 0.0) * per_mean,
        "will_come": tf.cast(comes, tf.float32),
        "comes_in": tf.where(comes, comes_at - now, 0.0) * per_mean,
        "duration_here": duration_here * per_mean,
        "work_after": after * per_time_left,
        "bound_rise": _bound_rise(state, decision, comes, comes_at, duration_here, after, work) * per_mean,
    }
    by_job = tf.stack([values[name] for name in JOB], 2)
    by_job = tf.where(decision.unfinished[..., None], by_job, 0.0)
    operations = jobs * machines
    shop = {
        "operations_left": (operations - tf.reduce_sum(state.dispatched, 1)) * (1.0 / operations),
        "choices": tf.reduce_sum(values["allowed"], 1) * (1.0 / jobs),
        "elapsed": decision.time * (1.0 / tf.maximum(state.bound, 1.0)),
        "bound": state.bound * (4.0 / ((1 + LONGEST_UNITS) * (jobs + machines))),
    }
    by_shop = tf.stack([shop[name] for name in SHOP], 1)
    return Features(tf.clip_by_value(by_job, -LIMIT, LIMIT), tf.clip_by_value(by_shop, -LIMIT, LIMIT))


def _bound_rise(
    state: State,
    decision: Decision,
    comes: tf.Tensor,
    comes_at: tf.Tensor,
    duration_here: tf.Tensor,
    after: tf.Tensor,
    work: tf.Tensor,
) -> tf.Tensor:
    """How much the lower bound rises at least if a job that is allowed is dispatched, float32 [B, J]; else 0.

    After it, the other jobs have to pass the machine whose turn it is, and those whose next operation is there cannot
    start before it ends.
    """
    end = decision.next_start + decision.next_duration
    queued = tf.equal(decision.next_machine, decision.machine[:, None])
    load = tf.reduce_sum(duration_here, 1, keepdims=True) - duration_here
    others = tf.reduce_sum(tf.cast(comes, tf.float32), 1, keepdims=True) > 1.0
    machine = tf.maximum(_least_of_others(comes_at, comes), end) + load + _least_of_others(after, comes)
    waiting = -_least_of_others(-decision.next_start - work, queued)
    pushed = end - _least_of_others(-work, queued)
    rise = tf.maximum(tf.maximum(tf.where(others, machine, 0.0), waiting), pushed) - state.bound[:, None]
    return tf.where(tf.logical_and(decision.allowed, decision.unfinished), tf.maximum(rise, 0.0), 0.0)


def _least_of_others(values: tf.Tensor, among: tf.Tensor) -> tf.Tensor:
    """For each job among some [B, J], the least of the values of the others of them, NEVER if there are none."""
    least = tf.reduce_min(tf.where(among, values, NEVER), 1, keepdims=True)
    has_least = tf.logical_and(among, tf.equal(values, least))
    next_least = tf.reduce_min(
        tf.where(tf.logical_and(among, tf.logical_not(has_least)), values, NEVER), 1, keepdims=True
    )
    alone = tf.reduce_sum(tf.cast(has_least, tf.float32), 1, keepdims=True) < 2.0
    return tf.where(tf.logical_and(has_least, alone), next_least, least)
