"""Lines to a gRPC server of Cloud Logging's messages."""

import time

import pytest
from clouds import PROJECT, eventually, google, google_environment
from google.logging.type.log_severity_pb2 import LogSeverity

from trainer.errors import BadInput
from trainer.logs.cloud_logging import CloudLogging
from trainer.logs.lines import Line, Run, Severity
from trainer.metrics.sinks import batched
from trainer.metrics.sinks.batched import Batched

RUN = Run("lost-sales-1", "slipway/LostSales-v0", "ppo")


@pytest.fixture
def service(monkeypatch):
    with google() as service:
        google_environment(monkeypatch, service.address)
        yield service


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(batched, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(batched, "LONGEST_PAUSE_SECONDS", 0.2)


def line(message):
    return Line(RUN, time.time(), Severity.WARNING, message, 100, {"rl_score": 4.5, "rl_value_loss": None})


def opened(told=None, interval_seconds=0.05, **options):
    options.setdefault("deadline_seconds", 120)  # on a busy machine
    tell = (lambda text: None) if told is None else told.append
    destination = CloudLogging(None, "slipway", RUN.run_id)
    return Batched("Cloud Logging", destination, tell, interval_seconds=interval_seconds, most=100, **options)


def messages(service):
    return [entry.json_payload["message"] for _, entry in service.entries]


def test_lines_arrive_with_time_severity_labels_and_payload(service):
    outlet = opened(interval_seconds=3600)
    began = time.time()
    outlet.put(line("one"))
    outlet.put(line("two"))
    outlet.close()
    assert service.calls == ["WriteLogEntries"]
    assert messages(service) == ["one", "two"]
    request, entry = service.entries[0]
    assert request.log_name == f"projects/{PROJECT}/logs/slipway"
    assert request.resource.type == "generic_task"
    assert request.resource.labels["job"] == RUN.run_id
    assert LogSeverity.Name(entry.severity) == "WARNING"
    assert dict(entry.labels) == {"run_id": RUN.run_id, "env_id": RUN.env_id, "algorithm": "ppo"}
    assert entry.json_payload["step"] == 100
    assert dict(entry.json_payload["fields"]) == {"rl_score": 4.5, "rl_value_loss": None}
    assert "severity" not in entry.json_payload
    assert began - 0.01 <= entry.timestamp.timestamp() <= time.time()


def test_an_outage_delays(service):
    service.unavailable, told = 3, []
    outlet = opened(told, interval_seconds=3600)
    outlet.put(line("late"))
    outlet.close()
    assert messages(service) == ["late"]
    assert "currently unavailable" in told[0]
    assert outlet.dropped == 0


def test_entries_that_are_refused_are_counted_and_the_others_stay(service):
    service.refused_message, told = "bad", []
    outlet = opened(told, interval_seconds=3600)
    for word in ("good", "bad", "also good"):
        outlet.put(line(word))
    outlet.close()
    assert messages(service) == ["good", "also good"]
    assert service.calls == ["WriteLogEntries"]
    assert outlet.dropped == 1
    assert "Some log entries were refused" in told[0]


def test_nobody_waits_for_a_service_that_hangs(service):
    service.gate.clear()
    outlet = opened()
    outlet.put(line("0"))
    eventually(lambda: service.blocked)
    for number in range(1, 50):
        outlet.put(line(str(number)))
    assert not service.gate.is_set()
    service.gate.set()
    outlet.close()
    assert messages(service) == [str(number) for number in range(50)]


def test_a_request_is_bounded(service):
    destination = CloudLogging(None, "slipway", RUN.run_id)
    assert destination.fits([line("x")] * 5000) == 1000
    long = [line("x" * 15_000)] * 1000
    assert 1 < destination.fits(long) < 1000
    destination.close()


def test_without_a_project_it_is_bad_input(service, monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    with pytest.raises(BadInput) as caught:
        opened()
    assert caught.value.field == "sinks.logs.cloud_logging.project"
