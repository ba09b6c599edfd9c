"""The stages of one run: train, evaluate, export, report."""

from collections.abc import Mapping

from envs.seeding import Split
from trainer.checkpoint import Checkpoints
from trainer.config.models import Evaluation, RunFile
from trainer.deploy import export
from trainer.errors import BadInput, SlipwayError
from trainer.evaluation import protocol
from trainer.loop import Counters, End, Loop
from trainer.metrics.host import Host
from trainer.metrics.sinks.base import Sink
from trainer.metrics.sinks.exporters import open_exporters
from trainer.metrics.sinks.fanout import open_sinks
from trainer.preemption import Preempted, Preemption
from trainer.progress import Progress
from trainer.report import build
from trainer.run import files, provenance
from trainer.run.directory import RunDirectory
from trainer.run.status import State, Status
from trainer.store.base import Hold
from trainer.store.local import Here
from trainer.target import Target

STATES = {
    End.FINISHED: State.FINISHED,
    End.PREEMPTED: State.PREEMPTED,
    End.STOPPED_BY_BUDGET: State.STOPPED_BY_BUDGET,
}


class Stages:
    """One run from where its directory stands; the caller holds the run's lock.

    Args:
        directory: the run's.
        run_file: its settings.
        progress: what people see.
        hold: what keeps the run in its store; None where it lies there already.
    """

    split = Split.HELD_OUT
    """The seeds that evaluations during the training take."""

    def __init__(
        self, directory: RunDirectory, run_file: RunFile, progress: Progress, hold: Hold | None = None
    ) -> None:
        self._directory, self._run_file, self._progress = directory, run_file, progress
        self._hold = hold or Here()
        self._target = Target.of(run_file)
        self._training = self._target.training(run_file)
        self._goal = self._target.goal()
        self._checkpoints = Checkpoints(directory.checkpoints, run_file.checkpoint.retention)
        self._counters = Counters()
        self._metrics_bytes = 0
        self._quick = protocol.Quick(self._target, self._training.learner, run_file.evaluation, self.split)
        self._preemption = Preemption(run_file.preemption, progress.message)

    def close(self) -> None:
        """Let go of environments and of the display."""
        self._progress.stop()
        self._training.close()

    def run(self) -> End:
        """Go on from the newest checkpoint to the end, or as far as budget and signals allow.

        Raises:
            BadInput: if a port is taken, or a cloud that metrics go to is not set up.
            SlipwayError: if anything fails; the run is then marked as failed, and what was saved stays.
        """
        with self._preemption as preemption:
            others = self._exporters()
            status = self._directory.status()
            resumes = status.resumes + (status.state is not State.QUEUED)
            self._directory.move(State.RUNNING, resumes=resumes)
            try:
                end, reason = self._train(preemption, others)
                if end is End.FINISHED:
                    end, reason = self._finish_unless_preempted()
                self._directory.move(STATES[end], message=reason)
                if end is not End.FINISHED:  # a finished run has its report before it says that it is finished
                    self.report()
            except BaseException as error:
                for sink in others.values():
                    sink.close()
                self._fail(error)
                raise
        return end

    def restore(self, *, needed: bool) -> None:
        """Take the newest whole checkpoint, if there is one.

        Args:
            needed: whether it is an error if there is none.

        Raises:
            BadInput: if there is none and it is needed.
        """
        found = self._checkpoints.latest(self._progress.message)
        if found is None:
            if needed:
                raise BadInput(
                    "RUN", self._directory.run_id, "a run with a checkpoint", "train it first, or `slipway resume` it"
                )
            if self._checkpoints.steps():
                self._progress.message("No checkpoint is whole: the run begins again.")
            return
        self._training.load(found.arrays, found.window)
        self._counters = Counters.of(found.state["counters"])
        self._metrics_bytes = int(found.state["metrics_bytes"])

    def evaluate(self, settings: Evaluation) -> None:
        """Write `evaluation.json` and the policy's picture."""
        self._progress.phase("evaluating")
        result = protocol.evaluate(
            self._target,
            self._training.learner,
            settings,
            self._goal,
            training_seed=self._run_file.seed,
            policy_step=self._counters.env_steps,
            check=self._preemption.check,
        )
        files.write_json(self._directory.evaluation, result)
        self._preemption.check()
        picture = protocol.picture(self._target, self._training.learner)
        if picture is not None:
            files.write_json(self._directory.policy_picture, picture)

    def report(self, status: Status | None = None) -> None:
        """Write `report.html`.

        Args:
            status: what the page says the run has come to; None: what `status.json` says.
        """
        self._progress.phase("reporting")
        build.build(self._directory.folder, status)

    def _train(self, preemption: Preemption, others: Mapping[str, Sink]) -> tuple[End, str]:
        self.restore(needed=False)
        self._describe()
        sinks = open_sinks(
            self._directory.folder,
            self._progress.message,
            keep_bytes=self._metrics_bytes,
            resume_step=self._counters.env_steps,
            tensorboard=self._run_file.sinks.tensorboard,
            others=others,
        )
        usable_gpus = len(provenance.accelerators())
        host = Host(self._directory.folder, self._progress.message, usable_gpus=usable_gpus)
        loop = Loop(
            self._run_file,
            self._training,
            self._goal,
            sinks,
            self._checkpoints,
            self._progress,
            evaluate=self._evaluate_part,
            saved=self._saved,
            counters=self._counters,
            enough=self._look,
            safe_at=self._hold.safe_at,
            host=host.sample,
        )
        size = self._run_file.agent.batch_size
        self._progress.start(
            self._run_file.iterations * size,
            self._counters.env_steps,
            self._directory.run_id,
            self._goal.score,
            self._goal.optimum,
        )
        self._progress.phase("compiling" if self._counters.iteration < self._run_file.iterations else "training")
        try:
            result = loop.run(preemption)
        finally:
            sinks.close()
            host.close()
        return result.end, result.reason

    def _evaluate_part(self) -> Mapping[str, float]:
        """An evaluation during the training."""
        return self._quick()

    def _look(self) -> str:
        """Between calls: whether the run is still this process's, and `_enough`."""
        self._hold.check()
        return self._enough()

    def _enough(self) -> str:
        """Why the training should end here; empty if it should go on."""
        return ""

    def _finish_unless_preempted(self) -> tuple[End, str]:
        """What follows a complete training; if it is broken off, a resumed run does it anew."""
        try:
            self._finish()
        except Preempted as stop:
            return End.PREEMPTED, str(stop)
        return End.FINISHED, ""

    def _finish(self) -> None:
        """What follows a complete training.

        Raises:
            Preempted: if the run is to stop before the model is being written.
        """
        self.evaluate(self._run_file.evaluation)
        self._preemption.check()
        self._progress.phase("exporting")
        export.export(
            self._training.learner,
            self._directory.model,
            *self._target.observations(self._training),
            run_id=self._directory.run_id,
            env_id=self._run_file.env.id,
            step=self._counters.env_steps,
        )
        self.report(self._directory.status().moved(State.FINISHED))

    def _describe(self) -> None:
        """`simulation.json` and `provenance.json`."""
        said = self._target.simulation(self._run_file.agent, self._training, self._goal.optimum)
        files.write_json(self._directory.simulation, said)
        files.write_json(self._directory.provenance, provenance.collect(self._run_file.budget.price_usd_per_hour))

    def _exporters(self) -> dict[str, Sink]:
        info = {
            "run_id": self._directory.run_id,
            "env_id": self._run_file.env.id,
            "algorithm": self._run_file.agent.algorithm,
        }
        return open_exporters(self._run_file.sinks, info, self._progress.message)

    def _saved(self, counters: Counters) -> None:
        self._directory.move(
            State.RUNNING,
            env_steps=counters.env_steps,
            iteration=counters.iteration,
            wall_time_seconds=counters.wall_time_seconds,
            last_checkpoint_step=counters.env_steps,
        )
        self._hold.snapshot(counters.env_steps)

    def _fail(self, error: BaseException) -> None:
        """Say in `status.json` that the run failed, if the disk still takes it."""
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        stopped = isinstance(error, KeyboardInterrupt)
        try:
            self._directory.move(State.PREEMPTED if stopped else State.FAILED, message=reason)
        except SlipwayError as second:
            self._progress.message(f"status.json still says running: {second}")
