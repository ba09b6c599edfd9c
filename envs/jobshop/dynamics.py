"""Dispatching in a job shop, as a task."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import core, seeding
from envs.core import Score, StatePolicy, TensorEnv, Transition
from envs.jobshop import baselines, exact, features, model, render, shop
from envs.jobshop.model import LONGEST_UNITS, Params
from envs.jobshop.schedule import Instance, Integers
from envs.jobshop.shop import State

DURATIONS, ORDERS = range(2)
"""What a key is folded with."""
PICTURE_SEED = 0


class JobShop(TensorEnv[Params]):
    """Schedule jobs on machines, one operation at a time, so that the last ends early.

    Each job visits each machine once, in an order of its own. Whenever a machine has to choose between jobs, the agent
    names the one that goes next (`envs.jobshop.shop.decide`). An episode dispatches all operations.

    A reward is the fall of the lower bound on the makespan, which starts from 0 before the first dispatch and is the
    makespan after the last: rewards are never positive, and their sum is minus the makespan, exactly.

    Observation: `envs.jobshop.features`, float32, of the order of one. Action: a job, `Discrete(jobs)`, masked to those
    that compete; where another is given, the first of those takes its place.
    """

    params_type = Params
    score = Score("makespan", "units of time", sign=-1)

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._instance = model.fixed_instance(params)
        self.jobs, self.machines = model.size(params)
        limit, width = features.LIMIT, features.width(self.jobs)
        self.observation_space = gymnasium.spaces.Box(-limit, limit, (width,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(self.jobs)
        self.max_episode_steps = params.episode_dispatches or self.jobs * self.machines

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """The instance that the parameters name; or random ones (Taillard 1993).

        Of those, durations are uniform on the whole numbers 1 to 99, and each job's order of machines is any
        permutation, each as likely as another.
        """
        if self._instance is not None:
            return self.start(self._instance, batch)
        shape = [batch, self.jobs, self.machines]
        durations = 1.0 + tf.floor(seeding.uniform(seeding.fold(key, DURATIONS), shape, 0.0, float(LONGEST_UNITS)))
        orders = tf.argsort(seeding.uniform(seeding.fold(key, ORDERS), shape), stable=True)
        return shop.begin(orders, durations)

    def start(self, instance: Instance, batch: int) -> State:
        """An instance of this task's size of which nothing is scheduled, B times.

        Raises:
            ValueError: if the instance has another size.
        """
        if instance.durations.shape != (self.jobs, self.machines):
            raise ValueError(f"the instance has {instance.durations.shape} operations, not {self.jobs, self.machines}")
        one = shop.begin(tf.constant(instance.machines[None], tf.int32), tf.constant(instance.durations[None]))
        return State(*(tf.repeat(part, batch, 0) for part in one))

    def noise(self, key: tf.Tensor, batch: int) -> tuple[()]:
        """None: nothing breaks."""
        del key, batch
        return ()

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One dispatch, and forced ones as the parameters say."""
        del noise
        delay, forced = self.params.delay, self.params.forced_dispatches
        following = shop.dispatch(state, shop.decide(state, delay), action, delay, forced)
        untouched = tf.reduce_sum(state.dispatched, 1) < 1.0
        fall = tf.where(untouched, 0.0, state.bound) - following.bound
        return following, Transition(fall, shop.finished(following))

    def observe(self, state: State) -> tf.Tensor:
        """Float32 [B, jobs * len(features.JOB) + len(features.SHOP)]."""
        return features.flat(features.structured(state, shop.decide(state, self.params.delay)))

    def action_mask(self, state: State) -> tf.Tensor:
        """The jobs that compete, bool [B, jobs]; job 0 when all is scheduled."""
        return shop.decide(state, self.params.delay).allowed

    def entities(self) -> core.Entities:
        """Jobs."""
        return core.Entities(self.jobs, len(features.JOB), len(features.SHOP))

    def optimum(self) -> float | None:
        """The least makespan of the named instance (`exact.optimum`); None for random ones."""
        found = exact.optimum(self.params)
        return None if found is None else float(found)

    def baselines(self) -> Mapping[str, StatePolicy]:
        """Priority rules."""

        def follow(rule: baselines.Priority, state: State, key: tf.Tensor) -> tf.Tensor:
            return baselines.choose(rule, state, shop.decide(state, self.params.delay), key)

        return {name: functools.partial(follow, rule) for name, rule in baselines.RULES.items()}

    def policy_picture(self, policy: Callable[..., npt.NDArray[np.int64]]) -> dict[str, Any]:
        """The schedule that the policy makes of the named instance, or of a held-out one."""
        state = self.reset(seeding.key_from_seed(PICTURE_SEED, seeding.Split.HELD_OUT), 1)
        proceed = tf.function(functools.partial(core.proceed, self), jit_compile=True, autograph=False)
        episode = core.Episode(state, tf.zeros([1], tf.int32))
        for _ in range(self.jobs * self.machines):
            mask = self.action_mask(episode.state).numpy()
            action = policy(self.observe(episode.state).numpy(), mask)
            episode, _ = proceed(episode, tf.constant(action, tf.int32), ())
        rule = baselines.RULES["most-work-remaining"]
        compared = state
        for _ in range(self.jobs * self.machines):
            decision = shop.decide(compared, self.params.delay)
            action = baselines.choose(rule, compared, decision, seeding.key_from_seed(PICTURE_SEED))
            compared = shop.dispatch(compared, decision, action)
        name = self.params.instance or "A held-out instance"
        return render.comparison(name, {"the policy": episode.state, "most work remaining": compared})

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """What is scheduled so far, RGB: machines from above, time to the right, a colour for each job."""
        return render.gantt(State(*(np.asarray(part)[row] for part in state)))


def starts_of(state: State, row: int = 0) -> Integers:
    """The schedule of one row, int64 [J, M] by the order of operations; -1 where not dispatched."""
    order = np.argsort(np.asarray(state.positions[row]), 1)
    return np.take_along_axis(np.asarray(state.starts[row]), order, 1).astype(np.int64)


def instance_of(state: State, row: int = 0) -> Instance:
    """The instance of one row."""
    order = np.argsort(np.asarray(state.positions[row]), 1)
    durations = np.take_along_axis(np.asarray(state.durations[row]), order, 1)
    return Instance(order.astype(np.int64), durations.astype(np.int64))
