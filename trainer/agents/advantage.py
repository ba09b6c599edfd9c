"""Generalised advantage estimation, with truncation apart from termination."""

import tensorflow as tf


def generalised_advantages(
    reward: tf.Tensor,
    value: tf.Tensor,
    next_value: tf.Tensor,
    terminated: tf.Tensor,
    truncated: tf.Tensor,
    discount: float,
    gae_lambda: float,
) -> tf.Tensor:
    r"""Advantages of a batch of trajectories (Schulman et al. 2016, https://arxiv.org/abs/1506.02438, eq. 16).

        delta_t = r_t + discount * (1 - terminated_t) * V(s'_t) - V(s_t)
        A_t = delta_t + discount * lambda * (1 - terminated_t) * (1 - truncated_t) * A_{t+1}

    s'_t is the state that the step led to, before any reset. So an episode that a time limit cuts is bootstrapped from
    where it was cut, and nothing flows across the cut.

    Args:
        reward: float32 [T, N], time first.
        value: float32 [T, N], V(s_t).
        next_value: float32 [T, N], V(s'_t).
        terminated: bool [T, N].
        truncated: bool [T, N].
        discount: 0 to 1.
        gae_lambda: 0 to 1.

    Returns:
        float32 [T, N].
    """
    reward.shape.assert_is_compatible_with(value.shape)
    reward.shape.assert_is_compatible_with(next_value.shape)
    reward.shape.assert_is_compatible_with(terminated.shape)
    reward.shape.assert_is_compatible_with(truncated.shape)
    steps = reward.shape[0]
    alive = 1.0 - tf.cast(terminated, tf.float32)
    goes_on = 1.0 - tf.cast(tf.logical_or(terminated, truncated), tf.float32)
    delta = reward + discount * alive * next_value - value
    decay = discount * gae_lambda * goes_on

    def body(i: tf.Tensor, following: tf.Tensor, out: tf.TensorArray) -> tuple[tf.Tensor, tf.Tensor, tf.TensorArray]:
        t = steps - 1 - i
        advantage = delta[t] + decay[t] * following
        return i + 1, advantage, out.write(t, advantage)

    out = tf.TensorArray(tf.float32, steps, element_shape=reward.shape[1:])
    start = (tf.constant(0), tf.zeros_like(reward[0]), out)
    *_, out = tf.while_loop(lambda i, *_: i < steps, body, start, maximum_iterations=steps, parallel_iterations=1)
    return out.stack()
