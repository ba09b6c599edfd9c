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
from envs.navigation.lidar import baselines, geometry, motion, render, sensing, worlds
from envs.navigation.lidar.model import (
    FASTEST,
    GOAL_RADIUS_METRES,
    OPTIMAL_METRES_PER_SECOND,
    SLOWEST,
    STEP_SECONDS,
    Params,
    commands,
)
from envs.navigation.lidar.motion import Pose
from envs.seeding import SPLIT_BIT

COLLISION_CHECKS = 4
"""Times within a step at which the footprint is checked: every 5 cm at 2 m/s."""
PICTURE_SEED = 0


class State(NamedTuple):
    """Robots with what they see: the sensor is read once for each pose, in the step that leads there."""

    pose: Pose
    seen: tf.Tensor  # float32 [B, beams + 5], the observation of the pose


class LidarNavigation(TensorEnv[Params]):
    """Drive to a goal 10 m ahead through a field of obstacles that only the LiDAR shows, in the manner of BARN.

    The robot is a unicycle with a rectangular footprint. Its commands, a speed and a turn rate, are reached as far as
    the accelerations allow; then it moves along an arc for .1 s. Touching an obstacle ends the episode, and so does
    coming within 1 m of the goal.

    Score: BARN's metric (https://cs.gmu.edu/~xiao/Research/BARN_Challenge/), success x OT / clip(AT, 2 OT, 8 OT), with
    the actual time AT and the optimal time OT, in which the shortest path is driven at 2 m/s; .5 at most.
    Reward: the score, and what `Params` adds for progress along the shortest path and takes off for a collision.

    Observation, float32 [beams + 5]: square roots of the ranges as shares of the LiDAR's, from right to left; distance
    to the goal over 10 m; cosine and sine of its bearing; speed over the highest; turn rate over the highest.
    Action: `Discrete(35)`, a row of `model.commands`; or `Box`, a speed and a turn rate.
    """

    params_type = Params
    score = Score("navigation score", "per episode")
    frames_per_second = round(1 / STEP_SECONDS)

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.commands = commands(params)
        self.observation_space = gymnasium.spaces.Box(*sensing.bounds(params), dtype=np.float32)
        self.discrete = params.actions == "discrete"
        self.action_space: gymnasium.spaces.Discrete | gymnasium.spaces.Box = gymnasium.spaces.Discrete(
            len(self.commands)
        )
        if not self.discrete:
            self.action_space = gymnasium.spaces.Box(self.commands.min(0), self.commands.max(0), dtype=np.float32)
        self.max_episode_steps = params.episode_steps

    def reset(self, key: tf.Tensor, batch: int) -> State:
        """At rest at the start of a world drawn from the key's split: one of 1200 for training, 300 held out."""
        held_out = tf.bitwise.right_shift(key[0], SPLIT_BIT) & 1
        count = tf.where(held_out == 1, worlds.HELD_OUT_WORLDS, worlds.TRAINING_WORLDS)
        drawn = tf.cast(seeding.uniform(key, [batch]) * tf.cast(count, tf.float32), tf.int32)
        return self.start(held_out * worlds.TRAINING_WORLDS + tf.minimum(drawn, count - 1))

    def start(self, world: tf.Tensor) -> State:
        """At rest at the start of worlds int32 [B]: those from 1200 on are held out."""
        return State(motion.at_start(world), tf.gather(sensing.first_observations(self.params), world))

    def noise(self, key: tf.Tensor, batch: int) -> tuple[()]:
        """None: motion and sensor are exact."""
        del key, batch
        return ()

    def step(self, state: State, action: tf.Tensor, noise: tuple[()]) -> tuple[State, Transition]:
        """One step of .1 s: velocities towards the command, then an arc; collision is checked four times on it."""
        del noise
        params = self.params
        command = tf.gather(self.commands, action) if self.discrete else action
        pose, tables = state.pose, motion.tables()
        speed, turn = motion.reachable(params, pose, command[:, 0], command[:, 1])
        shares = tf.range(1, COLLISION_CHECKS + 1, dtype=tf.float32) / COLLISION_CHECKS
        x, y, heading = motion.arc(pose, speed[:, None], turn[:, None], shares * STEP_SECONDS)
        touching = geometry.collides(tables.words, pose.world, *motion.to_cells(x, y), tf.cos(heading), tf.sin(heading))
        collided = tf.reduce_any(touching, -1)
        after = Pose(pose.world, x[:, -1], y[:, -1], heading[:, -1], speed, turn, pose.steps + 1)
        arrived = tf.logical_and(motion.goal_distance(after) < GOAL_RADIUS_METRES, tf.logical_not(collided))
        shortest = tf.gather(tables.path_metres, pose.world)
        score = tf.where(arrived, navigation_score(shortest, after.steps), 0.0)
        progress = (motion.path_to_goal(pose) - motion.path_to_goal(after)) / shortest
        reward = score + params.progress_reward * progress - tf.where(collided, params.collision_cost, 0.0)
        following = State(after, sensing.observation(params, after))
        return following, Transition(reward, tf.logical_or(collided, arrived), score)

    def observe(self, state: State) -> tf.Tensor:
        """LiDAR, goal and motion, float32 [B, beams + 5]."""
        return state.seen

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Ranges about .6 +- .2, everything else as it is."""
        beams = self.params.beams
        mean = np.array([0.6] * beams + [0.0] * 5, np.float32)
        return mean, np.array([0.2] * beams + [1.0] * 5, np.float32)

    def baselines(self) -> Mapping[str, StatePolicy]:
        """The dynamic window approach without and with the map."""
        return baselines.policies(self.params)

    def policy_picture(self, policy: Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]) -> dict[str, Any]:
        """The policy's way through one held-out world."""
        episode = core.begin(self, seeding.key_from_seed(PICTURE_SEED, seeding.Split.HELD_OUT), 1)
        step = tf.function(functools.partial(core.proceed, self, noise=()), jit_compile=True, autograph=False)
        poses = [_first(episode.state.pose)]
        for _ in range(self.max_episode_steps):
            action = policy(self.observe(episode.state).numpy())
            episode, outcome = step(episode, tf.constant(action, self.action_space.dtype))
            poses.append(_first(episode.state.pose))
            if outcome.terminated[0] or outcome.truncated[0]:
                break
        arrived = motion.goal_distance(episode.state.pose)[0] < GOAL_RADIUS_METRES
        ending = "it was stopped" if outcome.truncated[0] else "it arrived" if arrived else "it collided"
        note = (
            f"The policy's way through a held-out world, from below to the green goal: {ending} after"
            f" {(len(poses) - 1) * STEP_SECONDS:.1f} s. One outline each second."
        )
        return render.journey(worlds.library().filled[int(episode.state.pose.world[0])], poses, note)

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """The world from above with the robot, its beams and the goal, RGB [480, 180, 3]."""
        pose = tf.nest.map_structure(lambda part: part[row : row + 1], state.pose)
        beams = sensing.ranges(self.params, pose)[0].numpy()
        return render.scene(
            worlds.library().filled[int(pose.world[0])], _first(pose), beams, sensing.bearings(self.params)
        )


def navigation_score(path_metres: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """BARN's metric on arrival, OT / clip(AT, 2 OT, 8 OT), float32 [B].

    Args:
        path_metres: float32 [B], length of the shortest path from the start.
        steps: int32 [B], made until arrival.
    """
    optimal = path_metres / OPTIMAL_METRES_PER_SECOND
    actual = tf.cast(steps, tf.float32) * STEP_SECONDS
    return tf.minimum(optimal / tf.clip_by_value(actual, FASTEST * optimal, SLOWEST * optimal), 1.0 / FASTEST)


def _first(pose: Pose) -> tuple[float, float, float]:
    """x, y and heading of the first row."""
    return float(pose.x[0]), float(pose.y[0]), float(pose.heading[0])
