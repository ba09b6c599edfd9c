"""Proximal policy optimisation on TF-Agents' clipping agent, made to run inside one compiled graph."""

from typing import Any, NamedTuple

import tensorflow as tf
from tf_agents.agents.ppo import ppo_clip_agent
from tf_agents.trajectories import time_step

from envs import seeding
from envs.core import NoiseLaw, TensorEnv
from trainer.agents import actions, learner, networks, normalisation
from trainer.agents.advantage import generalised_advantages
from trainer.agents.learner import Task
from trainer.agents.packing import Packing, Rows
from trainer.agents.permutation import permutation
from trainer.agents.recurrence import SequencePacking
from trainer.agents.schedule import value_at
from trainer.config.models import PPO
from trainer.policy import AnyPolicy, Memory
from trainer.rollout.base import Recording, Trajectories, flat

WEIGHTS, SHUFFLE = 1001, 1002
"""What the learner's keys are folded with."""


class Signals(NamedTuple):
    """What an iteration of learning reports, float32 scalars; means over its gradient steps where there are several."""

    policy_loss: tf.Tensor
    value_loss: tf.Tensor
    policy_entropy: tf.Tensor  # nats
    policy_kl: tf.Tensor  # nats, from the policy that collected the data
    clip_fraction: tf.Tensor
    gradient_norm: tf.Tensor  # before clipping
    explained_variance: tf.Tensor
    learning_rate: tf.Tensor


class ScheduledPPOAgent(ppo_clip_agent.PPOClipAgent):
    """TF-Agents' PPO-clip agent with clip ratio and entropy coefficient as tensors, so that they can change in a graph.

    Set `clip_ratio` and `entropy_coefficient` before `get_loss`; read `divergence` and `entropy` after it.
    """

    clip_ratio: Any
    entropy_coefficient: Any
    divergence: tf.Tensor
    entropy: tf.Tensor

    def policy_gradient_loss(
        self,
        time_steps: Any,
        actions: Any,
        sample_action_log_probs: tf.Tensor,
        advantages: tf.Tensor,
        current_policy_distribution: Any,
        weights: Any,
        debug_summaries: bool = False,
    ) -> tf.Tensor:
        """Clipped surrogate objective, negated, scalar.

        `-mean(min(ratio * A, clip(ratio, 1 - c, 1 + c) * A))` (Schulman et al. 2017, eq. 7). The divergence is
        estimated by `mean(ratio - 1 - log ratio)` (Schulman 2020, http://joschu.net/blog/kl-approx.html).
        """
        del time_steps, weights, debug_summaries
        log_ratio = current_policy_distribution.log_prob(actions) - sample_action_log_probs
        ratio = tf.exp(log_ratio)
        clipped = tf.clip_by_value(ratio, 1.0 - self.clip_ratio, 1.0 + self.clip_ratio)
        self.divergence = tf.reduce_mean(ratio - 1.0 - log_ratio)
        self._clip_fraction = tf.reduce_mean(tf.cast(tf.abs(ratio - 1.0) > self.clip_ratio, tf.float32))
        return -tf.reduce_mean(tf.minimum(ratio * advantages, clipped * advantages))

    def entropy_regularization_loss(
        self, time_steps: Any, entropy: tf.Tensor, weights: Any, debug_summaries: bool = False
    ) -> tf.Tensor:
        """`-coefficient * mean(entropy)`, scalar."""
        del time_steps, weights, debug_summaries
        self.entropy = tf.reduce_mean(entropy)
        return -self.entropy_coefficient * self.entropy


