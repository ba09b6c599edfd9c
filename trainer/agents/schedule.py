"""A run file's schedules inside a compiled graph."""

from typing import Any

import tensorflow as tf

from trainer.config.section import Schedule


def value_at(schedule: Schedule, fraction: Any) -> tf.Tensor:
    """The scheduled value, float32 scalar.

    `start + (end - start) * min(fraction / until, 1)`, as `Schedule.at`.

    Args:
        schedule: from the run file.
        fraction: how much of the training is done, float32 scalar, 0 to 1.
    """
    if schedule.constant:
        return tf.constant(schedule.start, tf.float32)
    done = tf.minimum(fraction / schedule.until, 1.0)
    return schedule.start + (schedule.end - schedule.start) * done
