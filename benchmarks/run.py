"""Slipway beside its peers on this machine: `make bench` writes RESULTS.md and results.json.

Every measurement is a process of its own, pinned to the same processors with the same environment. Programs take turns
within a round, so that a machine whose speed drifts weighs on all alike; ratios are taken round by round.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, results, tables
from benchmarks.settings import JAX, SB3, SETTINGS, Setting
from benchmarks.worker import RESULT
from trainer.run import files

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
TIMEOUT_SECONDS = 900
KINDS = ("speed", "solve", "job", "train", "help")


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
    return [*found, *whole, Measurement("train", SB3.name, "slipway train"), Measurement("help", "-", "slipway --help")]


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

    def prepare(self) -> None:
        """Install the peers from their lock files, each into its own environment."""
        uv = shutil.which("uv", path=f"{ROOT / '.tools/bin'}:{os.environ.get('PATH', '')}")
        if uv is None:
            raise SystemExit("bench: uv is not installed: `make bench` installs it")
        for peer in ("sb3", "jax"):
            tables.say(f"installing {peer} from its lock file ...")
            command = [uv, "sync", "--quiet", "--frozen", "--project", str(FOLDER / "peers" / peer)]
            subprocess.run(command, check=True, env=self._environment)

    def measure(self, what: Measurement, seed: int) -> dict[str, Any]:
        """One measurement's figures."""
        if what.kind == "train":
            return self._train(SETTINGS[what.setting], seed)
        if what.kind == "help":
            return {"wall_seconds": self._wall([str(Path(sys.executable).parent / "slipway"), "--help"])[0]}
        peer = what.program if what.program in ("sb3", "jax") else None
        python = str(FOLDER / "peers" / peer / ".venv/bin/python") if peer else sys.executable
        script = FOLDER / "peers" / peer / "ppo.py" if peer else FOLDER / "ours.py"
        extra = {"SLIPWAY_XLA_CACHE": "off"} if what.program.endswith("nothing cached") else {}
        seconds, output = self._wall([python, str(script), what.kind, what.setting, "--seed", str(seed)], extra)
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


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer settings, one round, nothing written by default")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, help="kinds of measurement (all)")
    parser.add_argument("--rounds", type=int, default=None, help="rounds, each with its own seed (5; 1 with --quick)")
    parser.add_argument("--cpus", default=None, help="processors that each program is pinned to, as 0,1 (all)")
    parser.add_argument("--json", type=Path, default=None, help="where the figures go (benchmarks/results.json)")
    arguments = parser.parse_args()
    rounds = arguments.rounds or (1 if arguments.quick else 5)
    cpus = {int(cpu) for cpu in arguments.cpus.split(",")} if arguments.cpus else os.sched_getaffinity(0)
    target = arguments.json or (None if arguments.quick else FOLDER / "results.json")
    bench = Bench(cpus)
    bench.prepare()
    about = machine.about() | {"pinned_to": sorted(cpus)}
    rows: list[dict[str, Any]] = []
    measurements = [what for what in plan(arguments.quick) if what.kind in arguments.only]
    began = time.perf_counter()
    # Both are then in the page cache, and Slipway's compiled graphs in its own: what a second run meets.
    for program in ("slipway", "sb3", "jax"):
        tables.say(f"warming up {program} ...")
        bench.measure(Measurement("job", SB3.name, program), 0)
    for number in range(rounds):
        turn = measurements if number % 2 == 0 else measurements[::-1]
        for done, what in enumerate(turn, 1):
            at = f"round {number + 1}/{rounds}, {done}/{len(turn)}: {what.kind} {what.setting} {what.program}"
            tables.progress(f"{at} ...")
            row = {**dataclasses.asdict(what), "round": number, **bench.measure(what, number + 1)}
            rows.append(row)
            tables.say(f"{at}: {results.brief(row)} ({time.perf_counter() - began:.0f} s so far)")
        if target is not None:
            files.write_json(target, {"format": 1, "machine": about, "rows": rows})
    page = results.page(about, rows)
    if target is not None:
        target.with_name("RESULTS.md").write_text(page, encoding="utf-8")
    sys.stdout.write(page)


if __name__ == "__main__":
    main()
