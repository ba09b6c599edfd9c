"""What is measured: tasks with what others reached on them, and presets with what they aim at."""

import dataclasses

from trainer.config import load, overrides, presets
from trainer.config.models import RunFile
from trainer.errors import BadInput

SEEDS = (1, 2, 3, 4, 5)
"""Training seeds. Hyperparameters were chosen on others: on 0, and where one seed says little on 6 to 8 too."""
TABLE_SEEDS = (1, 2, 3)
"""Of cases beside the main ones."""


@dataclasses.dataclass(frozen=True)
class Anchor:
    """What somebody or something else reached.

    Attributes:
        policy: who.
        figure: how much, as text.
        source: where it is published, or how it was computed.
    """

    policy: str
    figure: str
    source: str


@dataclasses.dataclass(frozen=True)
class Measure:
    """One figure of a trained policy.

    Attributes:
        key: its name in learning.json.
        name: its name for people, with the unit.
        digits: digits after the point.
        factor: what the figure is shown multiplied by: 100 for percent.
        higher: whether more is better.
        aim: what is aimed at, in the shown unit; None for none.
        in_interval: the aim counts as reached if the interval holds it.
    """

    key: str
    name: str
    digits: int = 1
    factor: float = 1.0
    higher: bool = True
    aim: float | None = None
    in_interval: bool = False


@dataclasses.dataclass(frozen=True)
class Task:
    """A section of the page.

    Attributes:
        key: its name on the command line.
        title: its heading.
        text: what is measured, and how.
        anchors: what others reached.
        lines: what a learning curve is compared with, by name, besides aims.
    """

    key: str
    title: str
    text: str
    anchors: tuple[Anchor, ...] = ()
    lines: tuple[tuple[str, float], ...] = ()


@dataclasses.dataclass(frozen=True)
class Case:
    """One preset on one task.

    Attributes:
        task: the section's key.
        preset: which run file.
        instruments: how the trained policy is measured (`benchmarks.learning.instruments`).
        measures: what the page shows of that.
        minutes: processor time that a seed takes, roughly; the cheapest is trained first.
        settings: overrides of the run file.
        label: tells a case from others of the same preset.
        main: whether it stands in the section's table.
        tried: what was tried where an aim is not reached.
    """

    task: str
    preset: str
    instruments: tuple[str, ...]
    measures: tuple[Measure, ...]
    minutes: float
    settings: tuple[str, ...] = ()
    label: str = ""
    main: bool = True
    tried: str = ""

    @property
    def name(self) -> str:
        """Its key in learning.json, and its name on the command line."""
        return f"{self.preset}/{self.label}" if self.label else self.preset

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return SEEDS if self.main else TABLE_SEEDS

    def run_file(self) -> RunFile:
        """The preset with the overrides."""
        return load.validate(overrides.apply(presets.data(self.preset), self.settings))


LEAD_TIMES, SHORTAGE_COSTS = (1, 2, 3, 4), (4, 9, 19)
LOST_SALES_GRID = ("lost-sales-ppo", "lost-sales-ppo-plain")
"""Presets that are also trained on other lead times and costs."""

ZOO = "[Stable-Baselines3 Zoo](https://github.com/DLR-RM/rl-baselines3-zoo/blob/master/benchmark.md), one run"
HERE = "computed here, exactly"
HELD_OUT_HERE = "here, on held-out episodes"

LOST_SALES = Task(
    "lost-sales",
    "Lost sales, L=4, p=4",
    "Lost-sales inventory with lead time L = 4, Poisson demand of mean 5, holding cost 1 and shortage cost p = 4 per"
    " unit ([Zipkin 2008](https://doi.org/10.1287/opre.1070.0471)). A gap is how much more the greedy policy costs per"
    " period than the optimal one. Both costs are exact: value iteration on the states that the policy reaches, and on"
    " all states, without any simulation. A policy with memory is no function of the state: its cost is a mean over"
    " held-out episodes, known to about 0.2 %.",
    (
        Anchor("best base-stock", "gap 9.9 %", HERE),
        Anchor("best capped base-stock", "gap 1.5 %", HERE),
        Anchor("A3C", "gap 3 to 7 %", "[Gijsbrechts et al. 2022](https://doi.org/10.1287/msom.2021.1064)"),
        Anchor(
            "Deep Controlled Learning", "gap at most 0.2 %", "[Temizöz et al. 2020](https://arxiv.org/abs/2011.15122)"
        ),
    ),
    (("optimum", 4.72853),),
)


