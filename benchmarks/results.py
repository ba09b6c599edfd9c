"""From measured rows to RESULTS.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, tables

Row = dict[str, Any]
NOTES = Path(__file__).with_name("notes.md")
"""What moved each figure: written by people."""


def brief(row: Row) -> str:
    """A row's main figure."""
    if row["kind"] == "speed":
        return f"{row['steps_per_second']:,.0f} steps/s"
    if row["kind"] == "solve":
        reached = "" if row["solved"] else " (not reached)"
        return f"{row['solve_seconds']:.2f} s, {row['solve_steps']:,} steps{reached}"
    return f"{row['wall_seconds']:.2f} s"


def values(rows: Sequence[Row], kind: str, setting: str, program: str, figure: str) -> list[float]:
    """One figure in the order of rounds."""
    found = [row for row in rows if (row["kind"], row["setting"], row["program"]) == (kind, setting, program)]
    return [row[figure] for row in sorted(found, key=lambda row: row["round"])]


def pairs(rows: Sequence[Row], kind: str) -> list[tuple[str, str]]:
    """(setting, peer) that were measured, in the order of settings."""
    seen = sorted({(row["setting"], row["program"]) for row in rows if row["kind"] == kind})
    found = [(setting, program) for setting, program in seen if program in ("sb3", "jax")]
    return sorted(found, key=lambda pair: (pair[1] != "sb3", int(pair[0].split("-")[1].split("x")[0])))


def speed_table(rows: Sequence[Row]) -> list[str]:
    """Steps per second and how many times the peer's."""
    body = []
    for setting, peer in pairs(rows, "speed"):
        ours = values(rows, "speed", setting, "slipway", "steps_per_second")
        theirs = values(rows, "speed", setting, peer, "steps_per_second")
        compile_seconds = [
            tables.middle(values(rows, "speed", setting, program, "compile_seconds")) for program in ("slipway", peer)
        ]
        body.append(
            [
                f"{setting} against {peer}",
                tables.middle(ours),
                tables.middle(theirs),
                f"**{tables.middle(tables.ratios(ours, theirs))}**",
                *compile_seconds,
            ]
        )
    head = ["setting", "Slipway, steps/s", "peer, steps/s", "ratio", "Slipway's compilation, s", "peer's, s"]
    return tables.markdown(head, body)


def solve_table(rows: Sequence[Row]) -> list[str]:
    """Training time to a solved task."""
    body = []
    for setting, peer in pairs(rows, "solve"):
        cells = [f"{setting} against {peer}"]
        for program in ("slipway", peer):
            own = [row for row in rows if (row["kind"], row["setting"], row["program"]) == ("solve", setting, program)]
            solved = [row for row in own if row["solved"]]
            cells += [
                tables.middle([row["solve_seconds"] for row in solved]),
                tables.middle([row["solve_steps"] / 1000 for row in solved]),
                f"{len(solved)} of {len(own)}",
            ]
        body.append(cells)
    head = ["setting", "Slipway, s", "thousand steps", "solved", "peer, s", "thousand steps", "solved"]
    return tables.markdown(head, body)


def process_table(rows: Sequence[Row]) -> list[str]:
    """Whole processes."""
    body = []
    sb3 = next((row["setting"] for row in rows if (row["kind"], row["program"]) == ("job", "sb3")), None)
    for kind, program in dict.fromkeys((row["kind"], row["program"]) for row in rows):
        if kind not in ("job", "train", "help"):
            continue
        setting = "-" if kind == "help" else sb3 or "-"
        wall = values(rows, kind, setting, program, "wall_seconds")
        peer = values(rows, "job", setting, "sb3", "wall_seconds")
        ratio = tables.middle(tables.ratios(peer, wall)) if kind != "help" and peer else "-"
        body.append([program, tables.middle(wall), ratio])
    return tables.markdown(["process", "wall time, s", "times as fast as sb3"], sorted(body))


def versions(rows: Sequence[Row]) -> str:
    """What was measured, in words."""
    found: dict[str, str] = {}
    for row in rows:
        found |= row.get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def page(about: dict[str, Any], rows: Sequence[Row]) -> str:
    """RESULTS.md."""
    rounds = 1 + max(row["round"] for row in rows)
    lines = [
        "# Slipway beside its peers",
        "",
        "Made by `make bench`; every figure of every round is in results.json. README.md says how it is measured.",
        "",
        f"Machine: {machine.words(about)}. Each program is pinned to processors {about['pinned_to']}.",
        f"Versions: {versions(rows)}.",
        "",
        f"Medians over {rounds} round{'s' * (rounds > 1)} (lowest to highest). Ratios are taken round by round: judge",
        "by them, as absolute speeds follow the machine.",
        "",
        "## Speed of training",
        "",
        "Environment steps a second, compilation apart. Slipway's graphs come from its compilation cache where they",
        "can.",
        "",
        *speed_table(rows),
        "",
    ]
    if pairs(rows, "solve"):
        lines += [
            "## Time to a solved task",
            "",
            "Training time until the greedy policy's mean return over 100 episodes of Gymnasium's own CartPole-v1 is",
            "at least 475: compilation apart, evaluations not counted, the same evaluation schedule for both. One seed",
            "a round, so the spread is the seeds'. Time and steps are of the seeds that got there.",
            "",
            *solve_table(rows),
            "",
        ]
    if not any(row["kind"] in ("job", "train", "help") for row in rows):
        return "\n".join([*lines, *notes()])
    lines += [
        "## Whole processes",
        "",
        "From an empty process to its end: imports, compilation, the zoo's 100,000 steps, and one evaluation over 100",
        "episodes of the real environment. `slipway train` also checkpoints, evaluates on held-out seeds with",
        "baselines, exports a SavedModel, checks it in a fresh process, and writes the report.",
        "",
        *process_table(rows),
        "",
    ]
    return "\n".join([*lines, *notes()])


def notes() -> list[str]:
    """What people say about the figures."""
    return ["## What moved each figure", "", NOTES.read_text(encoding="utf-8").strip(), ""]
