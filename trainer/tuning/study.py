"""A study: a folder with what is searched, all trials so far, and the best run file.

    study.json       the run file, the space and the settings: what makes it this study
    study.db         the trials, in Optuna's own form (SQLite)
    trials/0007/     a trial's run directory: run file, metrics, checkpoints while it trains
    best.yaml        the run file with the best values so far
    report.html

Only the process that holds the folder's lock writes to it.
"""

import contextlib
import dataclasses
import datetime
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainer.config import load
from trainer.config.models import RunFile, Sinks
from trainer.errors import BadInput, SlipwayError
from trainer.run import files
from trainer.run.directory import first_files, lock_folder, make_folder
from trainer.tuning import pruning
from trainer.tuning import space as spaces
from trainer.tuning.outcome import COUNTED, Outcome

if TYPE_CHECKING:
    import optuna

FORMAT = 1
STUDY, DATABASE, BEST, TRIALS = "study.json", "study.db", "best.yaml", "trials"
ATTEMPTS = 3
"""How often a trial whose process dies is begun, or gone on with, before it counts as failed."""
INFEASIBLE_IN_A_ROW = 200
"""So many draws of values that contradict one another in a row end a study."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What makes a study this one.

    Attributes:
        run_file: what every trial has in common.
        space: what varies.
        seed: of the search.
        pruner: one of `pruning.PRUNERS`.
        parts: a trial's score is looked at so many times, the last time at its end.
    """

    run_file: RunFile
    space: spaces.Space
    seed: int
    pruner: str
    parts: int

    def to_json(self) -> dict[str, Any]:
        """As in `study.json`."""
        return {
            "run_file": self.run_file.model_dump(mode="json"),
            "space": spaces.to_json(self.space),
            "seed": self.seed,
            "pruner": self.pruner,
            "parts": self.parts,
        }


