"""A job shop at work: its state, which jobs compete for which machine, dispatches and lower bounds, on batches.

Shapes: B instances of J jobs on M machines. What belongs to operations is indexed by job and machine, [B, J, M], as
each job visits each machine once: so nothing is gathered or sorted, and XLA works along contiguous memory. All times
are whole numbers in float32, exact up to 2^24.
"""

from typing import NamedTuple

import tensorflow as tf

NEVER = float(1 << 24)
"""Later than any time."""
NOT_DISPATCHED = -1.0


class State(NamedTuple):
    """Instances, and what of them is scheduled."""

    durations: tf.Tensor  # float32 [B, J, M]
    positions: tf.Tensor  # float32 [B, J, M], 0 to M - 1: which of the job's operations this is
    heads: tf.Tensor  # float32 [B, J, M], the job's work before this operation
    starts: tf.Tensor  # float32 [B, J, M], NOT_DISPATCHED or when the operation starts
    dispatched: tf.Tensor  # float32 [B, J], how many of the job's operations are scheduled: the next one's position
    job_ready: tf.Tensor  # float32 [B, J], when the last of them ends
    machine_ready: tf.Tensor  # float32 [B, M], when the last operation on the machine ends
    bound: tf.Tensor  # float32 [B], the makespan is at least this


class Decision(NamedTuple):
    """What is to be decided: the machine whose turn it is, and the jobs that compete for it."""

    unfinished: tf.Tensor  # bool [B, J], jobs with operations left
    next_machine: tf.Tensor  # float32 [B, J], where the job goes next; -1 when it is finished
    next_duration: tf.Tensor  # float32 [B, J], for how long; 0 when it is finished
    next_start: tf.Tensor  # float32 [B, J], when it can start there; NEVER when it is finished
    machine: tf.Tensor  # float32 [B], whose turn it is; NEVER when all is scheduled
    time: tf.Tensor  # float32 [B], the earliest start on it
    allowed: tf.Tensor  # bool [B, J]


class Bounds(NamedTuple):
    """When jobs and machines can be done at the earliest."""

    job: tf.Tensor  # float32 [B, J]
    machine: tf.Tensor  # float32 [B, M], with the least that its last job has to do elsewhere; 0 when it has no work

    def makespan(self) -> tf.Tensor:
        """The makespan is at least this, float32 [B]; when all is scheduled it is this."""
        return tf.maximum(tf.reduce_max(self.job, 1), tf.reduce_max(self.machine, 1))


def begin(machines: tf.Tensor, durations: tf.Tensor) -> State:
    """Instances of which nothing is scheduled.

    Args:
        machines: int32 [B, J, M], by the order of operations; each row a permutation of 0 to M - 1.
        durations: [B, J, M], of the same operations.
    """
    times = tf.cast(durations, tf.float32)
    count = machines.shape[2]
    on = tf.equal(machines[..., None], tf.range(count))  # [B, J, operation, machine]
    before = tf.cumsum(times, axis=2, exclusive=True)
    position = tf.range(count, dtype=tf.float32)[:, None]

    def by_machine(values: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.where(on, values, 0.0), 2)

    by_times = by_machine(times[..., None])
    jobs, shops = tf.zeros_like(by_times[..., 0]), tf.zeros_like(by_times[:, 0])
    state = State(
        durations=by_times,
        positions=by_machine(position),
        heads=by_machine(before[..., None]),
        starts=tf.fill(tf.shape(by_times), NOT_DISPATCHED),
        dispatched=jobs,
        job_ready=jobs,
        machine_ready=shops,
        bound=tf.zeros_like(jobs[:, 0]),
    )
    return state._replace(bound=bounds(state).makespan())


def decide(state: State, delay: float) -> Decision:
    """Whose turn it is: parameterised active schedules (Bierwirth and Mattfeld 1999, section 3).

    Of all jobs' next operations the one that would end first, at c, names the machine (Giffler and Thompson 1960). Let
    t be the earliest start on that machine. The jobs that can start there at t compete, and those that can start before
    t + delay (c - t). With delay 0 every schedule is non-delay: no machine stands idle while a job waits for it. With
    delay 1 every active schedule can be reached, an optimal one among them. When all is scheduled, job 0 alone is
    allowed.

    Args:
        state: as it is.
        delay: 0 to 1.
    """
    count = float(state.durations.shape[2])
    number = tf.range(state.durations.shape[2], dtype=tf.float32)
    unfinished = state.dispatched < count
    following = tf.equal(state.positions, state.dispatched[..., None])  # no machine of a finished job
    duration = tf.reduce_sum(tf.where(following, state.durations, 0.0), 2)
    machine = tf.reduce_sum(tf.where(following, number, 0.0), 2) - tf.where(unfinished, 0.0, 1.0)
    free = tf.reduce_sum(tf.where(following, state.machine_ready[:, None], 0.0), 2)
    start = tf.where(unfinished, tf.maximum(state.job_ready, free), NEVER)
    end = start + duration
    first = tf.reduce_min(end, 1, keepdims=True)
    turn = tf.reduce_min(tf.where(tf.logical_and(unfinished, tf.equal(end, first)), machine, NEVER), 1)
    here = tf.equal(machine, turn[:, None])
    time = tf.reduce_min(tf.where(here, start, NEVER), 1, keepdims=True)
    # The differences are exact, so that no compiler's fused multiplication can decide otherwise than another's.
    early = tf.logical_or(start <= time, start - time < delay * (first - time))
    done = tf.logical_not(tf.reduce_any(unfinished, 1, keepdims=True))
    idle = tf.logical_and(done, tf.range(unfinished.shape[1]) < 1)
    allowed = tf.logical_or(tf.logical_and(here, early), idle)
    time = tf.where(done, tf.reduce_max(state.job_ready, 1, keepdims=True), time)
    return Decision(unfinished, machine, duration, start, turn, time[:, 0], allowed)


