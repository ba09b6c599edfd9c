"""Policy and value networks from TF-Agents' building blocks, with separate or shared hidden layers."""

import math
from typing import Any

import tensorflow as tf
from tf_agents.agents.ddpg import critic_network
from tf_agents.networks import encoding_network, mask_splitter_network, network
from tf_agents.specs import tensor_spec

from envs import seeding
from envs.core import Entities
from trainer.agents.actions import PolicyHead, deviation_bias
from trainer.agents.equivariant import Encoder, EntityActor, EntityCritic
from trainer.config.networks import Networks
from trainer.config.off_policy import ActorCritics, QNetwork

POLICY_GAIN = 0.01
"""Scale of the policy's last layer at the start: nearly uniform choices (Andrychowicz et al. 2021, section 3.2)."""
HIDDEN_GAIN = math.sqrt(2)
VALUE_GAIN = 1.0


class Actor(network.DistributionNetwork):
    """Observations to a distribution of actions.

    Args:
        observation_spec: of what comes in.
        encoder: the hidden layers.
        projection: from features to the distribution.
    """

    def __init__(self, observation_spec: Any, encoder: Any, projection: Any) -> None:
        super().__init__(
            input_tensor_spec=observation_spec, state_spec=(), output_spec=projection.output_spec, name="Actor"
        )
        self._encoder, self._projection = encoder, projection

    def call(
        self,
        observation: Any,
        step_type: Any = None,
        network_state: Any = (),
        training: bool = False,
        mask: Any = None,
    ) -> tuple[Any, Any]:
        """The distribution for observations float32 [B, ...]; actions where the mask [B, n] is false have none."""
        features, network_state = self._encoder(
            observation, step_type=step_type, network_state=network_state, training=training
        )
        distribution, _ = self._projection(features, 1, training=training, mask=mask)
        return distribution, network_state


class Critic(network.Network):
    """Observations to values.

    Args:
        observation_spec: of what comes in.
        encoder: the hidden layers, the actor's own if they are shared.
    """

    def __init__(self, observation_spec: Any, encoder: Any) -> None:
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), name="Critic")
        self._encoder = encoder
        self._value = tf.keras.layers.Dense(1, name="value")

    def call(
        self, observation: Any, step_type: Any = None, network_state: Any = (), training: bool = False
    ) -> tuple[tf.Tensor, Any]:
        """Values float32 [B] of observations float32 [B, ...]."""
        features, network_state = self._encoder(
            observation, step_type=step_type, network_state=network_state, training=training
        )
        return tf.squeeze(self._value(features), -1), network_state


def build(
    settings: Networks, observation_shape: tuple[int, ...], head: PolicyHead, entities: Entities | None = None
) -> tuple[Any, Any]:
    """Actor and critic with their variables.

    Args:
        settings: from the run file.
        observation_shape: of one observation.
        head: the action space's.
        entities: how observations are made up, for permutation-equivariant networks.
    """
    spec = tensor_spec.TensorSpec(observation_shape, tf.float32, "observation")
    if settings.kind == "permutation-equivariant":
        return _equivariant(settings, spec, head, _needed(entities))

    def encoder(units: tuple[int, ...]) -> Any:
        return encoding_network.EncodingNetwork(spec, fc_layer_params=units, activation_fn=settings.activation)

    hidden = encoder(settings.actor)
    actor = Actor(spec, hidden, head.projection())
    critic = Critic(spec, hidden if settings.shared else encoder(settings.critic))
    actor.create_variables()
    critic.create_variables()
    return actor, critic


def policy(
    settings: Networks, observation_shape: tuple[int, ...], head: PolicyHead, entities: Entities | None = None
) -> network.DistributionNetwork:
    """An actor alone, with its variables; arguments as of `build`."""
    spec = tensor_spec.TensorSpec(observation_shape, tf.float32, "observation")
    if settings.kind == "permutation-equivariant":
        return _entity_actor(settings, spec, head, _needed(entities))
    return actor(spec, settings.actor, settings.activation, head.projection())


