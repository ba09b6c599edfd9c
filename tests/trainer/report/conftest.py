"""Run directories as a training leaves them, with figures of a plausible size."""

import base64
import io
import json
import math
import random
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image, ImageDraw

from trainer.metrics.sinks.jsonl import JsonlSink

OPTIMUM = 4.7289
BASELINES = {"constant order": 5.2795, "base-stock": 4.9733, "myopic": 4.9801, "capped base-stock": 4.8003}


def result(mean, half, optimum=OPTIMUM, sign=-1, per_training_seed=None):
    gap = None if optimum is None else (mean - optimum) * -sign / abs(optimum)
    per_seed = [mean + half * math.sin(seed) for seed in range(20)]
    extra = {} if per_training_seed is None else {"per_training_seed": per_training_seed}
    return {
        "mean": mean, "ci_low": mean - half, "ci_high": mean + half, "iqm": mean - 0.001, "iqm_ci_low": mean - half,
        "iqm_ci_high": mean + half, "per_seed": per_seed, "optimality_gap_ratio": gap, "episodes_per_seed": 64, **extra,
    }  # fmt: skip


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2))


class RunWriter:
    """Writes a run directory file by file, so that a test can leave some out."""

    def __init__(self, folder, name="lost-sales-ppo", seed=0, **agent):
        self.folder, self.name, self.seed, self.agent = Path(folder), name, seed, agent
        self.folder.mkdir(parents=True)

    def start(self, state="finished", resumes=0, env_steps=1310720, env=None):
        agent = {
            "algorithm": "ppo", "num_envs": 512, "rollout_steps": 32, "objective": "average-reward", "discount": 1.0,
            "learning_rate": {"start": 1.0e-3, "end": 0.0, "until": 1.0}, "expected_reward": True,
            "expectation_over_noise": True, "observation_normalisation": "nominal", **self.agent,
        }  # fmt: skip
        run_file = {
            "name": self.name,
            "env": env or {"id": "slipway/LostSales-v0", "parameters": {"lead_time_periods": 4}},
            "agent": agent,
            "seed": self.seed,
            "budget": {"env_steps": 1310720, "price_usd_per_hour": 0.52},
        }
        (self.folder / "run.yaml").write_text(yaml.safe_dump(run_file, sort_keys=False, allow_unicode=True))
        write_json(
            self.folder / "provenance.json",
            {
                "format": 1, "created_at": "2026-11-23T21:00:00+00:00",
                "command": ["slipway", "train", "lost-sales-ppo", "--set", "name=my run"],
                "git": {"revision": "2871444c2f0d8a5b" * 2, "dirty": False}, "lock_file_sha256": "9f" * 32,
                "python": "3.11.7",
                "packages": {"tensorflow": "2.21.0", "numpy": "2.3.5", "tf-agents": "0.19.0"},
                "host": {
                    "name": "laptop", "system": "Linux-6.12.0-x86_64-with-glibc2.36", "cpu_model": "AMD EPYC 7R13",
                    "cpu_count": 2, "memory_bytes": 25276510208,
                },
                "accelerators": [], "instance_type": None, "price_usd_per_hour": 0.52,
            },
        )  # fmt: skip
        write_json(
            self.folder / "status.json",
            {
                "format": 1, "state": state, "message": "", "updated_at": "2026-11-23T21:00:31Z",
                "env_steps": env_steps,
                "started_at": "2026-11-23T21:00:00Z", "pid": 4242, "host": "laptop", "iteration": 80,
                "wall_time_seconds": 31.4, "resumes": resumes, "last_checkpoint_step": env_steps, "seed": self.seed,
            },
        )  # fmt: skip
        write_json(
            self.folder / "simulation.json",
            {
                "env_id": "slipway/LostSales-v0", "parameters": {"lead_time_periods": 4}, "objective": "average-reward",
                "score": {"name": "cost", "unit": "per period", "sign": -1}, "max_episode_steps": 1024,
                "optimum": OPTIMUM, "baselines": list(BASELINES), "format": 1,
                "observation_space": "Box(0, 255, (5,), float32)", "action_space": "Discrete(13)",
                "told": [
                    "The demand's law, Poisson with mean 5 (`expectation_over_noise`): value targets average over its "
                    "outcomes, each computed by the simulator.",
                    "Not told: the costs' formula, the optimum, the baselines.",
                ],
            },
        )  # fmt: skip
        return self

    def metrics(self, iterations=80, evaluations=False):
        noise = random.Random(self.seed)
        sink = JsonlSink(self.folder / "metrics.jsonl", keep_bytes=0)
        for iteration in range(1, iterations + 1):
            done = iteration / 80
            score = OPTIMUM + 9.0 * math.exp(-11 * done) + 0.25 * (1 - done) ** 2 + noise.gauss(0, 0.02)
            row = {
                "iteration": iteration, "rl_score": score, "rl_optimality_gap_ratio": score / OPTIMUM - 1,
                "rl_step_reward_mean": -score / 5, "rl_policy_loss": -0.02 * (1 - done) + noise.gauss(0, 0.002),
                "rl_value_loss": 0.4 * math.exp(-5 * done) + 0.02, "rl_policy_entropy_nats": 2.0 * (1 - done) + 0.15,
                "rl_policy_kl_nats": 0.012 * (1 - done) + abs(noise.gauss(0, 0.001)),
                "rl_gradient_norm": 0.4 - 0.2 * done,
                "rl_clip_fraction_ratio": 0.15 * (1 - done), "rl_learning_rate": 1e-3 * (1 - done),
                "rl_value_explained_variance_ratio": 1 - math.exp(-6 * done), "rl_env_steps_total": iteration * 16384,
                "rl_env_steps_per_second": 62_000 + noise.gauss(0, 1500), "rl_cost_usd_total": 0.0045 * done,
                'rl_phase_duration_seconds{phase="training"}': 0.25,
            }  # fmt: skip
            if evaluations and iteration % 20 == 0:
                row |= {
                    "rl_eval_score_mean": score, "rl_eval_score_ci_low": score - 0.05,
                    "rl_eval_score_ci_high": score + 0.05,
                }  # fmt: skip
            sink.write(row, iteration * 16384, 0.3 * iteration)
        sink.close()
        return self

    def evaluate(self, mean=4.7312, half=0.0061, exact=True, gap=0.00023, policies=None, **more):
        found = {
            "greedy": result(mean, half),
            "sampled": result(mean + 0.009, half),
            **{name: result(value, 0.007) for name, value in BASELINES.items()},
        }
        greedy = found["greedy"] if policies is None else policies["greedy"]
        differences = {
            name: {
                "mean": greedy["mean"] - value,
                "ci_low": greedy["mean"] - value - 0.004,
                "ci_high": greedy["mean"] - value + 0.004,
            }
            for name, value in BASELINES.items()
        }
        exact_score = {
            "score": OPTIMUM * (1 + gap), "lower": OPTIMUM * (1 + gap) - 1e-8, "upper": OPTIMUM * (1 + gap) + 1e-8,
            "states": 8421, "optimality_gap_ratio": gap,
            "method": "relative value iteration over the states that the policy reaches",
        }  # fmt: skip
        write_json(
            self.folder / "evaluation.json",
            {
                "format": 1, "env_id": "slipway/LostSales-v0", "objective": "average-reward", "confidence": 0.95,
                "score": {"name": "cost", "unit": "per period", "sign": -1},
                "seeds": [2**30 + seed for seed in range(20)], "episodes_per_seed": 64, "policies": policies or found,
                "differences": differences, "optimum": OPTIMUM, "exact": {"greedy": exact_score} if exact else None,
                "training_seed": self.seed,
                "policy_step": 1310720, **more,
            },
        )  # fmt: skip
        return self

    def heatmap(self):
        x, y = list(range(25)), list(range(13))
        values = [[None if hand + way > 33 else max(0, min(6, 9 - hand - way // 4)) for way in x] for hand in y]
        write_json(
            self.folder / "policy.json",
            {
                "kind": "heatmap", "title": "What the policy orders", "x_label": "units on the way", "x": x, "y": y,
                "y_label": "units on hand", "values": values,
                "note": "Units ordered, with the pipeline spread evenly over its periods.",
                "value_label": "units ordered",
            },
        )  # fmt: skip
        return self


@pytest.fixture
def write_run(tmp_path):
    """`write_run("name", ...)` begins a run directory under a temporary folder."""
    return lambda name="lost-sales-ppo-1", **options: RunWriter(tmp_path / name, **options)


@pytest.fixture
def complete_run(tmp_path):
    """A finished run with all its files."""
    return write_complete(tmp_path / "lost-sales-ppo-1")


def write_complete(folder):
    return RunWriter(folder).start().metrics(evaluations=True).evaluate().heatmap().folder


def write_running(folder):
    """A run under way, with one file damaged."""
    writer = RunWriter(folder).start(state="running", env_steps=30 * 16384).metrics(iterations=30)
    (folder / "provenance.json").write_text('{"git_revision": ')
    return writer.folder


def frame(angle_degrees):
    """A picture of a pole that leans, as PNG."""
    picture = Image.new("RGB", (160, 120), "white")
    lean = math.radians(angle_degrees)
    drawing = ImageDraw.Draw(picture)
    drawing.rectangle((60, 58, 100, 70), fill="#334455")
    drawing.line((80, 60, 80 + 50 * math.sin(lean), 60 - 50 * math.cos(lean)), fill="#c05020", width=6)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def write_episodic(folder):
    """A run on a task of episodes: returns, no optimum known, one baseline, a film strip, no exact result."""
    writer = RunWriter(folder, name="pendulum-ppo").start(env_steps=204_800, env={"id": "gymnasium:Pendulum-v1"})
    score = {"name": "return", "unit": "reward", "sign": 1}
    write_json(
        folder / "simulation.json",
        {
            "format": 1, "env_id": "gymnasium:Pendulum-v1", "parameters": {}, "objective": "episodic", "score": score,
            "max_episode_steps": 200, "optimum": None, "baselines": ["random"], "told": [],
        },
    )  # fmt: skip
    sink = JsonlSink(folder / "metrics.jsonl", keep_bytes=0)
    noise = random.Random(3)
    for iteration in range(1, 101):
        mean = -150 - 1150 * math.exp(-iteration / 18) + noise.gauss(0, 25)
        row = {
            "iteration": iteration, "rl_score": mean, "rl_episode_return_mean": mean, "rl_episode_length_steps": 200,
            "rl_policy_loss": -0.01, "rl_value_loss": 30 * math.exp(-iteration / 30), "rl_gradient_norm": math.nan,
            "rl_env_steps_per_second": 9_500 + noise.gauss(0, 300), "rl_learning_rate": 1e-3,
        }  # fmt: skip
        sink.write(row, iteration * 2048, 0.22 * iteration)
    sink.close()
    writer.evaluate(
        policies={
            "greedy": result(-151.2, 11.4, None, 1),
            "sampled": result(-163.9, 12.0, None, 1),
            "random": result(-1224.0, 60.0, None, 1),
        },
        exact=False, optimum=None, differences={}, policy_step=204_800,
        score=score, objective="episodic", env_id="gymnasium:Pendulum-v1",
    )  # fmt: skip
    frames = [frame(angle) for angle in range(170, -10, -20)]
    write_json(
        folder / "policy.json",
        {
            "kind": "filmstrip",
            "title": "How the policy swings the pole up",
            "frames": frames,
            "note": "Every 8th step.",
        },
    )
    return folder


@pytest.fixture
def episodic_run(tmp_path):
    """A finished run on a task of episodes."""
    return write_episodic(tmp_path / "pendulum-ppo-1")


@pytest.fixture
def group(tmp_path):
    """Five runs that differ by seed, and the evaluation across them."""
    return write_group(tmp_path / "lost-sales-ppo-5")


def write_group(folder):
    """Five members, and what lies beside them."""
    writer = RunWriter(folder)
    members = [f"seed-{seed}" for seed in range(5)]
    for seed, member in enumerate(members):
        RunWriter(folder / member, seed=seed).start().metrics().evaluate(
            mean=4.7312 + 0.001 * seed, gap=0.0002 + 0.00002 * seed
        )
    shutil.copy(folder / "seed-0" / "run.yaml", folder / "run.yaml")
    write_json(folder / "group.json", {"format": 1, "training_seeds": list(range(5)), "members": members})
    seeds = [4.7312 + 0.001 * seed for seed in range(5)]
    writer.evaluate(
        policies={"greedy": result(4.7332, 0.0002, per_training_seed=seeds)}
        | {name: result(value, 0.007, per_training_seed=[value] * 5) for name, value in BASELINES.items()},
        training_seeds=list(range(5)),
        gap=0.00024,
    )
    return folder


@pytest.fixture(scope="session")
def run_writers():
    """What writes each sort of run directory into a folder."""
    return {"complete": write_complete, "episodic": write_episodic, "group": write_group, "running": write_running}
