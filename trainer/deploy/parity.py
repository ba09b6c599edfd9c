"""Shows that an exported model acts as the trained policy does: loaded in a fresh process, on recorded observations."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.agents.actions import answer
from trainer.agents.learner import Learner
from trainer.errors import SlipwayError
from trainer.run import files

RECORD = "parity.json"
FORMAT = 1
TOLERANCE = 1e-4
"""How far distribution parameters may differ, absolutely and relatively: other fusions round differently."""
SAMPLE_SEED = (7, 11)
"""What the model's samples are drawn with."""
LONGEST_SECONDS = 600
"""How long the fresh process may take; loading TensorFlow takes a few seconds."""

Arrays = dict[str, npt.NDArray[Any]]

# The process below must not see this package: a user's has TensorFlow alone.
SCRIPT = """
import gc
import sys
gc.disable()
import numpy as np
import tensorflow as tf
model = tf.saved_model.load(sys.argv[1])
given = {name: tf.constant(value) for name, value in np.load(sys.argv[2]).items()}
seed = given.pop("seed")
answers = {f"distribution/{k}": v for k, v in model.signatures["distribution"](**given).items()}
served, drawn = model.signatures["serving_default"](**given), model.signatures["sample"](**given, seed=seed)
answers["action"], answers["sample"] = served.pop("action"), drawn.pop("action")
answers |= {f"{kind}/{k}": v for kind, found in (("served", served), ("drawn", drawn)) for k, v in found.items()}
assert not any(name.split(".")[0] in ("trainer", "envs", "tf_agents") for name in sys.modules)
np.savez(sys.argv[3], **{name: value.numpy() for name, value in answers.items()})
"""


def memory_names(learner: Learner) -> list[str]:
    """What the tensors of a policy's memory are called in a model's signatures."""
    return [f"memory_{number}" for number in range(len(learner.memory_widths))]


def check(
    model: Path,
    learner: Learner,
    observation: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_] | None,
    memory: Sequence[npt.NDArray[np.float32]] = (),
) -> dict[str, Any]:
    """Compare a model with its learner, and write what came of it to `parity.json` beside it.

    Args:
        model: the model's folder.
        learner: what was exported.
        observation: float32 [B, ...].
        mask: bool [B, n], or None.
        memory: what the policy remembered before, float32 [B, width] each.

    Returns:
        What was written; `passed` says whether the model acts as the learner.

    Raises:
        SlipwayError: if the model cannot be loaded or asked.
    """
    given: Arrays = {"observation": observation, "seed": np.array(SAMPLE_SEED, np.int32)}
    if mask is not None:
        given["mask"] = mask
    given |= dict(zip(memory_names(learner), memory, strict=True))
    record = compare(_fresh(model, given), learner, observation, mask, memory)
    files.write_json(model / RECORD, record)
    return record


def compare(
    answers: Mapping[str, npt.NDArray[Any]],
    learner: Learner,
    observation: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_] | None,
    memory: Sequence[npt.NDArray[np.float32]] = (),
) -> dict[str, Any]:
    """How the answers of a model differ from the learner's, by name of a record's entries.

    Args:
        answers: `action`, `sample` and `distribution/...`, each [B, ...]; of a policy with memory also that after the
            step, as each of the three signatures gave it.
        learner: what was exported.
        observation: float32 [B, ...].
        mask: bool [B, n], or None.
        memory: what the policy remembered before, float32 [B, width] each.
    """
    head = learner.head
    with tf.device("/CPU:0"):  # as the fresh process: a GPU may multiply with fewer bits
        masks = () if mask is None else tf.constant(mask)
        asked = learner.act(tf.constant(observation), masks, *map(tf.constant, memory))
        parameters, after = answer(head, asked)
        noise = head.noise(tf.constant(SAMPLE_SEED), [len(observation)])
        actions = {"action": head.mode(parameters), "sample": head.sample(parameters, noise)}
    numbers = {f"distribution/{name}": value for name, value in zip(head.parameter_names, parameters, strict=True)}
    for name, value in zip(memory_names(learner), after, strict=True):
        numbers |= {f"{signature}/{name}": value for signature in ("distribution", "served", "drawn")}
    worst = max(_apart(np.asarray(value), answers[name]) for name, value in numbers.items())
    space = learner.task.action_space
    different = {}
    for name, action in actions.items():
        expected = np.asarray(head.to_env(action))
        if isinstance(space, gymnasium.spaces.Discrete):
            scores = np.asarray(head.scores(parameters, noise) if name == "sample" else parameters[0])
            same = _same_choices(scores, expected - space.start, answers[name] - space.start)
        else:
            same = _same_numbers(expected, answers[name])
        different[name] = int((~same).sum())
    return {
        "format": FORMAT,
        "rows": len(observation),
        "differing_actions": different["action"],
        "differing_samples": different["sample"],
        "largest_relative_difference": worst,
        "tolerance": TOLERANCE,
        "passed": not any(different.values()) and worst <= TOLERANCE,
    }


def _apart(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> float:
    """The largest difference, relative to one plus the size; the largest float where one is no number."""
    one, other = expected.astype(np.float64), got.astype(np.float64)
    if one.shape != other.shape or not np.isfinite(other).all():
        return float(np.finfo(np.float64).max)  # JSON has no infinity
    # Masked logits are the least float32; what counts is that they are the same there.
    return float(np.where(one == other, 0.0, np.abs(one - other) / (1.0 + np.abs(one))).max(initial=0.0))


def _same_choices(scores: npt.NDArray[Any], expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows choose alike, bool [B]; where two choices have the same score within the tolerance, either will do.

    Args:
        scores: [B, n], of which the largest is chosen.
        expected: integers [B].
        got: the model's.
    """
    rows, count = scores.shape
    if got.shape != expected.shape:
        return np.zeros(rows, np.bool_)
    best = scores[np.arange(rows), expected]
    taken = scores[np.arange(rows), np.clip(got, 0, count - 1)]
    tied = (got >= 0) & (got < count) & (best - taken <= TOLERANCE * (1.0 + np.abs(best)))
    return (got == expected) | tied


def _same_numbers(expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which rows' actions are the same within the tolerance, bool [B]."""
    if got.shape != expected.shape:
        return np.zeros(len(expected), np.bool_)
    near = np.abs(expected - got) <= TOLERANCE * (1.0 + np.abs(expected))
    return near.reshape(len(expected), -1).all(1)


def _fresh(model: Path, given: Arrays) -> Arrays:
    """The model's answers, from a process that has TensorFlow alone."""
    with tempfile.TemporaryDirectory(prefix="slipway-parity-") as folder:
        inputs, outputs = Path(folder) / "inputs.npz", Path(folder) / "outputs.npz"
        try:
            np.savez(inputs, allow_pickle=False, **given)
            ran = subprocess.run(  # noqa: S603  # our own script, our own paths
                [sys.executable, "-I", "-c", SCRIPT, str(model.absolute()), str(inputs), str(outputs)],
                capture_output=True,
                text=True,
                cwd=folder,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
                timeout=LONGEST_SECONDS,
                start_new_session=True,  # Ctrl-C is for the run, which ends in its own way
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise SlipwayError(f"the exported model did not answer within {LONGEST_SECONDS} s") from error
        except OSError as error:
            raise SlipwayError(f"the exported model cannot be checked: {error}") from error
        if ran.returncode:
            reason = ran.stderr.strip().splitlines()[-1:] or [f"exit code {ran.returncode}"]
            raise SlipwayError(f"the exported model cannot be used by itself: {reason[0]}")
        with np.load(outputs) as loaded:
            return dict(loaded)
