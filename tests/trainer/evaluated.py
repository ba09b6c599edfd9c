"""Evaluated runs without training: run directories whose `evaluation.json` holds scores that a test chooses."""

import json

import numpy as np

from trainer.config import load
from trainer.run import group
from trainer.run.directory import RunDirectory
from trainer.store import resolve

LOST_SALES = {"id": "slipway/LostSales-v0", "parameters": {"lead_time_periods": 2}}
HELD_OUT = 20


def scores(mean, runs, between=0.05, within=0.03, seed=0, held_out=HELD_OUT):
    """Scores [runs, held-out seeds]: a part for the run, one for the held-out seed that all share, one for both."""
    own, shared = np.random.default_rng(seed), np.random.default_rng(99)
    return (
        mean
        + between * own.standard_normal((runs, 1))
        + 0.1 * shared.standard_normal((1, held_out))
        + within * own.standard_normal((runs, held_out))
    )


def write(store, name, table, env=LOST_SALES, **changes):
    """A run for a table of one row, or else a group; `changes` are put into each `evaluation.json`."""
    place, run_file = resolve(str(store)), load.validate({"env": env})
    if len(table) == 1:
        runs = [RunDirectory.create(place, name, run_file)]
    else:
        runs = group.members(group.create(place, name, group.with_seeds(run_file, len(table))))
    for number, (run, row) in enumerate(zip(runs, table, strict=True)):
        said = {
            "format": 1,
            "env_id": env["id"],
            "score": {"name": "cost", "unit": "per period", "sign": -1},
            "seeds": [2**30 + seed for seed in range(len(row))],
            "episodes_per_seed": 8,
            "policies": {"greedy": {"per_seed": list(map(float, row))}},
            "optimum": 4.0,
            "training_seed": number,
            "policy_step": 1000,
            **changes,
        }
        run.evaluation.write_text(json.dumps(said))
    return place.folder(name)
