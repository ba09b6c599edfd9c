"""Points in moto's CloudWatch, read back as people read them; and its faults."""

import datetime
import time

import botocore.exceptions
import pytest
from clouds import amazon, amazon_environment, eventually, free_port

from trainer.errors import BadInput
from trainer.metrics import catalogue
from trainer.metrics.catalogue import METRICS, Sample
from trainer.metrics.sinks import batched, cloudwatch
from trainer.metrics.sinks.cloudwatch import CloudWatch
from trainer.metrics.sinks.points import Point, PointsSink

RUN = "lost-sales-1"
ROW = {"iteration": 1, "rl_score": 5.0, "rl_env_steps_total": 100, "rl_policy_loss": 0.5}
NAMES = ("rl_score", "rl_env_steps_total")


@pytest.fixture
def service(monkeypatch, tmp_path):
    with amazon() as service:
        amazon_environment(monkeypatch, service.address, tmp_path)
        yield service


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(batched, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(batched, "LONGEST_PAUSE_SECONDS", 0.2)


def opened(names=NAMES, interval_seconds=3600.0, told=None, **options):
    options.setdefault("deadline_seconds", 120)  # on a busy machine
    tell = (lambda text: None) if told is None else told.append
    destination = CloudWatch("Slipway", RUN, interval_seconds)
    return PointsSink("CloudWatch", destination, names, interval_seconds, tell, **options)


def points(service, name, *statistics, **dimensions):
    """What CloudWatch has of a metric in the last two hours, oldest first."""
    now = datetime.datetime.now(datetime.UTC)
    found = service.client("cloudwatch").get_metric_statistics(
        Namespace="Slipway",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in {"RunId": RUN, **dimensions}.items()],
        StartTime=now - datetime.timedelta(hours=2),
        EndTime=now + datetime.timedelta(minutes=5),
        Period=1,
        Statistics=list(statistics),
    )
    return sorted(found["Datapoints"], key=lambda point: point["Timestamp"])


def test_an_interval_is_one_point_of_least_greatest_sum_and_count(service):
    sink = opened()
    for score in (3.0, 1.0, 5.0):
        sink.write({**ROW, "rl_score": score}, 100, 1.0)
    sink.close()
    assert len(service.requests) == 1
    (found,) = points(service, "rl_score", "Minimum", "Maximum", "Sum", "SampleCount")
    assert (found["Minimum"], found["Maximum"], found["Sum"], found["SampleCount"]) == (1.0, 5.0, 9.0, 3.0)
    assert found["Unit"] == "None"
    (found,) = points(service, "rl_env_steps_total", "Maximum", "SampleCount")
    assert (found["Maximum"], found["SampleCount"], found["Unit"]) == (100.0, 1.0, "Count")
    assert points(service, "rl_policy_loss", "Sum") == []


def test_no_call_is_made_for_a_row(service):
    sink = opened()
    for step in range(500):
        sink.write(ROW, step, 1.0)
    sink.flush()
    assert service.requests == []
    sink.close()
    assert len(service.requests) == 1


def test_the_run_is_the_only_dimension_beside_a_metrics_own(service):
    sink = opened(catalogue.chosen(["all"]))
    sink.write(ROW | {catalogue.sample_key("rl_phase_duration_seconds", phase="iteration"): 0.5}, 100, 1.0)
    sink.close()
    found = service.client("cloudwatch").list_metrics(Namespace="Slipway")["Metrics"]
    dimensions = {m["MetricName"]: {d["Name"]: d["Value"] for d in m["Dimensions"]} for m in found}
    assert dimensions.pop("rl_phase_duration_seconds") == {"RunId": RUN, "Phase": "iteration"}
    assert dimensions == {name: {"RunId": RUN} for name in ("rl_score", "rl_env_steps_total", "rl_policy_loss")}


def test_points_come_at_their_intervals_with_their_times(service):
    sink = opened(interval_seconds=0.2)
    began = time.time()
    for score in range(3):
        before = len(service.requests)
        sink.write({"rl_score": float(score)}, 1, 1.0)
        eventually(lambda before=before: len(service.requests) > before)
    sink.close()
    found = points(service, "rl_score", "Sum")
    assert sum(point["Sum"] for point in found) == 3.0
    assert all(began - 1 <= point["Timestamp"].timestamp() <= time.time() for point in found)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_unit_is_one_that_cloudwatch_knows(metric, service):
    known = service.client("cloudwatch").meta.service_model.shape_for("StandardUnit").enum
    unit = cloudwatch.UNITS[metric.unit]
    assert unit in known
    expected = {
        "seconds": "Seconds",
        "bytes": "Bytes",
        "steps_per_second": "Count/Second",
        **dict.fromkeys(("steps", "episodes", "transitions", "records"), "Count"),
    }
    assert unit == expected.get(metric.unit, "None")


def test_a_full_request_of_the_longest_points_fits_in_cloudwatchs_megabyte(service):
    metric = max(METRICS, key=lambda metric: len(metric.name) + sum(map(len, metric.labels)))
    sample = Sample(metric, tuple("x" * 40 for _ in metric.labels))
    longest = -1.2345678901234567e-123
    found = [Point(sample, time.time(), 10**9, longest, longest, longest, longest)] * 3000
    destination = CloudWatch("Slipway", "r" * 201, 1.0)
    sent = found[: destination.fits(found)]
    assert len(sent) <= 1000
    destination.send(sent)
    (body,) = service.requests
    assert len(body) < 1_000_000
    destination.close()