def _needed(entities: Entities | None) -> Entities:
    if entities is None:
        raise ValueError("permutation-equivariant networks need a task whose observations are made up of entities")
    return entities


def _entity_actor(settings: Networks, spec: Any, head: PolicyHead, entities: Entities) -> EntityActor:
    made = EntityActor(spec, Encoder(entities, settings.actor, settings.activation, settings.rounds), head)
    made.create_variables()
    return made


def _equivariant(
    settings: Networks, spec: Any, head: PolicyHead, entities: Entities
) -> tuple[EntityActor, EntityCritic]:
    actor = _entity_actor(settings, spec, head, entities)
    apart = Encoder(entities, settings.critic, settings.activation, settings.rounds)
    critic = EntityCritic(spec, actor.encoder if settings.shared else apart)
    critic.create_variables()
    return actor, critic


def with_mask(wrapped: network.Network, observation_spec: Any, mask_spec: Any) -> network.Network:
    """The network for observations that come as (observation, mask); only the actor looks at the mask."""
    return mask_splitter_network.MaskSplitterNetwork(
        _split,
        wrapped,
        passthrough_mask=isinstance(wrapped, network.DistributionNetwork),
        input_tensor_spec=(observation_spec, mask_spec),
    )


def _split(pair: Any) -> tuple[Any, Any]:
    return pair[0], pair[1]


def initialise(actor: network.Network, critic: network.Network, key: tf.Tensor, *, deviation: float) -> None:
    """Set all weights, as a function of the key alone: orthogonal kernels (Saxe et al. 2014), zero biases.

    Args:
        actor: the policy's network.
        critic: the value's network.
        key: int32 [2].
        deviation: of a normal policy, in the learner's unit of actions.
    """
    heads = {id(actor.trainable_weights[i]): POLICY_GAIN for i in _last_kernel(actor.trainable_weights)}
    heads |= {id(critic.trainable_weights[i]): VALUE_GAIN for i in _last_kernel(critic.trainable_weights)}
    for number, variable in enumerate(unique(actor, critic)):
        if len(variable.shape) == 2:
            gain = heads.get(id(variable), HIDDEN_GAIN)
            variable.assign(gain * orthogonal(seeding.fold(key, number), variable.shape))
        else:
            start = deviation_bias(deviation) if "bias_layer" in variable.name else 0.0
            variable.assign(tf.fill(variable.shape, start))


def unique(actor: network.Network, critic: network.Network) -> list[tf.Variable]:
    """All trainable variables, each once, the actor's first."""
    own = {id(variable) for variable in actor.trainable_weights}
    return [*actor.trainable_weights, *(v for v in critic.trainable_weights if id(v) not in own)]


def orthogonal(key: tf.Tensor, shape: Any) -> tf.Tensor:
    """A float32 matrix with orthonormal rows or columns, whichever are fewer."""
    rows, columns = int(shape[0]), int(shape[1])
    q, r = tf.linalg.qr(seeding.normal(key, [max(rows, columns), min(rows, columns)]))
    q = q * tf.sign(tf.linalg.diag_part(r))
    return tf.transpose(q) if rows < columns else q


def _last_kernel(weights: list[tf.Variable]) -> list[int]:
    return [i for i, variable in enumerate(weights) if len(variable.shape) == 2][-1:]