@dataclasses.dataclass(frozen=True)
class Record:
    """A trial, as far as it is.

    Attributes:
        number: from 0 on.
        outcome: None while it trains.
        score: at its end; None unless it is complete.
        values: of the keys that vary.
        parts: score by how many parts of the training were done.
        seconds: how long it took.
        message: why it ended, where that needs words.
    """

    number: int
    outcome: Outcome | None
    score: float | None
    values: dict[str, Any]
    parts: dict[int, float]
    seconds: float
    message: str


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A trial that is to be trained.

    Attributes:
        number: Optuna's.
        folder: of its run.
        values: of the keys that vary.
    """

    number: int
    folder: Path
    values: dict[str, Any]


class Study:
    """The trials of a study; its lock is held.

    Args:
        folder: the study's.
        settings: what makes it this one.
        score: the task's words for its score, and its sign.
    """

    def __init__(self, folder: Path, settings: Settings, score: Mapping[str, Any]) -> None:
        self.folder, self.settings, self.score = folder, settings, dict(score)
        self.best_file = folder / BEST
        self._study = _open(folder, pruning.pruner(settings.pruner), maximise=score["sign"] > 0)

    @classmethod
    @contextlib.contextmanager
    def create(cls, folder: Path, settings: Settings, score: Mapping[str, Any]) -> Iterator["Study"]:
        """A new study, locked.

        Raises:
            BadInput: if there is something of that name already; nothing has been written then.
        """
        said = {"format": FORMAT, "score": dict(score), **settings.to_json()}
        make_folder(folder, {STUDY: files.encode(said)})
        with lock_folder(folder, folder.name):
            yield cls(folder, settings, score)

    @classmethod
    @contextlib.contextmanager
    def open(cls, folder: Path) -> Iterator["Study"]:
        """A study that is there, locked.

        Raises:
            BadInput: if it is none, another version made it, or another process works on it.
        """
        with lock_folder(folder, folder.name):
            yield cls(folder, read_settings(folder), files.read_json(folder / STUDY)["score"])

    def requeue(self) -> int:
        """Put trials back that a process left behind when it died or was stopped; how many."""
        from optuna.trial import TrialState

        left = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in left:
            self.lose(trial.number)
        return len(left)

    def lose(self, number: int, *, crashed: bool = False) -> None:
        """Put a trial back whose process has gone: another goes on in its folder.

        Args:
            number: the trial's.
            crashed: whether the process died by itself; a trial with which that happens again and again has failed.
        """
        from optuna.trial import TrialState

        trial = self._frozen(number)
        attempts = trial.user_attrs.get("attempts", 1) + crashed
        if attempts > ATTEMPTS:
            self.end(number, Outcome.FAILED, None, f"its process died {ATTEMPTS} times")
            return
        again = {**trial.user_attrs, "attempts": attempts}
        again["parts"] = {str(part): score for part, score in trial.intermediate_values.items()}
        again.setdefault("folder", _folder_name(number))
        # Queued before it is closed: a death in between gives a trial twice, never none.
        self._study.enqueue_trial(trial.params, user_attrs=again)
        self._note(number, Outcome.LOST, "")
        self._study.tell(number, state=TrialState.FAIL)

    def draw(self) -> Drawn:
        """The next trial, its run directory made if it is new.

        Raises:
            BadInput: if only values that contradict one another are found.
        """
        last: SlipwayError | None = None
        for _ in range(INFEASIBLE_IN_A_ROW):
            drawn, last = self._draw()
            if drawn is not None:
                return drawn
        allowed = f"values that go together; of the last: {last}"
        cure = "narrow the space, or set other values of the run file so that they fit"
        raise BadInput(spaces.OPTION, f"{INFEASIBLE_IN_A_ROW} draws", allowed, cure)

    def report(self, number: int, part: int, score: float) -> bool:
        """Take a score on the way; whether the trial should go on."""
        self._trial(number).report(score, part)
        return not self._trial(number).should_prune()

    def end(self, number: int, outcome: Outcome, score: float | None, message: str) -> None:
        """Take a trial's end; when this returns, it survives a kill."""
        from optuna.trial import TrialState

        self._note(number, outcome, message)
        if outcome is Outcome.COMPLETE and score is not None:
            self._trial(number).report(score, self.settings.parts)
            self._study.tell(number, score)
            best = self.best()
            if best is not None and best.number == number:
                self._write_best(best)
        else:
            # For what failed, too: it tells the search to keep away, as the worst of scores would.
            self._study.tell(number, state=TrialState.PRUNED)

    def counted(self) -> int:
        """How many trials have used up one of the study's."""
        return sum(record.outcome in COUNTED for record in self.records())

    def records(self) -> list[Record]:
        """All trials that drew values, but for lost ones, which go on as others."""
        found = [self._record(trial) for trial in self._study.get_trials(deepcopy=False) if trial.params]
        return [record for record in found if record.outcome is not Outcome.LOST]

    def best(self) -> Record | None:
        """The best complete trial, the first of equals."""
        sign = self.score["sign"]
        scored = [(sign * record.score, record) for record in self.records() if record.score is not None]
        return max(scored, key=lambda pair: (pair[0], -pair[1].number))[1] if scored else None

    def importances(self) -> dict[str, float]:
        """How much of the good trials' difference from the rest each key explains, of 1; empty while unknown.

        PED-ANOVA (Watanabe, Bansal and Hutter 2023, https://arxiv.org/abs/2304.10255).
        """
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        with warnings.catch_warnings(), contextlib.suppress(ValueError, RuntimeError):
            warnings.simplefilter("ignore")
            found = get_param_importances(self._study, evaluator=PedAnovaImportanceEvaluator())
            return {key: float(share) for key, share in found.items()}
        return {}

    def _draw(self) -> tuple[Drawn | None, SlipwayError | None]:
        asked = len(self._study.get_trials(deepcopy=False))
        # What is drawn follows from the seed and the trials so far: a study that was killed goes on as it would have.
        self._study.sampler = _sampler(self.settings.seed + asked)
        trial = self._study.ask({key: each.distribution() for key, each in self.settings.space.items()})
        values = {key: each.value(trial.params[key]) for key, each in self.settings.space.items()}
        name = trial.user_attrs.get("folder", _folder_name(trial.number))
        folder = self.folder / TRIALS / name
        for part, score in trial.user_attrs.get("parts", {}).items():
            trial.report(score, int(part))
        if not (folder / "run.yaml").is_file():
            try:
                run_file = self._trial_file(values)
            except SlipwayError as error:
                self.end(trial.number, Outcome.INFEASIBLE, None, str(error).splitlines()[0])
                return None, error
            make_folder(folder, first_files(f"{self.folder.name}/{TRIALS}/{name}", run_file))
        return Drawn(trial.number, folder, values), None

    def _trial_file(self, values: Mapping[str, Any]) -> RunFile:
        """The run file with a trial's values; it is measured in equal parts, and serves no metrics."""
        run_file = spaces.applied(self.settings.run_file, values)
        every = -(-run_file.iterations // self.settings.parts)
        evaluation = run_file.evaluation.model_copy(update={"interval_iterations": every})
        return run_file.model_copy(update={"evaluation": evaluation, "sinks": Sinks(tensorboard=False)})

    def _write_best(self, best: Record) -> None:
        comment = (
            f"# The best of {self.counted()} trials: trial {best.number}, {self.score['name']} {best.score:.6g}.\n"
        )
        run_file = spaces.applied(self.settings.run_file, best.values)
        files.write(self.best_file, (comment + load.dump(run_file)).encode())

    def _note(self, number: int, outcome: Outcome, message: str) -> None:
        trial = self._trial(number)
        trial.set_user_attr("message", message)
        trial.set_user_attr("outcome", str(outcome))

    def _trial(self, number: int) -> "optuna.Trial":
        import optuna

        return optuna.Trial(self._study, self._frozen(number)._trial_id)

    def _frozen(self, number: int) -> "optuna.trial.FrozenTrial":
        return self._study.get_trials(deepcopy=False)[number]

    def _record(self, trial: "optuna.trial.FrozenTrial") -> Record:
        space, said = self.settings.space, trial.user_attrs.get("outcome")
        ended = trial.datetime_complete or datetime.datetime.now()
        seconds = (ended - trial.datetime_start).total_seconds() if trial.datetime_start else 0.0
        return Record(
            number=trial.number,
            outcome=Outcome(said) if said and trial.state.is_finished() else None,
            score=trial.value if trial.state.name == "COMPLETE" else None,
            values={key: space[key].value(drawn) for key, drawn in trial.params.items()},
            parts=dict(trial.intermediate_values),
            seconds=seconds,
            message=trial.user_attrs.get("message", ""),
        )


def is_study(folder: Path) -> bool:
    """Whether a folder holds a study."""
    return files.is_file(folder / STUDY)


def read_settings(folder: Path) -> Settings:
    """What makes a study the one it is.

    Raises:
        BadInput: if another version made it.
        SlipwayError: if `study.json` cannot be read.
    """
    said = files.read_json(folder / STUDY)
    if said.get("format") != FORMAT:
        cure = "use the version of slipway that made it"
        raise BadInput("STUDY", str(folder), f"a study of format {FORMAT}; this has {said.get('format')!r}", cure)
    try:
        run_file = load.validate(said["run_file"])
        space = spaces.from_json(said["space"], run_file)
        return Settings(run_file, space, said["seed"], said["pruner"], said["parts"])
    except KeyError as error:
        raise SlipwayError(f"{folder / STUDY} has no {error}") from error


def check_same(folder: Path, wished: Settings) -> None:
    """Find out whether a study is the one that is meant.

    Raises:
        BadInput: if it has another run file, another space or other settings; the first that differs is named.
    """
    there, given = _flat(read_settings(folder).to_json()), _flat(wished.to_json())
    for key in [*there, *given]:
        if there.get(key) != given.get(key):
            field = key.removeprefix("run_file.")
            allowed = f"{field} = {there.get(key)!r}, as the study {folder.name} has it"
            cure = f"go on with `slipway tune {folder}`, or choose another --study"
            raise BadInput(f"--study: {field}", given.get(key), allowed, cure)


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {path: value}
    found = [_flat(item, f"{path}.{key}" if path else key) for key, item in value.items()]
    return {key: item for each in found for key, item in each.items()}


def _folder_name(number: int) -> str:
    return f"{number:04d}"


def _open(folder: Path, pruner: Any, *, maximise: bool) -> "optuna.Study":
    import optuna
    import sqlalchemy.exc

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / DATABASE).absolute()}")
        return optuna.create_study(
            storage=storage,
            study_name="slipway",
            direction="maximize" if maximise else "minimize",
            pruner=pruner,
            load_if_exists=True,
        )
    except (sqlalchemy.exc.DatabaseError, optuna.exceptions.StorageInternalError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise SlipwayError(f"{folder / DATABASE} cannot be read as a study's trials: {reason}") from error


def _sampler(seed: int) -> Any:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), which treats trials that still run as bad ones."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return optuna.samplers.TPESampler(seed=seed, constant_liar=True)
