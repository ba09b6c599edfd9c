"""`slipway simulate`: who plays which episodes of what, and what is written of it."""

import contextlib
import dataclasses
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from envs import seeding
from envs.core import Objective
from envs.seeding import Split
from trainer.agents import actions
from trainer.checkpoint import Checkpoints
from trainer.config.models import RunFile
from trainer.errors import BadInput, SlipwayError
from trainer.evaluation import episodes as evaluation_episodes
from trainer.evaluation import statistics
from trainer.policy import AnyPolicy
from trainer.rollout.gym_vector import GymVector
from trainer.run.directory import RunDirectory
from trainer.simulation import trajectories, video
from trainer.simulation.episodes import Chunk, Frames, Recorder, frames, picture
from trainer.simulation.gym_episodes import Camera, GymRecorder
from trainer.target import Target

RANDOM = "random"
TRAJECTORIES, SUMMARY = "trajectories.parquet", "summary.json"
INTERVAL_SECONDS = 5.0
"""The least time between two messages."""


@dataclasses.dataclass(frozen=True)
class Request:
    """What to simulate, checked as far as that goes without TensorFlow.

    Attributes:
        run_file: with the task and its parameters.
        policy: `random`, or a baseline's name; a run's id where `run` is given.
        run: whose newest checkpoint acts; None for the others.
        sampled: whether the run's policy draws its actions.
        episodes: how many.
        seed: the number of the first episode's seed in its split.
        split: training or held-out seeds.
        out: the folder for the files.
        video: the file for a video of the first episode; None for none.
    """

    run_file: RunFile
    policy: str
    run: RunDirectory | None
    sampled: bool
    episodes: int
    seed: int
    split: Split
    out: Path
    video: Path | None


def simulate(request: Request, say: Callable[[str], None]) -> dict[str, Any]:
    """Play the episodes and write the files: whole, or not at all.

    Args:
        request: what to do.
        say: takes a message on long work.

    Returns:
        The content of `summary.json`, and where the files are.

    Raises:
        BadInput: if the policy does not fit the task, or the task draws no pictures; nothing has been written then.
        SlipwayError: if the environment or the disk fails; nothing stays behind.
    """
    target = Target.of(request.run_file)
    seeds = [seeding.seed_in_split(request.seed + i, request.split) for i in range(request.episodes)]
    with contextlib.ExitStack() as stack:
        training = _trained(request) if request.run is not None else None
        if training is not None:
            stack.callback(training.close)
        recorder, space, warm_up = _recorder(request, target, training)
        camera = _camera(target, stack) if request.video is not None else None
        aside = Path(stack.enter_context(_aside(request.out)))
        metadata = {
            "format": trajectories.FORMAT,
            "env_id": target.env_id,
            "parameters": _parameters(target),
            "policy": _policy_name(request),
            "version": version("slipway"),
            "objective": str(target.objective),
            "score": dataclasses.asdict(target.score),
        }
        scores, steps, first = _record(aside / TRAJECTORIES, recorder(seeds), space, metadata, target, warm_up, say)
        summary = {
            **metadata,
            "episodes": request.episodes,
            "seeds": [seeds[0], seeds[-1]],
            "steps": steps,
            "mean_score": _estimate(scores),
            "video_frames": None,
        }
        if camera is not None and request.video is not None:
            say("Encoding the video")
            taken = first.action[0, : first.lengths[0]]
            summary["video_frames"] = video.write(aside / "video.mp4", camera(seeds[0], taken), _speed(target, camera))
        (aside / SUMMARY).write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        _publish(aside, request)
    files = {"trajectories": str(request.out / TRAJECTORIES), "summary": str(request.out / SUMMARY)}
    return {**summary, "files": files | ({"video": str(request.video)} if request.video else {})}


def _policy_name(request: Request) -> str:
    return f"{request.policy} ({'sampled' if request.sampled else 'greedy'})" if request.run else request.policy


def _parameters(target: Target) -> dict[str, Any]:
    return dict(target.parameters) if target.env is None else dataclasses.asdict(target.env.params)


def _estimate(scores: npt.NDArray[np.float64]) -> dict[str, float | None]:
    """Mean and interval over episodes; a single episode has none."""
    value, low, high = statistics.mean(scores[:, None])
    single = len(scores) == 1
    return {"value": value, "ci_low": None if single else low, "ci_high": None if single else high}


def _trained(request: Request) -> Any:
    """The run's training, with its newest checkpoint in it."""
    run = request.run
    if run is None:
        raise ValueError("no run was named")
    run_file = run.run_file()
    found = Checkpoints(run.checkpoints, run_file.checkpoint.retention).latest(lambda _: None)
    if found is None:
        raise BadInput("--policy", run.run_id, "a run with a checkpoint", "train it first, or `slipway resume` it")
    training = Target.of(run_file).training(run_file)
    try:
        training.load(found.arrays, found.window)
    except BaseException:
        training.close()
        raise
    return training


