"""The tasks that presets are measured on, with what others reached on them."""

import dataclasses


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
