"""The best makespan of an instance, by constraint programming (OR-Tools' CP-SAT). Imports no TensorFlow."""

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from envs.jobshop import library, model
from envs.jobshop.schedule import Instance, Integers

SOLVER = Path(__file__).parent / "cp_sat.py"
EFFORT_SECONDS = 10.0
"""CP-SAT's deterministic time for an instance: it counts work done, not time, so that the same search gives the same
answer however busy the machine is. One of it takes about three seconds."""


class Solution(NamedTuple):
    """The best schedule that was found, and what is proved of it."""

    starts: Integers  # int64 [J, M], in the order of `Instance`
    makespan: int
    lower: int  # no schedule is shorter
    proved: bool  # whether the makespan is the least


def solve(instances: Sequence[Instance], effort_seconds: float = EFFORT_SECONDS) -> list[Solution | None]:
    """The best schedules that searches of bounded effort find; None for an instance for which one finds none at all.

    Args:
        instances: what is to be done.
        effort_seconds: deterministic time to spend on each at most.

    Raises:
        subprocess.CalledProcessError: if the solver's process fails.
    """
    asked = {
        "instances": [{"machines": i.machines.tolist(), "durations": i.durations.tolist()} for i in instances],
        "effort_seconds": effort_seconds,
    }
    # -P: this folder's modules must not hide others of the same names from the solver.
    ran = subprocess.run(  # noqa: S603  # our own script
        [sys.executable, "-P", str(SOLVER)],
        input=json.dumps(asked),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,  # Ctrl-C is for the run, which ends in its own way
    )
    return [
        None
        if found is None
        else Solution(np.array(found["starts"], np.int64), found["makespan"], found["lower"], found["proved"])
        for found in json.loads(ran.stdout)
    ]


@functools.lru_cache(maxsize=64)
def optimum(params: model.Params) -> int | None:
    """The least makespan of the instance that the parameters name.

    It is known of the instances that ship, and computed for those in files. None for random instances, and where the
    search ends without a proof. No non-delay schedule need reach it.
    """
    instance = model.fixed_instance(params)
    if instance is None:
        return None
    if params.instance in library.names():
        return library.optimal_makespans().get(params.instance)
    (found,) = solve([instance])
    return found.makespan if found is not None and found.proved else None
