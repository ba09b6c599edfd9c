"""Frozen lake: Gymnasium's `FrozenLake-v1`, in float32 and batched."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import seeding
from envs.core import ExactScore, NoiseLaw, Score, StatePolicy, TensorEnv, Transition
from envs.navigation.frozen_lake import exact, render
from envs.navigation.frozen_lake.model import TURNS, Params, episode_steps, lake, turn_probabilities


class State(NamedTuple):
    """Where one stands."""

    cell: tf.Tensor  # int32 [B], numbered row by row from the top left


class FrozenLake(TensorEnv[Params]):
    """Walk over slippery ice from one corner to the other and into none of the holes.

    Maps, slips, rewards and ends are those of Gymnasium's `FrozenLake-v1`
    (https://gymnasium.farama.org/environments/toy_text/frozen_lake/). The reward is 1 for reaching the goal. A mean of
    .70 counts as solved on the small lake, .85 on the large one.

    Observation: 1 for the cell where one stands, 0 for the others, float32 [cells].
    Action: left (0), down (1), right (2), up (3), `Discrete(4)`.
    """

    params_type = Params
    score = Score("success rate", "goals per episode")

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._lake = lake(params.map)
        self._cells = len(self._lake.ends)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (self._cells,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(4)
        self.max_episode_steps = episode_steps(params)
        self._cumulative = np.cumsum(turn_probabilities(params))[:-1].astype(np.float32)

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Always the first cell."""
        del key
        return State(tf.zeros([batch], tf.int32))

    def noise(self, key: tf.Tensor, batch: int) -> tf.Tensor:
        """Turns: -1 slips to the direction with the number before the wanted one, 1 to that after it, int32 [B]."""
        exceeded = seeding.uniform(key, [batch, 1]) >= self._cumulative
        return tf.reduce_sum(tf.cast(exceeded, tf.int32), -1) + TURNS[0]

    def step(self, state: State, action: tf.Tensor, noise: tf.Tensor) -> tuple[State, Transition]:
        """One step in the direction that the slip leaves; the edge of the lake holds."""
        direction = tf.math.floormod(action + noise, 4)
        following = tf.gather(tf.constant(self._lake.following.ravel()), 4 * state.cell + direction)
        ends, goal = tf.constant(self._lake.ends), tf.constant(self._lake.goal)
        arrived = tf.logical_and(tf.gather(goal, following), tf.logical_not(tf.gather(goal, state.cell)))
        return State(following), Transition(tf.cast(arrived, tf.float32), tf.gather(ends, following))

    def observe(self, state: State) -> tf.Tensor:
        """One-hot cells, float32 [B, cells]."""
        return tf.one_hot(state.cell, self._cells)

    def noise_law(self) -> NoiseLaw:
        """The three turns."""
        return NoiseLaw(tf.constant(TURNS), tf.constant(turn_probabilities(self.params), tf.float32))

    def expected_reward(self, state: State, action: tf.Tensor) -> tf.Tensor:
        """The probability of reaching the goal with this step, float32 [B]."""
        table = tf.constant(exact.chances(self.params).arrives.ravel(), tf.float32)
        return tf.gather(table, 4 * state.cell + action)

    def optimum(self) -> float:
        """The best probability of reaching the goal within the time limit, by value iteration."""
        return exact.optimum(self.params)

    def baselines(self) -> Mapping[str, StatePolicy]:
        """The shortest way, as if nothing slipped; what value iteration finds for a policy that counts no steps."""

        def by_table(find: Callable[[Params], exact.Actions]) -> StatePolicy:
            def act(state: State, key: tf.Tensor) -> tf.Tensor:
                del key
                return tf.gather(tf.constant(find(self.params), tf.int32), state.cell)

            return act

        return {"shortest-path": by_table(exact.shortest), "value-iteration": by_table(exact.greedy)}

    def exact_score(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]) -> ExactScore:
        """The policy's probability of reaching the goal within the time limit."""
        actions = self._table(policy)
        found = exact.score(self.params, actions)
        method = "dynamic programming over all cells and the steps that are left, exact up to rounding"
        return ExactScore(found, found, found, exact.reached(self.params, actions), method)

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]) -> dict[str, Any]:
        """An arrow on each cell of the lake."""
        return render.policy_picture(self._lake, self._table(policy))

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """The lake from above, RGB [40 rows, 40 columns, 3]."""
        return render.lake(self._lake, int(state.cell[row]))

    def _table(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]) -> exact.Actions:
        """A policy's action on each cell, int64 [cells]."""
        return np.asarray(policy(np.eye(self._cells, dtype=np.float32)), np.int64)
