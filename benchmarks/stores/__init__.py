"""What keeping runs in a store costs: the training's time, time to a commit, time to resume, throughput."""

from typing import Any

KINDS = ("store-overhead", "store-commit", "store-resume", "store-transfer")
"""Kinds of measurement, each a program of this folder."""
STORES = ("local", "nas", "s3", "gs")
"""A folder of this machine, and what other machines reach: a folder as a NAS is mounted, S3, Google Cloud Storage."""
SHARED = STORES[1:]
AGENTS: dict[str, dict[str, Any]] = {
    "cartpole-ppo": {},
    # With so few gradient steps the replay's rows are all new at each checkpoint, as they are after a minute of the
    # preset: so each checkpoint is as large as one a minute.
    "cartpole-dqn": {"gradient_steps": 8},
}
"""Presets that are trained, and what is changed in their agents."""
RESUMED = "cartpole-dqn"
AIM_PERCENT = 2.0
"""Of training time, for checkpoints each minute: less is aimed at."""
