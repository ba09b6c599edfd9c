"""Instances in JSPLIB's text format (https://github.com/tamy0612/JSPLIB), read strictly. Imports no TensorFlow.

Lines that begin with `#` are comments. The first other line holds the numbers of jobs and machines. Then each job has a
line of pairs: a machine, counted from 0, and how long the operation takes there, in the order of the job's operations.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from envs.jobshop.schedule import Instance

MOST_JOBS = MOST_MACHINES = 100
MOST_WORK = (1 << 24) - 1
"""All durations together: up to here float32 counts every unit of time exactly."""


class Malformed(ValueError):
    """A text that is no instance.

    Attributes:
        line: of the fault, from 1 on.
        column: of the fault, from 1 on.
        found: what stands there.
        allowed: what may stand there, in words.
    """

    def __init__(self, line: int, column: int, found: str, allowed: str) -> None:
        self.line, self.column, self.found, self.allowed = line, column, found, allowed
        super().__init__(f"line {line}, column {column}: {found!r}; allowed: {allowed}")


class _Token(NamedTuple):
    line: int
    column: int
    text: str

    def number(self, low: int, high: int, meaning: str) -> int:
        """The whole number that stands here.

        Raises:
            Malformed: if there is none, or it is out of bounds.
        """
        # The length first: a number of a million digits takes Python minutes to read.
        if re.fullmatch(r"[0-9]{1,18}", self.text) and low <= int(self.text) <= high:
            return int(self.text)
        raise Malformed(self.line, self.column, self.text, f"{meaning}, a whole number from {low} to {high}")

    def refused(self, allowed: str) -> Malformed:
        return Malformed(self.line, self.column, self.text, allowed)


END = "the end of the line"


def parse(text: str) -> Instance:
    """The instance that a text describes.

    Raises:
        Malformed: if it describes none, with the place of the first fault.
    """
    lines = _lines(text)
    last = text.count("\n") + 1
    header = next(lines, [_Token(last, 1, "the end of the text")])
    jobs = header[0].number(1, MOST_JOBS, "the number of jobs")
    machines = header[1].number(1, MOST_MACHINES, "the number of machines")
    _ends(header, 2)
    pairs = np.zeros((jobs, machines, 2), np.int64)
    work = 0
    for job in range(jobs):
        line = next(lines, None)
        if line is None:
            raise Malformed(last, 1, "the end of the text", f"a line for each of {jobs} jobs; there are {job}")
        free = set(range(machines))
        for operation in range(machines):
            at, length = line[min(2 * operation, len(line) - 1)], line[min(2 * operation + 1, len(line) - 1)]
            machine = at.number(0, machines - 1, f"machine of operation {operation + 1} of {machines}")
            if machine not in free:
                raise at.refused(f"each machine once a job; not yet used: {', '.join(map(str, sorted(free)))}")
            free.remove(machine)
            duration = length.number(0, MOST_WORK - work, "how long the operation takes")
            work += duration
            pairs[job, operation] = machine, duration
        _ends(line, 2 * machines)
    for line in lines:
        raise line[0].refused(f"nothing after the lines of the {jobs} jobs")
    return Instance(pairs[..., 0].copy(), pairs[..., 1].copy())


def dump(instance: Instance) -> str:
    """The instance as a text that `parse` reads."""
    pairs = np.stack([instance.machines, instance.durations], -1).reshape(instance.jobs, -1)
    rows = [f"{instance.jobs} {instance.machine_count}", *(" ".join(map(str, row)) for row in pairs.tolist())]
    return "\n".join(rows) + "\n"


def _lines(text: str) -> Iterator[list[_Token]]:
    """The words of each line that has some, and its end."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            words = [_Token(number, found.start() + 1, found.group()) for found in re.finditer(r"\S+", line)]
            yield [*words, _Token(number, len(line.rstrip()) + 1, END)]


def _ends(line: list[_Token], words: int) -> None:
    if len(line) > words + 1:
        raise line[words].refused(END)
