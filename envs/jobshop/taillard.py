"""Taillard's instances ta01 to ta10 and ta21 to ta30, made from their published seeds. Imports no TensorFlow.

E. Taillard, "Benchmarks for basic scheduling problems", European Journal of Operational Research 64(2), 1993,
278-285, https://doi.org/10.1016/0377-2217(93)90182-M: the generator in section 2, the seeds in the table of job-shop
problems.
"""

import numpy as np

from envs.jobshop.schedule import Instance

LONGEST = 99
"""Durations are uniform on 1 to this."""
MODULUS, MULTIPLIER = 2**31 - 1, 16807

SEEDS_15 = {
    "ta01": (840612802, 398197754),
    "ta02": (1314640371, 386720536),
    "ta03": (1227221349, 316176388),
    "ta04": (342269428, 1806358582),
    "ta05": (1603221416, 1501949241),
    "ta06": (1357584978, 1734077082),
    "ta07": (44531661, 1374316395),
    "ta08": (302545136, 2092186050),
    "ta09": (1153780144, 1393392374),
    "ta10": (73896786, 1544979948),
}
"""Of instances of 15 jobs on 15 machines: time seed and machine seed by name."""
SEEDS_20 = {
    "ta21": (1035939303, 773961798),
    "ta22": (5997802, 1872541150),
    "ta23": (1357503601, 722225039),
    "ta24": (806159563, 1166962073),
    "ta25": (1902815253, 1879990068),
    "ta26": (1503184031, 1850351876),
    "ta27": (1032645967, 99711329),
    "ta28": (229894219, 1158117804),
    "ta29": (823349822, 108033225),
    "ta30": (1297900341, 489486403),
}
"""Of instances of 20 jobs on 20 machines, likewise."""


class Generator:
    """The linear congruential generator of Lewis, Goodman and Miller (1969), `x <- 16807 x mod (2^31 - 1)`.

    Args:
        seed: the first x.
    """

    def __init__(self, seed: int) -> None:
        self._x = seed

    def uniform(self, low: int, high: int) -> int:
        """A whole number from low to high, both included: `low + floor(x / (2^31 - 1) * (high - low + 1))`."""
        self._x = MULTIPLIER * self._x % MODULUS
        return low + self._x * (high - low + 1) // MODULUS


def named(name: str) -> Instance:
    """An instance.

    Args:
        name: a key of `SEEDS_15` or `SEEDS_20`.
    """
    return generate(*SEEDS_15[name], 15, 15) if name in SEEDS_15 else generate(*SEEDS_20[name], 20, 20)


def generate(time_seed: int, machine_seed: int, jobs: int, machines: int) -> Instance:
    """An instance by Taillard's procedure.

    Durations come first, job by job. Then each job's machines, 0 to M - 1, are shuffled: place i is exchanged with a
    place from i on.

    Args:
        time_seed: of the durations.
        machine_seed: of the orders of machines.
        jobs: J.
        machines: M.
    """
    times, places = Generator(time_seed), Generator(machine_seed)
    durations = np.array([[times.uniform(1, LONGEST) for _ in range(machines)] for _ in range(jobs)], np.int64)
    orders = np.tile(np.arange(machines, dtype=np.int64), (jobs, 1))
    for order in orders:
        for place in range(machines):
            other = places.uniform(place, machines - 1)
            order[[place, other]] = order[[other, place]]
    return Instance(orders, durations)
