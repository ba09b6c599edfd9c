"""Slipway beside its peers on this machine: `make bench` writes RESULTS.md and results.json.

Every measurement is a process of its own, pinned to the same processors with the same environment. Programs take turns
within a round, so that a machine whose speed drifts weighs on all alike; ratios are taken round by round.
"""

import argparse
import dataclasses
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine, results, stores, tables
from benchmarks.settings import GYMNASIUM, JAX, LIDAR, OFF_POLICY, SB3, SETTINGS, Setting
from benchmarks.timing import RESULT
from envs import registry
from trainer.run import files

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
Row = dict[str, Any]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
TIMEOUT_SECONDS = 900
KINDS = ("speed", "solve", "job", "train", "help", "env-steps", "off-policy", "lidar", *stores.KINDS)
"""Kinds of measurement. Each is kept with what it was measured on, so that they can be measured at different times."""
TOGETHER = ("job", "train")
"""Kinds in one table of ratios, which are measured in the same rounds."""
STORE_ROUNDS = 3
"""The most rounds of what is measured of stores: each of them has many measurements in it."""
PPO_KINDS = ("speed", "solve", "job", "train")
"""Those that a warm-up by whole processes comes before."""
PROGRAMS = {
    ("env-steps", "slipway"): (None, "env_steps.py", ()),
    ("env-steps", "gymnasium"): (None, "peers/gymnasium/env_steps.py", ()),
    ("off-policy", "slipway"): (None, "off_policy.py", ("--way", "tensor")),
    ("off-policy", "slipway on gymnasium"): (None, "off_policy.py", ("--way", "gymnasium")),
    ("off-policy", "sb3"): ("sb3", "peers/sb3/off_policy.py", ()),
    ("lidar", "slipway"): (None, "lidar.py", ("--way", "compiled")),
    ("lidar", "single"): (None, "lidar.py", ("--way", "single")),
    **{(kind, "slipway"): (None, f"stores/{kind.removeprefix('store-')}.py", ()) for kind in stores.KINDS},
}
"""For the kinds that are not PPO on CartPole: the peer whose Python runs a program, the program, and its options."""


@dataclasses.dataclass(frozen=True)
class Measurement:
    """One program in one setting, measured in one way."""

    kind: str
    setting: str
    program: str


def plan(quick: bool) -> list[Measurement]:
    """A round, programs that are compared next to each other."""
    compared: list[tuple[Setting, str]] = [(SB3, "sb3"), *((setting, "jax") for setting in JAX)]
    if quick:
        compared = [(SB3, "sb3"), (SETTINGS["purejaxrl-64x128"], "jax")]
    found = [
        Measurement(kind, setting.name, program)
        for kind in (["speed"] if quick else ["speed", "solve"])
        for setting, peer in compared
        for program in ("slipway", peer)
    ]
    whole = [Measurement("job", SB3.name, program) for program in ("slipway", "sb3", "jax", "slipway, nothing cached")]
    whole += [Measurement("train", SB3.name, "slipway train"), Measurement("help", "-", "slipway --help")]
    tasks = ["slipway/CartPole-v1", "slipway/LostSales-v0"] if quick else registry.names()
    steps = [
        Measurement("env-steps", task, program)
        for task in tasks
        for program in (("slipway", "gymnasium") if task in GYMNASIUM else ("slipway",))
    ]
    learning = [
        Measurement("off-policy", name, program)
        for name in (list(OFF_POLICY)[:1] if quick else OFF_POLICY)
        for program in ("slipway", "slipway on gymnasium", "sb3")
    ]
    robots = [Measurement("lidar", LIDAR, program) for program in ("slipway", "single")]
    kept = [
        Measurement("store-overhead", agent, "slipway")
        for agent in (list(stores.AGENTS)[:1] if quick else stores.AGENTS)
    ]
    kept.append(Measurement("store-commit", "-", "slipway"))
    if not quick:
        kept.append(Measurement("store-resume", stores.RESUMED, "slipway"))
        kept.append(Measurement("store-transfer", "-", "slipway"))
    return [*found, *whole, *steps, *learning, *robots, *kept]


def program(what: Measurement) -> tuple[str | None, str, tuple[str, ...]]:
    """The peer whose Python runs it (None: this one), the program's path in this folder, and its options."""
    if (what.kind, what.program) in PROGRAMS:
        return PROGRAMS[what.kind, what.program]
    peer = what.program if what.program in ("sb3", "jax") else None
    return peer, f"peers/{peer}/ppo.py" if peer else "ours.py", ()


def read(path: Path | None) -> dict[str, Any]:
    """What was measured before: `measured` (kind to what it was measured on) and `rows`; empty if there is nothing."""
    if path is None or not path.is_file():
        return {"measured": {}, "rows": []}
    found = files.read_json(path)
    return {"measured": found["measured"], "rows": found["rows"]}


def merged(before: dict[str, Any], about: dict[str, Any], rows: list[Row]) -> dict[str, Any]:
    """New rows in place of those of the same kinds; other kinds keep their rows, and what they were measured on."""
    new = {row["kind"] for row in rows}
    kept = [row for row in before["rows"] if row["kind"] not in new]
    measured = {kind: about if kind in new else before["measured"].get(kind) for kind in KINDS}
    order = sorted([*kept, *rows], key=lambda row: KINDS.index(row["kind"]))
    return {"format": 2, "measured": {kind: on for kind, on in measured.items() if on is not None}, "rows": order}


