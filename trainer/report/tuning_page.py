"""One page about a study: the best trial, and what all say about each hyperparameter; opens without a network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from trainer.config import load
from trainer.metrics import formatting
from trainer.report import templates
from trainer.report import tuning_plots as plots
from trainer.report.canvas import Cut
from trainer.report.data import Score
from trainer.report.figures import Drawn
from trainer.report.words import score_title

if TYPE_CHECKING:
    from trainer.tuning.study import Record, Study

TEMPLATE = "tuning.html.jinja"
FEWEST_FOR_SHARES = 4
"""Complete trials that shares are computed from at least."""


def render(study: "Study") -> str:
    """The page, as HTML."""
    records, best, space = study.records(), study.best(), study.settings.space
    score = Score(**study.score)
    title, sign = score_title(score), score.sign
    complete = [record for record in records if record.score is not None]
    shares = study.importances() if len(complete) >= FEWEST_FOR_SHARES else {}
    figures = [
        ("history", _history(records, sign, title)) if any(record.parts for record in records) else None,
        ("courses", _courses(records, best, study.settings.parts, title)) if complete else None,
        ("importances", _importances(shares)) if shares else None,
        ("slices", _slices(records, space, title)) if complete else None,
        ("parallel", _parallel(records, space, sign, title)) if len(complete) > 1 else None,
    ]
    ranked = sorted(records, key=lambda record: _rank(record, sign))
    return (
        templates.environment()
        .get_template(TEMPLATE)
        .render(
            name=study.folder.name,
            verdict=_verdict(study, best, len(records)),
            facts=_facts(study, records),
            figures=[figure for figure in figures if figure is not None],
            keys=[key.removeprefix("agent.") for key in space],
            full_keys=list(space),
            records=ranked,
            best=best,
            score_title=title,
            number_or_plain=_value,
            run_file=load.dump(study.settings.run_file),
            space=[(key, _dimension(dimension)) for key, dimension in space.items()],
        )
    )


def _verdict(study: "Study", best: "Record | None", count: int) -> str:
    if best is None:
        return f"No trial of {count} has come to its end."
    return f"Best {study.score['name']} {formatting.number(best.score)}, by trial {best.number} of {count}."


def _facts(study: "Study", records: "list[Record]") -> list[tuple[str, str]]:
    outcomes = [str(record.outcome or "training") for record in records]
    counts = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes))
    settings = study.settings
    evaluation = settings.run_file.evaluation
    return [
        ("Environment", settings.run_file.env.id),
        ("Algorithm", settings.run_file.agent.algorithm),
        ("Trials", counts or "none"),
        ("Pruner", settings.pruner),
        ("Seed of the search", str(settings.seed)),
        ("Episodes of a score", str(evaluation.seeds * evaluation.episodes_per_seed)),
        ("Training time", formatting.duration(sum(record.seconds for record in records))),
    ]


def _history(records: "list[Record]", sign: int, title: str) -> Drawn:
    complete = sum(record.score is not None for record in records)
    label = (
        f"The scores of {len(records)} trials in their order, and the best up to each; {complete} came to their end."
    )
    return _drawn(lambda cut: plots.history(cut, records, sign, title), label, "The search over time.")


def _courses(records: "list[Record]", best: "Record | None", parts: int, title: str) -> Drawn:
    label = f"Score of each trial at {parts} points of its training."
    caption = "Trials while they trained: the best one in colour, dashed ones ended early."
    return _drawn(lambda cut: plots.courses(cut, records, best, parts, title), label, caption)


def _importances(shares: dict[str, float]) -> Drawn:
    label = "; ".join(f"{key.removeprefix('agent.')} {formatting.percent(share)}" for key, share in shares.items())
    caption = (
        "Importance of each hyperparameter: how far the values of good trials differ from those of all "
        "(PED-ANOVA, Watanabe, Bansal and Hutter 2023). From few trials it is rough."
    )
    return _drawn(lambda cut: plots.importances(cut, shares), f"Importances: {label}.", caption)


def _slices(records: "list[Record]", space: Any, title: str) -> Drawn:
    caption = "Complete trials over each hyperparameter; later trials are darker."
    return _drawn(lambda cut: plots.slices(cut, records, space, title), "Scores over each hyperparameter.", caption)


def _parallel(records: "list[Record]", space: Any, sign: int, title: str) -> Drawn:
    caption = "A line for each complete trial through its values and its score; the best tenth in colour."
    label = "Values of all complete trials as lines between parallel axes."
    return _drawn(lambda cut: plots.parallel(cut, records, space, sign, title), label, caption)


def _drawn(draw: Callable[[Cut], str], label: str, caption: str) -> Drawn:
    return Drawn(draw(Cut.WIDE), draw(Cut.NARROW), label, caption)


def _rank(record: "Record", sign: int) -> tuple[int, float, int]:
    return (0, -sign * record.score, record.number) if record.score is not None else (1, 0.0, record.number)


def _value(value: Any) -> str:
    return formatting.number(value) if isinstance(value, float) else templates.plain(value)


def _dimension(dimension: Any) -> str:
    if hasattr(dimension, "options"):
        return " or ".join(templates.plain(option) for option in dimension.options)
    text = f"{dimension.low} to {dimension.high}"
    text += f" in steps of {dimension.step}" if dimension.step else ""
    return f"{text}, on a logarithmic scale" if dimension.log else text
