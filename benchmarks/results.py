"""From measured rows to RESULTS.md."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, tables
from benchmarks.settings import LIDAR, OFF_POLICY
from benchmarks.stores import KINDS as STORE_KINDS
from benchmarks.stores import page as stores

Row = dict[str, Any]
Measured = dict[str, dict[str, Any]]
NOTES = Path(__file__).with_name("notes.md")
"""What moved each figure: written by people."""


def brief(row: Row) -> str:
    """A row's main figure."""
    if row["kind"] == "speed":
        return f"{row['steps_per_second']:,.0f} steps/s"
    if row["kind"] == "solve":
        reached = "" if row["solved"] else " (not reached)"
        return f"{row['solve_seconds']:.2f} s, {row['solve_steps']:,} steps{reached}"
    if row["kind"] == "env-steps":
        at = ", ".join(f"{tables.digits(value)} at {count}" for count, value in row["steps_per_second_at"].items())
        return f"{at} steps/s"
    if row["kind"] in ("off-policy", "lidar"):
        return f"{row['steps_per_second']:,.0f} steps/s"
    if row["kind"] in STORE_KINDS:
        return stores.brief(row)
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


def env_steps_table(rows: Sequence[Row]) -> list[str]:
    """Steps per second of each task at each number of environments, and how many times Gymnasium's."""
    own = [row for row in rows if row["kind"] == "env-steps"]
    body = []
    for task in sorted({row["setting"] for row in own}):
        counts = next(row for row in own if row["setting"] == task)["steps_per_second_at"]
        for count in counts:

            def of(program: str, figure: str, task: str = task, count: str = count) -> list[Any]:
                return [each[count] for each in values(own, "env-steps", task, program, figure)]

            ours, theirs = of("slipway", "steps_per_second_at"), of("gymnasium", "steps_per_second_at")
            ways = ", ".join(dict.fromkeys(of("gymnasium", "fastest_at")))
            ratio = f"**{tables.middle(tables.ratios(ours, theirs))}**" if theirs else "-"
            number = f"{int(count):,}"
            body.append([task, number, tables.middle(ours), tables.middle(theirs), ways or "-", ratio])
    head = ["task", "environments", "Slipway, steps/s", "Gymnasium, steps/s", "its fastest way", "ratio"]
    return tables.markdown(head, body)


def off_policy_table(rows: Sequence[Row]) -> list[str]:
    """Steps per second, learning included, and how many times Stable-Baselines3's."""
    body = []
    for setting in OFF_POLICY:
        compiled, gym, sb3 = (
            values(rows, "off-policy", setting, program, "steps_per_second")
            for program in ("slipway", "slipway on gymnasium", "sb3")
        )
        if compiled:
            ratio = [f"**{tables.middle(tables.ratios(ours, sb3))}**" for ours in (compiled, gym)]
            body.append([setting, *map(tables.middle, (compiled, gym, sb3)), *ratio])
    head = [
        "setting",
        "tensor environment, steps/s",
        "Gymnasium's, steps/s",
        "sb3, steps/s",
        "ratio",
        "ratio on Gymnasium's",
    ]
    return tables.markdown(head, body)


def lidar_table(rows: Sequence[Row]) -> list[str]:
    """Steps per second of the whole training, compiled and stepped singly."""
    ours, single = (values(rows, "lidar", LIDAR, program, "steps_per_second") for program in ("slipway", "single"))
    ratio = f"**{tables.middle(tables.ratios(ours, single))}**"
    return tables.markdown(
        ["compiled, steps/s", "stepped singly, steps/s", "ratio"], [[tables.middle(ours), tables.middle(single), ratio]]
    )


def versions(rows: Sequence[Row]) -> str:
    """What was measured, in words."""
    found: dict[str, str] = {}
    for row in rows:
        found |= row.get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in sorted(found.items()))


def section(measured: Measured, rows: Sequence[Row], title: str, kinds: tuple[str, ...], *body: str) -> list[str]:
    """A section of the page: what it was measured on, and its words and table; nothing if it was not measured."""
    own = [row for row in rows if row["kind"] in kinds]
    if not own:
        return []
    lines = [f"## {title}", "", *body, ""]
    for about, named in _grouped(measured, [kind for kind in kinds if any(row["kind"] == kind for row in own)]):
        part = [row for row in own if row["kind"] in named]
        rounds = 1 + max(row["round"] for row in part)
        when = f" at {about['measured_at']}" if "measured_at" in about else ""
        which = f" ({', '.join(named)})" if len(named) < len({row["kind"] for row in own}) else ""
        lines += [
            f"Measured{which} over {rounds} round{'s' * (rounds > 1)}{when} on {machine.words(about)};"
            f" pinned to processors {about['pinned_to']}; {versions(part)}.",
            "",
        ]
    return lines


