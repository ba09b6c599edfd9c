"""The contract of a simulated task: pure, batched, written in TensorFlow.

A task is a `TensorEnv`: frozen parameters and functions from tensors to tensors. It holds no state and draws no random
numbers of its own, so the same functions serve one Gymnasium environment, a vector of them and a compiled rollout of
thousands.

Shapes: B is the batch. Every tensor of a state, a noise, an action or a transition has B as its first axis, and row i
of any result depends on row i of the arguments alone.
"""

import abc
import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

ParamsT = TypeVar("ParamsT")
State = Any
"""A (nested) NamedTuple of tensors [B, ...]; each task defines its own."""
Noise = Any
"""A tensor [B, ...] or a nest of them: one step's exogenous randomness; `()` where a task has none."""
StatePolicy = Callable[[State, tf.Tensor], tf.Tensor]
"""A baseline: (state, key) -> action [B, ...]. It may look at the whole state."""
GreedyPolicy = Callable[..., npt.NDArray[Any]]
"""A deterministic policy: observations float32 [N, ...] -> actions [N]; of a task with action masks, (observations,
masks bool [N, n]) -> actions [N]."""


class Objective(enum.StrEnum):
    """What a task asks for."""

    EPISODIC = "episodic"
    """The sum of rewards of an episode."""
    AVERAGE_REWARD = "average-reward"
    """The mean reward per step of a task that never ends; episodes are cut only for convenience."""


class Transition(NamedTuple):
    """What one step yields besides the next state.

    `terminated` says that the task has ended (no value beyond it). A time limit is not termination: it is added by
    `advance` as `truncated`.

    `score` is what the step adds to an episode's score, for tasks whose reward holds more than that to help learning;
    where it is None, the reward counts (`gain`).
    """

    reward: tf.Tensor  # float32 [B]
    terminated: tf.Tensor  # bool [B]
    score: tf.Tensor | None = None  # float32 [B]


class NoiseLaw(NamedTuple):
    """The distribution of one step's noise where it has few outcomes.

    Attributes:
        outcomes: as `Noise`, with the K outcomes as the first axis.
        probabilities: float32 [K], summing to 1.
    """

    outcomes: Noise
    probabilities: tf.Tensor


@dataclasses.dataclass(frozen=True)
class Score:
    """How people read the objective: its name, its unit, and its direction.

    The score is `sign` times the return of an episode, or times the mean reward per step (`Objective`). A cost has
    sign -1. A task may count something else than the reward (`Transition.score`).
    """

    name: str
    unit: str
    sign: int = 1


@dataclasses.dataclass(frozen=True)
class Entities:
    """How an observation is made up where the task is to choose one of some alike things: jobs, vehicles, customers.

    An observation is a row: `count` groups of `width` numbers, one for each entity and each with the same meanings,
    then `common` numbers about the whole. Action i, of `Discrete(count)`, names entity i. An entity whose numbers are
    all 0 is absent. Numbering the entities otherwise changes nothing but the order of groups and actions.
    """

    count: int
    width: int
    common: int


@dataclasses.dataclass(frozen=True)
class ExactScore:
    """The score of a deterministic policy, computed without sampling.

    Attributes:
        score: the midpoint of the bounds.
        lower: a proved lower bound.
        upper: a proved upper bound.
        states: how many states were reachable under the policy.
        method: how it was computed, in words.
    """

    score: float
    lower: float
    upper: float
    states: int
    method: str


