"""What every measured program shares: its command line, the clock and the real environment.

Runs inside each peer's own environment, so it needs only NumPy and Gymnasium.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, Protocol

import gymnasium
import numpy as np
import numpy.typing as npt

from benchmarks import timing
from benchmarks.settings import SETTINGS, Setting

EPISODES = 100
SOLVED = 475.0
"""Gymnasium's threshold for CartPole-v1: mean return over 100 episodes."""
EVALUATION_SEED = 1_000_000


class Program(Protocol):
    """One implementation of PPO on CartPole."""

    def train(self, every: int, after: Callable[[int], bool]) -> None:
        """Train.

        Args:
            every: iterations between two calls of `after`.
            after: is given the iterations made so far, after the first, then every `every`, and at the end; training
                stops when it returns False.
        """
        ...

    def act(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Greedy actions [B] for observations [B, 4]."""
        ...

    def versions(self) -> dict[str, str]:
        """Versions of what it is built on."""
        ...


def mean_return(program: Program) -> float:
    """The greedy policy's mean return over 100 episodes of Gymnasium's own CartPole-v1, the same for all programs."""
    envs = [gymnasium.make("CartPole-v1").unwrapped for _ in range(EPISODES)]
    observation = np.stack([env.reset(seed=EVALUATION_SEED + i)[0] for i, env in enumerate(envs)])
    running, total = np.ones(EPISODES, bool), 0
    for _ in range(500):
        action = program.act(observation)
        for i in np.flatnonzero(running):
            observation[i], _, terminated, _, _ = envs[i].step(int(action[i]))
            total += 1
            running[i] = not terminated
        if not running.any():
            break
    return total / EPISODES


def speed(program: Program, setting: Setting) -> dict[str, Any]:
    """Steps per second after the first iteration, which holds the compilation."""
    marks: list[tuple[int, float]] = []

    def after(iterations: int) -> bool:
        marks.append((iterations, time.perf_counter()))
        return True

    began = time.perf_counter()
    program.train(setting.iterations, after)
    (first, first_time), (last, last_time) = marks[0], marks[-1]
    steps, seconds = (last - first) * setting.batch_size, last_time - first_time
    return {
        "steps_per_second": steps / seconds,
        "first_iteration_seconds": first_time - began,
        "compile_seconds": max(0.0, first_time - began - seconds / (last - first)),
    }


def solve(program: Program, setting: Setting) -> dict[str, Any]:
    """Training time until the real environment is solved; the clock stands still during evaluations."""
    every = max(1, setting.evaluate_every // setting.batch_size)
    spent, resumed, first = 0.0, time.perf_counter(), 0.0
    curve: list[tuple[int, float]] = []

    def after(iterations: int) -> bool:
        nonlocal spent, resumed, first
        spent += time.perf_counter() - resumed
        if not first:
            first = spent
        if iterations % every == 0 or iterations == setting.iterations:
            curve.append((iterations * setting.batch_size, mean_return(program)))
        resumed = time.perf_counter()
        return not curve or curve[-1][1] < SOLVED

    program.train(every, after)
    steps, score = curve[-1]
    iterations = steps // setting.batch_size
    steady = (spent - first) / max(1, iterations - 1)
    return {
        "solved": score >= SOLVED,
        "solve_seconds": steady * iterations,
        "compile_seconds": max(0.0, first - steady),
        "solve_steps": steps,
        "curve": curve,
    }


def job(program: Program, setting: Setting) -> dict[str, Any]:
    """The whole training and one evaluation: what a process that is timed from outside does."""
    program.train(setting.iterations, lambda _: True)
    return {"mean_return": mean_return(program)}


MODES: dict[str, Callable[[Program, Setting], dict[str, Any]]] = {"speed": speed, "solve": solve, "job": job}


def main(make: Callable[[Setting, int], Program]) -> None:
    """A worker's command line: one setting, one measurement, one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("setting", choices=SETTINGS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    setting = SETTINGS[arguments.setting]
    if arguments.mode == "speed":
        setting = setting.long_enough_for_speed()
    program = make(setting, arguments.seed)
    result = MODES[arguments.mode](program, setting)
    result["versions"] = program.versions()
    timing.report(result)
