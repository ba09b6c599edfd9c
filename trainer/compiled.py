"""Compiled functions that Python calls often, at each step of an environment."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Compiled:
    """A function compiled with XLA, from NumPy arrays to NumPy arrays.

    Called here is what was traced for the arguments' shapes: to look for it takes `tf.function` longer than to choose
    an action. Variables are updated where they lie (a replay of a million transitions is never copied).

    Args:
        function: from nests of tensors to a nest of tensors.
        reads_only: whether it changes no variable. It is then called as the bare operation, which starts sooner; one
            that changes variables would copy them first (TensorFlow 2.21).
    """

    def __init__(self, function: Callable[..., Any], *, reads_only: bool = False) -> None:
        self._function = tf.function(function, jit_compile=True, autograph=False)
        self._reads_only = reads_only
        self._traced: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """The function's value, a nest of NumPy arrays.

        Args:
            *arguments: nests of NumPy arrays or scalars; for each set of shapes and types there is one compilation.
        """
        signature = tuple((array.shape, array.dtype) for array in tf.nest.flatten(arguments))
        given = tf.nest.map_structure(tf.constant, arguments)
        if signature not in self._traced:
            concrete = self._function.get_concrete_function(*given)
            self._traced[signature] = _bare(concrete) if self._reads_only else concrete
        return tf.nest.map_structure(lambda output: output.numpy(), self._traced[signature](*given))


def _bare(concrete: Any) -> Callable[..., Any]:
    """The function as one operation, without the checks of its Python side."""
    captured, types = list(concrete.captured_inputs), [output.dtype for output in concrete.outputs]

    def call(*arguments: Any) -> Any:
        outputs = tf.raw_ops.StatefulPartitionedCall(
            args=[*tf.nest.flatten(arguments), *captured], Tout=types, f=concrete
        )
        return tf.nest.pack_sequence_as(concrete.structured_outputs, outputs)

    return call
