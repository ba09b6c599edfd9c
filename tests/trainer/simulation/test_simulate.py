"""`slipway simulate`: what is recorded is what the task does, and the files say so to other programs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import gymnasium
import numpy as np
import pytest
from pyarrow import parquet
from tasks import Corridor

import envs  # noqa: F401 - registers the tasks
from trainer.agents import actions
from trainer.checkpoint import Checkpoints
from trainer.cli import application
from trainer.config import load
from trainer.evaluation.episodes import of_policy
from trainer.run import group
from trainer.run.directory import RunDirectory
from trainer.simulation import episodes, session, trajectories, video
from trainer.store import resolve
from trainer.target import Target

SMALL = {"num_envs": 4, "rollout_steps": 8, "minibatch_size": 16, "networks": {"actor": [8], "critic": [8]}}
SHORT = ("--set", "env.parameters.episode_periods=30")
COLUMNS = {
    "episode": "int64",
    "step": "int32",
    "seed": "int64",
    "observation": "list<element: float>",
    "action": "int32",
    "reward": "float",
    "score": "float",
    "terminated": "bool",
    "truncated": "bool",
    "final_observation": "list<element: float>",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a store: runs with a checkpoint of untrained weights, one without, and a group."""
    folder = tmp_path_factory.mktemp("place")
    store = resolve(str(folder / "runs"))
    for name, env in (("ours", "slipway/CartPole-v1"), ("pendulum", "gymnasium:Pendulum-v1")):
        run_file = load.validate({"env": {"id": env}, "agent": SMALL})
        run = RunDirectory.create(store, name, run_file)
        training = Target.of(run_file).training(run_file)
        Checkpoints(run.checkpoints).save(0, training.state(), {})
        training.close()
    run_file = load.validate({"env": {"id": "slipway/CartPole-v1"}})
    RunDirectory.create(store, "queued", run_file)
    group.create(store, "group", group.with_seeds(run_file, 2))
    return folder


@pytest.fixture
def simulate(place, tmp_path, monkeypatch, capsys):
    """Runs the command; gives the summary and the table's columns as lists."""
    monkeypatch.chdir(tmp_path)

    def call(env_id, *arguments, policy="random", count=5):
        words = ["simulate", env_id, "--policy", policy, "--episodes", str(count), *arguments]
        assert application.run([*words, "--store", str(place / "runs"), "--json"]) == 0
        summary = json.loads(capsys.readouterr().out)
        return summary, parquet.read_table(summary["files"]["trajectories"])

    return call


def by_episode(table):
    rows = table.to_pylist()
    return [[row for row in rows if row["episode"] == number] for number in range(rows[-1]["episode"] + 1)]


def check_ends(table, limit):
    """Each episode counts its steps, ends once, at its last step, and says there what it saw last."""
    for rows in by_episode(table):
        assert [row["step"] for row in rows] == list(range(len(rows)))
        assert [row["terminated"] or row["truncated"] for row in rows] == [False] * (len(rows) - 1) + [True]
        assert rows[-1]["truncated"] == (len(rows) == limit and not rows[-1]["terminated"])
        assert [row["final_observation"] is not None for row in rows] == [False] * (len(rows) - 1) + [True]


def replay(env, table):
    """Plays the actions again from the seeds, and compares bit by bit."""
    discrete = isinstance(env.action_space, gymnasium.spaces.Discrete)
    for rows in by_episode(table):
        seen, _ = env.reset(seed=rows[0]["seed"])
        for row in rows:
            assert np.array(row["observation"], np.float32).tobytes() == np.asarray(seen, np.float32).tobytes()
            action = row["action"] if discrete else np.array(row["action"], np.float32)
            seen, reward, terminated, truncated, _ = env.step(action)
            assert np.float32(row["reward"]) == np.float32(reward)
            assert row["score"] == row["reward"]
            assert (row["terminated"], row["truncated"]) == (terminated, truncated and not terminated)
        assert np.array(rows[-1]["final_observation"], np.float32).tobytes() == np.asarray(seen, np.float32).tobytes()
    env.close()


