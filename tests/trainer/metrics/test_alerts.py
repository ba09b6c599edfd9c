"""The alerts: each can be told by what every run with essential metrics sends, and has words for people."""

import re

import pytest

from trainer.logs.lines import Run
from trainer.logs.log import Log
from trainer.metrics import alerts, catalogue
from trainer.metrics.alerts import ALERTS, AgeSignal, LogSignal, MetricSignal, NodeSignal
from trainer.metrics.catalogue import Format, Kind
from trainer.run.status import State, Status


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_can_be_told_and_says_what_to_do(alert):
    assert re.fullmatch(r"([A-Z][a-z]+)+", alert.name)
    assert alerts.BY_NAME[alert.name] is alert
    for words in (alert.summary, alert.help):
        assert words[0].isupper()
        assert words.endswith(".")
        assert "\n" not in words
        assert "|" not in words
    assert set(alert.metrics) <= set(catalogue.ESSENTIAL)


def test_names_are_unique():
    assert len(alerts.BY_NAME) == len(ALERTS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_a_signal_fits_what_it_looks_at(alert):
    match alert.signal:
        case MetricSignal(name, _, threshold, seconds):
            metric = catalogue.BY_NAME[name]
            assert metric.kind is Kind.GAUGE
            assert not metric.labels  # an alarm names one series
            assert metric.unit != "ratio" or 0 < threshold < 1
        case AgeSignal(name, seconds, age):
            assert catalogue.BY_NAME[name].format is Format.TIMESTAMP
            assert catalogue.BY_NAME[age].unit == "seconds"
            assert catalogue.BY_NAME[age].format is Format.SECONDS
        case LogSignal(_, seconds) | NodeSignal(_, seconds):
            pass
    assert seconds % 60 == 0  # clouds look once a minute


def test_every_kind_of_signal_has_an_alert():
    assert {type(alert.signal) for alert in ALERTS} == {MetricSignal, AgeSignal, LogSignal, NodeSignal}
    assert {alert.signal.kind for alert in ALERTS if isinstance(alert.signal, NodeSignal)} == {"lost", "silent"}


def test_a_run_that_fails_and_no_other_end_says_what_the_alert_listens_for():
    said = []

    class Outlet:
        def put(self, record):
            said.append(record.severity)

        def close(self):
            pass

    log = Log(Run("run", "env", "ppo"), [Outlet()])
    for state in State:
        log.status(Status(run_id="run", state=state))
    signal = alerts.BY_NAME["RunFailed"].signal
    heard = [state for state, severity in zip(State, said, strict=True) if severity == signal.severity]
    assert heard == [State.FAILED]
