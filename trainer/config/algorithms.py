"""What each algorithm can do: the one table that run files are checked against and `docs/algorithms.md` is made from.

`python -m trainer.config.algorithms > docs/algorithms.md` writes the page. Nothing here imports TensorFlow.
"""

import dataclasses
import sys
from typing import Any, TypeGuard

import gymnasium

from trainer.config import presets
from trainer.config.models import PPO, Agent, Reinforce
from trainer.config.off_policy import DQN, SAC, TD3
from trainer.config.self_labelling import SelfLabelling
from trainer.errors import BadInput


@dataclasses.dataclass(frozen=True)
class Algorithm:
    """One algorithm.

    Attributes:
        title: its name in words.
        settings: its section of the run file.
        on_policy: whether it learns from the present policy's transitions alone; else it has a replay.
        discrete: whether it can choose among numbered actions.
        continuous: whether it can act in a box.
        unbounded: whether that box may be without bounds.
        masks: whether it heeds masks of allowed actions.
        average_reward: whether it can optimise the mean reward per step.
        noise_law: whether it can average over the outcomes of a task's noise.
        recurrence: whether its networks may have a recurrent layer.
        own_starts: whether it must choose where episodes begin, which only tasks that are models let it.
        source: where it is from.
    """

    title: str
    settings: type[Any]
    on_policy: bool
    discrete: bool
    continuous: bool
    unbounded: bool
    masks: bool
    average_reward: bool
    noise_law: bool
    recurrence: bool
    source: str
    own_starts: bool = False

    @property
    def compiled_path(self) -> str:
        """What is one compiled graph, in words: on tensor environments, and on Gymnasium's where it can act there."""
        return "whole iterations" if self.own_starts else "whole iterations; Gymnasium: acting, learning"

    def refuses(self, action_space: gymnasium.Space[Any], masked: bool, model: bool = True) -> str | None:
        """Why it cannot act in a space, in words that follow the environment's id; None if it can.

        Args:
            action_space: `Discrete` or `Box`.
            masked: whether some actions are sometimes not allowed.
            model: whether the environment is a model, whose episodes can begin anywhere.
        """
        if self.own_starts and not model:
            return "cannot begin several episodes in the same state"
        if isinstance(action_space, gymnasium.spaces.Discrete):
            if not self.discrete:
                return f"has a choice of {action_space.n} actions"
            return "masks its actions" if masked and not self.masks else None
        if not self.continuous:
            return "has continuous actions"
        bounded = isinstance(action_space, gymnasium.spaces.Box) and action_space.is_bounded()
        return "has actions without bounds" if not bounded and not self.unbounded else None


TABLE: dict[str, Algorithm] = {
    "ppo": Algorithm(
        "Proximal policy optimisation",
        PPO,
        on_policy=True,
        discrete=True,
        continuous=True,
        unbounded=True,
        masks=True,
        average_reward=True,
        noise_law=True,
        recurrence=True,
        source="[Schulman et al. 2017](https://arxiv.org/abs/1707.06347)",
    ),
    "dqn": Algorithm(
        "Deep Q-learning: double, dueling, n-step, distributional (C51)",
        DQN,
        on_policy=False,
        discrete=True,
        continuous=False,
        unbounded=False,
        masks=True,
        average_reward=False,
        noise_law=False,
        recurrence=False,
        source="[Mnih et al. 2015](https://doi.org/10.1038/nature14236),"
        " [van Hasselt et al. 2016](https://arxiv.org/abs/1509.06461),"
        " [Wang et al. 2016](https://arxiv.org/abs/1511.06581),"
        " [Bellemare et al. 2017](https://arxiv.org/abs/1707.06887)",
    ),
    "sac": Algorithm(
        "Soft actor-critic, learned temperature",
        SAC,
        on_policy=False,
        discrete=False,
        continuous=True,
        unbounded=False,
        masks=False,
        average_reward=False,
        noise_law=False,
        recurrence=False,
        source="[Haarnoja et al. 2018](https://arxiv.org/abs/1812.05905)",
    ),
    "td3": Algorithm(
        "Twin delayed deep deterministic policy gradient",
        TD3,
        on_policy=False,
        discrete=False,
        continuous=True,
        unbounded=False,
        masks=False,
        average_reward=False,
        noise_law=False,
        recurrence=False,
        source="[Fujimoto et al. 2018](https://arxiv.org/abs/1802.09477)",
    ),
    "reinforce": Algorithm(
        "REINFORCE with a learned baseline",
        Reinforce,
        on_policy=True,
        discrete=True,
        continuous=True,
        unbounded=True,
        masks=True,
        average_reward=False,
        noise_law=False,
        recurrence=False,
        source="[Williams 1992](https://doi.org/10.1007/BF00992696)",
    ),
    "self-labelling": Algorithm(
        "Self-labelling: imitates the best of several episodes from the same start",
        SelfLabelling,
        on_policy=True,
        discrete=True,
        continuous=False,
        unbounded=False,
        masks=True,
        average_reward=False,
        noise_law=False,
        recurrence=False,
        source="[Corsini et al. 2024](https://arxiv.org/abs/2401.11849)",
        own_starts=True,
    ),
}
"""By the value of `agent.algorithm`."""