def dispatch(state: State, decision: Decision, job: tf.Tensor, delay: float = 0.0, forced: int = 0) -> State:
    """Schedules a job's next operation as early as it can start. When all is scheduled, nothing changes.

    Args:
        state: as it is.
        decision: of this state.
        job: int32 [B]; where it is not allowed, the first job that is takes its place.
        delay: of the decisions that follow (`decide`).
        forced: how many dispatches follow at most where only one job is allowed.
    """
    following = _dispatched(state, decision, job)
    for _ in range(forced):
        decision = decide(following, delay)
        choices = tf.reduce_sum(tf.cast(decision.allowed, tf.float32), 1, keepdims=True)
        only = tf.logical_and(decision.unfinished, choices < 2.0)  # nothing is dispatched where there is a choice
        following = _dispatched(following, decision._replace(unfinished=only), tf.zeros_like(job))
    return following._replace(bound=bounds(following).makespan())


def _dispatched(state: State, decision: Decision, job: tf.Tensor) -> State:
    """The same for one dispatch, with the lower bound as it was."""
    number = tf.range(state.dispatched.shape[1])
    legal = tf.logical_and(tf.equal(number, job[:, None]), decision.allowed)
    first = tf.reduce_min(tf.where(decision.allowed, number, state.dispatched.shape[1]), 1, keepdims=True)
    chosen = tf.where(tf.reduce_any(legal, 1, keepdims=True), legal, tf.equal(number, first))
    chosen = tf.logical_and(chosen, decision.unfinished)
    start = tf.reduce_sum(tf.where(chosen, decision.next_start, 0.0), 1)
    end = start + tf.reduce_sum(tf.where(chosen, decision.next_duration, 0.0), 1)
    on = tf.equal(tf.range(state.machine_ready.shape[1], dtype=tf.float32), decision.machine[:, None])
    operation = tf.logical_and(chosen[..., None], on[:, None])
    ready = tf.logical_and(on, tf.reduce_any(chosen, 1, keepdims=True))
    return state._replace(
        starts=tf.where(operation, start[:, None, None], state.starts),
        dispatched=state.dispatched + tf.cast(chosen, tf.float32),
        job_ready=tf.where(chosen, end[:, None], state.job_ready),
        machine_ready=tf.where(ready, end[:, None], state.machine_ready),
    )


def finished(state: State) -> tf.Tensor:
    """Whether all is scheduled, bool [B]."""
    return tf.reduce_all(state.dispatched >= float(state.durations.shape[2]), 1)


def remaining(state: State) -> tf.Tensor:
    """Operations that are not scheduled, bool [B, J, M]."""
    return state.positions >= state.dispatched[..., None]


def arrivals(state: State) -> tf.Tensor:
    """When each operation could start if its job never waited, but for its next operation's machine; [B, J, M].

    Of operations that are not scheduled; for the others it says nothing.
    """
    following = tf.equal(state.positions, state.dispatched[..., None])
    free = tf.reduce_sum(tf.where(following, state.machine_ready[:, None], 0.0), 2)
    behind = tf.reduce_sum(tf.where(following, state.heads, 0.0), 2)
    return tf.maximum(state.job_ready, free)[..., None] + (state.heads - behind[..., None])


def bounds(state: State) -> Bounds:
    """Lower bounds on what is yet to come; none of them ever falls, but to 0 on a machine that has no work left.

    A job is done no earlier than if it never waited after its next operation. A machine is done no earlier than the
    first of its remaining operations can arrive, with all of them after one another, and the least that any of their
    jobs has to do afterwards: the bound of the one-machine problem with heads and tails (Carlier 1982).
    """
    left, arrival = remaining(state), arrivals(state)
    total = tf.reduce_sum(state.durations, 2, keepdims=True)
    tail = total - state.heads - state.durations
    load = tf.reduce_sum(tf.where(left, state.durations, 0.0), 1)
    earliest = tf.maximum(tf.reduce_min(tf.where(left, arrival, NEVER), 1), state.machine_ready)
    shortest = tf.reduce_min(tf.where(left, tail, NEVER), 1)
    machine = tf.where(tf.reduce_any(left, 1), earliest + load + shortest, 0.0)
    rest = tf.reduce_max(tf.where(left, arrival + (total - state.heads), 0.0), 2)  # the same for each operation left
    return Bounds(tf.maximum(rest, state.job_ready), machine)