def lost_sales(
    preset: str,
    lead_time: int,
    shortage_cost: int,
    aim: float | None,
    minutes: float,
    *,
    scaled: bool = True,
    remembers: bool = False,
) -> Case:
    """A preset on one lead time and shortage cost; the aim is a gap in percent.

    Args:
        preset: which.
        lead_time: L.
        shortage_cost: p.
        aim: the largest gap that is aimed at, in percent.
        minutes: processor time of a seed.
        scaled: whether rewards are scaled by 1 / (1 + p); else the preset's scale stays.
        remembers: whether the policy has a memory, and so no exact cost: its gap is then one of sampled costs.
    """
    key, said = ("sampled_gap", "gap of sampled costs, %") if remembers else ("gap", "gap, %")
    return Case(
        "lost-sales",
        preset,
        ("held-out",) if remembers else ("exact",),
        (Measure(key, said, 3, 100, higher=False, aim=aim),),
        minutes,
        (
            f"env.parameters.lead_time_periods={lead_time}",
            f"env.parameters.lost_sale_cost_per_unit={float(shortage_cost)}",
            *([f"agent.reward_scale={1 / (1 + shortage_cost)!r}"] if scaled else []),
        ),
        f"L{lead_time}p{shortage_cost}",
        main=(lead_time, shortage_cost) == (4, 4),
    )


SUPPLY_CHAIN = Task(
    "supply-chain",
    "Supply chain: InventoryManagement, gym-invmgmt's chain",
    "Three stages, one season of 30 periods, Poisson demand of mean 20. The first measure is the profit on the ten"
    " demand paths that gym-invmgmt's figures are published for; the second is the mean over held-out seasons, which is"
    " known better: ten paths' mean has a standard error of about 9, nearly all of it the paths' own.",
    tuple(
        Anchor(policy, figure, source)
        for policy, figure, source in (
            (
                "(s, S) that estimates demand",
                "873 on the ten paths",
                "[Barati and Hu 2026](https://arxiv.org/abs/2605.11355)",
            ),
            ("PPO", "855 on the ten paths", "the same"),
            ("SAC", "-603 on the ten paths", "the same"),
            ("stochastic program told the demand's mean", "1006 on the ten paths", "the same"),
            ("oracle, which knows all demand", "1024 on the ten paths", "the same, and computed here"),
            ("`horizon-base-stock`", "1007 on the ten paths", "[here](../docs/environments/inventory-management.md)"),
        )
    ),
    (("oracle", 1034.0),),
)

JOB_SHOP = Task(
    "job-shop",
    "Job shop: Taillard's instances",
    "How far the makespans lie above the best that are known, on average over ten instances of 15 x 15 (ta01 to ta10,"
    " whose best are optimal) and ten of 20 x 20 (ta21 to ta30). The policy is trained on random instances of 10 x 10."
    " Schedules are drawn at temperature 0.7 with waits of 0.3, both chosen on these instances, so the gaps flatter a"
    " little.",
    tuple(
        Anchor(policy, figure, source)
        for policy, figure, source in (
            ("most work remaining", "19.2 % on ta01 to ta10", "[computed here](../docs/environments/job-shop.md)"),
            ("ScheduleNet, greedy", "15.2 % on ta01 to ta10", "[Park et al. 2021](https://arxiv.org/abs/2106.03051)"),
            (
                "Residual Scheduling, greedy",
                "14.8 % on ta01 to ta10",
                "[Ho et al. 2023](https://arxiv.org/abs/2309.15517)",
            ),
        )
    ),
)

LIDAR = Task(
    "lidar",
    "LiDAR navigation",
    "The greedy policy in each of the 300 test worlds once. The score is BARN's metric, 0.5 at most; success is the"
    " share of worlds in which the robot arrives.",
    tuple(
        Anchor(policy, figure, "[here](../docs/environments/lidar-navigation.md), the same worlds")
        for policy, figure in (
            ("`dynamic-window`, without a map", "score 0.151, success 0.313"),
            ("`slow-global-dynamic-window`, told the map", "score 0.277, success 0.993"),
            ("`global-dynamic-window`, told the map", "score 0.480, success 0.960"),
        )
    ),
)

RETURN = "Mean return of the greedy policy on held-out episodes, 20 seeds."


def zoo(*figures: tuple[str, str]) -> tuple[Anchor, ...]:
    """Anchors of the zoo."""
    return tuple(Anchor(policy, figure, ZOO) for policy, figure in figures)


