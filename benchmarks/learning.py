"""How near the optimum the lost-sales presets come: `make bench-learning` writes LEARNING.md.

Each training is the preset's, by the product's own parts, in one process: a second seed needs no second compilation.
What is in learning.json already is not trained again.
"""

import argparse
import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, tables
from trainer import backend
from trainer.config import load, overrides, presets
from trainer.config.models import RunFile
from trainer.run import files

FOLDER = Path(__file__).parent
PRESETS = {"lost-sales-ppo": 0.05, "lost-sales-ppo-plain": 0.5}
"""The presets, and the mean gap in percent that each aims at on L=4, p=4."""
SEEDS = (1, 2, 3, 4, 5)
"""Training seeds. Seed 0 is left out: hyperparameters were chosen on it."""
TABLE_SEEDS = (1, 2, 3)
LEAD_TIMES, SHORTAGE_COSTS = (1, 2, 3, 4), (4, 9, 19)
CALL = 16
"""Iterations of one call."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One task for one preset."""

    preset: str
    lead_time: int
    shortage_cost: int

    @property
    def name(self) -> str:
        """Its key in learning.json."""
        return f"{self.preset}/L{self.lead_time}p{self.shortage_cost}"

    @property
    def main(self) -> bool:
        """Whether it is the task that the presets are tuned on."""
        return (self.lead_time, self.shortage_cost) == (4, 4)

    def run_file(self) -> RunFile:
        """The preset for this task; rewards are scaled to the order of one by 1 / (1 + p), as in the preset."""
        settings = (
            f"env.parameters.lead_time_periods={self.lead_time}",
            f"env.parameters.lost_sale_cost_per_unit={float(self.shortage_cost)}",
            f"agent.reward_scale={1 / (1 + self.shortage_cost)!r}",
        )
        return load.validate(overrides.apply(presets.data(self.preset), settings))


def cases() -> list[Case]:
    """All of them, the ones that have an aim first."""
    every = [Case(preset, lead, cost) for preset in PRESETS for cost in SHORTAGE_COSTS for lead in LEAD_TIMES]
    return sorted(every, key=lambda case: not case.main)


def fingerprint(run_file: RunFile) -> str:
    """Tells whether a result in learning.json is of these settings."""
    settings = run_file.model_dump(mode="json", include={"env", "agent", "budget"})
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def missing(results: dict[str, Any], case: Case, seeds: Iterable[int]) -> list[int]:
    """Seeds that are still to be trained."""
    entry = results.get(case.name, {})
    done = entry.get("gaps", {}) if entry.get("settings") == fingerprint(case.run_file()) else {}
    return [seed for seed in seeds if str(seed) not in done]


def train(case: Case, seeds: list[int], results: dict[str, Any], save: Callable[[], None]) -> None:
    """Train some seeds of a case, and put each result into `results` as soon as it is there."""
    import tensorflow as tf

    from envs.inventory import baselines
    from trainer import target as targets
    from trainer.iteration import TensorTraining

    run_file = case.run_file()
    target = targets.Target.of(run_file)
    env = target.env
    assert env is not None
    optimum = env.optimum()
    assert optimum is not None
    entry = results.get(case.name)
    if entry is None or entry["settings"] != fingerprint(run_file):
        entry = results[case.name] = {
            "settings": fingerprint(run_file),
            "optimum": optimum,
            "env_steps": run_file.iterations * run_file.agent.batch_size,
            "told": targets.told(run_file.agent, env),
            "baseline_gaps": {
                "base-stock": baselines.cost(env.params, baselines.best_base_stock(env.params)) / optimum - 1,
                "capped base-stock": baselines.cost(env.params, baselines.best_capped_base_stock(env.params)) / optimum
                - 1,
            },
            "gaps": {},
            "seconds": {},
        }
    training = TensorTraining(env, run_file.agent, run_file.iterations, seeds[0])
    policy = training.learner.policy(greedy=True)
    spec = tf.TensorSpec([None, *env.observation_space.shape], tf.float32)
    greedy = tf.function(lambda x: policy(x, None, None), input_signature=[spec], autograph=False)
    training.run(1)  # compiles
    for seed in seeds:
        training.restart(seed)
        began, cpu_began = time.perf_counter(), time.process_time()
        for done in range(0, run_file.iterations, CALL):
            training.run(min(CALL, run_file.iterations - done))
            tables.progress(f"{case.name} seed {seed}: {min(1, (done + CALL) / run_file.iterations):.0%}")
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - cpu_began
        exact = env.exact_score(lambda states: np.asarray(greedy(tf.constant(states, tf.float32))))
        entry["gaps"][str(seed)] = exact.score / optimum - 1 if exact is not None else None
        entry["seconds"][str(seed)] = {"wall": seconds, "cpu": cpu_seconds}
        save()
        gap = "not finite" if exact is None else f"{100 * (exact.score / optimum - 1):.3f} %"
        tables.say(f"{case.name} seed {seed}: gap {gap}, {seconds:.1f} s")


