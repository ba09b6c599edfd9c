"""How a trained policy is measured. Each instrument is made once for a learner, and used again after each training."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import core, seeding
from envs.inventory import baselines as rules_of_stock
from envs.inventory.dynamics import LostSales
from envs.navigation.lidar import worlds
from trainer.agents.learner import Learner
from trainer.config.models import RunFile
from trainer.evaluation import protocol
from trainer.evaluation import schedules as dispatching
from trainer.policy import Memory, ask, begin
from trainer.target import Target

Found = dict[str, Any]
"""`values` by measure, None where there is no finite one; perhaps `held_out`: the score on each held-out seed."""
Instrument = Callable[[], Found]
PUBLISHED_SEEDS = (42, 123, 456, 789, 1011, 2022, 3033, 4044, 5055, 6066)
"""NumPy's, of the ten demand paths that Barati and Hu 2026 give profits for (https://arxiv.org/abs/2605.11355)."""

SAMPLES, TEMPERATURE, DELAY = 64, 0.7, 0.3
"""How schedules are drawn. Temperature and delay were chosen on the very instances that are measured, with another
policy, so that the gaps flatter a little."""


def make(name: str, target: Target, learner: Learner, run_file: RunFile) -> Instrument:
    """An instrument by its name in `Case.instruments`."""
    return INSTRUMENTS[name](target, learner, run_file)


def held_out(target: Target, learner: Learner, run_file: RunFile) -> Instrument:
    """The mean score on held-out episodes, as an evaluation of the product has it."""
    measure, goal = protocol.Quick(target, learner, run_file.evaluation), target.goal()

    def found() -> Found:
        scores = measure.scores()
        mean, each = float(scores.mean()), scores.mean(1).tolist()
        return {"values": {"score": mean, "sampled_gap": goal.gap(mean)}, "held_out": each}

    return found


def exact(target: Target, learner: Learner, run_file: RunFile) -> Instrument:
    """The exact score, and its gap to the optimum."""
    del run_file
    goal = target.goal()

    def found() -> Found:
        score = protocol.exact_score(target, learner)
        gap = None if score is None else goal.gap(score.score)
        return {"values": {"exact": score and score.score, "gap": gap}}

    return found


def published_paths(target: Target, learner: Learner, run_file: RunFile) -> Instrument:
    """The mean profit on the published demand paths."""
    del run_file
    env = _env(target)
    demands = np.stack([np.random.default_rng(seed).poisson(20, 30) for seed in PUBLISHED_SEEDS])
    noises = [tf.constant(demand, tf.float32) for demand in demands.T]
    start = env.reset(seeding.key_from_seed(0), len(demands))
    play = _Play(env, learner)
    return lambda: {"values": {"published": float(play(start, noises).mean())}}


def all_worlds(target: Target, learner: Learner, run_file: RunFile) -> Instrument:
    """The mean score in all held-out worlds of LiDAR navigation, and the share in which the robot arrives."""
    del run_file
    env = _env(target)
    first = worlds.TRAINING_WORLDS
    start = env.start(tf.range(first, first + worlds.HELD_OUT_WORLDS))  # type: ignore[attr-defined]
    play = _Play(env, learner)

    def found() -> Found:
        scores = play(start, [()] * env.max_episode_steps)
        # Only who arrives has a score above 0.
        return {"values": {"score": float(scores.mean()), "success": float((scores > 0).mean())}}

    return found


def schedules(target: Target, learner: Learner, run_file: RunFile) -> Instrument:
    """Mean gaps to the best makespans that are known: of Taillard's 15 x 15 instances, and of his 20 x 20 ones."""
    del target

    def found() -> Found:
        arrays = {f"{dispatching.LEARNER}{name}": variable.numpy() for name, variable in learner.state().items()}
        dispatcher = dispatching.Dispatcher(run_file, arrays)
        small, large = (
            dispatching.gaps(dispatcher, [f"ta{number:02d}" for number in numbers], SAMPLES, 0, TEMPERATURE, DELAY)
            for numbers in (range(1, 11), range(21, 31))
        )
        return {
            "values": {
                "greedy": small.greedy,
                "mirrored": small.greedy_mirrored,
                "best_of_64": small.best_of_mirrored,
                "large_mirrored": large.greedy_mirrored,
                "large_best_of_64": large.best_of_mirrored,
            }
        }

    return found


INSTRUMENTS: dict[str, Callable[[Target, Learner, RunFile], Instrument]] = {
    "held-out": held_out,
    "exact": exact,
    "published-paths": published_paths,
    "worlds": all_worlds,
    "schedules": schedules,
}


def baselines(target: Target) -> dict[str, dict[str, float]]:
    """`baseline_gaps`: how far base-stock policies lie above the optimum of lost sales, exactly; nothing elsewhere."""
    if not isinstance(target.env, LostSales):
        return {}
    params, optimum = target.env.params, target.env.optimum()
    rules = {
        "base-stock": rules_of_stock.best_base_stock(params),
        "capped base-stock": rules_of_stock.best_capped_base_stock(params),
    }
    gaps = {name: rules_of_stock.cost(params, rule) / optimum - 1 for name, rule in rules.items()} if optimum else {}
    return {"baseline_gaps": gaps}


class _Play:
    """Episodes of the greedy policy from given states with given noise."""

    def __init__(self, env: core.TensorEnv[Any], learner: Learner) -> None:
        self._env, self._policy = env, learner.policy(greedy=True)
        self._step = tf.function(self._one, jit_compile=True, autograph=False)

    def __call__(self, state: Any, noises: list[Any]) -> npt.NDArray[np.float64]:
        """Scores, float64 [B]: what each step adds, until the episode ends."""
        total, alive = 0.0, True
        memory = begin(self._policy, tf.nest.flatten(state)[0].shape[0])
        for noise in noises:
            state, memory, gain, terminated = self._step(state, memory, noise)
            total = total + np.where(alive, gain.numpy().astype(np.float64), 0.0)
            alive = np.logical_and(alive, ~terminated.numpy())
            if not alive.any():
                break
        return np.asarray(total) * self._env.score.sign

    def _one(self, state: Any, memory: Memory, noise: Any) -> tuple[Any, Memory, tf.Tensor, tf.Tensor]:
        env = self._env
        action, memory = ask(self._policy, memory, env.observe(state), env.action_mask(state), None)
        after, transition = env.step(state, action, noise)
        return after, memory, core.gain(transition), transition.terminated


def _env(target: Target) -> core.TensorEnv[Any]:
    if target.env is None:
        raise ValueError(f"{target.env_id} is no tensor environment")
    return target.env
