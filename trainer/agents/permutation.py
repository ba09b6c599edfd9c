"""Random orders without sorting, for compiled graphs: sorting is XLA's slowest operation on a CPU."""

import tensorflow as tf

ROUNDS = 6
"""Of mixing. From 4 on, minibatches cannot be told from a true shuffle's by the spread of their means."""


def permutation(key: tf.Tensor, size: int) -> tf.Tensor:
    """A pseudo-random order of 0 to size - 1, int32 [size], each number once.

    Each round is a bijection of k-bit numbers: `x -> a x + b mod 2^k` with a odd, then `x ^= x >> k/2`. Where `size` is
    no power of two, numbers that land beyond it are mapped again until they land below (cycle walking, Black and
    Rogaway 2002, https://doi.org/10.1007/3-540-45760-7_9).

    Args:
        key: int32 [2].
        size: at least 1.
    """
    bits = max(1, (size - 1).bit_length())
    drawn = tf.random.stateless_uniform([2, ROUNDS], key, None, None, tf.uint32, alg="philox")
    factors, shifts = tf.bitwise.bitwise_or(drawn[0], tf.constant(1, tf.uint32)), drawn[1]
    mask, half = tf.constant((1 << bits) - 1, tf.uint32), tf.constant((bits + 1) // 2, tf.uint32)

    def mix(x: tf.Tensor) -> tf.Tensor:
        for number in range(ROUNDS):
            x = tf.bitwise.bitwise_and(x * factors[number] + shifts[number], mask)
            x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, half))
        return x

    order = mix(tf.cast(tf.range(size), tf.uint32))
    if size == 1 << bits:
        return tf.cast(order, tf.int32)

    # Compared as int32: XLA's and TensorFlow's unsigned comparisons are not there for every device.
    def beyond(x: tf.Tensor) -> tf.Tensor:
        return tf.cast(x, tf.int32) >= size

    (order,) = tf.while_loop(
        lambda x: tf.reduce_any(beyond(x)), lambda x: (tf.where(beyond(x), mix(x), x),), (order,), parallel_iterations=1
    )
    return tf.cast(order, tf.int32)
