"""LEARNING.md from learning.json."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from benchmarks import machine, tables
from benchmarks.learning import cases, record
from benchmarks.learning.cases import Case, Measure
from benchmarks.learning.record import Entry
from benchmarks.learning.tasks import TASKS, Task
from trainer.evaluation.statistics import CONFIDENCE, crossed_mean

HEAD = [
    "preset",
    "measure",
    "mean",
    "worst to best",
    "95 % interval",
    "aim",
    "",
    "seeds",
    "environment steps",
    "processor s",
    "wall s",
]
INTRODUCTION = """# Learning quality

Made by `make bench-learning`; the figures are in learning.json.

Each preset is trained on the seeds 1 to 5 (1 to 3 in tables beside the main one); hyperparameters were chosen on
others. A figure is the greedy policy's at the end of training, and the mean over training seeds; *worst to best* is
over training seeds. The 95 % interval of a mean over held-out episodes draws training seeds and held-out seeds anew
(the pigeonhole bootstrap that groups of runs are evaluated by); of exact figures, and of fixed instances, it is
Student's, over training seeds. Held-out seeds, worlds and instances are not met in training. "Within the interval" says
that the mean misses the aim and the interval holds it.

Times are of one seed's training without measuring it, medians over seeds; compilation is left out where the
environment is compiled too, and in it where the environment is Gymnasium's. The training had one core, and other work
went on beside it: compare **processor seconds**, not wall seconds."""


class Summary(NamedTuple):
    """One measure over the seeds, in shown units."""

    mean: float
    worst: float
    best: float
    low: float | None
    high: float | None
    seeds: int


def summary(entry: Entry | None, case: Case, measure: Measure) -> Summary | None:
    """What the seeds that are there came to; None if there are none."""
    found = _finished(entry, case)
    values = [each["values"].get(measure.key) for each in found]
    if not values:
        return None
    bad = -np.inf if measure.higher else np.inf
    shown = np.array([bad if value is None else measure.factor * value for value in values])
    worst, best = sorted((shown.min(), shown.max()), reverse=not measure.higher)
    if not np.isfinite(shown).all():
        return Summary(float(shown.mean()), worst, best, None, None, len(shown))
    if measure.key == "score" and all("held_out" in each for each in found):
        _, low, high = crossed_mean(measure.factor * np.array([each["held_out"] for each in found]))
        return Summary(float(shown.mean()), worst, best, low, high, len(shown))
    low, high = (None, None) if len(shown) < 2 else _student(shown.tolist())
    return Summary(float(shown.mean()), worst, best, low, high, len(shown))


def verdict(found: Summary | None, measure: Measure, wanted: int) -> str:
    """Whether an aim is reached, in words."""
    if found is None:
        return "not measured yet"
    words = ""
    if measure.aim is not None:
        within = found.low is not None and found.high is not None and found.low <= measure.aim <= found.high
        beyond = found.mean >= measure.aim if measure.higher else found.mean <= measure.aim
        # A figure counts as it is shown.
        beyond |= f"{found.mean:.{measure.digits}f}" == f"{measure.aim:.{measure.digits}f}"
        words = "reached" if beyond or (within and measure.in_interval) else "not reached"
        if words == "not reached" and within:
            words = "not reached; within the interval"
    if found.seeds < wanted:
        words += f"{', ' if words else ''}{found.seeds} of {wanted} seeds so far"
    return words


def page(entries: Mapping[str, Entry], plots: Mapping[str, str]) -> str:
    """LEARNING.md.

    Args:
        entries: by case name.
        plots: the path of each task's plot, from the page, by the task's key.
    """
    valid = {case.name: entry for case in cases.CASES if (entry := _valid(entries, case)) is not None}
    lines = [INTRODUCTION, "", *_machines(valid.values()), "", *_overview(valid)]
    for task in TASKS:
        lines += ["", *_section(task, valid, plots.get(task.key))]
    return "\n".join([*lines, "", *_again()]) + "\n"


def _section(task: Task, entries: Mapping[str, Entry], plot: str | None) -> list[str]:
    lines = [f"## {task.title}", "", task.text, ""]
    rows = [row for case in cases.of_task(task.key) for row in _rows(case, entries.get(case.name))]
    lines += tables.markdown(HEAD, rows) if rows else ["No preset yet."]
    lines += ["", "For comparison:", ""]
    lines += tables.markdown(
        ["policy", "figure", "source"], [[each.policy, each.figure, each.source] for each in task.anchors]
    )
    if plot is not None:
        alternative = f"Learning curves on {task.title}: the mean over training seeds, its band and the aim"
        lines += ["", f"![{alternative}]({plot})"]
    tried = [f"- `{case.name}`: {case.tried}" for case in cases.of_task(task.key) if case.tried]
    if tried:
        lines += ["", "What was tried to reach the aims:", "", *tried]
    lines += _told(task, entries)
    if cases.of_task(task.key, main=False):
        lines += _grid(entries)
    return lines


def _rows(case: Case, entry: Entry | None) -> list[list[str]]:
    rows = []
    for number, measure in enumerate(case.measures):
        found, first = summary(entry, case, measure), number == 0
        failed = _failed(entry, case)
        said = verdict(found, measure, len(case.seeds) - failed)
        if failed:
            said += f"{', ' if said else ''}{failed} of {len(case.seeds)} seeds failed"
        if found is None or entry is None:
            rows.append([f"`{case.preset}`", measure.name, *["-"] * 3, _aim(measure), said, *["-"] * 4])
            continue
        number_of = f".{measure.digits}f"
        interval = "-" if found.low is None else f"{found.low:{number_of}} to {found.high:{number_of}}"
        seconds = [_median(_finished(entry, case), name) for name in ("cpu_seconds", "wall_seconds")]
        rows.append(
            [
                f"`{case.preset}`" if first else "",
                measure.name,
                f"{found.mean:{number_of}}",
                f"{found.worst:{number_of}} to {found.best:{number_of}}",
                interval,
                _aim(measure),
                said,
                *([str(found.seeds), _steps(entry["env_steps"]), *seconds] if first else [""] * 4),
            ]
        )
    return rows


def _overview(entries: Mapping[str, Entry]) -> list[str]:
    """How many aims are reached, and which are not."""
    reached, missed, waiting, early = [], [], [], 0
    for case in cases.CASES:
        for measure in case.measures:
            if measure.aim is None:
                continue
            entry = entries.get(case.name)
            found = summary(entry, case, measure)
            said = verdict(found, measure, len(case.seeds) - _failed(entry, case))
            label = f"`{case.name}` ({measure.name})"
            if found is None:
                waiting.append(label)
            elif said.startswith("reached"):
                reached.append(label)
                early += "so far" in said
            else:
                missed.append(f"{label}: {found.mean:.{measure.digits}f} for {_aim(measure)}")
    count = len(reached) + len(missed) + len(waiting)
    few = f", {early} of them by fewer seeds so far than planned" if early else ""
    lines = [f"Of {count} aims, {len(reached)} are reached{few}."]
    if missed:
        lines += ["", "Not reached:", "", *(f"- {each}" for each in missed)]
    if waiting:
        lines += ["", f"Not measured yet: {', '.join(waiting)}."]
    return lines


def _told(task: Task, entries: Mapping[str, Entry]) -> list[str]:
    """What agents were told beyond samples; those that were told the same stand together."""
    told: dict[tuple[str, ...], list[str]] = {}
    for case in cases.of_task(task.key):
        if case.name in entries and entries[case.name]["told"]:
            told.setdefault(tuple(entries[case.name]["told"]), []).append(f"`{case.preset}`")
    lines = []
    for sentences, names in told.items():
        lines += ["", f"What {' and '.join(dict.fromkeys(names))} learned from besides samples:", ""]
        lines += [f"- {sentence}" for sentence in sentences]
    if lines and task.key == "lost-sales":
        lines += [
            "",
            "So `lost-sales-ppo` knows the demand's law, and its figures do not compare with those of methods that",
            "learn from samples alone. Deep Controlled Learning uses a simulator of the task too. The other presets",
            "learn from sampled costs alone, as A3C did.",
        ]
    return lines


def _grid(entries: Mapping[str, Entry]) -> list[str]:
    """The lost-sales presets on other lead times and costs."""
    rows = []
    for cost in cases.SHORTAGE_COSTS:
        for lead in cases.LEAD_TIMES:
            name = f"L{lead}p{cost}"
            pair = [case for preset in cases.LOST_SALES_GRID for case in cases.CASES if case.name == f"{preset}/{name}"]
            known = next((entries[case.name] for case in pair if case.name in entries), None)
            if known is None:
                continue
            row = [str(cost), str(lead), f"{known['optimum']:.3f}"]
            row += [f"{100 * gap:.2f}" for gap in known["baseline_gaps"].values()]
            for case in pair:
                found = summary(entries.get(case.name), case, case.measures[0])
                row.append("-" if found is None else f"{found.mean:.3f} ({found.worst:.3f}), {found.seeds} seeds")
            rows.append(row)
    head = ["p", "L", "optimal cost", "best base-stock", "best capped base-stock"]
    return [
        "",
        "### The same settings on other tasks",
        "",
        "Mean gap in percent over the seeds (the worst in brackets). Only the reward's scale follows the task:",
        "1 / (1 + p).",
        "",
        *tables.markdown([*head, *(f"`{preset}`" for preset in cases.LOST_SALES_GRID)], rows),
    ]


def _again() -> list[str]:
    return [
        "## Measuring again",
        "",
        "- `make bench-learning` goes on where it stopped: what learning.json holds under the same settings stays.",
        "- `.venv/bin/python -m benchmarks.learning --list` names what there is, with what it takes.",
        "- `.venv/bin/python -m benchmarks.learning --only NAME` measures a preset, or a task's presets.",
        "- `slipway train PRESET --seeds 5 --set seed=1` is the same training as a run, with a report.",
    ]


def _machines(entries: Iterable[Entry]) -> list[str]:
    """The machines that the figures come from, and how busy they were."""
    kept = list(entries)
    kinds = sorted({machine.kind(entry["machine"]) for entry in kept})
    loads = [
        each["load_average"]
        for entry in kept
        for each in entry["seeds"].values()
        if each.get("load_average") is not None
    ]
    if not kinds:
        return ["Machine: nothing is measured yet."]
    busy = f" Load average when a training began: {tables.middle(loads)}." if loads else ""
    return [f"Machine: {'; '.join(kinds)}.{busy}"]


def _valid(entries: Mapping[str, Entry], case: Case) -> Entry | None:
    """The case's entry if its settings are today's."""
    entry = entries.get(case.name)
    return entry if entry is not None and record.same(entry["settings"], case) else None


def _finished(entry: Entry | None, case: Case) -> list[dict]:
    seeds = {} if entry is None else entry["seeds"]
    return [seeds[str(seed)] for seed in case.seeds if "values" in seeds.get(str(seed), {})]


def _failed(entry: Entry | None, case: Case) -> int:
    seeds = {} if entry is None else entry["seeds"]
    return sum("failed" in seeds.get(str(seed), {}) for seed in case.seeds)


def _student(values: Sequence[float]) -> tuple[float, float]:
    """Student's interval of a mean."""
    mean, error = statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return mean - half, mean + half


def _aim(measure: Measure) -> str:
    if measure.aim is None:
        return "-"
    if measure.in_interval:
        return f"{measure.aim:g} in the interval"
    return f"{'at least' if measure.higher else 'at most'} {measure.aim:g}"


def _median(found: Sequence[dict], name: str) -> str:
    return f"{statistics.median(each[name] for each in found):.0f}"


def _steps(count: int) -> str:
    return f"{count / 1e6:.2f} M" if count >= 1e6 else f"{count / 1e3:.0f} k"