def asks_for_deviation(agent: Agent) -> TypeGuard[PPO | Reinforce]:
    """Whether an agent's first policy is to have another deviation than 1, which takes continuous actions."""
    return isinstance(agent, PPO | Reinforce) and agent.networks.initial_deviation != 1


def check(agent: Agent, env_id: str, action_space: gymnasium.Space[Any], masked: bool, *, model: bool) -> None:
    """Find out whether an algorithm, and what it is asked to do, fits an environment's actions.

    Raises:
        BadInput: if it cannot act there, with those that can; or if it is given a deviation to choose with.
    """
    name = agent.algorithm
    reason = TABLE[name].refuses(action_space, masked, model)
    if reason is not None:
        able = [other for other, row in TABLE.items() if row.refuses(action_space, masked, model) is None]
        raise BadInput(
            "agent.algorithm",
            name,
            f"{' or '.join(able)}, as {env_id} {reason}",
            f"set agent.algorithm to {able[0]}, or choose another environment",
        )
    if asks_for_deviation(agent) and isinstance(action_space, gymnasium.spaces.Discrete):
        raise BadInput(
            "agent.networks.initial_deviation",
            agent.networks.initial_deviation,
            f"1, as {env_id} has a choice of {action_space.n} actions and no deviation",
            "leave it out",
        )


_HEADER = """\
# Algorithms

The table is generated from `trainer/config/algorithms.py` by `python -m trainer.config.algorithms`; do not edit.

`agent.algorithm` in a run file chooses one; `ppo` is the default. All share the rest: exact resume, schedules, metrics,
evaluation on held-out seeds, export with a parity check, tensor environments with whole iterations compiled, and any
Gymnasium environment with acting and learning compiled. What an algorithm cannot do is refused before anything is
written. Hyperparameters are in [the run file's reference](reference/run-file.md).

"""

_NOTES = """
**Masks** say which actions are allowed. DQN heeds them in what it does, in what it explores, and in the maximum over
the next state's actions.

**C51** is DQN with `agent.distributional: {least_value: 0, greatest_value: 100}`: the network gives each action's
return a probability at each of `atoms` equally spaced values, learned by cross entropy, and the greedy policy takes the
action of the highest mean. `double`, `networks.dueling` and `n_step` go with it as in Rainbow (Hessel et al. 2018,
https://arxiv.org/abs/1710.02298). The values must span what a sum of discounted rewards, each times `reward_scale`, can
be: what lies beyond counts as the nearest end. With rewards from a to b and a discount d, that is a / (1 - d) to
b / (1 - d) or less.

**Off-policy** algorithms keep a [replay](decisions/0007-replay-in-checkpoints.md) of `replay_size` transitions. An
iteration steps `num_envs` environments `rollout_steps` times, then makes `gradient_steps` gradient steps on minibatches
drawn uniformly from it. `learning_starts` transitions come first; until then exploration is at its widest. An episode
cut by a time limit is not over: its last state's value counts (Pardo et al. 2018, https://arxiv.org/abs/1712.00378).

**Recurrence**: `agent.networks.recurrent` puts an LSTM or GRU layer behind the hidden layers, for tasks whose
observation does not say all that counts. What it remembers is zero at an episode's start, goes on from one iteration to
the next, and is part of each checkpoint. Learning replays each environment's steps from the memory before the first of
them, with resets where episodes ended, and gradients flow back to there: `rollout_steps` is how far back the learner
looks. Minibatches hold whole environments. A state that a time limit cuts is valued with the memory that it was reached
with. Masks, average reward and the law of the noise go together with it; an exact score and a picture of the policy do
not, as it is no function of states. `lost-sales-ppo-recurrent`, trained with seeds 0 and 1, cost .31 % (give or
take .14) and .29 % (.11) more than the optimum on 512 held-out episodes; the difference to the best capped base-stock
policy, whose cost is known exactly, was measured on the same demand.

**REINFORCE** makes one gradient step an iteration, on all of its transitions. A return that the end of the rollout or a
time limit cuts is completed by the baseline's value there, so that no transition is thrown away and long episodes do
not count less than short ones; returns of episodes that ended are complete.

**Self-labelling** plays `episodes_per_start` whole episodes from each of some new starts, keeps the best of each by its
return, and imitates it by cross-entropy. It needs no value function and no reward but the whole episode's, and suits
tasks of a fixed horizon in which actions decide all once the start and the noise are given. Steps at which one action
alone is allowed count in neither loss nor entropy.

How the agents of TF-Agents are used, and where a term is computed here, is in
[the decision record](decisions/0008-tf-agents-losses.md).
"""

