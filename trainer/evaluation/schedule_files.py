"""Schedules as people and programs read them: what they come to, and files of them."""

import csv
import dataclasses
import io
from pathlib import Path
from typing import Any

from envs import drawing
from envs.jobshop import library, render
from envs.jobshop.dynamics import JobShop
from envs.jobshop.schedule import Instance, Integers
from trainer.errors import SlipwayError
from trainer.run import files

KINDS = ("json", "csv", "png")


@dataclasses.dataclass(frozen=True)
class Scheduled:
    """A schedule of an instance.

    Attributes:
        name: the instance's: one that ships, or a file's without folder and ending.
        instance: the work.
        starts: int64 [J, M], in the order of `Instance`.
        makespan: in units of time.
        bound: no schedule is shorter.
        attempts: how many schedules were tried.
    """

    name: str
    instance: Instance
    starts: Integers
    makespan: int
    bound: int
    attempts: int

    @property
    def best_known(self) -> int | None:
        """The shortest makespan that the literature knows; None of an instance that does not ship."""
        return library.best_known_makespans().get(self.name)

    @property
    def gap(self) -> float | None:
        """How far the makespan lies above the best known, as a ratio; above the bound where none is known."""
        least = self.best_known or self.bound
        return self.makespan / least - 1 if least else None

    def said(self) -> dict[str, Any]:
        """What it comes to, ready for JSON."""
        return {
            "instance": self.name,
            "jobs": self.instance.jobs,
            "machines": self.instance.machine_count,
            "makespan": self.makespan,
            "lower_bound": self.bound,
            "best_known": self.best_known,
            "gap_ratio": self.gap,
            "gap_to": "best_known" if self.best_known else "lower_bound",
            "attempts": self.attempts,
        }

    def operations(self) -> list[dict[str, int]]:
        """Each operation: job, its place in the job, machine, start and end; all counted from 0, by start."""
        found = [
            {
                "job": job,
                "operation": place,
                "machine": int(self.instance.machines[job, place]),
                "start": int(start),
                "end": int(start + self.instance.durations[job, place]),
            }
            for job, row in enumerate(self.starts)
            for place, start in enumerate(row)
        ]
        return sorted(found, key=lambda one: (one["start"], one["machine"], one["job"]))

    def write(self, folder: Path) -> dict[str, str]:
        """`NAME.json`, `NAME.csv` and `NAME.png`, the Gantt chart; their paths by kind.

        Raises:
            SlipwayError: if the disk is full or fails.
        """
        paths = {kind: folder / f"{self.name}.{kind}" for kind in KINDS}
        text = io.StringIO()
        table = csv.DictWriter(text, ("job", "operation", "machine", "start", "end"), lineterminator="\n")
        table.writeheader()
        table.writerows(self.operations())
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SlipwayError(f"cannot make the folder {folder}: {error.strerror}") from error
        files.write_json(paths["json"], {**self.said(), "operations": self.operations()})
        files.write(paths["csv"], text.getvalue().encode())
        files.write(paths["png"], drawing.png(render.schedule(self.instance, self.starts)))
        return {kind: str(path) for kind, path in paths.items()}


def bound(env: JobShop, instance: Instance) -> int:
    """No schedule of the instance is shorter (`envs.jobshop.shop.bounds`)."""
    return int(env.start(instance, 1).bound.numpy()[0])