def _grouped(measured: Measured, kinds: Sequence[str]) -> list[tuple[dict[str, Any], list[str]]]:
    """Kinds that were measured together, on what."""
    found: list[tuple[dict[str, Any], list[str]]] = []
    for kind in kinds:
        together = next((names for about, names in found if about == measured[kind]), None)
        if together is None:
            found.append((measured[kind], [kind]))
        else:
            together.append(kind)
    return found


def page(measured: Measured, rows: Sequence[Row]) -> str:
    """RESULTS.md.

    Args:
        measured: kind to what it was measured on.
        rows: of all kinds.
    """
    lines = [
        "# Slipway beside its peers",
        "",
        "Made by `make bench`; every figure of every round is in results.json. README.md says how it is measured.",
        "Medians over rounds (lowest to highest). Ratios are taken round by round: judge by them, as absolute speeds",
        "follow the machine.",
        "",
        *section(
            measured,
            rows,
            "Speed of training",
            ("speed",),
            "Environment steps a second, compilation apart. Slipway's graphs come from its compilation cache where",
            "they can.",
            "",
            *speed_table(rows),
        ),
        *section(
            measured,
            rows,
            "Time to a solved task",
            ("solve",),
            "Training time until the greedy policy's mean return over 100 episodes of Gymnasium's own CartPole-v1 is",
            "at least 475: compilation apart, evaluations not counted, the same evaluation schedule for both. One seed",
            "a round, so the spread is the seeds'. Time and steps are of the seeds that got there.",
            "",
            *solve_table(rows),
        ),
        *section(
            measured,
            rows,
            "Off-policy learning",
            ("off-policy",),
            "Environment steps a second, learning included, once it has begun: DQN, SAC and TD3 at the zoo's",
            "hyperparameters, the same networks, minibatches, replay and gradient steps for each environment step.",
            "Slipway on its tensor environment and on Gymnasium's own one; sb3 on Gymnasium's own.",
            "",
            *off_policy_table(rows),
        ),
        *section(
            measured,
            rows,
            "LiDAR navigation",
            ("lidar",),
            "Environment steps a second of PPO, learning included: 256 robots compiled, and one robot that is stepped",
            "in Python through Gymnasium, with the same networks, minibatches and passes over the data.",
            "",
            *(lidar_table(rows) if any(row["kind"] == "lidar" for row in rows) else []),
        ),
        *section(
            measured,
            rows,
            "Speed of environments",
            ("env-steps",),
            "Steps a second with actions by chance alone (allowed ones, where a task has masks), no learning: compiled",
            "rollouts, and Gymnasium's vector environment of the same task in its fastest way at that number.",
            "",
            *env_steps_table(rows),
        ),
        *section(
            measured,
            rows,
            "Whole processes",
            ("job", "train", "help"),
            "From an empty process to its end: imports, compilation, the zoo's 100,000 steps, and one evaluation over",
            "100 episodes of the real environment. `slipway train` also checkpoints, evaluates on held-out seeds with",
            "baselines, exports a SavedModel, checks it in a fresh process, and writes the report.",
            "",
            *process_table(rows),
        ),
        *store_sections(measured, rows),
    ]
    return "\n".join([*lines, *notes()])


def store_sections(measured: Measured, rows: Sequence[Row]) -> list[str]:
    """What keeping runs in a store costs; the first section says what the stores were."""
    lines: list[str] = []
    for kind, title, words, table in (
        (
            "store-overhead",
            "Checkpoints to a store: what they cost the training",
            stores.OVERHEAD,
            stores.overhead_table,
        ),
        ("store-commit", "Time to a committed checkpoint", stores.COMMIT, stores.commit_table),
        ("store-resume", "Resume on a cold machine", stores.RESUME, stores.resume_table),
        ("store-transfer", "Throughput to a store and back", stores.TRANSFER, stores.transfer_table),
    ):
        own = [row for row in rows if row["kind"] == kind]
        if own:
            late = (stores.late(own),) if kind == "store-overhead" else ()
            stood = (*stores.STAND_INS, stores.where(own)) if not lines else ()
            body = (*words, *stood, *late, "", *table(rows))
            lines += section(measured, rows, title, (kind,), *body)
    return lines


def notes() -> list[str]:
    """What people say about the figures."""
    return ["## What moved each figure", "", NOTES.read_text(encoding="utf-8").strip(), ""]
