"""From a run file's `agent` to its learner."""

import tensorflow as tf

from trainer.agents.dqn import DQNLearner
from trainer.agents.learner import Learner, Task
from trainer.agents.ppo import PPOLearner
from trainer.agents.recurrent_ppo import RecurrentPPOLearner
from trainer.agents.reinforce import ReinforceLearner
from trainer.agents.sac import SACLearner
from trainer.agents.self_labelling import SelfLabellingLearner
from trainer.agents.td3 import TD3Learner
from trainer.config.models import PPO, Agent, Reinforce
from trainer.config.off_policy import DQN, SAC, TD3
from trainer.config.self_labelling import SelfLabelling


def learner(task: Task, settings: Agent, key: tf.Tensor) -> Learner:
    """A learner at its start.

    Args:
        task: what it is told of the task.
        settings: the run file's hyperparameters.
        key: int32 [2], for the first weights.
    """
    match settings:
        case PPO():
            made = PPOLearner if settings.networks.recurrent is None else RecurrentPPOLearner
            return made(task, settings, key)
        case DQN():
            return DQNLearner(task, settings, key)
        case SAC():
            return SACLearner(task, settings, key)
        case TD3():
            return TD3Learner(task, settings, key)
        case Reinforce():
            return ReinforceLearner(task, settings, key)
        case SelfLabelling():
            return SelfLabellingLearner(task, settings, key)
