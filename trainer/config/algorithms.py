"""What each algorithm can do: the one table that run files are checked against and `docs/algorithms.md` is made from.

`python -m trainer.config.algorithms > docs/algorithms.md` writes the page. Nothing here imports TensorFlow.
"""

import dataclasses
import sys
from typing import Any

import gymnasium

from trainer.config.models import PPO, Agent, Reinforce
from trainer.config.off_policy import DQN, SAC, TD3
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

    def refuses(self, action_space: gymnasium.Space[Any], masked: bool) -> str | None:
        """Why it cannot act in a space, in words that follow the environment's id; None if it can.

        Args:
            action_space: `Discrete` or `Box`.
            masked: whether some actions are sometimes not allowed.
        """
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
        "Deep Q-learning: double, dueling, n-step",
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
        " [Wang et al. 2016](https://arxiv.org/abs/1511.06581)",
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
}
"""By the value of `agent.algorithm`."""


def check(agent: Agent, env_id: str, action_space: gymnasium.Space[Any], masked: bool) -> None:
    """Find out whether an algorithm can act in an environment.

    Raises:
        BadInput: if it cannot, with those that can.
    """
    name = agent.algorithm
    reason = TABLE[name].refuses(action_space, masked)
    if reason is not None:
        able = [other for other, row in TABLE.items() if row.refuses(action_space, masked) is None]
        raise BadInput(
            "agent.algorithm",
            name,
            f"{' or '.join(able)}, as {env_id} {reason}",
            f"set agent.algorithm to {able[0]}, or choose another environment",
        )


_HEADER = """\
# Algorithms

The table is generated from `trainer/config/algorithms.py` by `python -m trainer.config.algorithms`; do not edit.

`agent.algorithm` in a run file chooses one; `ppo` is the default. All share the rest: exact resume, schedules, metrics,
evaluation on held-out seeds, export with a parity check, tensor environments with whole iterations compiled, and any
Gymnasium environment with acting and learning compiled. What an algorithm cannot do is refused before anything is
written. Hyperparameters are in [the run file's reference](reference/run-file.md).

"""

_FOOTER = """
**Masks** say which actions are allowed. DQN heeds them in what it does, in what it explores, and in the maximum over
the next state's actions.

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

Presets, trained once with seed 0; the greedy policy's mean return on 100 held-out episodes, with its 95 % interval:

| Preset | Environment steps | Return |
|---|---|---|
| `cartpole-dqn` | 102,400 | 500 (500 to 500) |
| `cartpole-reinforce` | 2,457,600 | 497 (494 to 500) |
| `pendulum-sac` | 12,800 | -141 (-160 to -124) |
| `pendulum-td3` | 12,800 | -148 (-169 to -129) |

How the agents of TF-Agents are used, and where a term is computed here, is in
[the decision record](decisions/0008-tf-agents-losses.md).
"""


def page() -> str:
    """The page, in Markdown."""
    abilities = ("Masks", "Average reward", "Noise law", "Recurrence")
    columns = ("`agent.algorithm`", "", "Learns", "Actions", *abilities, "From")
    lines = [" | ".join(["", *columns, ""]).strip(), "|---" * len(columns) + "|"]
    for name, row in TABLE.items():
        box = "box" if row.unbounded else "bounded box"
        actions = " or ".join(word for word, able in (("discrete", row.discrete), (box, row.continuous)) if able)
        cells = [f"`{name}`", row.title, "on-policy" if row.on_policy else "off-policy", actions]
        cells += ["yes" if able else "no" for able in (row.masks, row.average_reward, row.noise_law, row.recurrence)]
        lines.append(" | ".join(["", *cells, row.source, ""]).strip())
    return _HEADER + "\n".join(lines) + "\n" + _FOOTER


if __name__ == "__main__":
    sys.stdout.write(page())