def test_the_file_is_as_documented(simulate):
    summary, table = simulate("slipway/LostSales-v0", *SHORT, policy="base-stock")
    assert {field.name: str(field.type) for field in table.schema} == COLUMNS
    said = {key.decode(): json.loads(value) for key, value in table.schema.metadata.items() if key[:8] == b"slipway."}
    assert said["slipway.env_id"] == "slipway/LostSales-v0"
    assert said["slipway.parameters"]["episode_periods"] == 30
    assert said["slipway.parameters"]["demand"] == "poisson"
    assert said["slipway.policy"] == "base-stock"
    assert said["slipway.version"] == summary["version"]
    assert summary["steps"] == table.num_rows == 5 * 30
    assert summary["seeds"] == [2**30, 2**30 + 4]
    on_disk = json.loads(Path(summary["files"]["summary"]).read_text())
    assert on_disk == {key: value for key, value in summary.items() if key != "files"}


def test_rewards_make_the_score_of_episodes(simulate):
    summary, table = simulate("slipway/CartPole-v1", count=12)
    returns = [sum(row["reward"] for row in rows) for rows in by_episode(table)]
    assert summary["mean_score"]["value"] == pytest.approx(np.mean(returns))
    assert summary["mean_score"]["ci_low"] < np.mean(returns) < summary["mean_score"]["ci_high"]


def test_where_a_task_counts_otherwise_its_own_score_is_recorded_beside_the_reward(simulate):
    options = ("--set", "env.parameters.beams=8")
    summary, table = simulate("slipway/LidarNavigation-v0", *options, policy="global-dynamic-window", count=3)
    scores, rewards = ([sum(row[name] for row in rows) for rows in by_episode(table)] for name in ("score", "reward"))
    assert summary["mean_score"]["value"] == pytest.approx(np.mean(scores))
    assert max(scores) <= 0.5 < max(rewards)  # the reward pays for the way made, too


def test_rewards_make_the_score_of_a_task_without_end(simulate):
    env = Target.of(load.validate({"env": {"id": "slipway/LostSales-v0"}})).env
    summary, table = simulate("slipway/LostSales-v0", policy="base-stock", count=2)
    costs = [-np.mean([row["reward"] for row in rows][env.warm_up_steps :]) for rows in by_episode(table)]
    assert summary["mean_score"]["value"] == pytest.approx(np.mean(costs))


@pytest.mark.parametrize("policy", ["random", "capped-base-stock"])
def test_replayed_actions_give_the_same_bits_on_lost_sales(simulate, policy):
    _, table = simulate("slipway/LostSales-v0", *SHORT, "--seed", "7", "--split", "training", policy=policy)
    assert sorted(set(table["seed"].to_pylist())) == [7, 8, 9, 10, 11]
    check_ends(table, 30)
    replay(gymnasium.make("slipway/LostSales-v0", episode_periods=30), table)


@pytest.mark.parametrize(("policy", "more"), [("random", ()), ("ours", ()), ("ours", ("--sampled",))])
def test_replayed_actions_give_the_same_bits_on_cart_pole(simulate, policy, more):
    summary, table = simulate("slipway/CartPole-v1", *more, policy=policy)
    assert summary["policy"] == {"random": "random", "ours": "ours (sampled)" if more else "ours (greedy)"}[policy]
    check_ends(table, 500)
    replay(gymnasium.make("slipway/CartPole-v1"), table)


@pytest.mark.parametrize(("env_id", "policy"), [("CartPole-v1", "random"), ("Pendulum-v1", "pendulum")])
def test_replayed_actions_give_the_same_bits_on_gymnasium(simulate, env_id, policy):
    summary, table = simulate(f"gymnasium:{env_id}", policy=policy, count=3)
    assert str(table.schema.field("action").type) == ("int32" if env_id == "CartPole-v1" else "list<element: float>")
    check_ends(table, {"CartPole-v1": 500, "Pendulum-v1": 200}[env_id])
    replay(gymnasium.make(env_id), table)
    assert summary["steps"] == table.num_rows


