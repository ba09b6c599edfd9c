"""Pictures of the supply chain: one state as bars, a policy as a heatmap."""

from typing import Any

import numpy as np
import numpy.typing as npt

from envs import drawing

HEIGHT, WIDTH, MARGIN = 200, 300, 20
CELL_UNITS = 10
"""Units that a row of the heatmap spans."""

Floats = npt.NDArray[np.float32]


def bars(on_hand: Floats, on_the_way: Floats, owed: Floats, full_units: float) -> drawing.Picture:
    """Of each stage, retailer first: stock on hand (blue), on the way to it (grey), and what it owes (orange)."""
    picture = drawing.blank(HEIGHT, WIDTH)
    scale = (HEIGHT - 2 * MARGIN) / max(full_units, *(float(units.max()) for units in (on_hand, on_the_way, owed)))
    pitch = (WIDTH - 2 * MARGIN) / len(on_hand)
    for stage, counts in enumerate(zip(on_hand, on_the_way, owed, strict=False)):
        for index, (count, colour) in enumerate(zip(counts, (drawing.BLUE, drawing.GREY, drawing.ORANGE), strict=True)):
            height = float(count) * scale
            left = MARGIN + (stage + 0.1 + 0.27 * index) * pitch
            drawing.rectangle(picture, left, HEIGHT - MARGIN - height, 0.25 * pitch, height, colour)
    drawing.rectangle(picture, MARGIN, HEIGHT - MARGIN, WIDTH - 2 * MARGIN, 2, drawing.INK)
    return picture


def policy_picture(positions: Floats, orders: Floats) -> dict[str, Any]:
    """The mean order of stage 0 by period (columns) and by what it has, awaits and owes (rows).

    Args:
        positions: units on hand and on the way less units owed, [T, N].
        orders: units ordered there, [T, N].
    """
    cells = np.floor(positions / CELL_UNITS).astype(np.int64)
    rows = range(int(cells.min()), int(cells.max()) + 1)
    values: list[list[float | None]] = [[None] * len(cells) for _ in rows]
    for period, (cell, order) in enumerate(zip(cells, orders, strict=True)):
        for row in np.unique(cell):
            values[row - rows.start][period] = round(float(order[cell == row].mean()), 1)
    return {
        "kind": "heatmap",
        "title": "What stage 0, which serves the customers, orders",
        "x_label": "period",
        "y_label": "units on hand and on the way, less units owed",
        "value_label": "units ordered",
        "x": list(range(1, len(cells) + 1)),
        "y": [row * CELL_UNITS for row in rows],
        "values": values,
        "note": f"Means over episodes, in steps of {CELL_UNITS} units; cells that the policy did not meet are empty.",
    }
