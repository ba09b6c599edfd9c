"""Pictures of the lost-sales task: one state as bars, a policy as a heatmap."""

from typing import Any

import numpy as np
import numpy.typing as npt

from envs import drawing
from envs.inventory import exact

SELDOM = 1e-6
"""States that a policy meets in a smaller share of the periods are left out of its picture."""
HEIGHT, WIDTH, MARGIN = 200, 300, 20


def bars(units: npt.NDArray[np.float32], demand_mean_units: float) -> drawing.Picture:
    """Stock on hand (blue) and orders on the way (grey, soonest first), against the mean demand (orange line)."""
    picture = drawing.blank(HEIGHT, WIDTH)
    scale = (HEIGHT - 2 * MARGIN) / max(4 * demand_mean_units, float(units.max()))
    pitch = (WIDTH - 2 * MARGIN) / len(units)
    for index, count in enumerate(units):
        colour = drawing.GREY if index else drawing.BLUE
        height = float(count) * scale
        left = MARGIN + (index + 0.1) * pitch
        drawing.rectangle(picture, left, HEIGHT - MARGIN - height, 0.8 * pitch, height, colour)
    drawing.rectangle(picture, MARGIN, HEIGHT - MARGIN, WIDTH - 2 * MARGIN, 2, drawing.INK)
    line = HEIGHT - MARGIN - demand_mean_units * scale
    drawing.rectangle(picture, MARGIN, line, WIDTH - 2 * MARGIN, 2, drawing.ORANGE)
    return picture


def policy_picture(grid: exact.PolicyGrid) -> dict[str, Any] | None:
    """A policy's orders by stock on hand (rows) and on the way (columns), each in its most usual pipeline."""
    chain = grid.chain()
    if chain is None:
        return None
    share = exact.shares(chain)
    usual = np.argsort(share, kind="stable")  # so that the most usual state of a cell is written last
    usual = usual[share[usual] > SELDOM]
    on_hand = chain.states[usual, 0]
    on_the_way = chain.states[usual, 1:].sum(1)
    rows, columns = range(on_hand.min(), on_hand.max() + 1), range(on_the_way.min(), on_the_way.max() + 1)
    values: list[list[int | None]] = [[None] * len(columns) for _ in rows]
    for y, x, order in zip(on_hand, on_the_way, chain.orders[usual], strict=True):
        values[y - rows.start][x - columns.start] = int(order)
    return {
        "kind": "heatmap",
        "title": "What the policy orders",
        "x_label": "units on the way",
        "y_label": "units on hand",
        "value_label": "units ordered",
        "x": list(columns),
        "y": list(rows),
        "values": values,
        "note": "Each cell shows the most usual of the states that it stands for;"
        " cells that the policy hardly ever meets are empty.",
    }
