"""Training iterations: collect a batch, learn from it, report. For tensor environments that is one compiled graph."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.core import TensorEnv
from trainer.agents import make
from trainer.agents.actions import answer
from trainer.agents.learner import Learner, Task
from trainer.compiled import Compiled
from trainer.config.models import Agent
from trainer.errors import SlipwayError
from trainer.policy import Memory, forget, nothing
from trainer.rollout.base import EpisodeSums, Trajectories
from trainer.rollout.best_of import BestOfEpisodes
from trainer.rollout.gym import GymSource
from trainer.rollout.tensor import TensorRollout
from trainer.segments import Window

Arrays = dict[str, npt.NDArray[Any]]
Row = dict[str, float]
"""One iteration: `reward_mean`; `episodes`, `returns`, `steps`, `scores` of those that ended; learner's `signals`."""

COLLECTED = ("reward_mean", "episodes", "returns", "steps", "scores")
"""The columns that every algorithm has."""
START, LEARN, COLLECT = 1, 2, 3
"""What a run's key is folded with."""
MOST_AT_ONCE = 64
"""Iterations that one call of a compiled graph can make."""


class Training(Protocol):
    """Something that trains, an iteration at a time, and whose whole state can be taken out and put back."""

    learner: Learner
    most_at_once: int

    def run(self, count: int) -> list[Row]:
        """Make `count` iterations, at most `most_at_once`."""
        ...

    def state(self) -> Arrays:
        """Everything that decides the future but for the replay's rows, on the host."""
        ...

    def window(self) -> Window | None:
        """The replay's rows; None for algorithms without a replay."""
        ...

    def load(self, state: Mapping[str, npt.NDArray[Any]], window: Window | None = None) -> None:
        """Put a state back, and the replay's rows."""
        ...

    def close(self) -> None:
        """Let go of processes and windows."""
        ...


def _columns(batch: Trajectories, sums: EpisodeSums, signals: Iterable[tf.Tensor]) -> tf.Tensor:
    return tf.stack([tf.reduce_mean(batch.reward), *sums, *signals])


class _Base:
    """What both kinds share: the learner, the run's key and the iteration counter."""

    def __init__(self, task: Task, settings: Agent, iterations: int, seed: int) -> None:
        self.settings, self.iterations = settings, iterations
        # In variables, so that training again with another seed needs no new compilation.
        self._key = tf.Variable(seeding.key_from_seed(seed), trainable=False, name="key")
        self._iteration = tf.Variable(0, trainable=False, dtype=tf.int32, name="iteration")
        self.learner = make.learner(task, settings, seeding.fold(self._key.read_value(), START))

        self._names = (*COLLECTED, *self.learner.signals)

    def _rows(self, table: npt.NDArray[np.float32]) -> list[Row]:
        return [dict(zip(self._names, map(float, row), strict=True)) for row in table]

    def _variables(self) -> dict[str, tf.Variable]:
        learner = {f"learner/{name}": variable for name, variable in self.learner.state().items()}
        return {"key": self._key, "iteration": self._iteration, **learner}

    def state(self) -> Arrays:
        """Everything that decides the future but for the replay's rows, on the host."""
        return {name: variable.numpy() for name, variable in self._variables().items()}

    def window(self) -> Window | None:
        """The replay's rows; None for algorithms without a replay."""
        replay = self.learner.replay
        return None if replay is None else Window(*replay.held(), replay.read())

    def load(self, state: Mapping[str, npt.NDArray[Any]], window: Window | None = None) -> None:
        """Put a state back.

        Args:
            state: as `state` gave it.
            window: as `window` gave it.

        Raises:
            SlipwayError: if names or shapes are not this training's, or the replay's rows are not there.
        """
        replay = self.learner.replay
        variables = self._variables()
        wrong = [
            name
            for name in sorted(set(state) | set(variables))
            if name not in state or name not in variables or tuple(state[name].shape) != tuple(variables[name].shape)
        ]
        rows = window.read(window.start, window.stop) if window is not None else None
        if (replay is None) != (rows is None) or (
            replay is not None and rows is not None and rows.shape[1:] != replay.rows.shape[1:]
        ):
            wrong.append("the replay's rows")
        if wrong:
            raise SlipwayError(f"the checkpoint does not fit this run: {', '.join(wrong[:5])} differ")
        for name, variable in variables.items():
            variable.assign(state[name])
        if replay is not None and rows is not None and window is not None:
            replay.put(window.start, rows)

    def close(self) -> None:
        """Nothing to let go of."""

    def _fraction(self) -> tf.Tensor:
        return tf.cast(self._iteration, tf.float32) / float(self.iterations)

    def _iteration_key(self, purpose: int) -> tf.Tensor:
        return seeding.fold(self._key.read_value(), purpose, self._iteration.read_value())