def _recorder(request: Request, target: Target, training: Any) -> tuple[Any, "_Spaces", int]:
    """What plays the episodes; what it yields; steps that an average leaves out."""
    if target.env is not None:
        env = target.env
        mask = env.action_mask(env.reset(seeding.key_from_seed(0), 1))
        space = _Spaces(env.observation_space, env.action_space, mask is not None)
        if request.run is None and request.policy != RANDOM:
            act: evaluation_episodes.AnyAct = evaluation_episodes.of_baseline(env.baselines()[request.policy])
        else:
            act = evaluation_episodes.of_policy(env, _policy(request, training, space))
        return Recorder(env, act), space, env.warm_up_steps

    def make(count: int) -> GymVector:
        return GymVector(target.env_id, target.parameters, count)

    vector = make(1)
    try:
        vector.reset(np.ones(1, np.bool_), [seeding.seed_in_split(request.seed, request.split)])
        space = _Spaces(vector.observation_space, vector.action_space, vector.action_mask is not None)
    finally:
        vector.close()
    return GymRecorder(make, _policy(request, training, space)), space, 0


@dataclasses.dataclass(frozen=True)
class _Spaces:
    observation: gymnasium.spaces.Box
    action: gymnasium.spaces.Discrete | gymnasium.spaces.Box
    masked: bool

    @property
    def discrete(self) -> bool:
        return isinstance(self.action, gymnasium.spaces.Discrete)


def _policy(request: Request, training: Any, space: _Spaces) -> AnyPolicy:
    """The run's policy, or actions by chance."""
    if training is None:
        head = actions.head(space.action)
        return lambda observation, mask, key: head.to_env(head.uniform(key, observation.shape[0], mask))
    task = training.learner.task
    told = (tuple(task.observation_shape), task.action_space, task.masked)
    asked = (tuple(space.observation.shape), space.action, space.masked)
    if told != asked:
        differs = next(pair for pair in zip(told, asked, strict=True) if pair[0] != pair[1])
        allowed = f"a run that observes and acts as the task does: {differs[1]}; the run has {differs[0]}"
        raise BadInput("--policy", request.policy, allowed, "take out --set, or name a run of these parameters")
    found: AnyPolicy = training.learner.policy(greedy=not request.sampled)
    return found


def _camera(target: Target, stack: contextlib.ExitStack) -> Frames | Camera:
    """What draws an episode.

    Raises:
        BadInput: if nothing does.
    """
    env = target.env
    if env is None:
        camera = Camera(target.env_id, target.parameters)
        stack.callback(camera.close)
        return camera
    from envs import core

    try:
        picture(env, core.begin(env, seeding.key_from_seed(0), 1))
    except NotImplementedError:
        allowed = f"a task that draws pictures; {target.env_id} does not"
        raise BadInput("--video", target.env_id, allowed, "leave --video out") from None
    return lambda seed, taken: frames(env, seed, taken)


def _speed(target: Target, camera: Frames | Camera) -> int:
    if isinstance(camera, Camera):
        return camera.frames_per_second
    return target.env.frames_per_second if target.env is not None else 30


def _record(
    path: Path,
    chunks: Iterator[Chunk],
    space: _Spaces,
    metadata: Mapping[str, Any],
    target: Target,
    warm_up: int,
    say: Callable[[str], None],
) -> tuple[npt.NDArray[np.float64], int, Chunk]:
    """Write all chunks; each episode's score, the steps of all, and the first chunk."""
    scores: list[float] = []
    steps, first, said = 0, None, time.monotonic()
    try:
        columns = trajectories.schema(space.discrete, space.masked, metadata)
        with contextlib.closing(trajectories.Writer(path, columns)) as writer:
            for chunk in chunks:
                writer.write(chunk)
                first = first if first is not None else chunk
                scores += [_score(chunk, row, target, warm_up) for row in range(len(chunk.seeds))]
                steps += int(chunk.lengths.sum())
                if time.monotonic() - said >= INTERVAL_SECONDS:
                    said = time.monotonic()
                    say(f"{len(scores)} episodes so far, {steps} steps")
    except OSError as error:
        raise SlipwayError(f"cannot write {path.name}: {error.strerror or error}") from error
    if first is None:
        raise ValueError("no episode was asked for")
    table = np.array(scores, np.float64)
    if not np.isfinite(table).all():
        raise SlipwayError("an episode's score is not finite, so the simulation says nothing")
    return table, steps, first


def _score(chunk: Chunk, row: int, target: Target, warm_up: int) -> float:
    """An episode's score: the sum of what its steps add, or their mean after the warm-up."""
    added = chunk.score[row, : chunk.lengths[row]].astype(np.float64)
    if target.objective is Objective.AVERAGE_REWARD:
        return float(target.score.sign * added[warm_up:].mean())
    return float(target.score.sign * added.sum())


@contextlib.contextmanager
def _aside(out: Path) -> Iterator[Path]:
    """A folder beside the one that is asked for, which is gone afterwards."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=".simulating-", dir=out.parent))
    except OSError as error:
        raise BadInput("--out", str(out), f"a folder that can be made ({error.strerror})", "name another") from None
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _publish(aside: Path, request: Request) -> None:
    """Move the finished files to their places."""
    from trainer.run.files import sync_tree

    try:
        sync_tree(aside)
        request.out.mkdir(exist_ok=True)
        if request.video is not None:
            # It may lie on another disk, where nothing can be moved in one step: copied beside its place first.
            half = request.video.with_name(f".{request.video.name}-half")
            try:
                shutil.copyfile(aside / "video.mp4", half)
                half.replace(request.video)
            finally:
                half.unlink(missing_ok=True)
        for name in (TRAJECTORIES, SUMMARY):
            (aside / name).replace(request.out / name)
    except OSError as error:
        raise SlipwayError(f"cannot write into {request.out}: {error.strerror}") from error
