"""The thread that asks: what it passes on, and that nothing which fails in it reaches the training."""

import re
import threading
import time

import pytest
from metadata_servers import ComputeMetadata, InstanceMetadata, ec2_mock, free_port, wait_for

from trainer.config.preemption import Preemption as Settings
from trainer.preemption import Notice, Preemption, machine, metadata
from trainer.preemption.ec2 import EC2, VARIABLE

SPOT = "spot/instance-action"
NOTICE = '{"action": "terminate", "time": "2030-01-01T00:00:00Z"}'


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(EC2, "pause_seconds", 0.05)
    monkeypatch.setattr(metadata, "TIMEOUT_SECONDS", 0.2)


def watching(told, **settings):
    return Preemption(Settings(**{"watch": "ec2", **settings}), told.append)


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "preemption"]


def test_a_notice_of_aws_own_mock_is_a_wish_to_stop_and_is_told(monkeypatch):
    told = []
    with ec2_mock("spot", "--rebalance-delay-sec", 3600) as address:
        monkeypatch.setenv(VARIABLE, address)
        with watching(told) as preemption:
            notice = wait_for(lambda: preemption.received)
    assert notice.deadline is not None
    assert told == [f"{notice.reason}; saving"]
    assert not preemption.save_requested()


def test_a_recommendation_asks_once_for_a_checkpoint(monkeypatch):
    told = []
    with ec2_mock("spot", "--mock-delay-sec", 3600, "--rebalance-delay-sec", 0) as address:
        monkeypatch.setenv(VARIABLE, address)
        with watching(told) as preemption:
            wait_for(preemption.save_requested)
            time.sleep(0.5)  # ten more rounds
            assert not preemption.save_requested()
            assert preemption.received is None
    assert len(told) == 1
    assert told[0].endswith("; saving a checkpoint and going on")


def test_compute_engine_is_watched_too():
    told = []
    with ComputeMetadata() as server, watching(told, watch="compute-engine") as preemption:
        server.failures = 1
        wait_for(lambda: len(server.asked) > 2)
        server.set("preempted", "TRUE")
        notice = wait_for(lambda: preemption.received)
    assert told[-1] == f"{notice.reason}; saving"
    assert not threads()


@pytest.mark.parametrize(
    ("mood", "reason"),
    [
        ("hangs", "timed out"),
        ("500", "HTTP status 500 for a token"),
        ("nonsense", "HTTP status 401|Expecting|codec|header"),
        ("redirects", "HTTP status 302"),
        ("hangs up", "without response"),
    ],
)
def test_a_service_that_breaks_is_told_of_once_and_asked_again(mood, reason):
    told = []
    with InstanceMetadata(**{SPOT: NOTICE}) as service:
        service.mood = mood
        with watching(told) as preemption:
            asked = len(service.asked)
            wait_for(lambda: len(service.asked) > asked + 8)
            assert preemption.received is None
            service.mood = "well"
            wait_for(lambda: preemption.received)
    assert len(told) == 2
    assert told[0].startswith(f"EC2's metadata service at http://{service.address} gives no answer (")
    assert told[0].endswith("); training goes on, and it is asked again")
    assert re.search(reason, told[0]), told[0]


def test_a_service_that_nobody_offers_is_told_of_once(monkeypatch):
    told, port = [], free_port()
    monkeypatch.setenv(VARIABLE, f"http://127.0.0.1:{port}")
    with watching(told) as preemption:
        wait_for(lambda: told)
        with ec2_mock("spot", "--rebalance-delay-sec", 3600, port=port):
            wait_for(lambda: preemption.received)
    assert len(told) == 2
    assert "Connection refused" in told[0]


def test_a_fault_or_two_of_a_service_that_answers_are_not_worth_a_word():
    told = []
    with InstanceMetadata() as service, watching(told):
        wait_for(lambda: len(service.asked) > 5)
        service.failures = 8  # each of the four questions twice
        asked = len(service.asked)
        wait_for(lambda: len(service.asked) > asked + 16)
        assert (service.failures, told) == (0, [])
        service.failures = 12
        wait_for(lambda: told)


@pytest.mark.parametrize("text", ["{}", "[]", "null", "soon", '{"action": "stop", "time": 5}'])
def test_nonsense_about_one_thing_leaves_the_others_watched(text):
    told = []
    items = {SPOT: text, "autoscaling/target-lifecycle-state": "Terminated"}
    with InstanceMetadata(**items), watching(told) as preemption:
        notice = wait_for(lambda: preemption.received)
        wait_for(lambda: len(told) == 2)
    assert "autoscaling" in notice.reason
    assert re.search(r"gives no answer \((KeyError|TypeError|JSONDecodeError): ", told[1])


def test_no_proxy_is_asked_for_an_address_of_the_machine_itself(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with InstanceMetadata(**{SPOT: NOTICE}), watching([]) as preemption:
        wait_for(lambda: preemption.received)


def test_leaving_is_prompt_while_a_service_hangs(monkeypatch):
    monkeypatch.setattr(metadata, "TIMEOUT_SECONDS", 60.0)
    told = []
    with InstanceMetadata() as service:
        service.mood = "hangs"
        with watching(told):
            wait_for(lambda: service.asked)
            began = time.monotonic()
        assert time.monotonic() - began < 0.9
        assert not threads()
    assert told == []


@pytest.mark.parametrize(("cloud", "asked"), [("ec2", True), (None, False)])
def test_auto_asks_the_cloud_of_the_machine_and_nobody_on_a_laptop(monkeypatch, cloud, asked):
    monkeypatch.setattr(machine, "cloud", lambda: cloud)
    with InstanceMetadata() as service:
        with watching([], watch="auto"):
            if asked:
                wait_for(lambda: service.asked)
            else:
                wait_for(lambda: not threads())
        assert bool(service.asked) is asked


def test_none_starts_no_thread():
    with watching([], watch="none"):
        assert not threads()


def test_an_address_that_is_none_is_told_and_the_training_goes_on(monkeypatch):
    monkeypatch.setenv(VARIABLE, "nowhere")
    told = []
    with watching(told):
        wait_for(lambda: told)
    assert told == [
        f"{VARIABLE}: 'nowhere' is no address such as http://127.0.0.1:1338;"
        " training goes on without notices of the cloud"
    ]


def test_of_several_ends_the_first_counts():
    told = []
    preemption = watching(told)
    for reason in ("one", "two"):
        preemption.heed(Notice(reason))
    preemption.heed(Notice("three", stops=False))
    assert preemption.received.reason == "one"
    assert told == ["one; saving"]
