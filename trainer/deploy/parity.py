"""Shows that an exported model acts as the trained policy does: loaded in a fresh process, on recorded observations."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from trainer.agents.ppo import PPOLearner
from trainer.errors import SlipwayError
from trainer.run import files

RECORD = "parity.json"
TOLERANCE = 1e-4
"""How far distribution parameters may differ, absolutely and relatively: other fusions round differently."""

LONGEST_SECONDS = 600
"""How long the fresh process may take; loading TensorFlow takes a few seconds."""

# The process below must not see this package: a user's has TensorFlow alone.
SCRIPT = """
import sys
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
given = {name: tf.constant(value) for name, value in np.load(sys.argv[2]).items()}
answers = {f"distribution/{k}": v for k, v in model.signatures["distribution"](**given).items()}
answers["action"] = model.signatures["serving_default"](**given)["action"]
assert not any(name.split(".")[0] in ("trainer", "envs", "tf_agents") for name in sys.modules)
np.savez(sys.argv[3], **{name: value.numpy() for name, value in answers.items()})
"""


def check(
    model: Path, learner: PPOLearner, observation: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_] | None
) -> dict[str, Any]:
    """Compare a model with its learner, and write `parity.json` beside it; a model that differs is set aside.

    Args:
        model: the version's folder.
        learner: what was exported.
        observation: float32 [B, ...].
        mask: bool [B, n], or None.

    Returns:
        What was written.

    Raises:
        SlipwayError: if the model cannot be loaded, or acts otherwise.
    """
    given = {"observation": observation} if mask is None else {"observation": observation, "mask": mask}
    try:
        answers = _fresh(model, given)
        record = compare(answers, learner, observation, mask)
    except subprocess.TimeoutExpired as error:
        shutil.rmtree(model)
        raise SlipwayError(f"the exported model did not answer within {LONGEST_SECONDS} s") from error
    except SlipwayError:
        shutil.rmtree(model)
        raise
    files.write_json(model / RECORD, record)
    if not record["passed"]:
        aside = model.with_name(f"rejected-{model.name}")
        shutil.rmtree(aside, ignore_errors=True)
        model.rename(aside)
        raise SlipwayError(
            f"the exported model does not act as the trained policy: {record['differing_actions']} of"
            f" {record['rows']} actions differ; it was moved to {aside}"
        )
    return record


def compare(
    answers: dict[str, npt.NDArray[Any]],
    learner: PPOLearner,
    observation: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_] | None,
) -> dict[str, Any]:
    """How the answers of a model differ from the learner's, by name of a record's entries."""
    parameters = learner.act(observation, () if mask is None else mask)
    worst, same = 0.0, np.ones(len(observation), np.bool_)
    for name, value in zip(learner.head.parameter_names, parameters, strict=True):
        expected, got = np.asarray(value, np.float64), answers[f"distribution/{name}"].astype(np.float64)
        # Masked logits are the least float32; what counts is that they are the same there.
        apart = np.where(expected == got, 0.0, np.abs(expected - got) / (1.0 + np.abs(expected)))
        worst = max(worst, float(apart.max(initial=0.0)))
    action = np.asarray(learner.head.to_env(learner.head.mode(parameters)), np.float64)
    gaps = np.abs(action - answers["action"]).reshape(len(observation), -1).max(1)
    same = gaps <= (0.0 if learner.head.is_discrete else TOLERANCE * (1.0 + np.abs(action).max(initial=0.0)))
    if learner.head.is_discrete:
        top = np.sort(np.asarray(parameters[0]), axis=1)[:, -2:]
        tied = top[:, -1] - top[:, 0] <= TOLERANCE * (1.0 + np.abs(top[:, -1]))
        same = same | tied  # two actions that are equally good within rounding
    return {
        "format": 1,
        "rows": len(observation),
        "differing_actions": int((~same).sum()),
        "largest_relative_difference": worst,
        "tolerance": TOLERANCE,
        "passed": bool(same.all() and worst <= TOLERANCE),
    }


def _fresh(model: Path, given: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    with tempfile.TemporaryDirectory(prefix="slipway-parity-") as folder:
        inputs, outputs = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        np.savez(inputs, allow_pickle=False, **given)
        ran = subprocess.run(  # noqa: S603  # our own script, our own paths
            [sys.executable, "-I", "-c", SCRIPT, str(model.absolute()), str(inputs), str(outputs)],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            timeout=LONGEST_SECONDS,
            check=False,
        )
        if ran.returncode:
            reason = ran.stderr.strip().splitlines()[-1:] or ["no message"]
            raise SlipwayError(f"the exported model {model} cannot be used by itself: {reason[0]}")
        with np.load(outputs) as loaded:
            return dict(loaded)