def page(results: dict[str, Any], about: dict[str, Any]) -> str:
    """LEARNING.md."""
    lines = [
        "# Learning quality: lost sales",
        "",
        "Made by `make bench-learning`; the figures are in learning.json.",
        "",
        f"Machine: {machine.words(about)}.",
        "",
        "The task is lost-sales inventory with lead time L, Poisson demand of mean 5, holding cost 1 and shortage",
        "cost p per unit ([Zipkin 2008](https://doi.org/10.1287/opre.1070.0471)). A gap is how much more the greedy",
        "policy costs per period than the optimal one, in percent. Both costs are exact: value iteration on the states",
        "that the policy reaches, and on all states. Nothing is estimated by simulation.",
        "",
        "## L=4, p=4",
        "",
    ]
    rows = []
    for preset, aim in PRESETS.items():
        entry = results.get(Case(preset, 4, 4).name)
        gaps = percent(entry, SEEDS)
        if entry is None or not gaps:
            continue
        seconds = [entry["seconds"][str(s)]["wall"] for s in SEEDS if str(s) in entry["seconds"]]
        rows.append(
            [
                f"`{preset}`",
                f"{np.mean(gaps):.3f}",
                f"{min(gaps):.3f} to {max(gaps):.3f}",
                f"{aim:g}",
                str(len(gaps)),
                f"{entry['env_steps'] / 1e6:.2f} M",
                f"{np.median(seconds):.0f}",
            ]
        )
    head = ["preset", "mean gap, %", "best to worst", "aim", "seeds", "environment steps", "training, s"]
    lines += [*tables.markdown(head, rows), "", "Compilation (once, some seconds) is not in the training time.", ""]
    lines += ["For comparison, on the same task:", ""]
    lines += tables.markdown(["policy", "gap, %", "source"], anchors(results))
    lines += ["", "## What the agent was told", ""]
    for preset in PRESETS:
        entry = results.get(Case(preset, 4, 4).name)
        if entry is not None:
            lines += [f"`{preset}`:", "", *(f"- {sentence}" for sentence in entry["told"]), ""]
    lines += [
        "So `lost-sales-ppo` knows the demand's law, and its figures do not compare with those of methods that learn",
        "from samples alone. Deep Controlled Learning uses a simulator of the task too. `lost-sales-ppo-plain` learns",
        "from sampled costs alone, as A3C did.",
        "",
        "## The same settings on other tasks",
        "",
        "Mean gap in percent over the seeds (the worst in brackets). Only the reward's scale follows the task:",
        "1 / (1 + p).",
        "",
    ]
    rows = []
    for cost in SHORTAGE_COSTS:
        for lead in LEAD_TIMES:
            row = [str(cost), str(lead)]
            entries = [results.get(Case(preset, lead, cost).name) for preset in PRESETS]
            known = next((entry for entry in entries if entry is not None), None)
            if known is None:
                continue
            row.append(f"{known['optimum']:.3f}")
            row += [f"{100 * gap:.2f}" for gap in known["baseline_gaps"].values()]
            for entry in entries:
                gaps = percent(entry, SEEDS)
                row.append(f"{np.mean(gaps):.3f} ({max(gaps):.3f}), {len(gaps)} seeds" if gaps else "-")
            rows.append(row)
    head = ["p", "L", "optimal cost", "best base-stock", "best capped base-stock", *(f"`{p}`" for p in PRESETS)]
    return "\n".join([*lines, *tables.markdown(head, rows), ""])


def percent(entry: dict[str, Any] | None, seeds: Iterable[int]) -> list[float]:
    """Gaps of the seeds that are there, in percent; infinite where a policy has no finite cost."""
    gaps = {} if entry is None else entry["gaps"]
    found = [gaps[str(seed)] for seed in seeds if str(seed) in gaps]
    return [float("inf") if gap is None else 100 * gap for gap in found]


def anchors(results: dict[str, Any]) -> list[list[str]]:
    """Rows of published and computed policies on L=4, p=4."""
    entry = next((results[Case(p, 4, 4).name] for p in PRESETS if Case(p, 4, 4).name in results), None)
    computed = [] if entry is None else entry["baseline_gaps"].items()
    return [
        *([f"best {name}", f"{100 * gap:.1f}", "computed here, exactly"] for name, gap in computed),
        ["A3C", "3 to 7", "[Gijsbrechts et al. 2022](https://doi.org/10.1287/msom.2021.1064)"],
        ["Deep Controlled Learning", "at most 0.2", "[Temizöz et al. 2020](https://arxiv.org/abs/2011.15122)"],
    ]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__)
    parser.add_argument("--main-only", action="store_true", help="only L=4, p=4, which the aims are for")
    parser.add_argument("--json", type=Path, default=FOLDER / "learning.json", help="where results are kept")
    parser.add_argument("--page", type=Path, default=FOLDER / "LEARNING.md", help="where the page is written")
    arguments = parser.parse_args()
    backend.prepare()
    results: dict[str, Any] = files.read_json(arguments.json)["cases"] if arguments.json.exists() else {}

    def save() -> None:
        about = machine.about()
        files.write_json(arguments.json, {"format": 1, "machine": about, "cases": results})
        files.write(arguments.page, page(results, about).encode())

    for case in cases():
        if arguments.main_only and not case.main:
            continue
        seeds = missing(results, case, SEEDS if case.main else TABLE_SEEDS)
        if seeds:
            train(case, seeds, results, save)
    save()
    sys.stdout.write(arguments.page.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
