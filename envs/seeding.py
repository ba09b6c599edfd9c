"""Stateless randomness: every random number is a pure function of a key.

A **key** is an `int32 [2]` tensor, the seed that TensorFlow's stateless generators take. Nothing here holds state, so
a computation that starts from the same key and the same counters gives the same bits, on every machine of one kind.

Training and held-out keys never meet. Bit 30 of a key's first word says which **split** the key belongs to; `fold`
keeps it, and the integer seeds that Gymnasium takes follow the same rule: training seeds lie in [0, 2**30), held-out
seeds in [2**30, 2**31).
"""

import enum
from typing import Any

import tensorflow as tf

SPLIT_BIT = 30
"""The bit of a key's first word, and of an integer seed, that tells the split."""

SEEDS_PER_SPLIT = 1 << SPLIT_BIT
"""How many integer seeds each split has."""


class Split(enum.IntEnum):
    """Which instances and noise a key may draw."""

    TRAIN = 0
    HELD_OUT = 1


def seed_in_split(seed: int, split: Split) -> int:
    """The integer seed numbered `seed` of a split.

    Args:
        seed: the number within the split, 0 <= seed < 2**30.
        split: training or held-out.

    Raises:
        ValueError: if `seed` is out of range.
    """
    if not 0 <= seed < SEEDS_PER_SPLIT:
        raise ValueError(f"seed is {seed}; allowed are 0 to {SEEDS_PER_SPLIT - 1}")
    return seed | (int(split) << SPLIT_BIT)


def split_of(seed: int) -> Split:
    """The split that an integer seed belongs to."""
    return Split((seed >> SPLIT_BIT) & 1)


def key_from_seed(seed: int, split: Split = Split.TRAIN) -> tf.Tensor:
    """The key of seed number `seed` in a split, `int32 [2]`."""
    return tf.constant([seed_in_split(seed, split), 0], tf.int32)


def fold(key: tf.Tensor, *data: Any) -> tf.Tensor:
    """A new key from a key and counters, in the same split.

    Args:
        key: int32 [2].
        *data: integers or int32 scalars: an iteration, a purpose, an index.

    Returns:
        int32 [2]. Different data give independent keys (Philox, Salmon et al. 2011,
        https://doi.org/10.1145/2063384.2063405); the split bit is the input's.
    """
    bit = 1 << SPLIT_BIT
    split = tf.bitwise.bitwise_and(key[0], bit)
    for item in data:
        key = tf.random.experimental.stateless_fold_in(key, tf.cast(item, tf.int32), alg="philox")
    word = tf.bitwise.bitwise_or(tf.bitwise.bitwise_and(key[0], bit - 1), split)
    return tf.stack([word, key[1]])


def uniform(key: tf.Tensor, shape: Any, low: float = 0.0, high: float = 1.0) -> tf.Tensor:
    """Uniform float32 numbers in [low, high) of the given shape."""
    return tf.random.stateless_uniform(shape, key, low, high, alg="philox")


def gumbel(key: tf.Tensor, shape: Any) -> tf.Tensor:
    """Standard Gumbel float32 numbers: `argmax(logits + gumbel)` is a draw from `softmax(logits)`."""
    u = tf.random.stateless_uniform(shape, key, minval=1e-20, maxval=1.0, alg="philox")
    return -tf.math.log(-tf.math.log(u))


def normal(key: tf.Tensor, shape: Any) -> tf.Tensor:
    """Standard normal float32 numbers of the given shape."""
    return tf.random.stateless_normal(shape, key, alg="philox")