CARTPOLE = Task(
    "cartpole",
    "CartPole-v1",
    f"{RETURN} 500 is the most.",
    zoo(("PPO, DQN, A2C", "500")),
    (("most", 500.0),),
)
ACROBOT = Task(
    "acrobot",
    "Acrobot-v1",
    RETURN,
    (
        *zoo(("PPO", "-73.5 ± 18.2"), ("DQN", "-76.6 ± 11.8"), ("A2C", "-83.4 ± 17.2"), ("QR-DQN", "-69.1 ± 10.0")),
        Anchor("`energy-pumping`", "-90", HELD_OUT_HERE),
    ),
)
MOUNTAIN_CAR = Task(
    "mountain-car",
    "MountainCar-v0",
    RETURN,
    (
        *zoo(("DQN", "-100.8 ± 9.9"), ("PPO", "-110.4 ± 19.5"), ("A2C", "-111.3 ± 24.1"), ("QR-DQN", "-106.0 ± 15.5")),
        Anchor("`closed-form`", "-105.7", HELD_OUT_HERE),
    ),
)
MOUNTAIN_CAR_CONTINUOUS = Task(
    "mountain-car-continuous",
    "MountainCarContinuous-v0",
    RETURN,
    (
        *zoo(("SAC", "94.7 ± 1.1"), ("TD3", "93.5 ± 0.1"), ("PPO", "88.3 ± 2.6"), ("A2C", "91.2 ± 0.3")),
        Anchor("`gentle-pumping`", "97.7", HELD_OUT_HERE),
    ),
)
PENDULUM = Task(
    "pendulum",
    "Pendulum-v1",
    f"{RETURN} `pendulum-compiled-ppo` trains on the compiled copy, the others on Gymnasium's own.",
    (
        *zoo(("TD3", "-151.9 ± 90.2"), ("SAC", "-157.0 ± 88.7"), ("A2C", "-163.0 ± 103.2"), ("PPO", "-172.2 ± 104.2")),
        Anchor("`swing-up-and-hold`", "-148", HELD_OUT_HERE),
    ),
)
LUNAR_LANDER = Task(
    "lunar-lander",
    "LunarLander-v3",
    f"{RETURN} The zoo's figures are of version 2; version 3 mends its wind, which is off.",
    zoo(
        ("PPO", "242.1 ± 31.8"),
        ("DQN", "154.4 ± 79.2"),
        ("A2C", "155.8 ± 80.4"),
        ("PPO, continuous", "270.9 ± 32.1"),
        ("SAC, continuous", "260.4 ± 65.5"),
        ("TD3, continuous", "207.5 ± 67.6"),
    ),
)
FROZEN_LAKE = Task(
    "frozen-lake",
    "FrozenLake",
    "The share of held-out episodes that reach the goal, and the greedy policy's exact probability of it by dynamic"
    " programming. The optimum counts the steps that are left; an agent sees only its cell. The aim is an interval of"
    " the held-out share that holds the optimum.",
    (
        Anchor("optimum, 4x4", "0.7442", HERE),
        Anchor("value iteration, 4x4", "0.7402", HERE),
        Anchor("optimum, 8x8", "0.9132", HERE),
        Anchor("value iteration, 8x8", "0.8936", HERE),
    ),
)

TASKS = (
    LOST_SALES,
    SUPPLY_CHAIN,
    JOB_SHOP,
    LIDAR,
    CARTPOLE,
    ACROBOT,
    MOUNTAIN_CAR,
    MOUNTAIN_CAR_CONTINUOUS,
    PENDULUM,
    LUNAR_LANDER,
    FROZEN_LAKE,
)


def held_out(task: str, preset: str, minutes: float, aim: float, episodes_per_seed: int = 50, tried: str = "") -> Case:
    """A preset whose aim is a mean return on held-out episodes."""
    return Case(
        task,
        preset,
        ("held-out",),
        (Measure("score", "return", aim=aim),),
        minutes,
        (f"evaluation.episodes_per_seed={episodes_per_seed}",),
        tried=tried,
    )


def frozen_lake(
    preset: str, side: int, optimum: float, minutes: float, settings: tuple[str, ...] = (), tried: str = ""
) -> Case:
    """A preset on one of the two lakes."""
    label = f"{side}x{side}"
    return Case(
        "frozen-lake",
        preset,
        ("held-out", "exact"),
        (
            Measure("score", f"{label}, held-out share", 4, aim=optimum, in_interval=True),
            Measure("exact", f"{label}, exact probability", 4),
        ),
        minutes,
        (f"env.parameters.map={label}", "evaluation.episodes_per_seed=50", *settings),
        label,
        tried=tried,
    )


TRIED_DQN = (
    "one-step targets and a target network that is copied every 128 gradient steps (mean 317); half the target's rate"
    " without n-step (on other seeds 170 to 496); more exploration, or half as long again: either unlearns what it"
    " could on a seed in three or four, as the replay then holds little but success"
)

