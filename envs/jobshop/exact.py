"""The best makespan of an instance, by constraint programming (OR-Tools' CP-SAT). Imports no TensorFlow."""

import functools
from typing import NamedTuple

import numpy as np
from ortools.sat.python import cp_model

from envs.jobshop import library, model
from envs.jobshop.schedule import Instance, Integers

EFFORT_SECONDS = 20.0
"""Deterministic time of a search: it counts work done, about a second each on the kind of machine it was tuned on, so
that the same search gives the same answer everywhere."""
SEARCH_SEED = 0


class Solution(NamedTuple):
    """The best schedule that was found, and what is proved of it."""

    starts: Integers  # int64 [J, M], in the order of `Instance`
    makespan: int
    lower: int  # no schedule is shorter
    proved: bool  # whether the makespan is the least


def solve(instance: Instance, effort_seconds: float = EFFORT_SECONDS) -> Solution | None:
    """The best schedule that a search of bounded effort finds; None if it finds none at all.

    Args:
        instance: what is to be done.
        effort_seconds: deterministic time to spend at most.
    """
    horizon = int(instance.durations.sum())
    program = cp_model.CpModel()
    shape = instance.durations.shape
    starts = {at: program.new_int_var(0, horizon, "") for at in np.ndindex(shape)}
    end = program.new_int_var(0, horizon, "")
    on: list[list[cp_model.IntervalVar]] = [[] for _ in range(instance.machine_count)]
    for job, operation in np.ndindex(shape):
        duration = int(instance.durations[job, operation])
        start = starts[job, operation]
        on[instance.machines[job, operation]].append(program.new_fixed_size_interval_var(start, duration, ""))
        program.add(start + duration <= starts.get((job, operation + 1), end))
    for intervals in on:
        program.add_no_overlap(intervals)
    program.minimize(end)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = SEARCH_SEED
    solver.parameters.max_deterministic_time = effort_seconds
    status = solver.solve(program)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    found = np.array([solver.value(starts[at]) for at in np.ndindex(shape)], np.int64).reshape(shape)
    lower = round(solver.best_objective_bound)
    return Solution(found, round(solver.objective_value), lower, status == cp_model.OPTIMAL)


@functools.lru_cache(maxsize=64)
def optimum(params: model.Params) -> int | None:
    """The least makespan of the instance that the parameters name.

    It is known of the instances that ship, and computed for those in files. None for random instances, and where the
    search ends without a proof. No non-delay schedule need reach it.
    """
    instance = model.fixed_instance(params)
    if instance is None:
        return None
    known = library.optimal_makespans().get(params.instance)
    if known is not None:
        return known
    found = solve(instance)
    return found.makespan if found is not None and found.proved else None