class TensorEnv(abc.ABC, Generic[ParamsT]):
    """One task with its parameters fixed.

    Subclasses are stateless: everything an instance holds follows from `params`.
    """

    params_type: ClassVar[type]
    """The frozen dataclass of parameters; its fields document themselves in `metadata["help"]`."""
    objective: ClassVar[Objective] = Objective.EPISODIC
    score: ClassVar[Score] = Score("return", "reward per episode")

    params: ParamsT
    observation_space: gymnasium.spaces.Box
    action_space: gymnasium.spaces.Discrete | gymnasium.spaces.Box
    max_episode_steps: int
    """Steps after which an episode is truncated."""
    frames_per_second: ClassVar[int] = 4
    """How fast pictures of successive steps are played."""
    warm_up_steps: int = 0
    """Steps at the start of an episode that an average-reward evaluation leaves out."""

    def __init__(self, params: ParamsT) -> None:
        self.params = params

    @abc.abstractmethod
    def reset(self, key: tf.Tensor, batch: int) -> State:
        """Initial states.

        Args:
            key: int32 [2] (`envs.seeding`).
            batch: B.
        """

    @abc.abstractmethod
    def noise(self, key: tf.Tensor, batch: int) -> Noise:
        """One step's exogenous randomness for B rows (demand, sensor noise, breakdowns), `()` where there is none."""

    @abc.abstractmethod
    def step(self, state: State, action: tf.Tensor, noise: Noise) -> tuple[State, Transition]:
        """One step, deterministic given the noise. Knows neither time limits nor resets.

        Args:
            state: [B, ...].
            action: int32 [B] for `Discrete`, float32 [B, ...] for `Box`.
            noise: what `noise` gave.
        """

    @abc.abstractmethod
    def observe(self, state: State) -> tf.Tensor:
        """Observations float32 [B, ...], inside `observation_space`."""

    def action_mask(self, state: State) -> tf.Tensor | None:
        """Which discrete actions are allowed, bool [B, n]; None if all always are."""
        del state
        return None

    def entities(self) -> Entities | None:
        """How observations are made up of entities among which an action chooses; None if they are not."""
        return None

    def noise_law(self) -> NoiseLaw | None:
        """The noise's distribution, if it has few outcomes; else None."""
        return None

    def expected_reward(self, state: State, action: tf.Tensor) -> tf.Tensor | None:
        """The reward averaged over the noise, float32 [B], if it is known in closed form; else None."""
        del state, action
        return None

    def nominal_observation(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
        """A (mean, standard deviation) that brings observations to the order of one; None if the task knows none."""
        return None

    def optimum(self) -> float | None:
        """The best possible score, if it is known (how exactly is the implementation's docstring); else None."""
        return None

    def baselines(self) -> Mapping[str, StatePolicy]:
        """Policies to compare with, by name, the strongest last."""
        return {}

    def exact_score(self, policy: GreedyPolicy) -> ExactScore | None:
        """The exact score of a deterministic policy, if the task can compute it; else None.

        Args:
            policy: called with as many rows as the task has states.
        """
        del policy
        return None

    def policy_picture(self, policy: GreedyPolicy) -> dict[str, Any] | None:
        """A deterministic policy as a picture for people, ready for JSON; None if the task has none.

        Either `{"kind": "heatmap", "title", "x_label", "y_label", "value_label", "x": [columns], "y": [rows],
        "values": [rows][columns] with None where empty, "note"}` or `{"kind": "filmstrip", "title",
        "frames": [PNG in base64], "note"}`.

        Args:
            policy: what to draw.
        """
        del policy
        return None

    def render(self, state: State, row: int = 0) -> npt.NDArray[np.uint8]:
        """A picture of one row of the state, RGB [height, width, 3].

        Raises:
            NotImplementedError: if the task draws none.
        """
        raise NotImplementedError(f"{type(self).__name__} draws no picture")


class Episode(NamedTuple):
    """Running episodes: the task's state and how many steps each row has made since its reset."""

    state: State
    steps: tf.Tensor  # int32 [B]


class Outcome(NamedTuple):
    """What one step of running episodes yields.

    `final_observation` is the observation before any reset: what the value of a truncated episode is bootstrapped
    from. On rows that go on, it is simply the next observation.
    """

    reward: tf.Tensor  # float32 [B]
    terminated: tf.Tensor  # bool [B]
    truncated: tf.Tensor  # bool [B], never true together with `terminated`
    final_observation: tf.Tensor  # float32 [B, ...]
    score: tf.Tensor  # float32 [B], the step's share of the score, before its sign


def begin(env: TensorEnv[Any], key: tf.Tensor, batch: int) -> Episode:
    """Episodes at their start."""
    return Episode(env.reset(key, batch), tf.zeros([batch], tf.int32))


def where(condition: tf.Tensor, chosen: Any, other: Any) -> Any:
    """Row by row, `chosen` where the condition [B] holds, else `other`, over nests of tensors [B, ...]."""

    def pick(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        return tf.where(tf.reshape(condition, [-1] + [1] * (len(b.shape) - 1)), a, b)

    return tf.nest.map_structure(pick, chosen, other)


def gain(transition: Transition) -> tf.Tensor:
    """What a step adds to the score, before its sign, float32 [B]: the reward, unless the task counts otherwise."""
    return transition.reward if transition.score is None else transition.score


def proceed(env: TensorEnv[Any], episode: Episode, action: tf.Tensor, noise: Noise) -> tuple[Episode, Outcome]:
    """One step with time limit, without reset: a row whose episode has ended must not be stepped again.

    Args:
        env: the task.
        episode: running episodes of B rows.
        action: [B, ...].
        noise: this step's noise.
    """
    state, transition = env.step(episode.state, action, noise)
    steps = episode.steps + 1
    truncated = tf.logical_and(steps >= env.max_episode_steps, tf.logical_not(transition.terminated))
    outcome = Outcome(transition.reward, transition.terminated, truncated, env.observe(state), gain(transition))
    return Episode(state, steps), outcome


def restart(episode: Episode, outcome: Outcome, fresh: State) -> Episode:
    """Autoreset: rows whose episode has ended go on from `fresh`, initial states of B rows; the others as they are."""
    done = tf.logical_or(outcome.terminated, outcome.truncated)
    return Episode(where(done, fresh, episode.state), tf.where(done, 0, episode.steps))


def advance(
    env: TensorEnv[Any], episode: Episode, action: tf.Tensor, noise: Noise, fresh: State
) -> tuple[Episode, Outcome]:
    """One step with time limit and same-step autoreset: rows whose episode ends go on from `fresh`.

    Args:
        env: the task.
        episode: running episodes of B rows.
        action: [B, ...].
        noise: this step's noise.
        fresh: initial states of B rows (drawn beforehand, so that no random number is drawn inside a loop).
    """
    following, outcome = proceed(env, episode, action, noise)
    return restart(following, outcome, fresh), outcome