_PRESETS = """
## Presets

`slipway train NAME` trains one. `slipway train ID --set agent.algorithm=dqn` picks by the task's id and the algorithm:
the first of the cell, or the last rows' where there is none, or else the algorithm's defaults. A preset's name with
another algorithm is refused if it has settings that the algorithm does not know. Where an id is given, the task has its
default parameters, but for those without which the algorithm could not act there.

"""

_MEASURED = """
What the presets reach, over five training seeds: [measured](../benchmarks/LEARNING.md), task by task.

How the agents of TF-Agents are used, and where a term is computed here, is in
[the decision record](decisions/0008-tf-agents-losses.md).
"""


def page() -> str:
    """The page, in Markdown."""
    abilities = ("Masks", "Average reward", "Noise law", "Recurrence")
    columns = ("`agent.algorithm`", "", "Learns", "Actions", *abilities, "Compiled", "From")
    lines = [" | ".join(["", *columns, ""]).strip(), "|---" * len(columns) + "|"]
    for name, row in TABLE.items():
        box = "box" if row.unbounded else "bounded box"
        actions = " or ".join(word for word, able in (("discrete", row.discrete), (box, row.continuous)) if able)
        actions += ", in tasks that are models" if row.own_starts else ""
        cells = [f"`{name}`", row.title, "on-policy" if row.on_policy else "off-policy", actions]
        cells += ["yes" if able else "no" for able in (row.masks, row.average_reward, row.noise_law, row.recurrence)]
        lines.append(" | ".join(["", *cells, row.compiled_path, row.source, ""]).strip())
    return _HEADER + "\n".join(lines) + "\n" + _NOTES + _presets()


def _presets() -> str:
    """The presets by task and algorithm, in Markdown; the first of a cell is what the task's id picks."""
    cells: dict[tuple[str, str], list[str]] = {}
    generic = set(presets.FOR_ACTIONS.values())
    for (kind, algorithm), name in presets.FOR_ACTIONS.items():
        cells.setdefault((f"any other, {kind} actions", algorithm), []).append(name)
    for name in set(presets.names()) - generic:
        data = presets.data(name)
        key = (f"`{data['env']['id']}`", data["agent"].get("algorithm", presets.DEFAULT_ALGORITHM))
        cells.setdefault(key, []).append(name)
    for (env_id, algorithm), name in presets.FOR_TASK.items():
        found = cells.setdefault((f"`{env_id}`", algorithm), [])
        found[:] = [name, *sorted(set(found) - {name})]
    tasks = sorted(
        {task for task, _ in cells}, key=lambda task: (task[0] != "`", not task.startswith("`slipway"), task)
    )
    lines = ["| Task | " + " | ".join(f"`{name}`" for name in TABLE) + " |", "|---" * (len(TABLE) + 1) + "|"]
    for task in tasks:
        row = (", ".join(f"`{name}`" for name in cells.get((task, algorithm), [])) for algorithm in TABLE)
        lines.append(" | ".join([f"| {task}", *row]) + " |")
    return _PRESETS + "\n".join(lines) + "\n" + _MEASURED


if __name__ == "__main__":
    sys.stdout.write(page())
