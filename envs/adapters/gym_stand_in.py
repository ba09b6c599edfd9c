"""A stand-in for the retired `gym` package, so that TF-Agents can be imported without it.

TF-Agents' wrappers for old Gym environments import `gym` when they load. Slipway uses none of them: its tasks go
through Gymnasium or through TF-Agents' own `TFEnvironment`. The few names that are touched at import time are classes
without any behaviour here (docs/decisions/0004-gym-stand-in.md).
"""

import importlib.util
import sys
import types

SPACES = ("Space", "Box", "Discrete", "MultiDiscrete", "MultiBinary", "Tuple", "Dict")


def install() -> None:
    """Make `import gym` work if the real package is absent. A second call changes nothing."""
    if "gym" in sys.modules or importlib.util.find_spec("gym") is not None:
        return
    gym, spaces = types.ModuleType("gym"), types.ModuleType("gym.spaces")
    for name in SPACES:
        setattr(spaces, name, type(name, (), {}))
    gym.__dict__.update(Env=type("Env", (), {}), Space=spaces.__dict__["Space"], spaces=spaces)
    sys.modules.update({"gym": gym, "gym.spaces": spaces})
