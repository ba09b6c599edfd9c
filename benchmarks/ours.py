"""Slipway's own PPO on CartPole, for the same measurements as its peers."""

import importlib.metadata
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from benchmarks import worker
from benchmarks.settings import Setting
from trainer import backend
from trainer.config.models import PPO, Budget, Environment, RecurrentNetworks, RunFile
from trainer.config.section import Schedule


def hyperparameters(setting: Setting) -> PPO:
    """The setting as a run file's `agent` section."""
    clip = setting.clip_ratio
    return PPO(
        num_envs=setting.num_envs,
        rollout_steps=setting.rollout_steps,
        epochs=setting.epochs,
        minibatch_size=setting.minibatch_size,
        discount=setting.discount,
        gae_lambda=setting.gae_lambda,
        learning_rate=Schedule(start=setting.learning_rate, end=0.0),
        clip_ratio=Schedule(start=clip, end=0.0 if setting.clip_decays else clip),
        entropy_coefficient=Schedule(start=setting.entropy_coefficient, end=setting.entropy_coefficient),
        value_coefficient=setting.value_coefficient,
        max_gradient_norm=setting.max_gradient_norm,
        adam_epsilon=setting.adam_epsilon,
        networks=RecurrentNetworks(actor=(64, 64), critic=(64, 64), activation="tanh"),
    )


def run_file(setting: Setting, seed: int, store: str) -> RunFile:
    """The same training as a run of the product."""
    return RunFile(
        env=Environment(id="slipway/CartPole-v1"),
        agent=hyperparameters(setting),
        seed=seed,
        budget=Budget(env_steps=setting.env_steps),
        store=store,
    )


class Slipway:
    def __init__(self, setting: Setting, seed: int) -> None:
        backend.prepare()
        import tensorflow as tf

        from envs import registry, seeding
        from trainer.iteration import TensorTraining

        self._setting = setting
        env = registry.make("slipway/CartPole-v1")
        self._training = TensorTraining(env, hyperparameters(setting), setting.iterations, seed)
        policy, key = self._training.learner.policy(greedy=True), seeding.key_from_seed(0)
        self._act = tf.function(lambda observation: policy(observation, None, key), autograph=False)

    def train(self, every: int, after: Callable[[int], bool]) -> None:
        done, total = 0, self._setting.iterations
        while done < total:
            due = min(total, (done // every + 1) * every) if done else 1
            count = min(due - done, self._training.most_at_once)
            self._training.run(count)
            done += count
            if done == due and not after(done):
                return

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return self._act(observation).numpy()

    def versions(self) -> dict[str, str]:
        return {name: importlib.metadata.version(name) for name in ("slipway", "tensorflow", "tf-agents", "gymnasium")}


if __name__ == "__main__":
    worker.main(Slipway)