def test_a_single_episode_has_no_interval(simulate):
    summary, table = simulate("slipway/LostSales-v0", *SHORT, count=1)
    assert (summary["mean_score"]["ci_low"], summary["mean_score"]["ci_high"]) == (None, None)
    replay(gymnasium.make("slipway/LostSales-v0", episode_periods=30), table)


def test_many_chunks_give_what_one_gives(simulate, monkeypatch):
    _, whole = simulate("slipway/LostSales-v0", *SHORT, "--out", "whole", policy="base-stock", count=7)
    monkeypatch.setattr(episodes, "MOST_ROWS", 3)
    _, parts = simulate("slipway/LostSales-v0", *SHORT, "--out", "parts", policy="base-stock", count=7)
    assert parts == whole
    assert parquet.ParquetFile("parts/trajectories.parquet").num_row_groups == 3


class Masked(Corridor):
    """Some actions are not always allowed, and episodes differ in length."""

    def __init__(self, params):
        super().__init__(masked=True, ends=True)


def test_masks_are_recorded_where_a_task_has_them():
    env = Masked(None)
    head = actions.head(env.action_space)
    act = of_policy(env, lambda observation, mask, key: head.to_env(head.uniform(key, observation.shape[0], mask)))
    (chunk,) = episodes.Recorder(env, act)(range(20))
    columns = trajectories.schema(True, True, {})
    rows = trajectories.table(chunk, 0, columns).to_pylist()
    assert len({len(each) for each in by_episode(trajectories.table(chunk, 0, columns))}) > 1
    for row in rows:
        place = row["observation"][0]
        assert row["action_mask"] == [place > 0, True, place < 4]
        assert row["action_mask"][row["action"]]


@pytest.mark.parametrize(
    ("env_id", "more", "rate"),
    [("slipway/CartPole-v1", (), None), ("slipway/LostSales-v0", SHORT, 4), ("gymnasium:CartPole-v1", (), 50)],
)
def test_the_video_shows_each_state(simulate, tmp_path, env_id, more, rate):
    summary, table = simulate(env_id, "--video", "film.mp4", *more, count=2)
    steps = len(by_episode(table)[0])
    assert summary["video_frames"] == steps + 1
    with av.open(str(tmp_path / "film.mp4")) as film:
        (stream,) = film.streams.video
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert rate in (None, stream.average_rate)
    assert len(pictures) == steps + 1
    assert all(side % 2 == 0 for side in pictures[0].shape[:2])
    assert np.abs(pictures[0].astype(int) - pictures[-1].astype(int)).max() > 100  # something has moved


def test_odd_pictures_become_even(tmp_path):
    pictures = [np.full((31, 45, 3), shade, np.uint8) for shade in (0, 120, 255)]
    assert video.write(tmp_path / "odd.mp4", pictures, 10) == 3
    with av.open(str(tmp_path / "odd.mp4")) as film:
        found = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert [picture.shape for picture in found] == [(32, 46, 3)] * 3
    assert [round(float(picture.mean()) / 120) for picture in found] == [0, 1, 2]


def test_a_fault_leaves_nothing_behind(place, tmp_path, monkeypatch, capsys):
    """A process that may write little: the disk is full, as far as it can tell."""
    code = (
        "import resource, signal, sys; from trainer import backend; backend.prepare();"
        "from trainer.cli import application; import trainer.simulation.session;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "sys.exit(application.run(['simulate', 'slipway/LostSales-v0', '--episodes', '40', '--out', 'full']))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "TF_XLA_FLAGS"}
    environment["SLIPWAY_XLA_CACHE"] = "off"  # its files are larger than what this process may write
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert ran.returncode == 1, ran.stderr
    assert "cannot write trajectories.parquet" in ran.stderr
    assert list(tmp_path.iterdir()) == []