class TensorTraining(_Base):
    """Trains on a `TensorEnv`; whole iterations, several at a time, run as one compiled graph.

    Args:
        env: the task.
        settings: the run file's hyperparameters.
        iterations: how many the whole training has; schedules run over them.
        seed: decides all randomness, 0 <= seed < 2**30.
    """

    most_at_once = MOST_AT_ONCE

    def __init__(self, env: TensorEnv[Any], settings: Agent, iterations: int, seed: int) -> None:
        key = seeding.key_from_seed(seed)
        masked = env.action_mask(env.reset(key, 1)) is not None
        super().__init__(
            Task(tuple(env.observation_space.shape), env.action_space, masked, env), settings, iterations, seed
        )
        if self.learner.recording.best_of is None:
            self.rollout: TensorRollout | BestOfEpisodes = TensorRollout(
                env,
                settings.num_envs,
                self.learner.head,
                self._start_key(),
                self.learner.recording,
                self.learner.memory_widths,
            )
        else:
            self.rollout = BestOfEpisodes(
                env, settings.num_envs, self.learner.head, self._start_key(), self.learner.recording
            )
        self._many = tf.function(self._iterate_many, jit_compile=True, autograph=False)

    def restart(self, seed: int) -> None:
        """Begin again with another seed, without compiling again."""
        self._key.assign(seeding.key_from_seed(seed))
        self._iteration.assign(0)
        self.learner.restart(seeding.fold(self._key.read_value(), START))
        self.rollout.restart(self._start_key())

    def run(self, count: int) -> list[Row]:
        """Make `count` iterations, at most `most_at_once`."""
        return self._rows(self._many(tf.constant(count))[:count].numpy())

    def _start_key(self) -> tf.Tensor:
        return seeding.fold(self._key.read_value(), START, COLLECT)

    def _variables(self) -> dict[str, tf.Variable]:
        rollout = {f"rollout/{name}": variable for name, variable in self.rollout.state().items()}
        return super()._variables() | rollout

    def _iterate_many(self, count: tf.Tensor) -> tf.Tensor:
        def body(i: tf.Tensor, out: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            return i + 1, out.write(i, self._iterate())

        out = tf.TensorArray(tf.float32, MOST_AT_ONCE, element_shape=[len(self._names)])
        _, out = tf.while_loop(
            lambda i, _: i < count, body, (tf.constant(0), out), maximum_iterations=MOST_AT_ONCE, parallel_iterations=1
        )
        return out.stack()

    def _iterate(self) -> tf.Tensor:
        batch, sums = self.rollout.collect(self.learner.act, self._iteration_key(COLLECT), self.settings.rollout_steps)
        signals = self.learner.learn(batch, self._iteration_key(LEARN), self._fraction())
        self._iteration.assign_add(1)
        return _columns(batch, sums, signals)


class GymTraining(_Base):
    """Trains on any Gymnasium environment: acting and learning are compiled, the environment's steps are its own.

    Args:
        source: the environments.
        settings: the run file's hyperparameters.
        iterations: how many the whole training has.
        seed: decides all randomness, 0 <= seed < 2**30.
    """

    most_at_once = 1

    def __init__(self, source: GymSource, settings: Agent, iterations: int, seed: int) -> None:
        self.source = source
        masked = source.action_mask is not None
        super().__init__(
            Task(tuple(source.observation_space.shape), source.action_space, masked), settings, iterations, seed
        )
        self._returns = np.zeros([settings.num_envs], np.float64)
        self._steps = np.zeros([settings.num_envs], np.int64)
        self._memory = _arrays(nothing(self.learner.memory_widths, settings.num_envs))
        self._act = Compiled(self._draw, reads_only=True)
        self._learn = Compiled(self._improve)

    def run(self, count: int) -> list[Row]:
        """Make `count` iterations, at most one."""
        return [row for _ in range(count) for row in self._iterate()]

    def state(self) -> Arrays:
        """Everything that decides the future but for the replay's rows, on the host."""
        source = {f"source/{name}": value for name, value in self.source.snapshot().items()}
        memory = {f"memory/{i}": part.copy() for i, part in enumerate(self._memory)}
        return super().state() | source | memory | {"returns": self._returns.copy(), "steps": self._steps.copy()}

    def load(self, state: Mapping[str, npt.NDArray[Any]], window: Window | None = None) -> None:
        """Put a state back.

        Args:
            state: as `state` gave it.
            window: as `window` gave it.

        Raises:
            SlipwayError: if it is not this training's, or the environment does not repeat its episodes exactly.
        """
        memory = [f"memory/{i}" for i in range(len(self._memory))]
        own = {name: value for name, value in state.items() if name not in ("returns", "steps", *memory)}
        source = {name.removeprefix("source/"): own.pop(name) for name in list(own) if name.startswith("source/")}
        super().load(own, window)
        self._returns, self._steps = state["returns"].copy(), state["steps"].copy()
        self._memory = tuple(state[name].copy() for name in memory)
        self.source.restore(source)

    def close(self) -> None:
        """End the environments."""
        self.source.close()

    def _draw(self, observation: tf.Tensor, mask: Any, step: tf.Tensor, memory: Memory) -> tuple[Any, ...]:
        behaviour, memory = answer(self.learner.head, self.learner.act(observation, mask, *memory))
        key = seeding.fold(self._iteration_key(COLLECT), step)
        action = self.learner.head.sample(behaviour, self.learner.head.noise(key, [self.settings.num_envs]))
        return self.learner.head.to_env(action), action, behaviour, memory

    def _improve(self, batch: Trajectories, sums: EpisodeSums) -> tf.Tensor:
        signals = self.learner.learn(batch, self._iteration_key(LEARN), self._fraction())
        self._iteration.assign_add(1)
        return _columns(batch, sums, signals)

    def _iterate(self) -> list[Row]:
        steps: list[Trajectories] = []
        count, returns, lengths, remembered = 0, 0.0, 0, self._memory
        for t in range(self.settings.rollout_steps):
            observation = self.source.observation.copy()
            mask = () if self.source.action_mask is None else self.source.action_mask.copy()
            sent, action, behaviour, self._memory = self._act(observation, mask, np.int32(t), self._memory)
            outcome = self.source.step(sent)
            done = outcome.terminated | outcome.truncated
            self._returns += outcome.reward
            self._steps += 1
            count, returns = count + int(done.sum()), returns + float(self._returns[done].sum())
            lengths += int(self._steps[done].sum())
            self._returns[done], self._steps[done] = 0.0, 0
            if done.any():
                self._memory = _arrays(forget(self._memory, done))
            steps.append(
                Trajectories(
                    observation,
                    mask,
                    action,
                    behaviour,
                    outcome.reward,
                    outcome.terminated,
                    outcome.truncated,
                    outcome.final_observation,
                    (),
                    outcome.final_mask if self.learner.recording.final_masks else (),
                )
            )
        batch = tf.nest.map_structure(lambda *values: np.stack(values), *steps)
        batch = batch._replace(memory=remembered)
        sums = EpisodeSums(*map(np.float32, (count, returns, lengths, returns)))
        return self._rows(self._learn(batch, sums)[None])


def _arrays(memory: Memory) -> tuple[npt.NDArray[np.float32], ...]:
    """A policy's memory on the host."""
    return tuple(part.numpy() for part in memory)
