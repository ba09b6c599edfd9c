"""Studies without training: trials whose scores a test chooses."""

import contextlib

from trainer.config import source
from trainer.tuning import space
from trainer.tuning.outcome import Outcome
from trainer.tuning.study import Settings, Study

SPACE = {
    "agent.learning_rate": {"low": 1e-5, "high": 1e-2, "log": True},
    "agent.epochs": {"low": 1, "high": 8},
    "agent.networks.activation": ["tanh", "relu"],
}
SCORE = {"name": "cost", "unit": "per period", "sign": -1}


def run_file(*settings):
    return source.run_file("cartpole-ppo", settings)


def settings(written=None, pruner="median", seed=3, parts=4, run=None):
    run = run or run_file()
    return Settings(run, space.from_json(written or SPACE, run), seed, pruner, parts)


@contextlib.contextmanager
def study(folder, wished=None, score=None):
    with Study.create(folder, wished or settings(), score or SCORE) as made:
        yield made


def cost(values):
    """What a trial would score: the nearer its learning rate to 1e-3, the less."""
    return abs(values["agent.learning_rate"] - 1e-3) * 1000 + values["agent.epochs"] / 10


def work(made, count):
    """Some trials from draw to end, each with a score at each part; those that are pruned end there."""
    for _ in range(count):
        drawn = made.draw()
        for part in range(1, made.settings.parts):
            if not made.report(drawn.number, part, cost(drawn.values) + 1 / part):
                made.end(drawn.number, Outcome.PRUNED, None, "")
                break
        else:
            made.end(drawn.number, Outcome.COMPLETE, cost(drawn.values), "")
