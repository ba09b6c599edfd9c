"""Records in a thread: nobody waits, nothing within the bound is lost, what is lost is counted."""

import threading
import time

import pytest
from clouds import eventually

from trainer.metrics.sinks import batched
from trainer.metrics.sinks.batched import Batched, Lost, Refused


class Service:
    """Takes up to three numbers at a time, unless told otherwise."""

    def __init__(self):
        self.taken, self.requests, self.told = [], [], []
        self.down, self.bad, self.partial = False, set(), set()
        self.gate, self.blocked, self.closed = threading.Event(), threading.Event(), False
        self.gate.set()

    def fits(self, records):
        return min(3, len(records))

    def send(self, records):
        self.requests.append(list(records))
        if not self.gate.is_set():
            self.blocked.set()
            self.gate.wait()
        if self.down:
            raise ConnectionError("no route to host")
        if self.bad & set(records):
            raise Refused("one is bad")
        self.taken += [record for record in records if record not in self.partial]
        return Lost(len(self.partial & set(records)), "partly")

    def close(self):
        self.closed = True


@pytest.fixture
def service():
    service = Service()
    yield service
    service.gate.set()


def opened(service, most=100, interval_seconds=0.01, **options):
    options.setdefault("deadline_seconds", 120)  # on a busy machine
    return Batched("Cloud", service, service.told.append, interval_seconds=interval_seconds, most=most, **options)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(batched, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(batched, "LONGEST_PAUSE_SECONDS", 0.05)


def test_records_go_in_order_as_many_as_fit(service):
    sender = opened(service, interval_seconds=3600)
    for number in range(7):
        sender.put(number)
    sender.close()
    assert service.requests == [[0, 1, 2], [3, 4, 5], [6]]
    assert service.taken == list(range(7))
    assert (sender.dropped, service.told, service.closed) == (0, [], True)


def test_they_go_without_closing_too(service):
    sender = opened(service)
    sender.put(1)
    eventually(lambda: service.taken == [1])
    sender.put(2)
    eventually(lambda: service.taken == [1, 2])
    sender.close()


def test_what_an_outage_holds_back_goes_in_order_when_it_ends(service, impatient):
    service.down = True
    sender = opened(service)
    for number in range(10):
        sender.put(number)
    eventually(lambda: len(service.requests) >= 5)
    assert service.taken == []
    service.down = False
    eventually(lambda: service.taken == list(range(10)))
    sender.close()
    assert sender.dropped == 0
    assert service.told == [
        "Cloud fails (no route to host); training goes on, and what is not sent waits for it",
        "Cloud works again",
    ]


def test_beyond_the_bound_the_oldest_go_and_are_counted(service, impatient):
    service.down = True
    sender = opened(service, most=4)
    for number in range(10):
        sender.put(number)
    assert sender.dropped == 6
    service.down = False
    sender.close()
    # What was on its way when newer ones came stays; of the others the newest are there.
    assert len(service.taken) == 4
    assert service.taken[-1] == 9
    assert service.taken == sorted(service.taken)
    assert sender.dropped == 6


def test_what_is_on_its_way_is_not_pushed_out(service):
    service.gate.clear()
    sender = opened(service, most=4)
    for number in range(3):
        sender.put(number)
    service.blocked.wait(60)
    on_its_way = len(service.requests[0])
    for number in range(3, 10):
        sender.put(number)
    service.gate.set()
    sender.close()
    assert service.taken[:on_its_way] == list(range(on_its_way))
    assert service.taken[-1] == 9
    assert len(service.taken) == 4
    assert sender.dropped == 6


def test_nobody_waits_for_a_service_that_hangs(service):
    service.gate.clear()
    sender = opened(service)
    sender.put(0)
    assert service.blocked.wait(60)
    for number in range(1, 50):
        sender.put(number)
    assert not service.gate.is_set()  # all returned while the service had not answered
    assert service.taken == []
    service.gate.set()
    sender.close()
    assert service.taken == list(range(50))


def test_closing_gives_up_at_its_deadline(service):
    service.gate.clear()
    sender = opened(service, deadline_seconds=0.2)
    for number in range(5):
        sender.put(number)
    service.blocked.wait(60)
    sender.close()  # a service that never answers: it returns all the same
    assert not service.gate.is_set()
    assert sender.dropped == 5
    sender.put(6)
    assert sender.dropped == 6
    sender.close()
    service.gate.set()
    eventually(lambda: service.closed)
    assert sender.dropped == 6


def test_closing_tries_again_until_its_deadline(service, impatient):
    service.down = True
    sender = opened(service, deadline_seconds=60)
    sender.put(1)
    eventually(lambda: service.told)
    threading.Timer(0.3, lambda: setattr(service, "down", False)).start()
    sender.close()
    assert service.taken == [1]
    assert sender.dropped == 0


def test_a_refused_record_is_lost_alone(service):
    service.bad = {4}
    sender = opened(service, interval_seconds=3600)
    for number in range(9):
        sender.put(number)
    sender.close()
    assert service.taken == [0, 1, 2, 3, 5, 6, 7, 8]
    assert sender.dropped == 1
    assert service.told == ["Cloud refuses some of what it is sent (one is bad); training goes on"]


def test_all_refused_are_lost_and_the_next_are_not(service):
    service.bad = set(range(6))
    sender = opened(service, interval_seconds=3600)
    for number in range(8):
        sender.put(number)
    sender.close()
    assert service.taken == [6, 7]
    assert sender.dropped == 6
    assert len(service.told) == 1


def test_partly_refused_requests_are_not_sent_again(service):
    service.partial = {1}
    sender = opened(service, interval_seconds=3600)
    for number in range(3):
        sender.put(number)
    sender.close()
    assert service.requests == [[0, 1, 2]]
    assert service.taken == [0, 2]
    assert sender.dropped == 1


def test_records_are_gathered_at_each_turn_and_at_the_end(service):
    numbers = iter(range(1000))
    sender = opened(service, gather=lambda: [next(numbers)])
    eventually(lambda: len(service.taken) >= 3)
    sender.close()
    taken = list(service.taken)
    assert taken == list(range(len(taken)))
    assert next(numbers) == len(taken)


def test_pauses_grow_to_a_bound_with_chance_in_them(service):
    sender = opened(service, interval_seconds=3600)
    pauses = [sender._failed(OSError("away")) for _ in range(40)]
    for failures, pause in enumerate(pauses):
        longest = min(2.0**failures, batched.LONGEST_PAUSE_SECONDS)
        assert longest / 2 <= pause <= longest
    assert len({pause / batched.LONGEST_PAUSE_SECONDS for pause in pauses[-20:]}) > 1
    assert len(service.told) == 1
    sender.close()


def test_while_pausing_records_are_still_gathered_with_their_own_time(service):
    """The pause after a failure is longer than a turn."""
    service.down = True
    gathered = []

    def gather():
        gathered.append(time.monotonic())
        return [len(gathered)]

    sender = opened(service, gather=gather)
    eventually(lambda: len(gathered) >= 10)
    assert len(service.requests) < 10
    service.down = False
    sender.close()
    assert service.taken == list(range(1, len(gathered) + 1))
