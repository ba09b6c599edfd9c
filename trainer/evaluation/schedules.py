"""A trained dispatcher on instances of the job-shop problem, of the size that it was trained on or another."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import registry, seeding
from envs.core import StatePolicy
from envs.jobshop import decoding, library
from envs.jobshop.dynamics import JobShop
from envs.jobshop.schedule import Instance
from trainer.agents import make
from trainer.agents.learner import Task
from trainer.checkpoint import Checkpoints
from trainer.config.models import RunFile
from trainer.errors import BadInput
from trainer.evaluation.schedule_files import Scheduled, bound
from trainer.policy import Remembering
from trainer.run.directory import RunDirectory

ENV_ID = "slipway/JobShop-v0"
LEARNER = "learner/"
"""How the names of a learner's arrays begin in a checkpoint."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How an instance is scheduled.

    Attributes:
        samples: 1: one schedule of the most likely choices; more: the best of so many schedules that are drawn.
        mirror: also of the mirror image: one more greedy schedule; of samples half.
        seed: of what is drawn.
    """

    samples: int = 1
    mirror: bool = False
    seed: int = 0


class Dispatcher:
    """A run's policy, for instances of any size.

    Args:
        run_file: the run's.
        arrays: of one of its checkpoints.
    """

    def __init__(self, run_file: RunFile, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        self._run_file, self._arrays = run_file, arrays
        self._of_size = functools.lru_cache(maxsize=32)(self._made)

    @classmethod
    def of_run(cls, directory: RunDirectory) -> "Dispatcher":
        """The policy of a run's newest whole checkpoint.

        Raises:
            BadInput: if it is a run on another task, or has no checkpoint.
        """
        run_file = directory.run_file()
        if run_file.env.id != ENV_ID:
            allowed = f"a run on {ENV_ID}; it is on {run_file.env.id}"
            raise BadInput("RUN", directory.run_id, allowed, "name a run that has learned to dispatch")
        found = Checkpoints(directory.checkpoints).latest(lambda _: None)
        if found is None:
            cure = "train it first, or `slipway resume` it"
            raise BadInput("RUN", directory.run_id, "a run with a checkpoint", cure)
        return cls(run_file, found.arrays)

    def schedule(self, instance: Instance, plan: Plan) -> decoding.Decoded:
        """The best schedule of an instance that a plan finds.

        Raises:
            BadInput: if the run's network does not fit the instance's size.
        """
        env, greedy, sampled = self._of_size(instance.jobs, instance.machine_count)
        key = seeding.key_from_seed(plan.seed, seeding.Split.HELD_OUT)
        if plan.samples == 1:
            return decoding.decode(env, instance, greedy, key, mirror=plan.mirror)
        each = plan.samples // 2 if plan.mirror else plan.samples
        return decoding.decode(env, instance, sampled, key, samples=each, mirror=plan.mirror)

    def scheduled(self, name: str, instance: Instance, plan: Plan) -> Scheduled:
        """The same, with the instance's name and a lower bound."""
        found = self.schedule(instance, plan)
        least = bound(self._of_size(instance.jobs, instance.machine_count)[0], instance)
        return Scheduled(name, instance, found.starts, found.makespan, least, len(found.makespans))

    def _made(self, jobs: int, machines: int) -> tuple[JobShop, StatePolicy, StatePolicy]:
        """The task of a size, the greedy policy and the one that draws."""
        given = {**self._run_file.env.parameters, "instance": "", "jobs": jobs, "machines": machines}
        env = registry.make(ENV_ID, **given)
        assert isinstance(env, JobShop)  # noqa: S101  # by its id
        task = Task(tuple(env.observation_space.shape), env.action_space, masked=True, env=env)
        learner = make.learner(task, self._run_file.agent, seeding.key_from_seed(0))
        for name, variable in learner.state().items():
            value = self._arrays[LEARNER + name]
            if tuple(value.shape) != tuple(variable.shape):
                raise BadInput(
                    "INSTANCE",
                    f"{jobs} jobs on {machines} machines",
                    "the size that the run was trained on, as its network fits no other",
                    "train with agent.networks.kind permutation-equivariant, whose policies fit any size",
                )
            variable.assign(value)

        def policy(greedy: bool) -> StatePolicy:
            choose = learner.policy(greedy=greedy)
            if isinstance(choose, Remembering):
                raise BadInput(
                    "RUN",
                    "a policy with memory",
                    "a policy that acts on what it observes",
                    "train without agent.networks.recurrent",
                )

            def act(state: Any, key: tf.Tensor) -> tf.Tensor:
                return choose(env.observe(state), env.action_mask(state), key)

            return act

        return env, policy(greedy=True), policy(greedy=False)


@dataclasses.dataclass(frozen=True)
class Gaps:
    """How far a dispatcher's makespans lie above the best that are known, as ratios: the mean over some instances."""

    greedy: float
    greedy_mirrored: float
    best_of: float
    best_of_mirrored: float
    samples: int


def gaps(dispatcher: Dispatcher, names: Sequence[str], samples: int = 64, seed: int = 0) -> Gaps:
    """A dispatcher measured on instances that ship.

    Args:
        dispatcher: a run's policy.
        names: of instances (`envs.jobshop.library.names`).
        samples: how many schedules are drawn of each; an even number.
        seed: of what is drawn.
    """
    plans = [Plan(), Plan(mirror=True), Plan(samples, seed=seed), Plan(samples, mirror=True, seed=seed)]
    best = library.best_known_makespans()
    table = [
        [dispatcher.schedule(library.named(name), plan).makespan / best[name] - 1 for plan in plans] for name in names
    ]
    greedy, greedy_mirrored, best_of, best_of_mirrored = np.mean(table, 0).tolist()
    return Gaps(greedy, greedy_mirrored, best_of, best_of_mirrored, samples)
