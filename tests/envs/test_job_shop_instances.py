"""Instances, their text format, and what a valid schedule is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs import registry
from envs.jobshop import jsplib, library, schedule, taillard
from envs.jobshop.schedule import Instance
from envs.parameters import ParameterOutOfRange

few = settings(max_examples=25, deadline=None, derandomize=True)


@st.composite
def instances(draw):
    jobs, machines = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    durations = generator.integers(0, 20, (jobs, machines))
    return Instance(np.argsort(generator.random((jobs, machines)), 1), durations)


def in_turn(instance):
    """A schedule that does one job after another."""
    ends = np.cumsum(instance.durations.reshape(-1)).reshape(instance.durations.shape)
    return ends - instance.durations


@few
@given(instances())
def test_an_instance_is_read_as_it_was_written(instance):
    again = jsplib.parse("# a comment\n\n" + jsplib.dump(instance).replace(" ", "\t "))
    np.testing.assert_array_equal(again.machines, instance.machines)
    np.testing.assert_array_equal(again.durations, instance.durations)


GOOD = "# two jobs\n2 3\n0 5 1 6 2 7\n2 1 0 2 1 3\n"


@pytest.mark.parametrize(
    ("wrong", "line", "column", "found", "allowed"),
    [
        ("", 1, 1, "the end of the text", "the number of jobs, a whole number from 1 to 100"),
        ("# nothing\n", 2, 1, "the end of the text", "the number of jobs"),
        (GOOD.replace("2 3", "0 3"), 2, 1, "0", "the number of jobs, a whole number from 1 to 100"),
        (GOOD.replace("2 3", "2 101"), 2, 3, "101", "the number of machines, a whole number from 1 to 100"),
        (GOOD.replace("2 3", "2"), 2, 2, "the end of the line", "the number of machines"),
        (GOOD.replace("2 3", "2 3 4"), 2, 5, "4", "the end of the line"),
        (GOOD.replace("1 6", "1 six"), 3, 7, "six", "how long the operation takes, a whole number from 0 to"),
        (GOOD.replace("1 6", "1 -6"), 3, 7, "-6", "how long the operation takes"),
        (GOOD.replace("1 6", "1 6.0"), 3, 7, "6.0", "how long the operation takes"),
        (GOOD.replace("1 6", "1 16777211"), 3, 7, "16777211", "a whole number from 0 to 16777210"),
        (GOOD.replace("1 6", "1 " + "9" * 100_000), 3, 7, "9" * 100_000, "a whole number"),
        (GOOD.replace("1 6", "3 6"), 3, 5, "3", "machine of operation 2 of 3, a whole number from 0 to 2"),
        (GOOD.replace("1 6", "0 6"), 3, 5, "0", "each machine once a job; not yet used: 1, 2"),
        (GOOD.replace(" 2 7", ""), 3, 8, "the end of the line", "machine of operation 3 of 3"),
        (GOOD.replace(" 2 7", " 2"), 3, 10, "the end of the line", "how long the operation takes"),
        (GOOD.replace("2 7", "2 7 0"), 3, 13, "0", "the end of the line"),
        (GOOD.replace("2 1 0 2 1 3\n", ""), 4, 1, "the end of the text", "a line for each of 2 jobs; there are 1"),
        (GOOD + "\n0 1 1 1 2 1", 6, 1, "0", "nothing after the lines of the 2 jobs"),
    ],
)
def test_what_is_no_instance_is_refused_at_its_place(wrong, line, column, found, allowed):
    with pytest.raises(jsplib.Malformed) as caught:
        jsplib.parse(wrong)
    assert (caught.value.line, caught.value.column, caught.value.found) == (line, column, found)
    assert allowed in caught.value.allowed


def test_a_parameter_takes_the_path_of_an_instance(tmp_path):
    file = tmp_path / "two.txt"
    file.write_bytes(GOOD.replace("\n", "\r\n").encode())
    env = registry.make("slipway/JobShop-v0", instance=str(file))
    assert (env.jobs, env.machines, env.max_episode_steps) == (2, 3, 6)


def test_a_file_that_is_no_instance_is_refused_with_line_and_column(tmp_path):
    file = tmp_path / "two.txt"
    file.write_text(GOOD.replace("1 6", "1 six"))
    with pytest.raises(ParameterOutOfRange) as caught:
        registry.check("slipway/JobShop-v0", instance=str(file))
    assert caught.value.name == "instance"
    assert caught.value.value == f"{file}, line 3, column 7: six"
    assert caught.value.allowed == "how long the operation takes, a whole number from 0 to 16777210"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"\xff\xfe\x00", "{}, which is no text"),
        (b"1 1\n0 1" + b" " * 2_000_000, "{}, line 1, column 1: a longer file"),
    ],
)
def test_files_that_cannot_be_instances_are_refused(tmp_path, content, value):
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(ParameterOutOfRange) as caught:
        registry.check("slipway/JobShop-v0", instance=str(file))
    assert caught.value.value == value.format(file)


@pytest.mark.parametrize("name", ["ta1", "FT06", "/no/such/file", "/", "a\0b", "x" * 5000])
def test_names_of_nothing_are_refused(name):
    with pytest.raises(ParameterOutOfRange, match=r"allowed: empty, one of ft06, .*, ta30, or the path of a file"):
        registry.check("slipway/JobShop-v0", instance=name)


def test_the_instances_that_ship_are_whole():
    sizes = {name: library.named(name).durations.shape for name in library.names()}
    literature = {"ft06": (6, 6), "ft10": (10, 10), "ft20": (20, 5), "la01": (10, 5), "la16": (10, 10)}
    taillards = {f"ta{i:02d}": (15, 15) for i in range(1, 11)} | {f"ta{i}": (20, 20) for i in range(21, 31)}
    assert sizes == literature | taillards
    assert set(sizes) - set(library.optimal_makespans()) == {f"ta{i}" for i in range(21, 31)}
    assert library.optimal_makespans().items() <= library.best_known_makespans().items()
    for name, optimum in library.best_known_makespans().items():
        instance = library.named(name)
        np.testing.assert_array_equal(
            np.sort(instance.machines, 1), np.tile(np.arange(sizes[name][1]), (len(instance.machines), 1))
        )
        assert one_machine_bound(instance) <= optimum


def one_machine_bound(instance):
    """Taillard 1993, section 3: over machines, the least work before, all work on it, and the least work after."""
    heads = np.cumsum(instance.durations, 1) - instance.durations
    tails = instance.durations.sum(1, keepdims=True) - heads - instance.durations
    bounds = [instance.durations.sum(1).max()]
    for machine in range(instance.machine_count):
        on = instance.machines == machine
        bounds.append(heads[on].min() + instance.durations[on].sum() + tails[on].min())
    return max(bounds)


def test_taillards_first_and_last_instance_are_those_that_he_published():
    first, last = library.named("ta01"), library.named("ta10")
    np.testing.assert_array_equal(first.durations[0], [94, 66, 10, 53, 26, 15, 65, 82, 10, 27, 93, 92, 96, 70, 83])
    np.testing.assert_array_equal(first.machines[0] + 1, [7, 13, 5, 8, 4, 3, 11, 12, 9, 15, 10, 14, 6, 1, 2])
    np.testing.assert_array_equal(last.durations[-1], [12, 35, 64, 17, 42, 46, 65, 74, 96, 28, 86, 95, 93, 67, 56])
    np.testing.assert_array_equal(last.machines[-1] + 1, [4, 14, 3, 6, 10, 7, 8, 5, 9, 1, 13, 11, 15, 2, 12])
    assert library.optimal_makespans()["ta01"] == 1231
    assert one_machine_bound(first) == 1005  # listed with the seeds


def test_taillards_larger_instances_are_those_that_he_published():
    """ta21 to ta30, 20 jobs on 20 machines: the beginning of the first's first job and of the last's last."""
    first, last = library.named("ta21"), library.named("ta30")
    np.testing.assert_array_equal(first.durations[0, :10], [64, 57, 81, 98, 59, 87, 93, 62, 20, 14])
    np.testing.assert_array_equal(first.machines[0, :10] + 1, [7, 2, 16, 3, 20, 14, 17, 19, 4, 13])
    np.testing.assert_array_equal(last.durations[-1, :10], [15, 92, 41, 63, 87, 67, 77, 89, 65, 17])
    np.testing.assert_array_equal(last.machines[-1, :10] + 1, [12, 18, 14, 5, 4, 16, 19, 13, 1, 11])
    assert one_machine_bound(first) == 1217  # listed with the seeds


def test_the_generator_is_the_minimal_standard():
    """Park and Miller (1988): from 1, the ten thousandth number is 1043618065."""
    generator = taillard.Generator(1)
    for _ in range(10_000):
        generator.uniform(0, 0)
    assert generator._x == 1043618065


@few
@given(instances(), st.randoms(use_true_random=False))
def test_a_valid_schedule_has_no_violations_and_a_broken_one_has(instance, random):
    starts = in_turn(instance)
    assert schedule.violations(instance, starts) == []
    assert schedule.makespan(instance, starts) == instance.durations.sum()
    job, operation = random.randrange(instance.jobs), random.randrange(instance.machine_count)
    missing = starts.copy()
    missing[job, operation] = -1
    assert f"operation {operation} of job {job} is not scheduled" in schedule.violations(instance, missing)
    assert schedule.violations(instance, starts[:, :-1]) != []


def test_each_kind_of_violation_is_found():
    instance = Instance(np.array([[0, 1], [0, 1]]), np.array([[3, 2], [4, 0]]))
    assert schedule.violations(instance, np.array([[0, 3], [3, 7]])) == []
    assert schedule.violations(instance, np.array([[0, 3], [2, 7]])) == ["machine 0 works on jobs 0 and 1 at once"]
    assert schedule.violations(instance, np.array([[0, 2], [3, 7]])) == [
        "operation 1 of job 0 starts before operation 0 has ended"
    ]
    assert schedule.violations(instance, np.array([[0, 6], [3, 7]])) == ["machine 1 works on jobs 0 and 1 at once"]
    assert schedule.violations(instance, np.array([[0, 7], [3, 7]])) == []


@few
@given(instances())
def test_a_schedule_of_the_mirror_image_read_backwards_is_a_schedule(instance):
    mirrored = instance.mirrored()
    starts = in_turn(mirrored)
    back = schedule.mirrored_starts(mirrored, starts)
    assert schedule.violations(instance, back) == []
    assert schedule.makespan(instance, back) == schedule.makespan(mirrored, starts)