class Bench:
    """Starts measured processes.

    Args:
        cpus: the processors that each is pinned to.
    """

    def __init__(self, cpus: set[int]) -> None:
        self._cpus = cpus
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "TF_XLA_FLAGS")},
            **dict.fromkeys(THREAD_VARIABLES, str(len(cpus))),
            "PYTHONPATH": str(ROOT),
            "CUDA_VISIBLE_DEVICES": "",
            "JAX_PLATFORMS": "cpu",
        }

    def prepare(self, peers: Sequence[str]) -> None:
        """Install peers from their lock files, each into its own environment."""
        uv = shutil.which("uv", path=f"{ROOT / '.tools/bin'}:{os.environ.get('PATH', '')}")
        if uv is None:
            raise SystemExit("bench: uv is not installed: `make bench` installs it")
        for peer in peers:
            tables.say(f"installing {peer} from its lock file ...")
            command = [uv, "sync", "--quiet", "--frozen", "--project", str(FOLDER / "peers" / peer)]
            subprocess.run(command, check=True, env=self._environment)

    def measure(self, what: Measurement, seed: int) -> dict[str, Any]:
        """One measurement's figures."""
        if what.kind == "train":
            return self._train(SETTINGS[what.setting], seed)
        if what.kind == "help":
            return {"wall_seconds": self._wall([str(Path(sys.executable).parent / "slipway"), "--help"])[0]}
        peer, script, options = program(what)
        python = str(FOLDER / "peers" / peer / ".venv/bin/python") if peer else sys.executable
        extra = {"SLIPWAY_XLA_CACHE": "off"} if what.program.endswith("nothing cached") else {}
        seconds, output = self._wall(
            [python, str(FOLDER / script), what.kind, what.setting, *options, "--seed", str(seed)], extra
        )
        line = next(line for line in output.splitlines() if line.startswith(RESULT))
        return {**json.loads(line.removeprefix(RESULT)), "wall_seconds": seconds}

    def _train(self, setting: Setting, seed: int) -> dict[str, Any]:
        """The whole product on a setting: train, checkpoint, evaluate, export, report."""
        from benchmarks.ours import run_file
        from trainer.config import load

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "run.yaml"
            path.write_text(load.dump(run_file(setting, seed, folder)), encoding="utf-8")
            slipway = str(Path(sys.executable).parent / "slipway")
            seconds, _ = self._wall([slipway, "train", str(path), "--run-id", "bench", "--quiet"])
            lines = (Path(folder) / "bench" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        first, last = json.loads(lines[0]), json.loads(lines[-1])
        steady = (last["step"] - first["step"]) / (last["wall_time_seconds"] - first["wall_time_seconds"])
        return {"wall_seconds": seconds, "steps_per_second": steady}

    def _wall(self, command: list[str], extra: dict[str, str] | None = None) -> tuple[float, str]:
        began = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**self._environment, **(extra or {})},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            preexec_fn=lambda: os.sched_setaffinity(0, self._cpus),
        )
        seconds = time.perf_counter() - began
        if done.returncode:
            raise SystemExit(f"bench: {' '.join(command)} failed:\n{done.stderr[-3000:]}")
        return seconds, done.stdout


def main(kinds: Sequence[str] = KINDS, prog: str = "python -m benchmarks.run") -> None:
    """The command line.

    Args:
        kinds: those that may be measured.
        prog: what it is called.
    """
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer settings, one round, nothing written by default")
    parser.add_argument(
        "--only", nargs="+", choices=kinds, default=kinds, help="kinds of measurement (all); the others' figures stay"
    )
    parser.add_argument("--rounds", type=int, default=None, help="rounds, each with its own seed (5; 1 with --quick)")
    parser.add_argument("--cpus", default=None, help="processors that each program is pinned to, as 0,1 (all)")
    parser.add_argument("--json", type=Path, default=None, help="where the figures go (benchmarks/results.json)")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    cpus = {int(cpu) for cpu in arguments.cpus.split(",")} if arguments.cpus else os.sched_getaffinity(0)
    target = arguments.json or (None if arguments.quick else FOLDER / "results.json")
    wanted = {*arguments.only, *(TOGETHER if set(TOGETHER) & set(arguments.only) else ())}
    measurements = [what for what in plan(arguments.quick) if what.kind in wanted]
    bench = Bench(cpus)
    on_cart_pole = any(what.kind in PPO_KINDS for what in measurements)
    bench.prepare(["sb3", "jax"] if on_cart_pole else sorted({program(what)[0] for what in measurements} - {None}))
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    about = machine.about() | {"pinned_to": sorted(cpus), "measured_at": now}
    before = read(target)
    rows: list[Row] = []
    began = time.perf_counter()
    # Both are then in the page cache, and Slipway's compiled graphs in its own: what a second run meets.
    for name in ("slipway", "sb3", "jax") if on_cart_pole else ():
        tables.say(f"warming up {name} ...")
        bench.measure(Measurement("job", SB3.name, name), 0)
    for number in range(rounds):
        turn = [what for what in measurements if number < STORE_ROUNDS or what.kind not in stores.KINDS]
        turn = turn if number % 2 == 0 else turn[::-1]
        for done, what in enumerate(turn, 1):
            at = f"round {number + 1}/{rounds}, {done}/{len(turn)}: {what.kind} {what.setting} {what.program}"
            tables.progress(f"{at} ...")
            row = {**dataclasses.asdict(what), "round": number, **bench.measure(what, number + 1)}
            rows.append(row)
            tables.say(f"{at}: {results.brief(row)} ({time.perf_counter() - began:.0f} s so far)")
        whole = merged(before, about, rows)
        if target is not None:
            files.write_json(target, whole)
    page = results.page(whole["measured"], whole["rows"])
    if target is not None:
        target.with_name("RESULTS.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
