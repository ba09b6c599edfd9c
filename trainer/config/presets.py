"""Run files that ship: `trainer/config/presets/*.yaml`. Each begins with a comment that says what it is for."""

from pathlib import Path
from typing import Any

from trainer.errors import BadInput, nearest

FOLDER = Path(__file__).parent / "presets"

DEFAULT_ALGORITHM = "ppo"
"""What trains where no algorithm is named."""

FOR_TASK = {
    ("slipway/LostSales-v0", "ppo"): "lost-sales-ppo",
    ("slipway/LostSales-v0", "dqn"): "lost-sales-dqn",
    ("slipway/InventoryManagement-v0", "ppo"): "inventory-management-ppo",
    ("slipway/InventoryManagement-v0", "sac"): "inventory-management-sac",
    ("slipway/FrozenLake-v1", "ppo"): "frozen-lake-ppo",
    ("slipway/FrozenLake-v1", "dqn"): "frozen-lake-dqn",
    ("slipway/CartPole-v1", "ppo"): "cartpole-ppo",
    ("slipway/CartPole-v1", "dqn"): "cartpole-dqn",
    ("slipway/CartPole-v1", "reinforce"): "cartpole-reinforce",
    ("slipway/Pendulum-v1", "ppo"): "pendulum-compiled-ppo",
    ("slipway/Pendulum-v1", "sac"): "pendulum-sac",
    ("slipway/Pendulum-v1", "td3"): "pendulum-td3",
    ("slipway/Acrobot-v1", "ppo"): "acrobot-ppo",
    ("slipway/Acrobot-v1", "dqn"): "acrobot-dqn",
    ("slipway/MountainCar-v0", "ppo"): "mountain-car-ppo",
    ("slipway/MountainCar-v0", "dqn"): "mountain-car-dqn",
    ("slipway/MountainCarContinuous-v0", "ppo"): "mountain-car-continuous-ppo",
    ("slipway/MountainCarContinuous-v0", "sac"): "mountain-car-continuous-sac",
    ("slipway/MountainCarContinuous-v0", "td3"): "mountain-car-continuous-td3",
    ("slipway/JobShop-v0", "ppo"): "job-shop-ppo",
    ("slipway/JobShop-v0", "self-labelling"): "job-shop-self-labelling",
    ("slipway/LidarNavigation-v0", "ppo"): "lidar-navigation-ppo",
    ("slipway/LidarNavigation-v0", "sac"): "lidar-navigation-sac",
    ("gymnasium:Pendulum-v1", "ppo"): "pendulum-ppo",
    ("gymnasium:Pendulum-v1", "sac"): "pendulum-sac",
    ("gymnasium:Pendulum-v1", "td3"): "pendulum-td3",
    ("gymnasium:LunarLander-v3", "ppo"): "lunarlander-ppo",
    ("gymnasium:LunarLander-v3", "dqn"): "lunarlander-dqn",
}
"""The preset that trains an environment by an algorithm when no other is asked for."""

FOR_ACTIONS = {
    ("discrete", "ppo"): "gymnasium-ppo-discrete",
    ("continuous", "ppo"): "gymnasium-ppo-continuous",
    ("discrete", "dqn"): "gymnasium-dqn",
    ("continuous", "sac"): "gymnasium-sac",
    ("continuous", "td3"): "gymnasium-td3",
}
"""The preset for any other environment, by its kind of actions and the algorithm."""

NEEDED_PARAMETERS: dict[str, dict[str, Any]] = {"lidar-navigation-sac": {"actions": "continuous"}}
"""Parameters without which a preset's algorithm could not act in its task; others are left out where an id is given."""


def for_task(env_id: str, algorithm: str = DEFAULT_ALGORITHM) -> str | None:
    """The preset made for an environment and an algorithm; None if there is none."""
    return FOR_TASK.get((env_id, algorithm))


def names() -> list[str]:
    """All presets, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def text(name: str) -> str:
    """A preset's YAML, comments included.

    Raises:
        BadInput: if there is none of that name.
    """
    if name not in names():
        near = nearest(name, names())
        cure = f"write {near}" if near else "see `slipway presets list`"
        raise BadInput("PRESET", name, ", ".join(names()), cure)
    return (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")


def summary(name: str) -> str:
    """What a preset is for: its first comment, in one line."""
    lines = text(name).splitlines()
    comment = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    return " ".join(line.lstrip("# ") for line in comment)


def data(name: str) -> dict[str, Any]:
    """A preset's mapping, not yet validated.

    Raises:
        BadInput: if there is none of that name.
    """
    from trainer.config import load, yaml_text  # not needed to complete names, which must be quick

    return load.mapping(yaml_text.parse(text(name), name), name)
