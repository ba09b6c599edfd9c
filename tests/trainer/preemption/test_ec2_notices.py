"""EC2's notices, as AWS's own mock of its metadata service sends them; what that cannot do, by a server of ours."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from metadata_servers import InstanceMetadata, ec2_mock, wait_for

from trainer.preemption.ec2 import EC2, VARIABLE

SOON = timedelta(seconds=150)


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def notices(monkeypatch):
    """What each question of a watcher gets from AWS's mock with some arguments."""

    def ask(*arguments, on_rebalance="save"):
        with ec2_mock(*arguments) as address:
            monkeypatch.setenv(VARIABLE, address)
            watched = EC2(on_rebalance)
            return {question.__name__: list(question()) for question in watched.questions}

    return ask


@pytest.mark.parametrize("action", ["terminate", "stop", "hibernate"])
def test_a_spot_notice_says_when_the_machine_goes(notices, action):
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=100)
    (notice,) = notices("spot", "--action", action, "--time", stamp(at))["spot"]
    assert (notice.deadline, notice.stops) == (at, True)
    assert notice.reason.startswith(f"spot notice ({action}): this machine goes at ")
    assert f"{at:%H:%M:%S} UTC" in notice.reason


@pytest.mark.parametrize(("on_rebalance", "stops"), [("save", False), ("stop", True)])
def test_a_rebalance_recommendation_is_no_end_unless_the_run_file_says_so(notices, on_rebalance, stops):
    found = notices("spot", "--mock-delay-sec", 3600, "--rebalance-delay-sec", 0, on_rebalance=on_rebalance)
    assert {name for name, said in found.items() if said} == {"rebalance"}
    assert found["rebalance"][0].stops is stops
    assert found["rebalance"][0].deadline is None
    assert "rebalance recommendation" in found["rebalance"][0].reason


@pytest.mark.parametrize(("ahead", "stops"), [(timedelta(days=2), False), (SOON, True), (-timedelta(days=1), True)])
def test_scheduled_maintenance_saves_and_stops_when_it_is_near(notices, ahead, stops):
    begins = datetime.now(UTC).replace(microsecond=0) + ahead
    found = notices("events", "--code", "instance-stop", "--not-before", stamp(begins))
    assert {name for name, said in found.items() if said} == {"maintenance"}
    (notice,) = found["maintenance"]
    assert (notice.deadline, notice.stops) == (begins, stops)
    assert notice.reason.startswith("scheduled maintenance (instance-stop): this machine goes at ")


@pytest.mark.parametrize("arguments", [("--state", "completed"), ("--state", "canceled"), ("--not-after", "past")])
def test_maintenance_that_is_over_says_nothing(notices, arguments):
    past = stamp(datetime.now(UTC) - timedelta(hours=1))
    chosen = [past if word == "past" else word for word in arguments]
    assert notices("events", "--not-before", past, *chosen)["maintenance"] == []


def test_an_autoscaling_group_that_takes_the_machine_away_stops_the_run(notices):
    found = notices("asglifecycle")
    assert {name for name, said in found.items() if said} == {"autoscaling"}
    assert found["autoscaling"][0].stops
    assert "Terminated" in found["autoscaling"][0].reason


@pytest.mark.parametrize(
    ("state", "goes"), [("InService", False), ("Standby", False), ("Warmed:Running", False), ("Warmed:Stopped", True)]
)
def test_an_autoscaling_group_that_keeps_the_machine_says_nothing(state, goes):
    with InstanceMetadata(**{"autoscaling/target-lifecycle-state": state}):
        assert bool(list(EC2("save").autoscaling())) is goes


def test_without_a_notice_there_is_none(notices):
    assert not any(notices("spot", "--mock-delay-sec", 3600, "--rebalance-delay-sec", 3600).values())


def test_a_token_is_renewed_before_it_ends_and_when_it_is_refused():
    with InstanceMetadata(**{"autoscaling/target-lifecycle-state": "InService"}) as service:
        watched = EC2("save", token_seconds=1)
        wait_for(lambda: list(watched.autoscaling()) or len(service.tokens) == 3)
        assert {
            headers["X-aws-ec2-metadata-token-ttl-seconds"] for method, _, headers in service.asked if method == "PUT"
        } == {"1"}
        lasting = EC2("save")
        list(lasting.autoscaling())
        list(lasting.autoscaling())
        assert len(service.tokens) == 4
        service.tokens.clear()
        service.items["spot/instance-action"] = json.dumps({"action": "stop", "time": "2030-01-01T00:00:00Z"})
        (notice,) = lasting.spot()
        assert notice.deadline == datetime(2030, 1, 1, tzinfo=UTC)
        assert notice.reason == "spot notice (stop): this machine goes at 2030-01-01 00:00:00 UTC"
        assert len(service.tokens) == 1


def test_an_address_that_is_none_is_one_clear_error(monkeypatch):
    for wrong in ("localhost:1338", "https://localhost", "http://", "http://localhost:port"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(ValueError, match=f"{VARIABLE}: '{wrong}' is no address"):
            EC2("save")
