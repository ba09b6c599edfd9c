"""Compiled functions that Python calls often, at each step of an environment."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


class Compiled:
    """A function compiled with XLA, from NumPy arrays to NumPy arrays.

    The function traced for the arguments' shapes is called itself: to look for it takes `tf.function` some .2 ms more
    at each call. (As a bare `StatefulPartitionedCall` it would start sooner still, but then variables are not updated
    where they lie: a replay of a million transitions is copied at each call. TensorFlow 2.21.)

    Args:
        function: from nests of tensors to a nest of tensors; what it changes is in variables.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = tf.function(function, jit_compile=True, autograph=False)
        self._traced: dict[tuple[Any, ...], Any] = {}

    def __call__(self, *arguments: Any) -> Any:
        """The function's value, a nest of NumPy arrays.

        Args:
            *arguments: nests of NumPy arrays or scalars; for each set of shapes and types there is one compilation.
        """
        signature = tuple((array.shape, array.dtype) for array in tf.nest.flatten(arguments))
        given = tf.nest.map_structure(tf.constant, arguments)
        if signature not in self._traced:
            self._traced[signature] = self._function.get_concrete_function(*given)
        return tf.nest.map_structure(lambda output: output.numpy(), self._traced[signature](*given))