class PPOLearner(tf.Module):
    """Networks, optimiser and normalisers, and how a batch of trajectories changes them.

    All methods can be traced into a graph compiled with XLA.

    Args:
        task: what the learner is told of the task.
        settings: the run file's hyperparameters.
        key: int32 [2], for the first weights.
    """

    signals = Signals._fields
    replay = None
    memory_widths: tuple[int, ...] = ()

    def __init__(self, task: Task, settings: PPO, key: tf.Tensor) -> None:
        super().__init__(name="ppo")
        self.task, self.settings = task, settings
        self.recording = Recording(
            states=settings.expected_reward or settings.expectation_over_noise,
            noise_group=settings.common_random_numbers,
        )
        self.head = actions.head(task.action_space)
        self._build()
        self.normaliser = normalisation.chosen(settings.observation_normalisation, task.observation_shape, task.env)
        self.return_scale = (
            normalisation.ReturnScale(settings.num_envs, settings.discount) if settings.return_normalisation else None
        )
        self.optimiser = tf.keras.optimizers.Adam(settings.learning_rate.start, epsilon=settings.adam_epsilon)
        # The optimiser's slots must exist before tracing: a compiled function makes no variables.
        self.optimiser.build(self._weights)
        self._agent_step = tf.Variable(0, dtype=tf.int64, trainable=False, name="agent_step")
        self.agent = self._make_agent()
        law = task.env.noise_law() if task.env is not None and settings.expectation_over_noise else None
        self._noise_law: NoiseLaw | None = law
        self.restart(key)

    def _build(self) -> None:
        """Make the networks; say which weights there are, and how many of them, the first, are the policy's."""
        self.actor, self.critic = networks.build(
            self.settings.networks, self.task.observation_shape, self.head, self.task.entities
        )
        self._weights = networks.unique(self.actor, self.critic)
        self._policy_weights = len(self.actor.trainable_weights)

    def _initialise(self, key: tf.Tensor) -> None:
        networks.initialise(self.actor, self.critic, key, deviation=self.settings.networks.initial_deviation)

    def restart(self, key: tf.Tensor) -> None:
        """Forget everything: first weights from the key, empty optimiser and normalisers."""
        for variable in self.state().values():
            variable.assign(tf.zeros_like(variable))
        self._initialise(seeding.fold(key, WEIGHTS))

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that decides the future, by a name that does not depend on how TensorFlow names things."""
        named = {f"weights/{i:02d}": variable for i, variable in enumerate(self._weights)}
        named |= {f"optimiser/{i:02d}": variable for i, variable in enumerate(self.optimiser.variables)}
        for part in ("normaliser", "return_scale"):
            module = getattr(self, part)
            named |= {f"{part}/{i}": variable for i, variable in enumerate(module.variables if module else ())}
        return named

    def _agent_networks(self) -> tuple[Any, Any, Any]:
        """The spec of what TF-Agents' agent sees, and its policy's and its values' network for that."""
        observation_spec: Any = tf.TensorSpec(self.task.observation_shape, tf.float32, "observation")
        actor, critic = self.actor, self.critic
        if self.task.masked:
            mask_spec = tf.TensorSpec([self.mask_width], tf.bool, "mask")
            actor, critic = (networks.with_mask(net, observation_spec, mask_spec) for net in (actor, critic))
            observation_spec = (observation_spec, mask_spec)
        return observation_spec, actor, critic

    def _make_agent(self) -> ScheduledPPOAgent:
        observation_spec, actor, critic = self._agent_networks()
        agent = ScheduledPPOAgent(
            time_step.time_step_spec(observation_spec),
            self.head.spec,
            optimizer=self.optimiser,
            actor_net=actor,
            value_net=critic,
            importance_ratio_clipping=self.settings.clip_ratio.start,
            entropy_regularization=1.0,  # only switches the term on: the weight is `entropy_coefficient`
            value_pred_loss_coef=self.settings.value_coefficient,
            value_clipping=self.settings.value_clip_ratio,
            num_epochs=1,
            normalize_rewards=False,
            normalize_observations=False,
            compute_value_and_advantage_in_train=False,
            update_normalizers_in_train=False,
            aggregate_losses_across_replicas=False,
            train_step_counter=self._agent_step,
        )
        agent.initialize()
        return agent

    @property
    def _env(self) -> TensorEnv[Any]:
        if self.task.env is None:
            raise ValueError("this setting needs the task's own functions, which only tensor environments have")
        return self.task.env

    @property
    def mask_width(self) -> int:
        """How many actions a mask has; 0 where every action is always allowed."""
        return self.task.mask_width

    def act(self, observation: tf.Tensor, mask: Any, *memory: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The parameters of the policy's distribution.

        Args:
            observation: float32 [B, ...], as the environment gives it.
            mask: bool [B, n], or `()`.
            memory: none.
        """
        del memory
        return self._act(self.normaliser(observation), mask)

    def _act(self, normalised: tf.Tensor, mask: Any) -> tuple[tf.Tensor, ...]:
        keywords = {"mask": tf.convert_to_tensor(mask)} if self.task.masked else {}
        return self.head.parameters(self.actor(normalised, **keywords)[0])

    def value(self, observation: tf.Tensor, *memory: tf.Tensor) -> tf.Tensor:
        """Values float32 [B] of observations float32 [B, ...]; there is no memory."""
        del memory
        return self.critic(self.normaliser(observation))[0]

    def policy(self, *, greedy: bool) -> AnyPolicy:
        """The current policy; it follows the weights as they change."""
        return learner.policy(self, greedy=greedy)

    def learn(self, batch: Trajectories, key: tf.Tensor, fraction: tf.Tensor) -> Signals:
        """Improve policy and values by one batch.

        Args:
            batch: T steps of N environments.
            key: int32 [2], for the order of the transitions.
            fraction: how much of the training is done, float32 scalar.
        """
        settings = self.settings
        value, advantage, target = self._targets(batch)
        residual = tf.math.reduce_variance(target - value)
        explained = 1.0 - residual / (tf.math.reduce_variance(target) + 1e-12)
        if not settings.advantage_normalisation:
            advantage = _standardised(advantage)
        rate = value_at(settings.learning_rate, fraction)
        self.optimiser.learning_rate.assign(rate)
        self.agent.clip_ratio = value_at(settings.clip_ratio, fraction)
        self.agent.entropy_coefficient = value_at(settings.entropy_coefficient, fraction)
        packing = self._packing()
        columns = packing.pack(
            self.normaliser(flat(batch.observation)), batch, flat(value), flat(advantage), flat(target)
        )
        means = self._epochs(columns, packing, key)
        self.normaliser.update(flat(batch.observation))
        loss, value_loss, entropy, divergence, clipped, norm = tf.unstack(means)
        return Signals(loss, value_loss, entropy, divergence, clipped, norm, explained, rate)

    def _packing(self) -> Packing | SequencePacking:
        """How what a gradient step needs becomes rows."""
        return Packing(self.head, self.task.observation_shape, self.mask_width)

    def _seen(self, data: Rows) -> Any:
        """A minibatch's observations as TF-Agents' agent sees them."""
        return (data.observation, data.mask) if self.task.masked else data.observation

    def _values(self, batch: Trajectories) -> tuple[tf.Tensor, Memory]:
        """V(s), float32 [T, N], and the values' memory after each step, before any reset, [T, N, width] each."""
        return tf.reshape(self.value(flat(batch.observation)), batch.reward.shape), ()

    def _targets(self, batch: Trajectories) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """V(s), advantages and value targets, float32 [T, N] each."""
        settings, shape = self.settings, batch.reward.shape
        value, memory = self._values(batch)
        reward, next_value, terminated = batch.reward, None, batch.terminated
        if settings.expected_reward:
            reward = tf.reshape(self._env.expected_reward(flat(batch.state), self._env_action(batch)), shape)
        if self._noise_law is not None:
            next_value = self._expected_next_value(batch, self._noise_law, memory)
            terminated = tf.zeros_like(terminated)  # the expectation has counted the outcomes that end the episode
        else:
            next_value = tf.reshape(self.value(flat(batch.final_observation), *flat(memory)), shape)
        if settings.objective == "average-reward":
            reward = reward - tf.reduce_mean(reward)
        reward = reward * settings.reward_scale
        if self.return_scale is not None:
            reward = self.return_scale(reward, tf.logical_or(batch.terminated, batch.truncated))
        ended = tf.logical_or(batch.truncated, batch.terminated)
        advantage = generalised_advantages(
            reward, value, next_value, terminated, ended, settings.discount, settings.gae_lambda
        )
        target = advantage + value
        if settings.objective == "average-reward":
            target = target - tf.reduce_mean(target)  # differential values are known up to a constant only
        if settings.common_random_numbers:
            groups = [shape[0], shape[1] // settings.common_random_numbers, settings.common_random_numbers]
            grouped = tf.reshape(advantage, groups)
            advantage = tf.reshape(grouped - tf.reduce_mean(grouped, -1, keepdims=True), shape)
        return value, advantage, target

    def _env_action(self, batch: Trajectories) -> tf.Tensor:
        return self.head.to_env(flat(batch.action))

    def _expected_next_value(self, batch: Trajectories, law: NoiseLaw, memory: Memory = ()) -> tf.Tensor:
        """E[V(s')] over the noise's K outcomes, float32 [T, N].

        A step of the rollout at a time, to keep batches small.
        """
        env = self._env
        steps, count = batch.reward.shape
        outcomes = law.probabilities.shape[0]

        def spread(x: tf.Tensor) -> tf.Tensor:
            return tf.repeat(x, outcomes, axis=0)

        noise = tf.nest.map_structure(lambda x: tf.tile(x, [count] + [1] * (len(x.shape) - 1)), law.outcomes)

        def body(t: tf.Tensor, out: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
            state = tf.nest.map_structure(lambda x: spread(x[t]), batch.state)
            following, transition = env.step(state, spread(self.head.to_env(batch.action[t])), noise)
            alive = 1.0 - tf.cast(transition.terminated, tf.float32)
            known = (spread(part[t]) for part in memory)
            value = tf.reshape(alive * self.value(env.observe(following), *known), [count, outcomes])
            return t + 1, out.write(t, tf.linalg.matvec(value, law.probabilities))

        out = tf.TensorArray(tf.float32, steps, element_shape=[count])
        _, out = tf.while_loop(
            lambda t, _: t < steps, body, (tf.constant(0), out), maximum_iterations=steps, parallel_iterations=1
        )
        return out.stack()

    def _epochs(self, columns: tf.Tensor, packing: Packing | SequencePacking, key: tf.Tensor) -> tf.Tensor:
        """All gradient steps of an iteration; the means of the first six signals, float32 [6]."""
        settings = self.settings
        minibatches = settings.batch_size // settings.minibatch_size
        rows = columns.shape[0]

        def epoch(number: tf.Tensor, sums: tf.Tensor, before: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            del before
            if minibatches > 1:
                order = permutation(seeding.fold(key, SHUFFLE, number), rows)
                shuffled = tf.reshape(tf.gather(columns, order), [minibatches, rows // minibatches, columns.shape[1]])
            else:
                shuffled = columns[None]

            def minibatch(i: tf.Tensor, sums: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
                return i + 1, sums + self._gradient_step(packing, shuffled[i])

            start = (tf.constant(0), tf.zeros_like(sums))
            _, added = tf.while_loop(
                lambda i, _: i < minibatches, minibatch, start, maximum_iterations=minibatches, parallel_iterations=1
            )
            return number + 1, sums + added, added[3] / minibatches

        def again(number: tf.Tensor, sums: tf.Tensor, divergence: tf.Tensor) -> tf.Tensor:
            del sums
            wanted = number < settings.epochs
            if settings.target_kl_nats is None:
                return wanted
            return tf.logical_and(wanted, divergence <= settings.target_kl_nats)

        start = (tf.constant(0), tf.zeros([6]), tf.constant(0.0))
        number, sums, _ = tf.while_loop(again, epoch, start, maximum_iterations=settings.epochs, parallel_iterations=1)
        return sums / tf.cast(number * minibatches, tf.float32)

    def _gradient_step(self, packing: Packing | SequencePacking, rows: tf.Tensor) -> tf.Tensor:
        """One step of Adam on one minibatch; six signals, float32 [6]."""
        settings, data = self.settings, packing.unpack(rows)
        advantage = _standardised(data.advantage) if settings.advantage_normalisation else data.advantage
        size = advantage.shape[0]
        with tf.GradientTape() as tape:
            steps = time_step.TimeStep(
                tf.fill([size], time_step.StepType.MID), tf.zeros([size]), tf.ones([size]), self._seen(data)
            )
            loss = self.agent.get_loss(
                steps,
                data.action,
                data.log_probability,
                data.target,
                advantage,
                (),
                tf.ones([size]),
                self._agent_step,
                False,
                old_value_predictions=data.value,
                training=True,
            )
        gradients = tape.gradient(loss.loss, self._weights)
        gradients, norm = self._clipped(gradients)
        self.optimiser.apply_gradients(zip(gradients, self._weights, strict=True))
        extra = loss.extra
        value_loss = extra.value_estimation_loss / max(settings.value_coefficient, 1e-12)
        return tf.stack(
            [
                extra.policy_gradient_loss,
                value_loss,
                self.agent.entropy,
                self.agent.divergence,
                extra.clip_fraction,
                norm,
            ]
        )

    def _clipped(self, gradients: list[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor]:
        norm, limit = tf.linalg.global_norm(gradients), self.settings.max_gradient_norm
        if limit is None:
            return gradients, norm
        if not self.settings.separate_gradient_norms:
            return tf.clip_by_global_norm(gradients, limit, norm)[0], norm
        split = self._policy_weights
        actor, _ = tf.clip_by_global_norm(gradients[:split], limit)
        critic, _ = tf.clip_by_global_norm(gradients[split:], limit)
        return actor + critic, norm


def _standardised(x: tf.Tensor) -> tf.Tensor:
    """Mean 0, deviation 1, over all elements."""
    return (x - tf.reduce_mean(x)) / (tf.math.reduce_std(x) + 1e-8)
