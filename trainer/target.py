"""What a run trains on: a tensor environment, or any Gymnasium one, behind what both can say."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import registry, seeding
from envs.core import Objective, Score, TensorEnv
from envs.seeding import Split
from trainer.agents.actions import answer
from trainer.agents.learner import Learner
from trainer.config import check
from trainer.config.models import PPO, Agent, RunFile
from trainer.iteration import GymTraining, TensorTraining, Training
from trainer.loop import Goal
from trainer.policy import Memory, ask, begin, forget
from trainer.rollout.base import Trajectories
from trainer.rollout.gym import GymSource
from trainer.rollout.tensor import TensorRollout

RECORDED_ROWS, RECORDED_STEPS = 16, 16
"""How many episodes and steps an exported model is compared on."""
GYMNASIUM = "gymnasium:"
"""What an id of Gymnasium's starts with in a run file."""


@dataclasses.dataclass(frozen=True)
class Target:
    """The task of a run.

    Attributes:
        env_id: as the run file has it.
        parameters: the run file's.
        env: the task, if it is one of ours; None for Gymnasium's.
    """

    env_id: str
    parameters: Mapping[str, Any]
    env: TensorEnv[Any] | None

    @classmethod
    def of(cls, run_file: RunFile) -> "Target":
        """The task that a run file names; the file has been checked (`trainer.config.check`).

        Raises:
            BadInput: if the task's module is not to be found from here.
        """
        env_id, parameters = run_file.env.id, run_file.env.parameters
        if env_id.startswith(GYMNASIUM):
            return cls(env_id, parameters, None)
        check.find_task(env_id)  # its module may be elsewhere than when the run was made
        return cls(env_id, parameters, registry.make(env_id, **parameters))

    @property
    def objective(self) -> Objective:
        """What the task asks for."""
        return self.env.objective if self.env is not None else Objective.EPISODIC

    @property
    def score(self) -> Score:
        """The task's words for it."""
        return self.env.score if self.env is not None else Score("return", "reward per episode")

    def goal(self) -> Goal:
        """How the task reads its rewards; finding the optimum may take seconds."""
        optimum = self.env.optimum() if self.env is not None else None
        return Goal(self.objective is Objective.AVERAGE_REWARD, self.score, optimum)

    def training(self, run_file: RunFile) -> Training:
        """A training at its start.

        Raises:
            BadInput: if a Gymnasium environment cannot be made or trained on.
        """
        settings, iterations, seed = run_file.agent, run_file.iterations, run_file.seed
        if self.env is not None:
            return TensorTraining(self.env, settings, iterations, seed)
        return GymTraining(self.source(settings.num_envs, seed, Split.TRAIN), settings, iterations, seed)

    def source(self, num_envs: int, seed: int, split: Split) -> GymSource:
        """Gymnasium's environments, N at a time."""
        return GymSource(self.env_id, self.parameters, num_envs, seed, int(split))

    def observations(self, training: Training) -> "Recorded":
        """What the policy meets on held-out episodes."""
        learner, key = training.learner, seeding.key_from_seed(0, Split.HELD_OUT)
        if self.env is not None:
            rollout = TensorRollout(self.env, RECORDED_ROWS, learner.head, key, None, learner.memory_widths)
            batch, _ = rollout.collect(learner.act, key, RECORDED_STEPS)
            observation, mask = batch.observation.numpy(), batch.mask
            flat = None if isinstance(mask, tuple) else mask.numpy().reshape(-1, learner.mask_width)
            return Recorded(observation.reshape(-1, *learner.task.observation_shape), flat, _memories(learner, batch))
        source = self.source(RECORDED_ROWS, 0, Split.HELD_OUT)
        seen, masks, memories = [], [], []
        policy = learner.policy(greedy=False)
        memory = begin(policy, RECORDED_ROWS)
        try:
            for step in range(RECORDED_STEPS):
                mask = source.action_mask
                seen.append(source.observation.copy())
                masks.append(mask)
                memories.append(memory)
                action, memory = ask(policy, memory, source.observation, mask, seeding.fold(key, step))
                outcome = source.step(action.numpy())
                memory = forget(memory, outcome.terminated | outcome.truncated)
        finally:
            source.close()
        given = [mask for mask in masks if mask is not None]
        return Recorded(np.concatenate(seen), np.concatenate(given) if given else None, _joined(memories))

    def simulation(self, settings: Agent, training: Training, optimum: float | None) -> dict[str, Any]:
        """`simulation.json`: what is simulated, and what the agent is told of it beyond samples."""
        task = training.learner.task
        if self.env is not None:
            parameters = dataclasses.asdict(self.env.params)
            observation_space: gymnasium.Space[Any] = self.env.observation_space
            limit: int | None = self.env.max_episode_steps
            baselines = list(self.env.baselines())
        else:
            source = training.source if isinstance(training, GymTraining) else None
            parameters, baselines = dict(self.parameters), []
            observation_space = (
                source.observation_space if source else gymnasium.spaces.Box(0, 1, task.observation_shape)
            )
            limit = source.max_episode_steps if source else None
        return {
            "format": 1,
            "env_id": self.env_id,
            "parameters": parameters,
            "objective": str(self.objective),
            "score": dataclasses.asdict(self.score),
            "observation_space": str(observation_space),
            "action_space": str(task.action_space),
            "action_masks": task.masked,
            "max_episode_steps": limit,
            "optimum": optimum,
            "baselines": baselines,
            "told": told(settings, self.env),
        }


