"""One trial: a training whose score is asked for on the way, and which ends early when that is not promising."""

from collections.abc import Callable, Mapping

from envs.seeding import Split
from trainer.config.models import RunFile
from trainer.progress import NullProgress
from trainer.run.directory import RunDirectory
from trainer.run.status import Status
from trainer.stages import Stages

Report = Callable[[int, float], bool]
"""(how many parts of the training are done, score) -> whether to go on."""
PRUNED = "pruned: its score fell behind that of other trials"


class Trial(Stages):
    """A run that ends with a score in place of a verdict: no baselines, no model, no report.

    It is measured on episodes of the training seeds that trainings do not take, so that the held-out seeds have no part
    in the choice of hyperparameters.

    Args:
        directory: the run's.
        run_file: its settings; a score is asked for every `evaluation.interval_iterations`.
        report: is told each score.

    Attributes:
        pruned: whether it was told not to go on.
        score: the greedy policy's mean score at the end; None if the training did not come to it.
    """

    split = Split.TRAIN

    def __init__(self, directory: RunDirectory, run_file: RunFile, report: Report) -> None:
        super().__init__(directory, run_file, NullProgress())
        self._tell, self.pruned = report, False
        self.score: float | None = None

    def report(self, status: Status | None = None) -> None:
        """None: the study has one."""

    def _evaluate_part(self) -> Mapping[str, float]:
        metrics = self._quick()
        interval = self._run_file.evaluation.interval_iterations or self._run_file.iterations
        part = self._counters.iteration // interval
        if self._counters.iteration < self._run_file.iterations:
            self.pruned = not self._tell(part, metrics["rl_eval_score_mean"])
        return metrics

    def _enough(self) -> str:
        return PRUNED if self.pruned else ""

    def _finish(self) -> None:
        self.score = self._quick(self._preemption.check)["rl_eval_score_mean"]
