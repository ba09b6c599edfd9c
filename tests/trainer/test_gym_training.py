"""Training on Gymnasium environments: taken up again, it goes on with the same bits."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from trainer.config.models import PPO
from trainer.errors import SlipwayError
from trainer.iteration import GymTraining
from trainer.rollout.gym import GymSource

SMALL = {
    "num_envs": 4,
    "rollout_steps": 32,
    "epochs": 2,
    "minibatch_size": 64,
    "networks": {"actor": [16], "critic": [16]},
    "observation_normalisation": "running",
    "return_normalisation": True,
}


class Unrepeatable(gymnasium.Env):
    """Ignores the seed of its reset."""

    observation_space = spaces.Box(0, 1, (1,), np.float32)
    action_space = spaces.Discrete(2)
    entropy = np.random.default_rng()

    def reset(self, *, seed=None, options=None):
        return np.array([self.entropy.random()], np.float32), {}

    def step(self, action):
        return np.array([self.entropy.random()], np.float32), 1.0, False, False, {}


@pytest.fixture
def train():
    made = []

    def start(env_id, seed=3):
        source = GymSource(env_id, {}, SMALL["num_envs"], seed, 0)
        made.append(GymTraining(source, PPO(**SMALL), 4, seed))
        return made[-1]

    yield start
    for training in made:
        training.close()


def iterate(training, count):
    return [row for _ in range(count) for row in training.run(1)]


# An iteration's 32 steps end in the middle of episodes of both.
@pytest.mark.parametrize("env_id", ["gymnasium:CartPole-v1", "gymnasium:Pendulum-v1"], ids=["discrete", "continuous"])
def test_a_restored_training_goes_on_with_the_same_bits(train, env_id):
    straight, again = train(env_id), train(env_id)
    iterate(straight, 1)
    saved = straight.state()
    rows = iterate(straight, 2)
    again.load(saved)
    assert iterate(again, 2) == rows
    ended, expected = again.state(), straight.state()
    assert ended.keys() == expected.keys()
    assert not [name for name in ended if ended[name].tobytes() != expected[name].tobytes()]
    assert saved["source/steps"].max() > 0


def test_what_cannot_be_taken_up_again_is_named(train):
    gymnasium.register("test/Unrepeatable-v0", entry_point=Unrepeatable, max_episode_steps=50, disable_env_checker=True)
    try:
        first, again = train("gymnasium:test/Unrepeatable-v0"), train("gymnasium:test/Unrepeatable-v0")
        iterate(first, 1)
        with pytest.raises(SlipwayError, match="test/Unrepeatable-v0 does not come to the same observation"):
            again.load(first.state())
    finally:
        gymnasium.registry.pop("test/Unrepeatable-v0")
