"""A recurrent layer behind hidden layers, and whole sequences as what a gradient step learns from."""

import dataclasses
from typing import Any

import tensorflow as tf
from tf_agents.networks import encoding_network, mask_splitter_network, network
from tf_agents.specs import tensor_spec

from envs import seeding
from trainer.agents import networks
from trainer.agents.packing import Packing, Rows
from trainer.config.models import Recurrent
from trainer.policy import Memory, forget
from trainer.rollout.base import Trajectories, flat

CELLS = {"lstm": tf.keras.layers.LSTMCell, "gru": tf.keras.layers.GRUCell}


class Torso(tf.Module):
    """Observations of an episode, one after the other, to features: hidden layers, then a recurrent layer.

    The features are the first tensor of the memory after a step, as in all of Keras' cells.

    Args:
        layers: units of the hidden layers.
        activation: of the hidden layers.
        settings: of the recurrent layer.
        observation_shape: of one observation.
    """

    def __init__(
        self, layers: tuple[int, ...], activation: str, settings: Recurrent, observation_shape: tuple[int, ...]
    ) -> None:
        super().__init__(name="torso")
        spec = tensor_spec.TensorSpec(observation_shape, tf.float32, "observation")
        self._hidden = encoding_network.EncodingNetwork(spec, fc_layer_params=layers, activation_fn=activation)
        self._hidden.create_variables()
        self._cell = CELLS[settings.cell](settings.units)
        self._cell.build([None, layers[-1]])
        self.memory_widths = tuple(int(width) for width in tf.nest.flatten(self._cell.state_size))
        self.weights: list[tf.Variable] = [*self._hidden.trainable_weights, *self._cell.trainable_weights]

    def step(self, observation: tf.Tensor, memory: Memory) -> Memory:
        """The memory after one more observation, float32 [B, ...], of each row."""
        return self._after(self._hidden(observation)[0], memory)

    def unroll(self, observation: tf.Tensor, done: tf.Tensor, memory: Memory) -> Memory:
        """The memory after each observation of a sequence, float32 [T, N, width] each.

        It is that before any reset: an episode's end, which the observation does not show, clears it afterwards.

        Args:
            observation: float32 [T, N, ...].
            done: bool [T, N], where an episode ended with the step that followed the observation.
            memory: [N, width] each, before the first observation.
        """
        steps, count = done.shape
        hidden = self._hidden(flat(observation))[0]
        hidden = tf.reshape(hidden, [steps, count, hidden.shape[-1]])

        def body(t: tf.Tensor, memory: Memory, arrays: Any) -> tuple[Any, ...]:
            after = self._after(hidden[t], memory)
            written = tuple(array.write(t, part) for array, part in zip(arrays, after, strict=True))
            return t + 1, forget(after, done[t]), written

        arrays = tuple(tf.TensorArray(tf.float32, steps, element_shape=part.shape) for part in memory)
        *_, arrays = tf.while_loop(
            lambda t, *_: t < steps,
            body,
            (tf.constant(0), memory, arrays),
            maximum_iterations=steps,
            parallel_iterations=1,
        )
        return tuple(array.stack() for array in arrays)

    def _after(self, hidden: tf.Tensor, memory: Memory) -> Memory:
        return tuple(tf.nest.flatten(self._cell(hidden, list(memory))[1]))

    def initialise(self, key: tf.Tensor) -> None:
        """Set all weights, as a function of the key alone.

        Kernels are orthogonal; biases zero, but one for an LSTM's forget gate, so that it remembers at first (Gers et
        al. 2000, https://doi.org/10.1162/089976600300015015).
        """
        cell = {id(variable) for variable in self._cell.trainable_weights}
        for number, variable in enumerate(self.weights):
            if "bias" in variable.name:
                variable.assign(tf.zeros_like(variable))
            else:
                gain = 1.0 if id(variable) in cell else networks.HIDDEN_GAIN
                variable.assign(gain * networks.orthogonal(seeding.fold(key, number), variable.shape))
        if isinstance(self._cell, tf.keras.layers.LSTMCell):
            units = self._cell.units
            gates = tf.concat([tf.zeros([units]), tf.ones([units]), tf.zeros([2 * units])], 0)
            self._cell.bias.assign(gates)


def of_part(wrapped: network.Network, specs: tuple[Any, ...], number: int) -> network.Network:
    """The network for one of the parts that observations have; a policy's also gets the last part, if that is a mask.

    Args:
        wrapped: takes the part, and if it is a policy's a mask.
        specs: of all parts.
        number: which part.
    """
    masked = specs[-1].dtype == tf.bool
    return mask_splitter_network.MaskSplitterNetwork(
        lambda parts: (parts[number], parts[-1]),
        wrapped,
        passthrough_mask=masked and isinstance(wrapped, network.DistributionNetwork),
        input_tensor_spec=specs,
    )


@dataclasses.dataclass(frozen=True)
class SequencePacking:
    """The T steps of one environment in one float32 row, with the memory before them, so that a shuffle is one gather.

    Attributes:
        steps: how one step is packed.
        length: T.
        memory_widths: of the memory's tensors.
    """

    steps: Packing
    length: int
    memory_widths: tuple[int, ...]

    def pack(
        self, observation: tf.Tensor, batch: Trajectories, value: tf.Tensor, advantage: tf.Tensor, target: tf.Tensor
    ) -> tf.Tensor:
        """Rows float32 [N, width]; the arguments are as `Packing.pack` takes them."""
        done = flat(tf.logical_or(batch.terminated, batch.truncated))
        columns = self.steps.pack(observation, batch, value, advantage, target)
        columns = tf.concat([columns, tf.cast(done, tf.float32)[:, None]], 1)
        by_environment = tf.transpose(tf.reshape(columns, [self.length, -1, columns.shape[1]]), [1, 0, 2])
        return tf.concat([tf.reshape(by_environment, [by_environment.shape[0], -1]), *batch.memory], 1)

    def unpack(self, rows: tf.Tensor) -> Rows:
        """The steps of n rows, flat, time first; their observation is (observations [T, n, ...], done, memory)."""
        steps, *memory = tf.split(rows, [-1, *self.memory_widths], 1)
        count = rows.shape[0]
        columns = tf.transpose(tf.reshape(steps, [count, self.length, -1]), [1, 0, 2])
        width = (rows.shape[1] - sum(self.memory_widths)) // self.length
        columns = tf.reshape(columns, [self.length * count, width])
        data, done = self.steps.unpack(columns[:, :-1]), columns[:, -1] > 0.5
        shape = [self.length, count]
        observation = tf.reshape(data.observation, [*shape, *data.observation.shape[1:]])
        return data._replace(observation=(observation, tf.reshape(done, shape), tuple(memory)))
