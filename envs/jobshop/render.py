"""Pictures of schedules: Gantt charts."""

import base64
import colorsys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from envs import drawing
from envs.jobshop.schedule import Instance, Integers, makespan
from envs.jobshop.shop import State

HEIGHT, WIDTH, MARGIN = 240, 480, 12
ROOM = 1.5
"""The chart is this much longer than the work of the busiest job or machine; longer where a schedule is."""


def colour(job: int, jobs: int) -> drawing.Colour:
    """A job's colour: hues around the circle, in three shades by turns, so that neighbours differ twice."""
    saturation, value = ((0.75, 0.85), (0.45, 0.95), (0.9, 0.55))[job % 3]
    red, green, blue = colorsys.hsv_to_rgb(job / jobs, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def gantt(state: State) -> drawing.Picture:
    """One row of a state, as arrays; RGB [240, 480, 3].

    A bar is an operation on its machine. The orange line is the lower bound on the makespan, the makespan itself once
    all is scheduled.
    """
    return chart(state.durations, state.starts, float(state.bound))


def schedule(instance: Instance, starts: Integers) -> drawing.Picture:
    """A whole schedule of an instance, int64 [J, M] in its order; RGB [240, 480, 3]."""
    durations, by_machine = np.empty(starts.shape), np.empty(starts.shape)
    np.put_along_axis(durations, instance.machines, instance.durations, 1)
    np.put_along_axis(by_machine, instance.machines, starts, 1)
    return chart(durations, by_machine, makespan(instance, starts))


def chart(durations: npt.NDArray[Any], starts: npt.NDArray[Any], line: float) -> drawing.Picture:
    """Bars for the operations that are scheduled, and a line at one time; RGB [240, 480, 3].

    Args:
        durations: [J, M], by machine.
        starts: likewise; negative where not scheduled.
        line: where it is, in units of time.
    """
    picture = drawing.blank(HEIGHT, WIDTH)
    jobs, machines = durations.shape
    busiest = max(durations.sum(0).max(), durations.sum(1).max(), 1.0)
    scale = (WIDTH - 2 * MARGIN) / max(ROOM * busiest, line)
    pitch = (HEIGHT - 2 * MARGIN) / machines
    gap = 1 if pitch > 4 else 0
    for machine in range(machines):
        top = MARGIN + machine * pitch
        drawing.rectangle(picture, MARGIN, top + pitch - 1, WIDTH - 2 * MARGIN, 1, drawing.GREY)
        for job in range(jobs):
            start = float(starts[job, machine])
            if start >= 0:
                left, length = MARGIN + start * scale, float(durations[job, machine]) * scale
                drawing.rectangle(picture, left, top + gap, max(length - 1, 1), pitch - 2 * gap, colour(job, jobs))
    drawing.rectangle(picture, MARGIN, MARGIN, 1, HEIGHT - 2 * MARGIN, drawing.INK)
    drawing.rectangle(picture, MARGIN + line * scale, MARGIN, 2, HEIGHT - 2 * MARGIN, drawing.ORANGE)
    return picture


def comparison(name: str, schedules: Mapping[str, State]) -> dict[str, Any]:
    """Whole schedules of one instance, as a filmstrip for a report.

    Args:
        name: of the instance.
        schedules: states of one row each, by who made them.
    """
    frames, words = [], []
    for number, (maker, state) in enumerate(schedules.items(), 1):
        row = State(*(np.asarray(part)[0] for part in state))
        frames.append(base64.b64encode(drawing.png(gantt(row))).decode("ascii"))
        words.append(f"picture {number}, {maker}: makespan {float(row.bound):g}")
    return {
        "kind": "filmstrip",
        "title": f"{name}, scheduled",
        "frames": frames,
        "note": "Machines from above, time to the right, a colour for each job; the line is the end. "
        + "; ".join(words).capitalize()
        + ".",
    }