class QValues(network.Network):
    """Observations to the values of all actions.

    Args:
        observation_spec: of what comes in.
        action_spec: of a choice of one of n.
        settings: from the run file.
        name: the network's.
        width: numbers that the output layers have for each action.
    """

    def __init__(self, observation_spec: Any, action_spec: Any, settings: QNetwork, name: str, width: int = 1) -> None:
        super().__init__(input_tensor_spec=observation_spec, state_spec=(), name=name)
        self._count = int(action_spec.maximum) + 1
        self._encoder = encoding_network.EncodingNetwork(
            observation_spec, fc_layer_params=settings.layers, activation_fn=settings.activation
        )
        self._advantage = tf.keras.layers.Dense(self._count * width, name="advantage")
        self._value = tf.keras.layers.Dense(width, name="value") if settings.dueling else None

    def call(
        self, observation: Any, step_type: Any = None, network_state: Any = (), training: bool = False
    ) -> tuple[tf.Tensor, Any]:
        """Values float32 [B, n] of observations float32 [B, ...]; dueling as Wang et al. 2016, eq. 9."""
        features, network_state = self._encoder(
            observation, step_type=step_type, network_state=network_state, training=training
        )
        values = self._advantage(features)
        if self._value is not None:
            values = values - tf.reduce_mean(values, -1, keepdims=True) + self._value(features)
        return values, network_state


class QDistributions(QValues):
    """Observations to the distributions of all actions' returns over a number of atoms.

    Args:
        observation_spec: of what comes in.
        action_spec: of a choice of one of n.
        settings: from the run file.
        name: the network's.
        atoms: how many.
    """

    def __init__(self, observation_spec: Any, action_spec: Any, settings: QNetwork, name: str, atoms: int) -> None:
        super().__init__(observation_spec, action_spec, settings, name, atoms)
        self.num_atoms = atoms
        """Under the name that TF-Agents' agent looks for."""

    def call(
        self, observation: Any, step_type: Any = None, network_state: Any = (), training: bool = False
    ) -> tuple[tf.Tensor, Any]:
        """Logits float32 [B, n, atoms]; dueling for each atom, as in Rainbow (Hessel et al. 2018, section 3)."""
        features, network_state = self._encoder(
            observation, step_type=step_type, network_state=network_state, training=training
        )
        logits = tf.reshape(self._advantage(features), [-1, self._count, self.num_atoms])
        if self._value is not None:
            logits = logits - tf.reduce_mean(logits, 1, keepdims=True) + self._value(features)[:, None]
        return logits, network_state


def actor(observation_spec: Any, units: tuple[int, ...], activation: str, projection: Any) -> Actor:
    """A policy's network with its variables."""
    encoder = encoding_network.EncodingNetwork(observation_spec, fc_layer_params=units, activation_fn=activation)
    made = Actor(observation_spec, encoder, projection)
    made.create_variables()
    return made


def critics(observation_spec: Any, action_spec: Any, settings: ActorCritics, count: int) -> list[Any]:
    """TF-Agents' networks from (observation, action) to a value, with their variables."""
    made = [
        critic_network.CriticNetwork(
            (observation_spec, action_spec),
            joint_fc_layer_params=settings.critic,
            activation_fn=settings.activation,
            name=f"Critic{number}",
        )
        for number in range(count)
    ]
    for each in made:
        each.create_variables()
    return made


def pairs(*networks: tuple[network.Network, network.Network]) -> list[tuple[tf.Variable, tf.Variable]]:
    """The weights of networks paired one to one."""
    return [
        pair for one, other in networks for pair in zip(one.trainable_weights, other.trainable_weights, strict=True)
    ]


def set_orthogonal(wrapped: network.Network, key: tf.Tensor, *, gain: float, heads: int = 1) -> None:
    """Set a network's weights as a function of the key alone: orthogonal kernels, zero biases.

    Args:
        wrapped: the network.
        key: int32 [2].
        gain: scale of the output layers' kernels.
        heads: how many output layers it has; they are its last.
    """
    weights = list(wrapped.trainable_weights)
    last = [i for i, variable in enumerate(weights) if len(variable.shape) == 2][-heads:]
    for number, variable in enumerate(weights):
        if len(variable.shape) == 2:
            scale = gain if number in last else HIDDEN_GAIN
            variable.assign(scale * orthogonal(seeding.fold(key, number), variable.shape))
        else:
            variable.assign(tf.zeros_like(variable))
