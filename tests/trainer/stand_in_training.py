"""Something that writes to a run directory as a training does, without learning anything."""

import json
import shutil

from trainer.run import files
from trainer.store.mirror import Mirror, Pace, Patience
from trainer.store.snapshot import walk

QUICK = Pace(
    patience=Patience(dead_after_seconds=0.05, look_seconds=0.01),
    beat_seconds=3600,
    first_pause_seconds=0.001,
    kept_seconds=0,
)
"""For stores in memory. The heart beats once: what a run calls is then the same each time."""


class StandIn:
    """A training in a folder, from its start or from where the folder stands."""

    def __init__(self, folder, word="a"):
        self.folder, self.word = folder, word
        self.steps = sorted(int(path.name) for path in folder.glob("checkpoints/*")) if folder.is_dir() else []

    def begin(self):
        self.folder.mkdir(parents=True)
        files.write(self.folder / "run.yaml", b"agent: {}\n")
        files.write_json(self.folder / "status.json", {"state": "queued", "step": None})
        (self.folder / ".lock").write_text("process 1")
        return self

    def train(self):
        """One iteration with a checkpoint; returns its step."""
        step = (self.steps[-1] if self.steps else 0) + 1
        checkpoints = self.folder / "checkpoints"
        aside = checkpoints / f".writing-{step}"
        aside.mkdir(parents=True)
        (aside / "tensors").write_bytes(f"{self.word} weights of step {step}".encode() * 10)
        (aside / "manifest.json").write_text(json.dumps({"step": step}))
        aside.rename(checkpoints / f"{step:04d}")
        self.steps.append(step)
        for old in self.steps[:-3]:
            shutil.rmtree(checkpoints / f"{old:04d}", ignore_errors=True)
        self.log(step)
        files.write_json(self.folder / "status.json", {"state": "running", "step": step})
        return step

    def log(self, step):
        """What only grows."""
        (self.folder / "events").mkdir(exist_ok=True)
        for path in (self.folder / "metrics.jsonl", self.folder / "events" / "events.1"):
            with path.open("a") as file:
                file.write(json.dumps({"step": step, "by": self.word}) + "\n")

    def finish(self, state="finished"):
        """The last files."""
        files.write_json(self.folder / "status.json", {"state": state, "step": self.steps[-1]})
        files.write(self.folder / "report.html", b"<html>" + self.word.encode())


def content(folder):
    """All that a run is, by path."""
    return {path: found.read_bytes() for path, found in walk(folder)}


def continued(objects, folder, *, word="b", commits=1, told=None, take_over=True):
    """Another machine takes the run, restores it, and commits some steps: the mirror, and what the run was at each."""
    mirror = Mirror.take(objects, "run", folder, take_over=take_over, pace=QUICK, told=told)
    mirror.restore()
    states = [content(folder)]
    training = StandIn(folder, word)
    for _ in range(commits):
        mirror.snapshot(training.train())
        states.append(content(folder))
        assert mirror.wait(20)
        mirror.check()
    return mirror, states
