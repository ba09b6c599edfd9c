from benchmarks import results
from benchmarks.run import FOLDER, plan, read
from benchmarks.settings import LIDAR, SB3, SETTINGS

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
    page = results.page({kind: {**ABOUT, "pinned_to": [0, 1]} for kind in ("speed", "job")}, rows)
    assert "X, 2 cores" in page
    assert "sb3 1, slipway 1" in page
    assert "Measured over 1 round on" in page
    assert "## Off-policy" not in page


def test_a_section_says_apart_what_was_measured_apart():
    rows = [job("slipway", 4.0), job("sb3", 8.0), job("slipway --help", 0.2, "help", "-")]
    about = {**ABOUT, "pinned_to": [0]}
    page = results.page({"job": about, "help": {**about, "cpu": "Y", "measured_at": "2020-01-01"}}, rows)
    assert "Measured (job) over 1 round on X," in page
    assert "Measured (help) over 1 round at 2020-01-01 on Y," in page


def test_environments_are_compared_at_each_number_with_gymnasiums_fastest_way():
    task = "slipway/CartPole-v1"
    ours = {"kind": "env-steps", "setting": task, "program": "slipway", "round": 0}
    theirs = {**ours, "program": "gymnasium", "fastest_at": {"1": "sync", "64": "async"}}
    alone = {**ours, "setting": "slipway/LostSales-v0", "steps_per_second_at": {"1": 7.0}}
    rows = [
        {**ours, "steps_per_second_at": {"1": 30.0, "64": 80.0}},
        {**theirs, "steps_per_second_at": {"1": 10.0, "64": 20.0}},
        alone,
    ]
    lines = results.env_steps_table(rows)
    assert f"| {task} | 1 | 30.0 | 10.0 | sync | **3.00** |" in lines
    assert f"| {task} | 64 | 80.0 | 20.0 | async | **4.00** |" in lines
    assert "| slipway/LostSales-v0 | 1 | 7.00 | - | - | - |" in lines
    assert results.brief(rows[0]) == "30.0 at 1, 80.0 at 64 steps/s"


def test_off_policy_and_lidar_have_their_ratios():
    def rows(kind, setting, **speeds):
        return [
            {"kind": kind, "setting": setting, "program": name.replace("_", " "), "round": 0, "steps_per_second": speed}
            for name, speed in speeds.items()
        ]

    learned = rows("off-policy", "sac-Pendulum-v1", slipway=60.0, slipway_on_gymnasium=40.0, sb3=20.0)
    assert "| sac-Pendulum-v1 | 60.0 | 40.0 | 20.0 | **3.00** | **2.00** |" in results.off_policy_table(learned)
    assert "| 90.0 | 3.00 | **30.0** |" in results.lidar_table(rows("lidar", LIDAR, slipway=90.0, single=3.0))


def test_a_round_measures_each_setting_with_both_programs_side_by_side():
    measurements = plan(quick=False)
    assert len(set(measurements)) == len(measurements)
    for ours, theirs in zip(measurements[:10:2], measurements[1:10:2], strict=True):
        assert (ours.kind, ours.setting, ours.program) == (theirs.kind, theirs.setting, "slipway")


def test_the_page_is_that_of_the_figures():
    found = read(FOLDER / "results.json")
    assert (FOLDER / "RESULTS.md").read_text(encoding="utf-8") == results.page(found["measured"], found["rows"])
