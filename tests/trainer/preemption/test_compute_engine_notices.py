"""Compute Engine's notices, by a server that keeps to the documented protocol."""

import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from metadata_servers import FLAVOR, ComputeMetadata, wait_for

from trainer.preemption.compute_engine import ComputeEngine
from trainer.preemption.metadata import Unanswered
from trainer.preemption.notice import clock


def test_a_preemption_is_heard_the_moment_it_comes():
    with ComputeMetadata() as server:
        watched = ComputeEngine()
        assert list(watched.preempted()) == []
        assert list(watched.maintenance()) == []
        threading.Timer(0.3, server.set, ("preempted", "TRUE")).start()
        began = time.monotonic()
        (notice,) = watched.preempted()
        assert 0.25 < time.monotonic() - began < 3
        assert notice.stops
        assert timedelta(seconds=25) < notice.deadline - datetime.now(UTC) <= timedelta(seconds=30)
        assert notice.reason == f"preempted by Compute Engine: this machine goes at {clock(notice.deadline)}"
        assert {headers[FLAVOR] for _, _, headers in server.asked} == {"Google"}


def test_maintenance_by_migration_saves_and_by_termination_stops():
    with ComputeMetadata() as server:
        watched = ComputeEngine()
        assert list(watched.maintenance()) == []
        for event, stops in (("MIGRATE_ON_HOST_MAINTENANCE", False), ("TERMINATE_ON_HOST_MAINTENANCE", True)):
            server.set("maintenance-event", event)
            (notice,) = watched.maintenance()
            assert notice.stops is stops
            assert event in notice.reason
            began = time.monotonic()
            assert list(watched.maintenance()) == []  # said once
            assert time.monotonic() - began > 0.9  # the server waited
        server.set("maintenance-event", "NONE")
        assert list(watched.maintenance()) == []


def test_what_a_machine_finds_at_its_start_counts():
    with ComputeMetadata() as server:
        server.set("preempted", "TRUE")
        assert [notice.stops for notice in ComputeEngine().preempted()] == [True]


def test_a_server_that_is_busy_loses_no_notice():
    with ComputeMetadata() as server:
        watched = ComputeEngine()
        list(watched.preempted())
        server.failures = 1
        server.set("preempted", "TRUE")
        with pytest.raises(Unanswered, match="HTTP status 503 for preempted"):
            list(watched.preempted())
        assert len(list(watched.preempted())) == 1


def test_an_answer_of_somebody_else_is_none():
    with ComputeMetadata() as server:
        server.set("preempted", "TRUE")
        server.flavored = False
        with pytest.raises(Unanswered, match="Google"):
            list(ComputeEngine().preempted())


def test_closing_ends_a_question_that_waits():
    with ComputeMetadata() as server:
        watched = ComputeEngine()
        list(watched.preempted())

        def ask():
            with contextlib.suppress(OSError):
                list(watched.preempted())

        waiting = threading.Thread(target=ask)
        waiting.start()
        wait_for(lambda: len(server.asked) == 2)
        began = time.monotonic()
        watched.close()
        waiting.join()
        assert time.monotonic() - began < 2
