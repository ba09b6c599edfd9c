"""Worlds of the LiDAR navigation task: the automaton, path lengths and everything else that is surveyed beforehand."""

import numpy as np
import pytest
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from envs.navigation.lidar import paths, worlds
from envs.navigation.lidar.model import CELL_METRES, COLUMNS, GOAL_METRES, ROWS


@pytest.fixture(scope="module")
def library():
    return worlds.library()


def smoothed_by_hand(cells):
    """One step of the automaton, cell by cell: beyond the sides all is filled, beyond the ends nothing."""
    rows, columns = cells.shape
    result = cells.copy()
    for r in range(rows):
        for c in range(columns):
            count = 0
            for i in (r - 1, r, r + 1):
                for j in (c - 1, c, c + 1):
                    if (i, j) == (r, c):
                        continue
                    if not 0 <= j < columns:
                        count += 1
                    elif 0 <= i < rows:
                        count += cells[i, j]
            if count > 4:
                result[r, c] = True
            elif count < 2:
                result[r, c] = False
    return result


@pytest.mark.parametrize(("fill", "smoothing"), [(0.15, 2), (0.3, 3)])
def test_the_automaton_fills_above_four_neighbours_and_empties_below_two(fill, smoothing):
    cells = worlds.automaton(np.random.default_rng(3), 2, fill, 0)
    assert cells[:, :, [0, -1]].all()
    assert abs(cells[:, :, 1:-1].mean() - fill) < 0.05
    for _ in range(smoothing):
        cells = np.stack([smoothed_by_hand(each) for each in cells])
    np.testing.assert_array_equal(worlds.automaton(np.random.default_rng(3), 2, fill, smoothing), cells)


def test_there_are_as_many_worlds_of_each_of_the_twelve_kinds(library):
    assert len(worlds.KINDS) == 12
    assert len(library.filled) == 1500
    assert worlds.HELD_OUT_WORLDS == 300
    share = library.filled[:, 24:54, 1:-1].mean((1, 2))
    for part in (share[:1200], share[1200:]):
        by_kind = part.reshape(-1, 12).mean(0)
        assert (np.diff(by_kind.reshape(4, 3).mean(1)) > 0.02).all()  # fuller from each fill to the next


def test_no_held_out_world_is_a_training_world(library):
    seen = {world.tobytes() for world in library.filled[:1200]}
    assert len(seen) == 1200
    assert not seen & {world.tobytes() for world in library.filled[1200:]}


def test_worlds_are_closed_and_their_lanes_free(library):
    filled = library.filled
    assert filled.shape == (1500, ROWS, COLUMNS)
    assert filled[:, [0, -1]].all()
    assert filled[:, :, [0, -1]].all()
    assert not filled[:, 1:24, 1:-1].any()
    assert not filled[:, 54:-1, 1:-1].any()


def test_every_world_has_a_path_four_cells_wide(library):
    assert library.path_metres.min() > 9.999
    assert library.path_metres.max() < 20
    for field in library.filled[::100, 24:54]:
        free = np.array([[not field[r : r + 4, c : c + 4].any() for c in range(27)] for r in range(27)])
        regions, _ = ndimage.label(free)
        assert set(regions[0]) & set(regions[-1]) - {0}


def test_crossable_is_what_a_flood_fill_finds():
    fields = worlds.automaton(np.random.default_rng(1), 60, 0.25, 3)
    expected = []
    for field in fields:
        free = np.array([[not field[r : r + 4, c : c + 4].any() for c in range(27)] for r in range(27)])
        regions, _ = ndimage.label(free)
        expected.append(bool((set(regions[0]) & set(regions[-1])) - {0}))
    assert 5 < sum(expected) < 55
    np.testing.assert_array_equal(worlds.crossable(fields), expected)


def test_clearance_is_the_distance_to_the_nearest_filled_cell(library):
    generator = np.random.default_rng(0)
    for world in (3, 1400):
        rows, columns = np.nonzero(library.filled[world])
        for _ in range(50):
            r, c = generator.integers(0, ROWS + 1), generator.integers(0, COLUMNS + 1)
            away = np.hypot(
                np.maximum(np.maximum(rows - r, r - rows - 1), 0),
                np.maximum(np.maximum(columns - c, c - columns - 1), 0),
            )
            assert library.clearance[world, r, c] == pytest.approx(CELL_METRES * away.min(), abs=1e-5)


