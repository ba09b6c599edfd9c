"""A robot that drives to a goal among obstacles by LiDAR: state, motion, sensor and score as pure tensor functions."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from envs import core, seeding
from envs.core import Score, StatePolicy, TensorEnv, Transition
from envs.navigation.lidar import baselines, geometry, motion, render, worlds
from envs.navigation.lidar.model import (
    BEST_SCORE,
    CELL_METRES,
    FASTEST,
    FIELD_OF_VIEW_RADIANS,
    GOAL_METRES,
    GOAL_RADIUS_METRES,
    LEFT_METRES,
    NEAR_METRES,
    OPTIMAL_METRES_PER_SECOND,
    REVERSE_METRES_PER_SECOND,
    SLOWEST,
    START_HEADING_RADIANS,
    START_METRES,
    STEP_SECONDS,
    TURN_RADIANS_PER_SECOND,
    Params,
    commands,
)
from envs.navigation.lidar.motion import State
from envs.seeding import SPLIT_BIT

COLLISION_CHECKS = 4
"""Times within a step at which the footprint is checked: every 5 cm at 2 m/s."""
FARTHEST_METRES = 15.0
"""More than the distance of any place to the goal."""
PICTURE_SEED = 0


class LidarNavigation(TensorEnv[Params]):
    """Drive to a goal 10 m ahead through a field of obstacles that only the LiDAR shows, in the manner of BARN.

    The robot is a unicycle with a rectangular footprint. Its commands, a speed and a turn rate, are reached as far as
    the accelerations allow; then it moves along an arc for .1 s. Touching an obstacle ends the episode, and so does
    coming within 1 m of the goal.

    Score: BARN's metric (Xiao et al. 2022, https://arxiv.org/abs/2208.10473), success x OT / clip(AT, 2 OT, 8 OT), with
    the actual time AT and the optimal time OT, in which the shortest path is driven at 2 m/s; .5 at most.
    Reward: the score, and what `Params` adds for progress along the shortest path and takes off for a collision.

    Observation, float32 [beams + 5]: ranges from right to left as shares of the LiDAR's range; distance to the goal
    over 10 m; cosine and sine of its bearing; speed over the highest; turn rate over the highest.
    Action: `Discrete(35)`, a row of `model.commands`; or `Box`, a speed and a turn rate.
    """

    params_type = Params
    score = Score("navigation score", "per episode")
    frames_per_second = round(1 / STEP_SECONDS)

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.commands = commands(params)
        fastest = params.speed_metres_per_second
        low = np.array([0.0] * params.beams + [0.0, -1, -1, -REVERSE_METRES_PER_SECOND / fastest, -1], np.float32)
        high = np.array([1.0] * params.beams + [FARTHEST_METRES / 10, 1, 1, 1, 1], np.float32)
        self.observation_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.discrete = params.actions == "discrete"
        self.action_space: gymnasium.spaces.Discrete | gymnasium.spaces.Box = gymnasium.spaces.Discrete(
            len(self.commands)
        )
        if not self.discrete:
            slow, fast = self.commands.min(0), self.commands.max(0)
            self.action_space = gymnasium.spaces.Box(slow, fast, dtype=np.float32)
        self.max_episode_steps = params.episode_steps
        half = FIELD_OF_VIEW_RADIANS / 2
        self._bearings = np.linspace(-half, half, params.beams, dtype=np.float32)

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """At rest at the start of a world drawn from the key's split: one of 1200 for training, 300 held out."""
        held_out = tf.bitwise.right_shift(key[0], SPLIT_BIT) & 1
        count = tf.where(held_out == 1, worlds.HELD_OUT_WORLDS, worlds.TRAINING_WORLDS)
        drawn = tf.cast(seeding.uniform(key, [batch]) * tf.cast(count, tf.float32), tf.int32)
        return self.start(held_out * worlds.TRAINING_WORLDS + tf.minimum(drawn, count - 1))

    def start(self, world: tf.Tensor) -> State:
        """At rest at the start of worlds int32 [B]: those from 1200 on are held out."""
        motion.tables()
        still = tf.zeros_like(world, tf.float32)
        x, y = (still + place for place in START_METRES)
        return State(world, x, y, still + START_HEADING_RADIANS, still, still, tf.zeros_like(world))

    def noise(self, key: tf.Tensor, batch: int) -> tuple[()]:
        """None: motion and sensor are exact."""
        del key, batch
        return ()

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One step of .1 s: velocities towards the command, then an arc; collision is checked four times on it."""
        del noise
        params = self.params
        command = tf.gather(self.commands, action) if self.discrete else action
        speed, turn = motion.reachable(params, state, command[:, 0], command[:, 1])
        shares = tf.range(1, COLLISION_CHECKS + 1, dtype=tf.float32) / COLLISION_CHECKS
        x, y, heading = motion.arc(state, speed[:, None], turn[:, None], shares * STEP_SECONDS)
        column, row = motion.to_cells(x, y)
        collided = tf.reduce_any(
            geometry.collides(motion.tables().words, state.world, column, row, tf.cos(heading), tf.sin(heading)), -1
        )
        following = State(state.world, x[:, -1], y[:, -1], heading[:, -1], speed, turn, state.steps + 1)
        arrived = tf.logical_and(motion.goal_distance(following) < GOAL_RADIUS_METRES, tf.logical_not(collided))
        score = tf.where(arrived, self._success_score(following), 0.0)
        path = tf.gather(motion.tables().path_metres, state.world)
        progress = (motion.path_to_goal(state) - motion.path_to_goal(following)) / path
        reward = score + params.progress_reward * progress - tf.where(collided, params.collision_cost, 0.0)
        return following, Transition(reward, tf.logical_or(collided, arrived), score)

    def observe(self, state: State) -> tf.Tensor:
        """LiDAR, goal and motion, float32 [B, beams + 5]."""
        dx, dy = GOAL_METRES[0] - state.x, GOAL_METRES[1] - state.y
        distance = tf.maximum(tf.sqrt(dx * dx + dy * dy), 1e-6)
        cosine, sine = tf.cos(state.heading), tf.sin(state.heading)
        own = tf.stack(
            [
                tf.minimum(distance, FARTHEST_METRES) / 10,
                tf.clip_by_value((dx * cosine + dy * sine) / distance, -1.0, 1.0),
                tf.clip_by_value((dy * cosine - dx * sine) / distance, -1.0, 1.0),
                state.speed / self.params.speed_metres_per_second,
                state.turn / TURN_RADIANS_PER_SECOND,
            ],
            -1,
        )
        own = tf.clip_by_value(own, self.observation_space.low[-5:], self.observation_space.high[-5:])
        return tf.concat([self.ranges(state) / self.params.lidar_range_metres, own], -1)

    def ranges(self, state: State) -> tf.Tensor:
        """What the LiDAR reads, from right to left, in metres, float32 [B, beams]."""
        angle = state.heading[:, None] + self._bearings
        column, row = motion.to_cells(state.x, state.y)
        limit = self.params.lidar_range_metres
        cast = geometry.cast(
            motion.tables().squares, state.world, column, row, tf.cos(angle), tf.sin(angle), limit / CELL_METRES
        )
        return tf.minimum(cast * CELL_METRES, limit)

    def optimum(self) -> float | None:
        """None: .5 bounds the score, but how near a world lets one come is not known."""
        return None

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Ranges about .4 +- .3, everything else as it is."""
        beams = self.params.beams
        mean = np.array([0.4] * beams + [0.0] * 5, np.float32)
        return mean, np.array([0.3] * beams + [1.0] * 5, np.float32)

    def baselines(self) -> Mapping[str, StatePolicy]:
        """The dynamic window approach without and with the map."""
        return baselines.policies(self.params)

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]) -> dict[str, Any]:
        """The policy's way through one held-out world."""
        episode = core.begin(self, seeding.key_from_seed(PICTURE_SEED, seeding.Split.HELD_OUT), 1)
        step = tf.function(functools.partial(core.proceed, self, noise=()), jit_compile=True, autograph=False)
        states = [episode.state]
        for _ in range(self.max_episode_steps):
            observation = self.observe(episode.state).numpy()
            episode, outcome = step(episode, tf.constant(policy(observation), self.action_space.dtype))
            states.append(episode.state)
            if outcome.terminated[0] or outcome.truncated[0]:
                break
        start, end = states[0], states[-1]
        arrived = float(motion.goal_distance(end)[0]) < GOAL_RADIUS_METRES and bool(outcome.terminated[0])
        ending = "it arrived" if arrived else "it collided" if outcome.terminated[0] else "it was stopped"
        note = (
            f"The greedy policy's way through a held-out world, from below to the green goal: {ending} after"
            f" {len(states) * STEP_SECONDS - STEP_SECONDS:.1f} s. One outline each second."
        )
        return render.journey(worlds.library().filled[int(start.world[0])], [_pose(state) for state in states], note)

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """The world from above with the robot, its beams and the goal, RGB [480, 180, 3]."""
        alone = tf.nest.map_structure(lambda part: part[row : row + 1], state)
        filled = worlds.library().filled[int(alone.world[0])]
        return render.scene(filled, _pose(alone), self.ranges(alone)[0].numpy(), self._bearings)

    def _success_score(self, state: State) -> tf.Tensor:
        optimal = tf.gather(motion.tables().path_metres, state.world) / OPTIMAL_METRES_PER_SECOND
        actual = tf.cast(state.steps, tf.float32) * STEP_SECONDS
        score = optimal / tf.clip_by_value(actual, FASTEST * optimal, SLOWEST * optimal)
        return tf.minimum(score, BEST_SCORE)


def _pose(state: State) -> tuple[float, float, float]:
    return float(state.x[0]), float(state.y[0]), float(state.heading[0])
