from benchmarks import results
from benchmarks.run import plan
from benchmarks.settings import SB3, SETTINGS

ABOUT = {"cpu": "X", "cores": 2, "memory_gib": 4, "system": "Linux", "python": "3.11", "load_average": 0.1}


def speed(program, number, steps, setting=SB3.name):
    return {
        "kind": "speed",
        "setting": setting,
        "program": program,
        "round": number,
        "steps_per_second": steps,
        "compile_seconds": 1.0,
        "versions": {program: "1"},
    }


def job(program, seconds, kind="job", setting=SB3.name):
    return {"kind": kind, "setting": setting, "program": program, "round": 0, "wall_seconds": seconds}


def solve(program, number, seconds, solved=True):
    figures = {"solve_seconds": seconds, "solve_steps": 10_000, "solved": solved, "compile_seconds": 1.0}
    return {"kind": "solve", "setting": SB3.name, "program": program, "round": number, **figures}


def test_speed_ratios_pair_rounds_whatever_the_order_of_rows():
    rows = [speed("slipway", 1, 50.0), speed("sb3", 0, 10.0), speed("slipway", 0, 20.0), speed("sb3", 1, 10.0)]
    assert "**3.50 (2.00 to 5.00)**" in results.speed_table(rows)[-1]


def test_the_zoo_comes_first_then_settings_by_their_size():
    rows = [speed(program, 0, 1.0, setting) for setting in SETTINGS for program in ("slipway", "jax", "sb3")]
    rows = [row for row in rows if (row["program"] == "sb3") == (row["setting"] == SB3.name)]
    settings = [setting for setting, _ in results.pairs(rows, "speed")]
    assert settings == list(SETTINGS)


def test_what_was_not_solved_does_not_count_as_a_time():
    rows = [
        solve("slipway", 0, 1.0),
        solve("slipway", 1, 9.0, solved=False),
        solve("sb3", 0, 5.0),
        solve("sb3", 1, 5.0),
    ]
    line = results.solve_table(rows)[-1]
    assert "| 1.00 | 10.0 | 1 of 2 | 5.00 (5.00 to 5.00) |" in line


def test_whole_processes_are_compared_with_sb3():
    rows = [job("slipway", 4.0), job("sb3", 8.0), job("slipway --help", 0.2, "help", "-")]
    lines = results.process_table(rows)
    assert "| slipway | 4.00 | 2.00 |" in lines
    assert "| slipway --help | 0.20 | - |" in lines


def test_a_page_says_machine_versions_and_rounds():
    rows = [speed("slipway", 0, 2.0), speed("sb3", 0, 1.0), job("slipway", 4.0), job("sb3", 8.0)]
    page = results.page({**ABOUT, "pinned_to": [0, 1]}, rows)
    assert "X, 2 cores" in page
    assert "sb3 1, slipway 1" in page
    assert "Medians over 1 round " in page


def test_a_round_measures_each_setting_with_both_programs_side_by_side():
    measurements = plan(quick=False)
    assert len(set(measurements)) == len(measurements)
    for ours, theirs in zip(measurements[:10:2], measurements[1:10:2], strict=True):
        assert (ours.kind, ours.setting, ours.program) == (theirs.kind, theirs.setting, "slipway")