WRONG = {
    "environment": (["slipway/LostSale-v0"], "env.id", "LostSale-v0", "slipway/LostSales-v0", ""),
    "policy": (["slipway/LostSales-v0", "--policy", "best"], "--policy", "best", "random, constant-order", ""),
    "no checkpoint": (["slipway/CartPole-v1", "--policy", "queued"], "--policy", "queued", "a checkpoint", "train"),
    "group": (["slipway/CartPole-v1", "--policy", "group"], "--policy", "group", "one run", "group/seed-0"),
    "another task": (["slipway/LostSales-v0", "--policy", "ours"], "--policy", "ours", "a run on", "CartPole"),
    "parameter": (["slipway/LostSales-v0", "--set", "env.parameters.lead=1"], "parameters.lead", "lead", "lead_", ""),
    "no parameter": (["slipway/LostSales-v0", "--set", "seed=1"], "--set", "seed=1", "a parameter", "env.parameters."),
    "episodes": (["slipway/LostSales-v0", "--episodes", "0"], "--episodes", "0", "from 1", "--episodes N"),
    "too many": (["slipway/LostSales-v0", "--seed", str(2**30 - 1)], "--episodes", "10", "at most 1", "play fewer"),
    "split": (["slipway/LostSales-v0", "--split", "test"], "--split", "test", "held-out or training", "write"),
    "sampled": (["slipway/LostSales-v0", "--sampled"], "--sampled", "True", "a run's policy", "leave --sampled out"),
    "there already": (["slipway/LostSales-v0", "--out", "there"], "--out", "there", "not overwritten", "name another"),
    "no folder": (["slipway/LostSales-v0", "--out", "file.txt"], "--out", "file.txt", "a folder", "name another"),
    "video's name": (["slipway/LostSales-v0", "--video", "x.avi"], "--video", "x.avi", "ends in .mp4", "--video x.mp4"),
    "video there": (["slipway/LostSales-v0", "--video", "film.mp4"], "--video", "film.mp4", "a new", "another"),
    "no pictures": (
        ["gymnasium:slipway-test/Dark-v0", "--video", "new.mp4"],
        *("--video", "Dark-v0", "draws pictures", "leave --video out"),
    ),
}  # fmt: skip


class Dark(gymnasium.Env):
    """An environment without pictures."""

    observation_space = gymnasium.spaces.Box(0, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), 0.0, True, False, {}


@pytest.fixture(scope="module")
def refused(place):
    (place / "there").mkdir()
    (place / "there/summary.json").write_text("{}")
    (place / "file.txt").write_text("")
    (place / "film.mp4").write_text("")
    gymnasium.register("slipway-test/Dark-v0", entry_point=Dark)
    yield place
    del gymnasium.registry["slipway-test/Dark-v0"]


@pytest.mark.filterwarnings("ignore:.*render_mode.*")
@pytest.mark.filterwarnings("ignore:.*rgb_array.*")
@pytest.mark.parametrize("case", WRONG)
def test_bad_input(refused, monkeypatch, capsys, case):
    arguments, field, value, allowed, fix = WRONG[case]
    monkeypatch.chdir(refused)
    before = {path: path.stat().st_mtime_ns for path in refused.rglob("*")}
    assert application.run(["simulate", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    first, second, third = captured.err.splitlines()
    assert all(part in first for part in (field, value))
    assert allowed in second
    assert fix in third
    assert {path: path.stat().st_mtime_ns for path in refused.rglob("*")} == before


def test_a_run_whose_task_changed_its_shape_is_refused(place, tmp_path, monkeypatch, capsys):
    run_file = load.validate({"env": {"id": "slipway/LostSales-v0"}, "agent": SMALL})
    run = RunDirectory.create(resolve(str(place / "runs")), "stock", run_file)
    Checkpoints(run.checkpoints).save(0, Target.of(run_file).training(run_file).state(), {})
    monkeypatch.chdir(tmp_path)
    words = ["simulate", "slipway/LostSales-v0", "--policy", str(run.folder), "--episodes", "2", *SHORT]
    assert application.run([*words, "--set", "env.parameters.lead_time_periods=7"]) == 2
    assert "observes and acts as the task does" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert application.run(words) == 0
    assert session.TRAJECTORIES in {path.name for path in (tmp_path / "simulation").iterdir()}