def test_what_was_kept_while_the_service_was_away_has_its_own_time(monkeypatch, tmp_path):
    port, told = free_port(), []
    amazon_environment(monkeypatch, f"http://127.0.0.1:{port}", tmp_path)
    sink = opened(("rl_score",), interval_seconds=1.2, told=told)
    began = time.time()
    sink.write({"rl_score": 1.0}, 1, 1.0)
    eventually(lambda: told)
    assert told[0].startswith("CloudWatch fails (Could not connect to the endpoint URL")
    time.sleep(1.2)
    sink.write({"rl_score": 2.0}, 2, 2.0)
    eventually(lambda: len(sink._batched._waiting) == 2)
    came_back = time.time()
    with amazon(port) as service:
        eventually(lambda: told[1:] == ["CloudWatch works again"])
        sink.close()
        found = points(service, "rl_score", "Sum")
    assert [point["Sum"] for point in found] == [1.0, 2.0]
    assert all(began <= point["Timestamp"].timestamp() <= came_back for point in found)
    assert sink.dropped == 0


def test_throttling_delays(service):
    service.throttled, told = 3, []
    sink = opened(told=told)
    sink.write(ROW, 1, 1.0)
    sink.close()
    assert len(service.requests) == 4
    assert len(points(service, "rl_score", "Sum")) == 1
    assert "Rate exceeded" in told[0]
    assert sink.dropped == 0


def test_rows_do_not_wait_for_a_service_that_hangs(service):
    service.gate.clear()
    sink = opened(interval_seconds=0.05)
    sink.write(ROW, 1, 1.0)
    eventually(lambda: service.blocked)
    for step in range(100):
        sink.write(ROW, step, 1.0)
    assert not service.gate.is_set()
    assert service.blocked == 1
    service.gate.set()
    sink.close()
    assert sum(point["SampleCount"] for point in points(service, "rl_score", "SampleCount")) == 101


def test_closing_ends_though_the_service_hangs(service):
    service.gate.clear()
    sink = opened(deadline_seconds=0.3)
    sink.write(ROW, 1, 1.0)
    sink.close()
    assert service.blocked
    assert sink.dropped == 2


def test_a_metric_that_is_refused_is_lost_alone(service):
    service.refused_word, told = "rl_policy_loss", []
    sink = opened((*NAMES, "rl_policy_loss", "rl_value_loss"), told=told)
    sink.write(ROW | {"rl_value_loss": 1.0}, 1, 1.0)
    sink.close()
    service.refused_word = None
    for name in (*NAMES, "rl_value_loss"):
        assert len(points(service, name, "Sum")) == 1
    assert points(service, "rl_policy_loss", "Sum") == []
    assert sink.dropped == 1
    assert "The value is invalid" in told[0]


def test_what_cloudwatch_cannot_take_is_not_sent(service):
    destination, sample = CloudWatch("Slipway", RUN, 60.0), catalogue.parse("rl_score")
    now = time.time()
    found = [
        Point(sample, now - 15 * 86_400, 1, 1.0, 1.0, 1.0, 1.0),
        Point(sample, now, 1, 2.0**361, 2.0**361, 2.0**361, 2.0**361),
        Point(sample, now, 1, 7.0, 7.0, 7.0, 7.0),
    ]
    lost = destination.send(found)
    assert lost.records == 2
    assert [point["Sum"] for point in points(service, "rl_score", "Sum")] == [7.0]
    asked = len(service.requests)
    assert destination.send(found[:2]).records == 2
    assert len(service.requests) == asked
    destination.close()


def test_points_of_less_than_a_minute_ask_for_fine_storage(service):
    point = Point(catalogue.parse("rl_score"), 1e9, 1, 1.0, 1.0, 1.0, 1.0)
    for interval_seconds, resolution in ((10.0, 1), (60.0, 60), (300.0, 60)):
        destination = CloudWatch("Slipway", RUN, interval_seconds)
        assert destination.datum(point)["StorageResolution"] == resolution
        destination.close()


def test_a_request_that_boto3_itself_refuses_counts_as_refused(service):
    destination = CloudWatch("", RUN, 60.0)
    with pytest.raises(batched.Refused) as caught:
        destination.send([Point(catalogue.parse("rl_score"), time.time(), 1, 1.0, 1.0, 1.0, 1.0)])
    assert isinstance(caught.value.__cause__, botocore.exceptions.ParamValidationError)
    destination.close()


def test_without_a_region_it_is_bad_input(service, monkeypatch):
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(BadInput) as caught:
        opened()
    assert caught.value.field == "sinks.cloudwatch.enabled"
    assert "AWS_REGION" in caught.value.cure


def test_without_credentials_it_is_bad_input(service, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(BadInput) as caught:
        opened()
    assert caught.value.field == "sinks.cloudwatch.enabled"
    assert "credentials" in caught.value.allowed


def test_a_profile_that_is_not_there_is_bad_input(service, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(BadInput) as caught:
        opened()
    assert "no-such-profile" in caught.value.allowed


def test_an_endpoint_that_others_could_read_is_bad_input(service, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://192.0.2.1:80")
    with pytest.raises(BadInput) as caught:
        opened()
    assert caught.value.field == "AWS_ENDPOINT_URL_CLOUDWATCH"
