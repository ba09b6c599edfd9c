"""Exports a policy as a plain SavedModel: observations in, actions out, with all preprocessing inside.

Loading it takes TensorFlow and nothing of ours. Signatures, each for any number of rows:

    serving_default   observation [, mask] -> action          the most likely action
    sample            observation [, mask], seed -> action     a draw; int32 [2] seed, the same draw for the same seed
    distribution      observation [, mask] -> what actions are drawn by: logits, or mean and deviation,
                      or values or an action, and exploration

A policy with memory takes that too, as `memory_0`, `memory_1`, ... float32 [B, width]: zeros at an episode's start,
then what the step before gave under the same names.
"""

import importlib.metadata
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from trainer.agents.actions import answer
from trainer.agents.learner import Learner
from trainer.deploy import parity
from trainer.errors import SlipwayError
from trainer.run import files

FORMAT = 1
DESCRIPTION = "model.json"
ASIDE, REJECTED = ".writing-", "rejected-"
"""How the names of folders begin that are no version: being written, or found to act otherwise."""


def signatures(learner: Learner, holder: tf.Module) -> dict[str, Any]:
    """The model's functions, traced; `holder` comes to own the variables that they read, and no others."""
    task, head = learner.task, learner.head
    observation = tf.TensorSpec([None, *task.observation_shape], tf.float32, "observation")
    seed = tf.TensorSpec([2], tf.int32, "seed")
    inputs = [observation]
    if task.masked:
        inputs.append(tf.TensorSpec([None, learner.mask_width], tf.bool, "mask"))
    names = parity.memory_names(learner)
    inputs += [
        tf.TensorSpec([None, width], tf.float32, name) for name, width in zip(names, learner.memory_widths, strict=True)
    ]

    def asked(observation: tf.Tensor, *given: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], dict[str, tf.Tensor]]:
        mask, memory = (given[0], given[1:]) if task.masked else ((), given)
        parameters, after = answer(head, learner.act(observation, mask, *memory))
        return parameters, dict(zip(names, after, strict=True))

    def serve(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        parameters, memory = asked(*given)
        return {"action": head.to_env(head.mode(parameters)), **memory}

    def sample(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        *inputs, seed = given
        noise = head.noise(seed, [tf.shape(inputs[0])[0]])
        parameters, memory = asked(*inputs)
        return {"action": head.to_env(head.sample(parameters, noise)), **memory}

    def distribution(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        parameters, memory = asked(*given)
        return {**dict(zip(head.parameter_names, parameters, strict=True)), **memory}

    def traced(function: Any, *specs: tf.TensorSpec) -> Any:
        return tf.function(function, autograph=False).get_concrete_function(*specs)

    functions = {
        "serving_default": traced(serve, *inputs),
        "sample": traced(sample, *inputs, seed),
        "distribution": traced(distribution, *inputs),
    }
    read = {variable.ref(): variable for function in functions.values() for variable in function.graph.variables}
    holder.learned = list(read.values())
    return functions


def export(
    learner: Learner,
    models: Path,
    observation: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_] | None,
    memory: Sequence[npt.NDArray[np.float32]] = (),
    *,
    run_id: str,
    env_id: str,
    step: int,
) -> Path:
    """Write the next version of a run's model: whole and shown to act as the learner (`parity`), or not at all.

    The caller holds the run's lock.

    Args:
        learner: with the weights to export.
        models: the folder of all versions.
        observation: float32 [B, ...], what to compare on.
        mask: bool [B, n], likewise; None if the task has none.
        memory: what the policy remembered before them, float32 [B, width] each; empty for policies that do not.
        run_id: for `model.json`.
        env_id: likewise.
        step: environment steps that the policy was trained for.

    Returns:
        The version's folder: `models/1`, `models/2`, ...

    Raises:
        SlipwayError: if the disk is full or fails, or the model does not act as the learner; it is then kept as
            `models/rejected-N`.
    """
    aside: Path | None = None
    try:
        models.mkdir(parents=True, exist_ok=True)
        for left in models.glob(f"{ASIDE}*"):  # by a process that was killed
            shutil.rmtree(left)
        aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=models))
        aside.chmod(0o755)
        _write(learner, aside, _description(learner, run_id, env_id, step))
        record = parity.check(aside, learner, observation, mask, memory)
        number = max(versions(models), default=0) + 1
        if not record["passed"]:
            rejected = models / f"{REJECTED}{number}"
            shutil.rmtree(rejected, ignore_errors=True)
            aside.rename(rejected)
            raise SlipwayError(
                f"the exported model does not act as the trained policy: {record['differing_actions']} of"
                f" {record['rows']} actions differ (parity.json has more); it was set aside as {rejected}"
            )
        files.sync_tree(aside)
        target = models / str(number)
        aside.rename(target)
        files.sync_folder(models)
    except (OSError, tf.errors.OpError) as error:
        raise SlipwayError(f"cannot write the model to {models}: {error}") from error
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)  # no longer there if all went well
    return target


def _write(learner: Learner, folder: Path, description: dict[str, Any]) -> None:
    holder = tf.Module(name="policy")
    tf.saved_model.save(holder, str(folder), signatures=signatures(learner, holder))
    files.write_json(folder / DESCRIPTION, description)


def versions(models: Path) -> list[int]:
    """The numbers of all versions, ascending."""
    if not models.is_dir():
        return []
    return sorted(int(path.name) for path in models.iterdir() if path.name.isdecimal())


def _description(learner: Learner, run_id: str, env_id: str, step: int) -> dict[str, Any]:
    packages = ("slipway", "tensorflow", "tf-agents")
    return {
        "format": FORMAT,
        "run_id": run_id,
        "env_id": env_id,
        "env_steps": step,
        "observation_shape": list(learner.task.observation_shape),
        "action_space": str(learner.task.action_space),
        "action_masks": learner.task.masked,
        "memory_widths": list(learner.memory_widths),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }
