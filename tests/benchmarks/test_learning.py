import pytest

from benchmarks import learning

ENTRY = {
    "optimum": 4.73,
    "env_steps": 1_000_000,
    "told": ["Told: the law of demand."],
    "baseline_gaps": {"base-stock": 0.0993, "capped base-stock": 0.015},
    "gaps": {"1": 0.0002, "2": 0.0004},
    "seconds": {"1": {"wall": 10.0, "cpu": 12.0}, "2": {"wall": 12.0, "cpu": 14.0}},
}
ABOUT = {"cpu": "X", "cores": 2, "memory_gib": 4, "system": "Linux", "python": "3.11", "load_average": 0.1}


@pytest.fixture
def case():
    return learning.Case("lost-sales-ppo", 4, 4)


def test_cases_cover_the_table_and_begin_with_the_aims():
    cases = learning.cases()
    assert len(cases) == 2 * 4 * 3
    assert [case.main for case in cases[:3]] == [True, True, False]


def test_a_case_is_the_preset_with_its_task(case):
    run_file = learning.Case("lost-sales-ppo-plain", 2, 9).run_file()
    assert run_file.env.parameters == {"lead_time_periods": 2, "lost_sale_cost_per_unit": 9.0}
    assert run_file.agent.reward_scale == 0.1
    assert case.run_file().agent.reward_scale == 0.2


def test_only_missing_seeds_are_trained(case):
    known = {case.name: {**ENTRY, "settings": learning.fingerprint(case.run_file())}}
    assert learning.missing(known, case, (1, 2, 3)) == [3]
    assert learning.missing({}, case, (1, 2)) == [1, 2]


def test_results_of_other_settings_do_not_count(case):
    assert learning.missing({case.name: {**ENTRY, "settings": "other"}}, case, (1, 2)) == [1, 2]


def test_the_page_shows_gaps_in_percent_and_what_was_told(case):
    page = learning.page({case.name: ENTRY}, ABOUT)
    assert "| `lost-sales-ppo` | 0.030 | 0.020 to 0.040 | 0.05 | 2 | 1.00 M | 11 |" in page
    assert "| best base-stock | 9.9 | computed here, exactly |" in page
    assert "- Told: the law of demand." in page


def test_a_policy_without_a_finite_cost_shows_as_such():
    assert learning.percent({"gaps": {"1": None}}, (1,)) == [float("inf")]
