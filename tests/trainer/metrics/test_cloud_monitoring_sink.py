"""Points to a gRPC server of Cloud Monitoring's messages and limits."""

import time

import pytest
from clouds import PROJECT, eventually, free_port, google, google_environment

from trainer.errors import BadInput
from trainer.metrics import catalogue
from trainer.metrics.catalogue import METRICS
from trainer.metrics.sinks import batched, cloud_monitoring
from trainer.metrics.sinks.cloud_monitoring import PREFIX, CloudMonitoring
from trainer.metrics.sinks.points import Point, PointsSink

RUN = "lost-sales-1"
NAMES = ("rl_score", "rl_env_steps_total")
ROW = {"iteration": 1, "rl_score": 5.0, "rl_env_steps_total": 100, "rl_policy_loss": 0.5}
SCORE = catalogue.parse("rl_score")


@pytest.fixture
def service(monkeypatch):
    with google() as service:
        google_environment(monkeypatch, service.address)
        yield service


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(batched, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(batched, "LONGEST_PAUSE_SECONDS", 0.2)


def opened(names=NAMES, interval_seconds=3600.0, told=None, **options):
    options.setdefault("deadline_seconds", 120)  # on a busy machine
    tell = (lambda text: None) if told is None else told.append
    return PointsSink("Cloud Monitoring", CloudMonitoring(None, RUN), names, interval_seconds, tell, **options)


def point(sample=SCORE, time_seconds=None, value=1.0):
    return Point(sample, time.time() if time_seconds is None else time_seconds, 1, value, value, value, value)


def values(service, name):
    return [value for key, found in service.series.items() if key[0] == PREFIX + name for _, value in found]


def test_an_interval_is_one_point_the_mean_or_the_newest_total(service):
    sink = opened()
    began = time.time()
    for number, score in enumerate((3.0, 1.0, 5.0), 1):
        sink.write({**ROW, "rl_score": score, "rl_env_steps_total": number * 100}, 100, 1.0)
    sink.close()
    assert service.calls.count("CreateTimeSeries") == 1
    assert values(service, "rl_score") == [3.0]
    assert values(service, "rl_env_steps_total") == [300.0]
    assert len(service.series) == 2
    (kind, labels, resource), ((end, _),) = next(iter(service.series.items()))
    assert (kind, labels) == (f"{PREFIX}rl_score", ())
    assert dict(resource) == {
        "project_id": PROJECT,
        "location": "global",
        "namespace": "slipway",
        "job": RUN,
        "task_id": "trainer",
    }
    assert began <= end <= time.time()


def test_a_namespace_tells_runs_of_one_name_apart(service):
    for namespace in ("slipway-dev", "slipway-prod"):
        destination = CloudMonitoring(None, RUN, namespace)
        destination.send([point()])
        destination.close()
    assert {dict(resource)["namespace"] for _, _, resource in service.series} == {"slipway-dev", "slipway-prod"}


def test_descriptors_are_made_once_with_what_the_catalogue_says(service):
    names = catalogue.chosen(["all"])
    sink = opened(names, interval_seconds=0.05)
    row = {}
    for metric in METRICS:
        if metric.name in names:
            row[catalogue.sample_key(metric.name, **dict.fromkeys(metric.labels, "a"))] = 1.0
    for _ in range(3):
        before = service.calls.count("CreateTimeSeries")
        sink.write(row, 1, 1.0)
        eventually(lambda before=before: service.calls.count("CreateTimeSeries") > before)
    sink.close()
    assert service.calls.count("CreateMetricDescriptor") == len(names) == len(service.descriptors)
    for name in names:
        metric, found = catalogue.BY_NAME[name], service.descriptors[PREFIX + name]
        assert found.description == metric.help
        assert found.unit == cloud_monitoring.UNITS[metric.unit]
        assert [label.key for label in found.labels] == list(metric.labels)
        assert (found.metric_kind, found.value_type) == (found.GAUGE, found.DOUBLE)


def test_a_descriptor_that_differs_stays_and_points_go_all_the_same(service):
    kind = f"{PREFIX}rl_score"
    service.descriptors[kind] = old = cloud_monitoring.descriptor(catalogue.BY_NAME["rl_policy_loss"])
    service.fixed.add(kind)
    sink = opened()
    sink.write(ROW, 1, 1.0)
    sink.close()
    assert service.descriptors[kind] is old
    assert values(service, "rl_score") == [5.0]
    assert sink.dropped == 0


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_a_unit(metric):
    expected = {"seconds": "s", "steps_per_second": "{step}/s", "usd": "{USD}", "ratio": "1", "": "1"}
    expected |= {"bytes": "By", "watts": "W"}
    unit = cloud_monitoring.UNITS[metric.unit]
    assert unit == expected.get(metric.unit, f"{{{metric.unit.removesuffix('s')}}}")


def test_points_of_a_series_are_five_seconds_apart_and_go_one_in_a_request(service):
    """The server refuses what is nearer; the last interval of a run is as short as it happens to be."""
    destination = CloudMonitoring(None, RUN)
    now = time.time()
    steps = catalogue.parse("rl_env_steps_total")
    found = [point(SCORE, now - 30), point(steps, now - 30), point(SCORE, now - 20), point(SCORE, now - 19)]
    assert destination.fits(found) == 2
    for part in (found[:2], found[2:3], found[3:]):
        assert destination.send(part).records == 0
    (score, _) = service.series.values()
    ends = [end - now for end, _ in score]
    assert ends == pytest.approx([-30, -20, -15], abs=0.001)
    destination.close()


def test_a_request_has_at_most_two_hundred_series(service):
    destination = CloudMonitoring(None, RUN)
    phases = [catalogue.parse(catalogue.sample_key("rl_phase_duration_seconds", phase=f"p{i}")) for i in range(450)]
    found = [point(sample) for sample in phases]
    while found:
        count = destination.fits(found)
        destination.send(found[:count])
        found = found[count:]
    assert service.calls.count("CreateTimeSeries") == 3
    assert len(service.series) == 450
    destination.close()


def test_what_was_kept_while_the_service_was_away_has_its_own_time(monkeypatch):
    port, told = free_port(), []
    google_environment(monkeypatch, f"http://127.0.0.1:{port}")
    sink = opened(("rl_score",), interval_seconds=5.0, told=told)
    began = time.time()
    sink.write({"rl_score": 1.0}, 1, 1.0)
    eventually(lambda: told)
    sink.write({"rl_score": 2.0}, 2, 2.0)
    eventually(lambda: len(sink._batched._waiting) == 2)
    came_back = time.time()
    with google(port) as service:
        eventually(lambda: told[1:] == ["Cloud Monitoring works again"])
        sink.close()
        assert values(service, "rl_score") == [1.0, 2.0]
        ((first, _), (second, _)) = next(iter(service.series.values()))
    assert began < first < second <= came_back
    assert second - first >= 4.999
    assert sink.dropped == 0


def test_an_outage_delays(service):
    service.unavailable, told = 3, []
    sink = opened(told=told)
    sink.write(ROW, 1, 1.0)
    sink.close()
    assert values(service, "rl_score") == [5.0]
    assert "currently unavailable" in told[0]
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
    assert values(service, "rl_score")
    assert sink.dropped == 0


def test_closing_ends_though_the_service_hangs(service):
    service.gate.clear()
    sink = opened(deadline_seconds=0.3)
    sink.write(ROW, 1, 1.0)
    sink.close()
    assert service.blocked
    assert sink.dropped == 2


def test_points_that_are_refused_are_counted_and_the_others_stay(service):
    """A run that was stopped and goes on at once: its first points may be too near to the last ones."""
    first, told = CloudMonitoring(None, RUN), []
    now = time.time()
    first.send([point(SCORE, now + 3)])
    first.close()
    sink = opened(told=told)
    sink.write(ROW, 1, 1.0)
    sink.close()
    assert values(service, "rl_score") == [1.0]
    assert values(service, "rl_env_steps_total") == [100.0]
    assert sink.dropped == 1
    assert service.calls.count("CreateTimeSeries") == 2
    assert "One or more TimeSeries could not be written" in told[0]


def test_what_is_older_than_a_day_is_not_sent(service):
    destination = CloudMonitoring(None, RUN)
    assert destination.send([point(time_seconds=time.time() - 26 * 3600)]).records == 1
    assert service.calls == []
    destination.close()


def test_without_credentials_it_is_bad_input(monkeypatch, tmp_path):
    monkeypatch.delenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING", raising=False)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with pytest.raises(BadInput) as caught:
        opened()
    assert caught.value.field == "sinks.cloud_monitoring.enabled"
    assert "credentials" in caught.value.allowed


def test_credentials_that_cannot_be_read_are_bad_input(monkeypatch, tmp_path):
    monkeypatch.delenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING", raising=False)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "nothing.json"))
    with pytest.raises(BadInput) as caught:
        opened()
    assert "nothing.json was not found" in caught.value.allowed


def test_without_a_project_it_is_bad_input(service, monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    with pytest.raises(BadInput) as caught:
        opened()
    assert caught.value.field == "sinks.cloud_monitoring.project"


def test_an_endpoint_that_others_could_read_is_bad_input(service, monkeypatch):
    monkeypatch.setenv("CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING", "http://192.0.2.1:80/")
    with pytest.raises(BadInput) as caught:
        opened()
    assert caught.value.field == "CLOUDSDK_API_ENDPOINT_OVERRIDES_MONITORING"
