"""What DQN, SAC and TD3 share: a replay, an iteration of gradient steps on samples of it, and target networks."""

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tf_agents.trajectories import policy_step, time_step, trajectory

from envs import seeding
from trainer.agents import learner, normalisation
from trainer.agents.actions import ActionHead
from trainer.agents.learner import Task
from trainer.agents.replay import Replay, Transitions
from trainer.agents.schedule import value_at
from trainer.config.off_policy import OffPolicy
from trainer.config.section import Schedule
from trainer.policy import AnyPolicy
from trainer.rollout.base import Recording, Trajectories, flat

WEIGHTS, SAMPLE, NOISE = 1101, 1102, 1103
"""What the learner's keys are folded with."""
COMMON = ("gradient_norm", "learning_rate", "gradient_steps", "replay_transitions")
"""Signals of all of them; the first is a mean over gradient steps, as their own signals are."""
WIDEST = 1.0
"""Exploration until learning starts."""


class OffPolicyLearner(tf.Module, abc.ABC):
    """Collected steps go into the replay; then gradient steps are made on minibatches drawn from it.

    A subclass makes its networks in `_build`, and says how one gradient step changes them.

    Args:
        task: what the learner is told of the task.
        settings: the run file's hyperparameters.
        key: int32 [2], for the first weights.
        head: the action space's.
    """

    name_: str
    own_signals: tuple[str, ...]
    """What `gradient_step` reports before the gradient's norm."""
    exploration: Schedule | None = None
    memory_widths: tuple[int, ...] = ()

    def __init__(self, task: Task, settings: OffPolicy, key: tf.Tensor, head: ActionHead) -> None:
        super().__init__(name=self.name_)
        self.task, self.head = task, head
        self._off_policy = settings
        self.recording = Recording(final_masks=task.masked)
        self.signals = (*self.own_signals, *COMMON)
        self.normaliser = normalisation.chosen(settings.observation_normalisation, task.observation_shape, task.env)
        self.replay = Replay(
            settings.replay_slots, settings.num_envs, head, task.observation_shape, task.mask_width, settings.n_step
        )
        self._explores = tf.Variable(0.0, trainable=False, name="exploration")
        self._made = tf.Variable(0, trainable=False, dtype=tf.int32, name="gradient_steps")
        self._agent_step = tf.Variable(0, dtype=tf.int64, trainable=False, name="agent_step")
        self._optimisers: list[tuple[Any, list[tf.Variable]]] = []
        self._targets: list[tuple[tf.Variable, tf.Variable]] = []
        self._build()
        self.restart(key)

    @abc.abstractmethod
    def _build(self) -> None:
        """Make networks, and optimisers by `_optimiser`; name the target networks' variables in `_targets`."""

    @abc.abstractmethod
    def _initialise(self, key: tf.Tensor) -> None:
        """Set the first weights; those of targets are copied afterwards."""

    @abc.abstractmethod
    def gradient_step(self, batch: Transitions, key: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Improve by one minibatch, its observations normalised; `own_signals` and the gradient's norm, scalars."""

    @abc.abstractmethod
    def act(self, observation: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        """The parameters of the policy's distribution (`head`)."""

    @property
    def mask_width(self) -> int:
        """How many actions a mask has; 0 where every action is always allowed."""
        return self.task.mask_width

    def policy(self, *, greedy: bool) -> AnyPolicy:
        """The current policy; it follows the weights as they change."""
        return learner.policy(self, greedy=greedy)

    def restart(self, key: tf.Tensor) -> None:
        """Forget everything: first weights from the key, empty replay, optimisers and normaliser."""
        for variable in self.state().values():
            variable.assign(tf.zeros_like(variable))
        self.replay.restart()
        self._initialise(seeding.fold(key, WEIGHTS))
        for target, source in self._targets:
            target.assign(source)
        if self.exploration is not None:
            self._explores.assign(WIDEST if self._off_policy.learning_starts else self.exploration.start)

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that decides the future but for the replay's rows."""
        named: dict[str, tf.Variable] = {
            "gradient_steps": self._made,
            "exploration": self._explores,
            "replay/written": self.replay.written,
        }
        for number, (optimiser, weights) in enumerate(self._optimisers):
            named |= {f"weights/{number}/{i:02d}": variable for i, variable in enumerate(weights)}
            named |= {f"optimiser/{number}/{i:02d}": variable for i, variable in enumerate(optimiser.variables)}
        named |= {f"target/{i:02d}": target for i, (target, _) in enumerate(self._targets)}
        return named | {f"normaliser/{i}": variable for i, variable in enumerate(self.normaliser.variables)}

    def learn(self, batch: Trajectories, key: tf.Tensor, fraction: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Put T steps of N environments into the replay, and make an iteration's gradient steps.

        Args:
            batch: what was collected.
            key: int32 [2], for samples and noise.
            fraction: how much of the training is done, float32 scalar.
        """
        settings = self._off_policy
        self.replay.add(batch)
        self.normaliser.update(flat(batch.observation))
        rate = value_at(settings.learning_rate, fraction)
        for optimiser, _ in self._optimisers:
            optimiser.learning_rate.assign(rate)
        held = self.replay.transitions()
        ready = tf.logical_and(held >= settings.learning_starts, self.replay.can_sample())
        number = tf.where(ready, settings.gradient_steps, 0)

        def body(i: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            drawn = self.replay.sample(seeding.fold(key, SAMPLE, i), settings.minibatch_size, settings.discount)
            drawn = drawn._replace(
                observation=self.normaliser(drawn.observation),
                next_observation=self.normaliser(drawn.next_observation),
                reward=drawn.reward * settings.reward_scale,
            )
            self._made.assign_add(1)
            return i + 1, sums + tf.stack(self.gradient_step(drawn, seeding.fold(key, NOISE, i)))

        start = (tf.constant(0), tf.zeros([len(self.own_signals) + 1]))
        _, sums = tf.while_loop(
            lambda i, _: i < number, body, start, maximum_iterations=settings.gradient_steps, parallel_iterations=1
        )
        if self.exploration is not None:
            self._explores.assign(tf.where(ready, value_at(self.exploration, fraction), self._explores))
        means = tf.unstack(sums / tf.cast(tf.maximum(number, 1), tf.float32))
        return *means, rate, tf.cast(number, tf.float32), tf.cast(held, tf.float32)

    def _optimiser(self, weights: list[tf.Variable]) -> Any:
        """A new optimiser of these weights; its slots are there before anything is traced."""
        settings = self._off_policy
        optimiser = tf.keras.optimizers.Adam(settings.learning_rate.start, epsilon=settings.adam_epsilon)
        optimiser.build(weights)
        self._optimisers.append((optimiser, weights))
        return optimiser

    def _apply(self, optimiser: Any, gradients: Sequence[tf.Tensor], weights: Sequence[tf.Variable]) -> tf.Tensor:
        """One step of an optimiser; the gradient's norm before clipping, float32 scalar."""
        limit, norm = self._off_policy.max_gradient_norm, tf.linalg.global_norm(gradients)
        if limit is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, limit, norm)
        optimiser.apply_gradients(zip(gradients, weights, strict=True))
        return norm

    def _move_targets(self, every: int = 1) -> None:
        """Move the target networks towards their sources, once in `every` gradient steps."""
        rate = self._off_policy.target_rate

        def move() -> tf.Tensor:
            for target, source in self._targets:
                target.assign((1.0 - rate) * target + rate * source if rate < 1.0 else source)
            return tf.constant(True)

        if every == 1:
            move()
        else:
            tf.cond(self._made % every == 0, move, lambda: tf.constant(False))


def experience(batch: Transitions, observation: Any, next_observation: Any) -> Any:
    """A minibatch as TF-Agents' losses take it; its discount is the whole of it, so their `gamma` is 1.

    Args:
        batch: the minibatch.
        observation: with the mask, where the networks take it.
        next_observation: likewise.
    """
    size = batch.reward.shape[0]

    def step(kind: int, reward: tf.Tensor, discount: tf.Tensor, seen: Any) -> Any:
        return time_step.TimeStep(tf.fill([size], tf.constant(kind, tf.int32)), reward, discount, seen)

    nothing, one = tf.zeros([size]), tf.ones([size])
    return trajectory.Transition(
        step(1, nothing, one, observation),
        policy_step.PolicyStep(batch.action, (), ()),
        step(1, batch.reward, batch.discount, next_observation),
    )
