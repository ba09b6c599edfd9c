"""PPO on CartPole with Stable-Baselines3, at the hyperparameters of its zoo."""

from collections.abc import Callable

import gymnasium
import numpy as np
import numpy.typing as npt
import stable_baselines3
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from benchmarks import worker
from benchmarks.settings import Setting


class AfterIterations(BaseCallback):
    """Calls back between iterations: a rollout's start is where the iteration before it is complete."""

    def __init__(self, every: int, after: Callable[[int], bool]) -> None:
        super().__init__()
        self._every, self._after = every, after
        self._done, self._go_on = 0, True

    def _on_rollout_start(self) -> None:
        if self._done:
            self._report()
        self._done += 1

    def _report(self, last: bool = False) -> None:
        if self._go_on and (self._done == 1 or self._done % self._every == 0 or last):
            self._go_on = self._after(self._done)

    def _on_training_end(self) -> None:
        if self._go_on and self._done % self._every:
            self._report(last=True)
        elif self._go_on and self._done > 1:
            self._report()

    def _on_step(self) -> bool:
        return self._go_on


class SB3Program:
    def __init__(self, setting: Setting, seed: int) -> None:
        torch.set_num_threads(1)
        self._setting = setting
        clip, rate = setting.clip_ratio, setting.learning_rate
        self._model = PPO(
            "MlpPolicy",
            make_vec_env("CartPole-v1", n_envs=setting.num_envs, seed=seed),
            n_steps=setting.rollout_steps,
            batch_size=setting.minibatch_size,
            n_epochs=setting.epochs,
            gamma=setting.discount,
            gae_lambda=setting.gae_lambda,
            learning_rate=lambda left: left * rate,
            clip_range=(lambda left: left * clip) if setting.clip_decays else clip,
            ent_coef=setting.entropy_coefficient,
            vf_coef=setting.value_coefficient,
            max_grad_norm=setting.max_gradient_norm,
            seed=seed,
            device="cpu",
        )

    def train(self, every: int, after: Callable[[int], bool]) -> None:
        self._model.learn(self._setting.env_steps, callback=AfterIterations(every, after))

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        return self._model.predict(observation, deterministic=True)[0]

    def versions(self) -> dict[str, str]:
        return {
            "stable-baselines3": stable_baselines3.__version__,
            "torch": torch.__version__,
            "gymnasium": gymnasium.__version__,
        }


if __name__ == "__main__":
    worker.main(SB3Program)
