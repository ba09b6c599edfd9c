"""Lines in moto's CloudWatch Logs, read back; and its faults."""

import json
import time

import pytest
from clouds import REGION, amazon, amazon_environment, eventually, free_port

from trainer.errors import BadInput
from trainer.logs.cloudwatch import CloudWatchLogs
from trainer.logs.lines import Line, Run, Severity
from trainer.metrics.sinks import batched
from trainer.metrics.sinks.batched import Batched

RUN = Run("lost-sales-1", "slipway/LostSales-v0", "ppo")
GROUP = "/slipway/runs"


@pytest.fixture
def service(monkeypatch, tmp_path):
    with amazon() as service:
        amazon_environment(monkeypatch, service.address, tmp_path)
        service.client("logs").create_log_group(logGroupName=GROUP)
        yield service


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(batched, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(batched, "LONGEST_PAUSE_SECONDS", 0.2)


def line(message, seconds=0.0):
    return Line(RUN, time.time() + seconds, Severity.INFO, message, 100, {"rl_score": 4.5})


def opened(told=None, interval_seconds=0.05, **options):
    options.setdefault("deadline_seconds", 120)  # on a busy machine
    tell = (lambda text: None) if told is None else told.append
    destination = CloudWatchLogs(GROUP, RUN.run_id)
    return Batched("CloudWatch Logs", destination, tell, interval_seconds=interval_seconds, most=100, **options)


def events(service):
    return service.client("logs").get_log_events(logGroupName=GROUP, logStreamName=RUN.run_id, startFromHead=True)[
        "events"
    ]


def test_lines_arrive_as_json_with_their_time(service):
    outlet = opened(interval_seconds=3600)
    before = int(time.time() * 1000)
    for word in ("one", "two"):
        outlet.put(line(word))
    outlet.close()
    found = events(service)
    assert [json.loads(event["message"])["message"] for event in found] == ["one", "two"]
    first = json.loads(found[0]["message"])
    assert (first["severity"], first["run_id"], first["fields"]) == ("INFO", RUN.run_id, {"rl_score": 4.5})
    assert before <= found[0]["timestamp"] <= int(time.time() * 1000)


def test_lines_that_came_out_of_order_are_put_in_order(service):
    outlet = opened(interval_seconds=3600)
    outlet.put(line("later", 1.0))
    outlet.put(line("earlier", -1.0))
    outlet.close()
    assert [json.loads(event["message"])["message"] for event in events(service)] == ["earlier", "later"]
    assert outlet.dropped == 0


def test_a_stream_that_is_there_is_used(service):
    for word in ("first process", "second process"):
        outlet = opened()
        outlet.put(line(word))
        outlet.close()
    assert len(events(service)) == 2


def test_a_stream_that_somebody_removes_is_made_again(service):
    outlet = opened()
    outlet.put(line("before"))
    eventually(lambda: len(service.requests) > 3)  # the group, the question for it, the stream, the line
    eventually(lambda: not outlet._waiting)
    service.client("logs").delete_log_stream(logGroupName=GROUP, logStreamName=RUN.run_id)
    outlet.put(line("after"))
    outlet.close()
    assert [json.loads(event["message"])["message"] for event in events(service)] == ["after"]
    assert outlet.dropped == 0


def test_a_group_that_is_not_there_is_bad_input_and_is_not_made(service):
    client = service.client("logs")
    client.delete_log_group(logGroupName=GROUP)
    with pytest.raises(BadInput) as caught:
        opened()
    assert (caught.value.field, caught.value.value) == ("sinks.logs.cloudwatch.group", GROUP)
    assert REGION in caught.value.allowed
    assert f"--log-group-name {GROUP}" in caught.value.cure
    assert client.describe_log_groups()["logGroups"] == []


def test_an_endpoint_that_others_could_read_is_bad_input(service, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "http://192.0.2.1:80")
    with pytest.raises(BadInput) as caught:
        opened()
    assert caught.value.field == "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS"


def test_a_service_that_is_away_at_the_start_gets_the_lines_later(monkeypatch, tmp_path):
    port, told = free_port(), []
    amazon_environment(monkeypatch, f"http://127.0.0.1:{port}", tmp_path)
    outlet = opened(told)
    outlet.put(line("while it was away"))
    eventually(lambda: told)
    with amazon(port) as service:
        service.client("logs").create_log_group(logGroupName=GROUP)
        eventually(lambda: told[1:] == ["CloudWatch Logs works again"])
        outlet.close()
        (event,) = events(service)
    assert json.loads(event["message"])["message"] == "while it was away"
    assert outlet.dropped == 0


def test_throttling_delays(service):
    outlet = opened(interval_seconds=3600)
    service.throttled = 3
    outlet.put(line("late"))
    outlet.close()
    assert len(events(service)) == 1
    assert outlet.dropped == 0


def test_nobody_waits_for_a_service_that_hangs(service):
    outlet = opened()
    service.gate.clear()
    outlet.put(line("0"))
    eventually(lambda: service.blocked)
    for number in range(1, 50):
        outlet.put(line(str(number)))
    assert not service.gate.is_set()
    service.gate.set()
    outlet.close()
    assert len(events(service)) == 50


def test_what_the_service_rejects_is_counted(service):
    told = []
    outlet = opened(told, interval_seconds=3600)
    outlet.put(line("old", -15 * 86_400))
    outlet.put(line("new"))
    outlet.close()
    assert [json.loads(event["message"])["message"] for event in events(service)] == ["new"]
    assert outlet.dropped == 1
    assert "too old or too new" in told[0]


def test_a_request_holds_less_than_a_day_and_a_megabyte(service):
    destination = CloudWatchLogs(GROUP, RUN.run_id)
    day = [line("a"), line("b", 3600.0), line("c", 24 * 3600.0)]
    assert destination.fits(day) == 2
    long = [line("x" * 15_000)] * 200
    count = destination.fits(long)
    assert count > 1
    assert sum(len(each.encode()) + 26 for each in long[:count]) <= 1_048_576
    assert destination.fits([line("x")] * 20_000) <= 10_000
    destination.close()
