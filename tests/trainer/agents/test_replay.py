"""The replay against transitions worked out step by step in plain Python."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from envs import seeding
from trainer.agents.actions import EpsilonGreedy
from trainer.agents.replay import Replay
from trainer.rollout.base import Trajectories

HEAD = EpsilonGreedy(gymnasium.spaces.Discrete(3))
ENVS, DISCOUNT = 2, 0.5


def steps(first, count, seed=0):
    """Steps whose observation is (number, row), so that each can be told."""
    chance = np.random.default_rng([seed, first])
    number, row = np.meshgrid(np.arange(first, first + count), np.arange(ENVS), indexing="ij")
    observation = np.stack([number, row], -1).astype(np.float32)
    kind = chance.integers(0, 4, [count, ENVS])
    return Trajectories(
        observation,
        chance.random([count, ENVS, 3]) < 0.7,
        chance.integers(0, 3, [count, ENVS]).astype(np.int32),
        (),
        chance.normal(size=[count, ENVS]).astype(np.float32),
        kind == 0,
        kind == 1,
        observation + 0.5,
        (),
        chance.random([count, ENVS, 3]) < 0.7,
    )


def filled(slots, n_step, batches):
    replay = Replay(slots, ENVS, HEAD, (2,), 3, n_step)
    for batch in batches:
        replay.add(tf.nest.map_structure(tf.constant, batch))
    columns = zip(*batches, strict=True)
    return replay, [() if isinstance(parts[0], tuple) else np.concatenate(parts) for parts in columns]


def expected(history, number, row, n_step):
    """Reward, discount, next observation and next mask of a transition, by its definition."""
    _, _, _, _, reward, terminated, truncated, final, _, final_mask, *_ = history
    total, worth = 0.0, 1.0
    for t in range(number, number + n_step):
        total += worth * reward[t, row]
        worth *= DISCOUNT
        if terminated[t, row] or truncated[t, row]:
            break
    return total, 0.0 if terminated[t, row] else worth, final[t, row], final_mask[t, row]


@pytest.mark.parametrize("n_step", [1, 3])
def test_samples_are_the_transitions_that_were_added_and_a_time_limit_is_no_end(n_step):
    batches = [steps(first, 4) for first in range(0, 24, 4)]
    replay, history = filled(10, n_step, batches)  # the ring has gone round twice
    drawn = tf.nest.map_structure(np.asarray, replay.sample(seeding.key_from_seed(1), 400, DISCOUNT))
    seen = set()
    for i in range(400):
        number, row = (int(x) for x in drawn.observation[i])
        seen.add((number, row))
        total, worth, following, mask = expected(history, number, row, n_step)
        assert drawn.action[i] == history[2][number, row]
        assert list(drawn.mask[i]) == list(history[1][number, row])
        assert drawn.reward[i] == pytest.approx(total, abs=1e-5)
        assert drawn.discount[i] == worth
        np.testing.assert_array_equal(drawn.next_observation[i], following)
        assert list(drawn.next_mask[i]) == list(mask)
    # All that are there with n steps after them, and no others.
    assert seen == {(number, row) for number in range(14, 24 - n_step + 1) for row in range(ENVS)}
    assert (drawn.discount == 0).any()


def test_how_much_is_there():
    replay, _ = filled(10, 3, [steps(0, 2)])
    assert not replay.can_sample()
    assert replay.transitions() == 4
    replay.add(tf.nest.map_structure(tf.constant, steps(2, 9)))
    assert replay.can_sample()
    assert replay.transitions() == 20
    assert replay.held() == (1, 11)


def test_rows_taken_out_and_put_back_are_the_same():
    one, _ = filled(10, 1, [steps(first, 4) for first in range(0, 24, 4)])
    start, stop = one.held()
    other = Replay(10, ENVS, HEAD, (2,), 3, 1)
    other.put(start, np.concatenate([one.read()(start, 17), one.read()(17, stop)]))
    assert (start, stop) == (14, 24)
    assert other.rows.numpy().tobytes() == one.rows.numpy().tobytes()