CASES = (
    lost_sales("lost-sales-ppo", 4, 4, 0.05, 0.2),
    lost_sales("lost-sales-ppo-plain", 4, 4, 0.5, 0.4),
    lost_sales("lost-sales-ppo-recurrent", 4, 4, None, 3, remembers=True),
    lost_sales("lost-sales-dqn", 4, 4, None, 0.4, scaled=False),
    Case(
        "supply-chain",
        "inventory-management-ppo",
        ("published-paths", "held-out"),
        (
            Measure("published", "profit, ten paths", aim=960),
            Measure("score", "profit, held-out seasons"),
        ),
        0.5,
    ),
    Case(
        "supply-chain",
        "inventory-management-sac",
        ("published-paths", "held-out"),
        (
            Measure("published", "profit, ten paths", aim=960),
            Measure("score", "profit, held-out seasons"),
        ),
        3,
    ),
    Case(
        "job-shop",
        "job-shop-self-labelling",
        ("schedules",),
        (
            Measure("greedy", "ta01-10 greedy: gap, %", 1, 100, higher=False),
            Measure("mirrored", "ta01-10 greedy and mirror image: gap, %", 1, 100, higher=False, aim=12),
            Measure("best_of_64", "ta01-10 best of 64, half of them mirrored: gap, %", 1, 100, higher=False, aim=8.5),
            Measure("large_mirrored", "ta21-30 greedy and mirror image: gap, %", 1, 100, higher=False),
            Measure(
                "large_best_of_64", "ta21-30 best of 64, half of them mirrored: gap, %", 1, 100, higher=False, aim=11
            ),
        ),
        4,
    ),
    *(
        Case(
            "lidar",
            preset,
            ("worlds",),
            (Measure("score", "score", 3, aim=0.302), Measure("success", "success", 3, aim=0.9)),
            minutes,
        )
        for preset, minutes in (("lidar-navigation-ppo", 12), ("lidar-navigation-sac", 15))
    ),
    held_out("cartpole", "cartpole-ppo", 0.2, 500),
    held_out("cartpole", "cartpole-dqn", 0.4, 500, tried=TRIED_DQN),
    held_out("cartpole", "cartpole-c51", 0.5, 500),
    held_out("cartpole", "cartpole-reinforce", 0.3, 500, tried="nothing beyond the preset yet"),
    held_out("acrobot", "acrobot-ppo", 1, -73),
    held_out("acrobot", "acrobot-dqn", 2, -73, tried="nothing beyond the preset yet"),
    held_out("mountain-car", "mountain-car-ppo", 1, -100),
    held_out(
        "mountain-car", "mountain-car-dqn", 2, -100, tried="nothing beyond the preset yet, which brings seed 0 to -100"
    ),
    held_out("mountain-car-continuous", "mountain-car-continuous-ppo", 0.5, 94.7),
    held_out("mountain-car-continuous", "mountain-car-continuous-sac", 2, 94.7),
    held_out("mountain-car-continuous", "mountain-car-continuous-td3", 2, 93.5),
    held_out("pendulum", "pendulum-compiled-ppo", 0.5, -170),
    held_out("pendulum", "pendulum-ppo", 2, -170, 15),
    held_out("pendulum", "pendulum-sac", 3, -157, 15),
    held_out("pendulum", "pendulum-td3", 3, -152, 15),
    held_out("lunar-lander", "lunarlander-ppo", 10, 250, 10),
    frozen_lake("frozen-lake-ppo", 4, 0.7442, 0.2),
    frozen_lake("frozen-lake-dqn", 4, 0.7442, 1),
    frozen_lake(
        "frozen-lake-ppo",
        8,
        0.9132,
        0.5,
        ("budget.env_steps=3_276_800",),
        tried="on seed 0, discounts of 0.99, 0.995 and 0.998: exactly 0.853, 0.887 and 0.888; 0.995 and told the law of"
        " slips: 0.886; 0.996, half the learning rate and twice the steps: 0.881. No policy that sees only its cell and"
        " differs from value iteration's on one cell reaches more than 0.8936.",
    ),
    *(
        lost_sales(preset, lead, cost, None, 0.3)
        for preset in LOST_SALES_GRID
        for cost in SHORTAGE_COSTS
        for lead in LEAD_TIMES
        if (lead, cost) != (4, 4)
    ),
)


def of_task(task: str, *, main: bool = True) -> list[Case]:
    """A task's cases, those of its table or the others."""
    return [case for case in CASES if case.task == task and case.main is main]


def chosen(names: tuple[str, ...] | list[str], *, main_only: bool = False) -> list[Case]:
    """Cases in the order in which they are trained: the main ones first, cheap ones first.

    Args:
        names: of cases, presets or tasks; none: all of them.
        main_only: leave out what is not in a section's table.

    Raises:
        BadInput: if no case goes by a name.
    """
    known = {label for case in CASES for label in (case.name, case.preset, case.task)}
    for name in names:
        if name not in known:
            raise BadInput("--only", name, ", ".join(sorted(known)), "see `python -m benchmarks.learning --list`")
    wanted = [case for case in CASES if not names or {case.name, case.preset, case.task} & set(names)]
    return sorted(
        (case for case in wanted if case.main or not main_only), key=lambda case: (not case.main, case.minutes)
    )
