"""The job-shop problem for OR-Tools' CP-SAT, as a program of its own: `exact` runs it in another process.

TensorFlow and OR-Tools bring different builds of the same C++ libraries; CP-SAT crashes in a process that has imported
TensorFlow first. So this file imports nothing of ours. JSON on standard input, `{"instances": [{"machines",
"durations"}], "effort_seconds"}`, and on standard output: for each instance `{"starts", "makespan", "lower",
"proved"}`, or null if no schedule was found.
"""

import json
import sys
from typing import Any

from ortools.sat.python import cp_model

SEARCH_SEED = 0


def solve(machines: list[list[int]], durations: list[list[int]], effort_seconds: float) -> dict[str, Any] | None:
    """The best schedule that a search of bounded effort finds, on one thread and reproducible."""
    horizon = sum(map(sum, durations))
    program = cp_model.CpModel()
    end = program.new_int_var(0, horizon, "")
    starts: list[list[cp_model.IntVar]] = []
    on: list[list[cp_model.IntervalVar]] = [[] for _ in machines[0]]
    for order, lengths in zip(machines, durations, strict=True):
        job = [program.new_int_var(0, horizon, "") for _ in order]
        for start, following, machine, length in zip(job, [*job[1:], end], order, lengths, strict=True):
            on[machine].append(program.new_fixed_size_interval_var(start, length, ""))
            program.add(start + length <= following)
        starts.append(job)
    for intervals in on:
        program.add_no_overlap(intervals)
    program.minimize(end)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = SEARCH_SEED
    solver.parameters.linearization_level = 0  # linear relaxations say little here and take most of the time
    solver.parameters.max_deterministic_time = effort_seconds
    status = solver.solve(program)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return {
        "starts": [[solver.value(start) for start in job] for job in starts],
        "makespan": round(solver.objective_value),
        "lower": round(solver.best_objective_bound),
        "proved": status == cp_model.OPTIMAL,
    }


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    found = [solve(one["machines"], one["durations"], asked["effort_seconds"]) for one in asked["instances"]]
    json.dump(found, sys.stdout)