def test_free_squares_are_free_and_cannot_grow(library):
    generator = np.random.default_rng(0)
    for world in (5, 1300):
        filled = library.filled[world]
        for _ in range(200):
            r, c, quadrant = generator.integers(0, ROWS), generator.integers(0, COLUMNS), generator.integers(0, 4)
            side = int(library.squares[quadrant, world, r, c])

            def square(length, r=r, c=c, quadrant=quadrant, filled=filled):
                rows = slice(r - length + 1, r + 1) if quadrant & 2 else slice(r, r + length)
                columns = slice(c - length + 1, c + 1) if quadrant & 1 else slice(c, c + length)
                inside = min(rows.start, columns.start) >= 0 and rows.stop <= ROWS and columns.stop <= COLUMNS
                return filled[rows, columns] if inside else np.array([True])

            assert side == 0 or not square(side).any()
            assert square(side + 1).any()


def test_lengths_without_obstacles_are_straight_distances():
    survey = worlds.survey(worlds.embedded(np.zeros((1, 30, 30), bool)))
    x, y = paths.corner_positions(ROWS, COLUMNS)
    straight = np.hypot(x - GOAL_METRES[0], y - GOAL_METRES[1])
    free = survey.clearance[0] >= worlds.CLEARANCE_METRES
    error = survey.to_goal[0][free] - straight[free]
    assert error.min() > -0.02
    assert error.max() < 0.12
    assert survey.path_metres[0] == pytest.approx(10, abs=0.02)


def test_lengths_around_obstacles_lie_between_the_bounds_of_a_graph(library):
    """Paths on the graph of eight neighbours are paths, at most 8.3 % longer than the shortest.

    A path goes between two corners diagonally only if it may touch the two beside them.
    """
    for world in (11, 1211):
        free = library.clearance[world] >= worlds.CLEARANCE_METRES - 1e-6
        number = np.arange(free.size).reshape(free.shape)
        ends, starts, weights = [], [], []
        for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
            a = (slice(0, ROWS + 1 - down), slice(max(0, -right), COLUMNS + 1 - max(0, right)))
            b = (slice(down, ROWS + 1), slice(max(0, right), COLUMNS + 1 - max(0, -right)))
            beside = free[a[0], b[1]] & free[b[0], a[1]]
            both = free[a] & free[b] & beside
            starts.append(number[a][both])
            ends.append(number[b][both])
            weights.append(np.full(both.sum(), CELL_METRES * np.hypot(down, right)))
        pair = (np.concatenate(starts), np.concatenate(ends))
        graph = sparse.coo_array((np.concatenate(weights), pair), (free.size, free.size)).tocsr()
        x, y = paths.corner_positions(ROWS, COLUMNS)
        goal = np.hypot(x - GOAL_METRES[0], y - GOAL_METRES[1]).argmin()
        shortest = csgraph.dijkstra(graph, directed=False, indices=goal).reshape(free.shape)
        known = np.isfinite(shortest) & (shortest > 2)
        ratio = library.to_goal[world][known] / shortest[known]
        assert ratio.max() < 1.05  # the scheme is of first order
        assert ratio.min() > 1 / 1.083 - 0.02


def test_a_traced_path_keeps_its_clearance_and_ends_at_the_goal(library):
    chosen = np.arange(0, 1500, 50)
    passable = library.clearance[chosen] >= worlds.CLEARANCE_METRES - 1e-6
    traced = paths.traced(np.where(passable, library.to_goal[chosen], paths.FAR_METRES))
    for world in range(len(chosen)):
        row, column = traced[:, world].T
        assert passable[world, row, column].all()
        x, y = paths.corner_positions(ROWS, COLUMNS)
        assert np.hypot(x[row[-1], column[-1]] - GOAL_METRES[0], y[row[-1], column[-1]] - GOAL_METRES[1]) < 0.3
        length = CELL_METRES * np.hypot(np.diff(row), np.diff(column)).sum()
        assert library.path_metres[chosen[world]] * 0.97 - 0.3 < length < library.path_metres[chosen[world]] * 1.1


def test_fuller_worlds_are_harder_by_both_measures(library):
    measures = worlds.difficulty(library)
    room = measures["closest_obstacle_metres"].reshape(-1, 12).mean(0).reshape(4, 3).mean(1)
    assert (np.diff(room) < 0).all()
    winding = measures["tortuosity"].reshape(-1, 12).mean(0).reshape(4, 3).mean(1)
    assert (np.diff(winding) > 0).all()
    assert measures["tortuosity"].min() >= 0.999
    empty = worlds.difficulty(worlds.survey(worlds.embedded(np.zeros((1, 30, 30), bool))))
    assert empty["tortuosity"][0] == pytest.approx(1, abs=0.002)
    assert empty["closest_obstacle_metres"][0] > measures["closest_obstacle_metres"].max()
