"""The catalogue: names obey the rules, keys go there and back, and the docs table is current."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from trainer.metrics import catalogue, reference
from trainer.metrics.catalogue import METRICS, WORKER_METRICS, Format, Kind, UnknownMetricError

REPOSITORY = Path(__file__).parents[3]
TASK_UNITS = {"", "score", "reward"}
"""Units that stand in no name: none, and those that depend on the task."""
BASE_UNITS = {
    "seconds",
    "ratio",
    "steps",
    "episodes",
    "nats",
    "usd",
    "steps_per_second",
    "transitions",
    "records",
    "bytes",
    "watts",
    "runs",
}
ALL = (*METRICS, *WORKER_METRICS)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_name_obeys_prometheus_rules(metric):
    assert re.fullmatch(r"rl(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.name.endswith("_info") == (metric.kind is Kind.INFO)
    assert metric.unit in TASK_UNITS | BASE_UNITS
    stem = metric.name.removesuffix("_total")
    if metric.unit in BASE_UNITS:
        assert stem.endswith(f"_{metric.unit}")
    else:
        assert not stem.endswith(tuple(f"_{unit}" for unit in BASE_UNITS))
    assert (metric.format is Format.PERCENT) == (metric.unit == "ratio")
    assert not {"step", "iteration"} & set(metric.labels)


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_help_is_sentences(metric):
    assert metric.help[0].isupper()
    assert metric.help.endswith(".")
    assert "|" not in metric.help


def test_names_are_unique():
    assert len({metric.name for metric in ALL}) == len(ALL)
    assert len(catalogue.BY_NAME) == len(METRICS)


def test_keys_go_there_and_back():
    key = catalogue.sample_key("rl_phase_duration_seconds", phase="rollout")
    assert key == 'rl_phase_duration_seconds{phase="rollout"}'
    sample = catalogue.parse(key)
    assert (sample.metric.name, sample.label_values, sample.key) == ("rl_phase_duration_seconds", ("rollout",), key)
    assert sample.tag == "speed/rl_phase_duration_seconds/rollout"
    assert catalogue.parse("rl_score").tag == "outcome/rl_score"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "rl_scores",
        "rl_score{}",
        'rl_score{a="b"}',
        "rl_phase_duration_seconds",
        'rl_phase_duration_seconds{stage="a"}',
        'rl_phase_duration_seconds{phase="a",phase="b"}',
        'rl_phase_duration_seconds{phase="a"',
        'rl_phase_duration_seconds{phase="a"}\n',
    ],
)
def test_other_keys_are_refused(key):
    with pytest.raises(UnknownMetricError):
        catalogue.parse(key)


@pytest.mark.parametrize("labels", [{}, {"stage": "a"}, {"phase": 'a"b'}, {"phase": "a,b"}, {"phase": "a\nb"}])
def test_other_labels_are_refused(labels):
    with pytest.raises(UnknownMetricError):
        catalogue.sample_key("rl_phase_duration_seconds", **labels)


def test_the_order_is_the_catalogues():
    keys = ["rl_env_steps_total", catalogue.ITERATION, "rl_score", "rl_policy_loss"]
    assert catalogue.in_order(keys) == ["rl_score", "rl_policy_loss", "rl_env_steps_total"]


def test_words_and_names_stand_for_metrics_in_the_catalogues_order():
    assert set(catalogue.chosen(["essential"])) == set(catalogue.ESSENTIAL)
    assert catalogue.chosen(["rl_env_steps_total", "rl_score", "rl_score"]) == ("rl_score", "rl_env_steps_total")
    everything = catalogue.chosen(["essential", "all"])
    assert everything == tuple(metric.name for metric in METRICS if metric.kind is not Kind.INFO)
    for wrong in ("rl_scores", "rl_run_info", ""):
        with pytest.raises(UnknownMetricError):
            catalogue.chosen([wrong])


def test_the_reference_page_is_current():
    page = REPOSITORY / "docs" / "reference" / "metrics.md"
    assert page.read_text() == reference.table(), (
        "run `python -m trainer.metrics.reference > docs/reference/metrics.md`"
    )


def test_the_reference_page_is_made_by_its_command():
    command = [sys.executable, "-m", "trainer.metrics.reference"]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output == reference.table()
    assert output.count("\n| `rl_") == len(ALL)


@pytest.mark.parametrize(
    "module",
    [
        "trainer.metrics.catalogue",
        "trainer.metrics.sinks",
        "trainer.metrics.sinks.jsonl",
        "trainer.metrics.sinks.tensorboard",
        "trainer.metrics.sinks.prometheus",
        "trainer.progress",
        "trainer.report.build",
    ],
)
def test_importing_brings_no_heavy_library(module):
    program = f"import sys, {module}; print([m for m in ('tensorflow', 'matplotlib', 'scipy') if m in sys.modules])"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout == "[]\n"


def test_what_the_clouds_need_is_imported_only_for_them():
    program = (
        "import sys, trainer.cli, trainer.logs.outlets, trainer.metrics.sinks.exporters\n"
        "print([m for m in ('boto3', 'botocore', 'google.auth', 'grpc') if m in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout == "[]\n"
