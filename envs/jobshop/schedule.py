"""Instances of the job-shop problem, schedules of them, and what makes a schedule valid. Imports no TensorFlow."""

import dataclasses

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Instance:
    """What is to be done: each job visits each machine once, in an order of its own.

    Attributes:
        machines: int64 [J, M]; entry (j, o) is the machine of job j's operation o. Each row is a permutation of 0 to
            M - 1.
        durations: int64 [J, M], in units of time; of the same operations.
    """

    machines: Integers
    durations: Integers

    @property
    def jobs(self) -> int:
        """J."""
        return int(self.machines.shape[0])

    @property
    def machine_count(self) -> int:
        """M."""
        return int(self.machines.shape[1])

    def mirrored(self) -> "Instance":
        """The same work with time reversed: every job's operations in the opposite order.

        A schedule of it read backwards is a schedule of this one with the same makespan (`mirrored_starts`), so a
        dispatcher may try both and keep the better.
        """
        return Instance(self.machines[:, ::-1].copy(), self.durations[:, ::-1].copy())


def makespan(instance: Instance, starts: Integers) -> int:
    """When the last operation ends.

    Args:
        instance: the work.
        starts: int64 [J, M], when each operation starts, in the order of `Instance`.
    """
    return int((starts + instance.durations).max())


def mirrored_starts(instance: Instance, starts: Integers) -> Integers:
    """A schedule of an instance, as a schedule of the mirrored instance; int64 [J, M] both."""
    ends = starts + instance.durations
    return np.asarray((ends.max() - ends)[:, ::-1], np.int64)


def violations(instance: Instance, starts: Integers) -> list[str]:
    """What is wrong with a schedule, in sentences; empty if it is valid.

    A schedule is valid if every operation starts at time 0 or later, no job's operation starts before the one before
    it has ended, and no machine works on two operations at once.

    Args:
        instance: the work.
        starts: int64 [J, M].
    """
    if starts.shape != instance.durations.shape:
        return [f"there are starts of {starts.shape} operations, and {instance.durations.shape} operations"]
    ends = starts + instance.durations
    found = [f"operation {o} of job {j} is not scheduled" for j, o in np.argwhere(starts < 0)]
    early = np.argwhere(starts[:, 1:] < ends[:, :-1])
    found += [f"operation {o + 1} of job {j} starts before operation {o} has ended" for j, o in early]
    for machine in range(instance.machine_count):
        on_it = instance.machines == machine
        rank = np.lexsort((ends[on_it], starts[on_it]))  # an operation without duration before one that starts with it
        first, last = starts[on_it][rank], ends[on_it][rank]
        jobs = np.nonzero(on_it)[0][rank]
        found += [
            f"machine {machine} works on jobs {jobs[i]} and {jobs[i + 1]} at once"
            for i in np.flatnonzero(first[1:] < last[:-1])
        ]
    return found