class Recorded(NamedTuple):
    """What a policy met."""

    observation: npt.NDArray[np.float32]  # [B, ...]
    mask: npt.NDArray[np.bool_] | None  # [B, n]; None if every action is always allowed
    memory: tuple[npt.NDArray[np.float32], ...]  # [B, width] each, before the observation; empty if it has none


def _memories(learner: Learner, batch: Trajectories) -> tuple[npt.NDArray[np.float32], ...]:
    """The policy's memory before each step of a rollout, [T * N, width] each."""
    memory, found = batch.memory, []
    done = tf.logical_or(batch.terminated, batch.truncated)
    for t in range(batch.reward.shape[0] if memory else 0):
        found.append(memory)
        mask = batch.mask if isinstance(batch.mask, tuple) else batch.mask[t]
        _, memory = answer(learner.head, learner.act(batch.observation[t], mask, *memory))
        memory = forget(memory, done[t])
    return _joined(found)


def _joined(memories: Sequence[Memory]) -> tuple[npt.NDArray[np.float32], ...]:
    return tuple(np.concatenate([part.numpy() for part in parts]) for parts in zip(*memories, strict=True))


def told(settings: Agent, env: TensorEnv[Any] | None) -> list[str]:
    """What the agent is told of the task beyond samples, in sentences; empty if nothing."""
    sentences = []
    ppo = settings if isinstance(settings, PPO) else None
    law = env.noise_law() if env is not None and ppo is not None and ppo.expectation_over_noise else None
    if law is not None:
        outcomes = int(law.probabilities.shape[0])
        sentences.append(
            f"Told: the task's dynamics and the law of its noise. In training, the value of the next state is averaged"
            f" over all {outcomes} outcomes of the noise, so a step also asks the model {outcomes} times"
            " (`agent.expectation_over_noise`)."
        )
    if ppo is not None and ppo.expected_reward:
        sentences.append(
            "Told: each reward averaged over the noise, in place of the sampled one (`agent.expected_reward`)."
        )
    if ppo is not None and ppo.common_random_numbers:
        sentences.append(
            f"Arranged: groups of {ppo.common_random_numbers} environments meet the same noise"
            " (`agent.common_random_numbers`)."
        )
    if settings.observation_normalisation == "nominal":
        sentences.append("Told: the usual size of an observation, to normalise it (`agent.observation_normalisation`).")
    if sentences:
        sentences.append("Not told: the optimum, any baseline, or any policy to imitate.")
    return sentences
