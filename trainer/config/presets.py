"""Run files that ship: `trainer/config/presets/*.yaml`. Each begins with a comment that says what it is for."""

from pathlib import Path
from typing import Any

from trainer.errors import BadInput, nearest

FOLDER = Path(__file__).parent / "presets"

FOR_ENVIRONMENT = {
    "slipway/LostSales-v0": "lost-sales-ppo",
    "slipway/InventoryManagement-v0": "inventory-management-ppo",
    "slipway/FrozenLake-v1": "frozen-lake-ppo",
    "slipway/CartPole-v1": "cartpole-ppo",
    "slipway/Pendulum-v1": "pendulum-compiled-ppo",
    "slipway/Acrobot-v1": "acrobot-ppo",
    "slipway/MountainCar-v0": "mountain-car-ppo",
    "slipway/MountainCarContinuous-v0": "mountain-car-continuous-ppo",
    "slipway/JobShop-v0": "job-shop-ppo",
    "slipway/LidarNavigation-v0": "lidar-navigation-ppo",
    "gymnasium:Pendulum-v1": "pendulum-ppo",
    "gymnasium:LunarLander-v3": "lunarlander-ppo",
}
"""The preset that trains an environment when no other is asked for."""

FOR_ACTIONS = {"discrete": "gymnasium-ppo-discrete", "continuous": "gymnasium-ppo-continuous"}
"""The preset for any other environment, by its kind of actions."""


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
