"""A run's whole life on each kind of place: begun, killed, taken over, finished, checked and fetched."""

import pytest
from stand_in_training import QUICK, StandIn, content

from trainer.errors import BadInput
from trainer.run.status import State
from trainer.store import shared
from trainer.store.journal import Superseded
from trainer.store.mirror import Mirror
from trainer.store.objects.places import place
from trainer.store.told import Told
from trainer.store.verify import verify


def test_a_run_on_a_place_of_this_kind(uri, tmp_path):
    commits = []
    told = Told(committed=lambda step, number: commits.append((step, number)))
    first = StandIn(tmp_path / "a").begin()
    zombie = Mirror.create(place(uri), "run", tmp_path / "a", pace=QUICK, told=told)
    for _ in range(5):
        zombie.snapshot(first.train())
        assert zombie.wait(60)
        zombie.check()
    assert commits == [(step, step + 1) for step in range(1, 6)]
    committed = content(tmp_path / "a")
    with pytest.raises(BadInput, match="--run-id"):
        Mirror.create(place(uri), "run", tmp_path / "a2", pace=QUICK)

    said = []
    mirror = Mirror.take(place(uri), "run", tmp_path / "b", pace=QUICK, told=Told(said.append))
    assert "has not said that it stopped" in said[0]
    mirror.restore()
    assert content(tmp_path / "b") == committed
    second = StandIn(tmp_path / "b", "b")
    for _ in range(4):
        mirror.snapshot(second.train())
        assert mirror.wait(60)
    zombie.snapshot(first.train())
    assert zombie.wait(60)
    with pytest.raises(Superseded):
        zombie.check()
    zombie.abandon()
    assert len(commits) == 5
    second.finish()
    mirror.close(State.FINISHED)

    assert shared.runs(place(uri)) == ["run"]
    found = verify(place(uri), "run")
    assert found.whole
    assert found.files == len(content(tmp_path / "b"))
    assert shared.read_file(place(uri), "run", "status.json") == (tmp_path / "b" / "status.json").read_bytes()
    shared.pull(place(uri), "run", tmp_path / "c")
    assert content(tmp_path / "c") == content(tmp_path / "b")
    keys = {found.key.split("/")[1] for found in place(uri).keys("run/")}
    assert {"report.html", "metrics.jsonl", "journal", "objects"} <= keys
    assert not {"checkpoints", "heartbeat"} & keys
