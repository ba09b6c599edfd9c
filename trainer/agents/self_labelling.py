"""Self-labelling: the best of several episodes from the same start is what the policy should have done."""

from typing import Any

import tensorflow as tf

from envs import seeding
from trainer.agents import actions, learner, networks, normalisation
from trainer.agents.learner import Task
from trainer.agents.schedule import value_at
from trainer.config.self_labelling import SelfLabelling
from trainer.policy import AnyPolicy
from trainer.rollout.base import Recording, Trajectories, flat

WEIGHTS, SHUFFLE = 1301, 1302
"""What the learner's keys are folded with."""


class SelfLabellingLearner(tf.Module):
    """A policy that imitates the best of its own episodes (Corsini et al. 2024, https://arxiv.org/abs/2401.11849).

    The loss is the mean of `-log p(action)` over the choices of the best episodes. Steps at which only one action is
    allowed are no choices: they count in neither loss nor entropy, nor does what follows an episode's end.

    Args:
        task: what the learner is told of the task.
        settings: the run file's hyperparameters.
        key: int32 [2], for the first weights.
    """

    signals = ("policy_loss", "policy_entropy", "gradient_norm", "learning_rate", "label_return")
    replay = None
    memory_widths: tuple[int, ...] = ()

    def __init__(self, task: Task, settings: SelfLabelling, key: tf.Tensor) -> None:
        super().__init__(name="self_labelling")
        self.task, self.settings = task, settings
        self.recording = Recording(best_of=settings.episodes_per_start)
        self.head = actions.head(task.action_space)
        self.actor = networks.policy(settings.networks, task.observation_shape, self.head, task.entities)
        self.normaliser = normalisation.chosen(settings.observation_normalisation, task.observation_shape, task.env)
        self.optimiser = tf.keras.optimizers.Adam(settings.learning_rate.start, epsilon=settings.adam_epsilon)
        self._weights = list(self.actor.trainable_weights)
        self.optimiser.build(self._weights)
        self.restart(key)

    @property
    def mask_width(self) -> int:
        """How many actions a mask has; 0 where every action is always allowed."""
        return self.task.mask_width

    def restart(self, key: tf.Tensor) -> None:
        """Forget everything: first weights from the key, empty optimiser and normaliser."""
        for variable in self.state().values():
            variable.assign(tf.zeros_like(variable))
        networks.set_orthogonal(self.actor, seeding.fold(key, WEIGHTS), gain=networks.POLICY_GAIN)

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that decides the future."""
        named = {f"weights/{i:02d}": variable for i, variable in enumerate(self._weights)}
        named |= {f"optimiser/{i:02d}": variable for i, variable in enumerate(self.optimiser.variables)}
        return named | {f"normaliser/{i}": variable for i, variable in enumerate(self.normaliser.variables)}

    def act(self, observation: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        """The parameters of the policy's distribution."""
        return self._act(self.normaliser(observation), mask)

    def _act(self, normalised: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        keywords = {"mask": tf.convert_to_tensor(mask)} if self.task.masked else {}
        return self.head.parameters(self.actor(normalised, **keywords)[0])

    def policy(self, *, greedy: bool) -> AnyPolicy:
        """The current policy; it follows the weights as they change."""
        return learner.policy(self, greedy=greedy)

    def learn(self, batch: Trajectories, key: tf.Tensor, fraction: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Make the choices of the best episodes more likely.

        Args:
            batch: the best episode of each start, from its beginning, [T, B].
            key: int32 [2], for the order of the choices.
            fraction: how much of the training is done, float32 scalar.
        """
        settings = self.settings
        rate = value_at(settings.learning_rate, fraction)
        self.optimiser.learning_rate.assign(rate)
        entropy_coefficient = value_at(settings.entropy_coefficient, fraction)
        choice = tf.cast(flat(choices(batch)), tf.float32)
        observation, mask, action = self.normaliser(flat(batch.observation)), flat(batch.mask), flat(batch.action)
        rows = choice.shape[0]
        size = min(settings.minibatch_size, rows)
        # What is left over in one epoch falls into another's minibatches.
        minibatches = tf.maximum(tf.cast(tf.reduce_sum(choice), tf.int32) // size, 1)

        def epoch(number: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chance = seeding.uniform(seeding.fold(key, SHUFFLE, number), [rows])
            order = tf.argsort(chance - choice, stable=True)  # the choices first

            def minibatch(i: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                chosen = tf.slice(order, [i * size], [size])
                given = tf.nest.map_structure(lambda x: tf.gather(x, chosen), (observation, mask, action, choice))
                return i + 1, sums + self._gradient_step(given, entropy_coefficient)

            return number + 1, tf.while_loop(
                lambda i, _: i < minibatches, minibatch, (tf.constant(0), sums), parallel_iterations=1
            )[1]

        _, sums = tf.while_loop(
            lambda number, _: number < settings.epochs, epoch, (tf.constant(0), tf.zeros([3])), parallel_iterations=1
        )
        loss, entropy, norm = tf.unstack(sums / tf.cast(settings.epochs * minibatches, tf.float32))
        self.normaliser.update(flat(batch.observation))
        return loss, entropy, norm, rate, tf.reduce_mean(tf.reduce_sum(batch.reward, 0))

    def _gradient_step(self, given: tuple[Any, ...], entropy_coefficient: tf.Tensor) -> tf.Tensor:
        """One step of Adam on (observation, mask, action, whether it is a choice); loss, entropy, gradient's norm."""
        observation, mask, action, choice = given
        weight = choice / tf.maximum(tf.reduce_sum(choice), 1.0)
        with tf.GradientTape() as tape:
            parameters = self._act(observation, mask)
            loss = -tf.reduce_sum(weight * self.head.log_probability(parameters, action))
            logits = tf.nn.log_softmax(parameters[0])
            probability = tf.exp(logits)
            entropy = -tf.reduce_sum(weight * tf.reduce_sum(tf.where(probability > 0, probability * logits, 0.0), 1))
            total = loss - entropy_coefficient * entropy
        gradients = tape.gradient(total, self._weights)
        norm = tf.linalg.global_norm(gradients)
        if self.settings.max_gradient_norm is not None:
            gradients, _ = tf.clip_by_global_norm(gradients, self.settings.max_gradient_norm, norm)
        self.optimiser.apply_gradients(zip(gradients, self._weights, strict=True))
        return tf.stack([loss, entropy, norm])


def choices(batch: Trajectories) -> tf.Tensor:
    """Which steps of whole episodes are choices, bool [T, B]: until the end, and among two actions or more."""
    ended = tf.cast(tf.logical_or(batch.terminated, batch.truncated), tf.float32)
    running = tf.cumsum(ended, axis=0, exclusive=True) < 1.0
    if isinstance(batch.mask, tuple):
        return running
    return tf.logical_and(running, tf.reduce_sum(tf.cast(batch.mask, tf.float32), -1) > 1.0)
