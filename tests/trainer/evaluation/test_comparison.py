"""The verdicts are as sure as they say: over simulated training seeds, and against what can be worked out by hand."""

import itertools

import evaluated
import numpy as np
import pytest
from scipy import stats

from trainer.evaluation import comparison, contenders
from trainer.evaluation.comparison import Finding


def contender(name, table):
    count = len(table)
    return contenders.Contender(name, np.array(table, np.float64), tuple(range(count)), (1000,) * count)


def drawn(rng, mean, runs, between, seeds, within=0.5):
    """Scores of fresh training runs on given held-out seeds."""
    return mean + between * rng.standard_normal((runs, 1)) + seeds + within * rng.standard_normal((runs, seeds.size))


def test_probability_of_improvement_counts_pairs():
    ours, theirs = np.array([3.0, 1.0, 2.0]), np.array([2.0, 0.0])
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(ours, theirs)]
    found = comparison.probability_of_improvement(ours, theirs)
    assert found.value == pytest.approx(np.mean(pairs))
    other = comparison.probability_of_improvement(theirs, ours)
    assert other == pytest.approx((1 - found.value, 1 - found.high, 1 - found.low), abs=1e-6)


@pytest.mark.parametrize(("runs", "certain"), [(1, False), (2, False), (3, False), (4, True), (10, True)])
def test_complete_separation_is_evidence_from_four_runs_on(runs, certain):
    """As in the exact permutation test, whose two-sided p is 2 / binomial(2n, n): .1 for three, .029 for four."""
    found = comparison.probability_of_improvement(np.arange(runs) + 100.0, np.arange(runs) * 1.0)
    assert (found.value, found.high) == (1, 1)
    assert (found.low > 0.5) == certain
    p = stats.mannwhitneyu(np.arange(runs) + 100.0, np.arange(runs) * 1.0, method="exact").pvalue
    assert (p < 0.05) == certain


def test_of_one_run_against_one_the_interval_is_wilsons():
    """One pair is one Bernoulli trial: Wilson's interval of 1 of 1, with continuity correction (Newcombe 1998)."""
    found = comparison.probability_of_improvement(np.array([2.0]), np.array([1.0]))
    assert found.low == pytest.approx(stats.binomtest(1, 1).proportion_ci(method="wilsoncc").low, abs=1e-6)


@pytest.mark.parametrize("runs", [3, 5, 10])
@pytest.mark.parametrize("mean", [0.0, 0.8])
def test_intervals_hold_the_truth(runs, mean):
    rng, held = np.random.default_rng(1), {"difference": 0, "probability": 0}
    true = stats.norm.cdf(mean / np.hypot(1, 1) / np.hypot(1, 0.5 / np.sqrt(20)))
    for _ in range(400):
        seeds = rng.standard_normal((1, 20))
        ours, theirs = (drawn(rng, m, runs, 1.0, seeds) for m in (mean, 0.0))
        gain = comparison.difference(ours, theirs)
        odds = comparison.probability_of_improvement(ours.mean(1), theirs.mean(1))
        held["difference"] += gain.low <= mean <= gain.high
        held["probability"] += odds.low <= true <= odds.high
    assert all(count / 400 >= 0.92 for count in held.values()), held


@pytest.mark.parametrize("runs", [2, 3, 5])
def test_equals_are_seldom_called_different(runs):
    rng, wrong = np.random.default_rng(2), 0
    for _ in range(400):
        seeds = rng.standard_normal((1, 20))
        ours, theirs = (contender(name, drawn(rng, 0.0, runs, 1.0, seeds)) for name in "ab")
        wrong += comparison.verdict(ours, theirs, 1).finding is not Finding.NO_DIFFERENCE
    assert wrong / 400 <= 0.05


def test_a_single_run_can_never_be_called_better():
    ours, theirs = contender("a", np.full((1, 20), 100.0)), contender("b", np.zeros((5, 20)) + np.arange(5)[:, None])
    found = comparison.verdict(ours, theirs, 1)
    assert (found.finding, found.seeds_needed) == (Finding.CANNOT_TELL, None)
    assert found.probability.low < 0.5


def test_the_sign_decides_who_is_better():
    low, high = (
        contender(name, evaluated.scores(mean, 6, seed=i)) for i, (name, mean) in enumerate((("a", 1), ("b", 2)))
    )
    assert comparison.verdict(low, high, -1).finding is Finding.BETTER
    assert comparison.verdict(low, high, 1).finding is Finding.WORSE
    assert comparison.verdict(high, low, 1).finding is Finding.BETTER
    assert comparison.verdict(high, low, 1).difference.value == pytest.approx(1, abs=0.1)


def test_equal_scores_differ_by_nothing():
    table = np.ones((3, 4))
    found = comparison.verdict(contender("a", table), contender("b", table), 1)
    assert found.finding is Finding.NO_DIFFERENCE
    assert tuple(found.difference) == (0, 0, 0)
    assert found.probability.value == 0.5
    assert found.seeds_needed is None


@pytest.mark.parametrize("effect", [0.7, 1.5])
def test_the_estimated_number_of_training_seeds_shows_the_difference(effect):
    """From many runs the variances are known, so that the power of the number they give can be measured."""
    rng = np.random.default_rng(3)
    seeds = np.zeros((1, 20))
    many = [drawn(rng, 0.0, 4000, 1.0, seeds, within=0.1) for _ in range(2)]
    many[0] += effect - (many[0].mean() - many[1].mean())
    needed = comparison.training_seeds_needed(*many)
    expected = {0.7: 36, 1.5: 10}[effect]  # two-sample t test, 80 % power: 33 and 8; over the efficiency of ranks
    assert abs(needed - expected) <= 1
    shown = 0
    for _ in range(300):
        pair = [contender(n, drawn(rng, m, needed, 1.0, seeds, within=0.1)) for n, m in (("a", effect), ("b", 0.0))]
        shown += comparison.verdict(*pair, 1).finding is Finding.BETTER
    assert 0.7 <= shown / 300 <= 0.92


def test_where_held_out_seeds_are_what_varies_no_number_of_training_seeds_is_enough():
    rng = np.random.default_rng(4)
    noisy = np.repeat(rng.standard_normal((1, 5)), 3, 0) + 1e-3 * rng.standard_normal((3, 5))
    assert comparison.training_seeds_needed(noisy, 1e-3 * rng.standard_normal((3, 5))) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_a_profile_is_the_share_that_reaches_a_level(sign):
    table = np.array([[1.0, 2.0], [3.0, 4.0]])
    found = comparison.profile(table, np.array([0.0, 1.0, 2.5, 4.0, 5.0]), sign)
    expected = [1, 1, 0.5, 0.25, 0] if sign == 1 else [0, 0.25, 0.5, 1, 1]
    assert found.share.tolist() == expected
    assert (found.low <= found.share).all()
    assert (found.share <= found.high).all()
    again = comparison.profile(table, np.array([0.0, 1.0, 2.5, 4.0, 5.0]), sign)
    assert again.low.tolist() == found.low.tolist()


def test_a_profiles_band_is_that_of_drawing_runs_and_seeds_anew():
    """Against drawing indices one resample at a time."""
    rng, table = np.random.default_rng(5), evaluated.scores(0, 4, between=1)
    found = comparison.profile(table, np.array([0.0]), 1)
    drawn_shares = []
    for _ in range(4000):
        rows, columns = (rng.integers(n, size=n) for n in table.shape)
        drawn_shares.append((table[rows][:, columns] >= 0).mean())
    assert (found.low[0], found.high[0]) == pytest.approx(np.quantile(drawn_shares, [0.025, 0.975]), abs=0.05)


def test_runs_of_the_disk_become_contenders(tmp_path):
    table = evaluated.scores(4.1, 3)
    folders = [evaluated.write(tmp_path, "many", table), evaluated.write(tmp_path, "one", table[:1])]
    match = contenders.read(folders)
    assert [c.name for c in match.contenders] == ["many", "one"]
    assert match.contenders[0].scores.tolist() == table.tolist()
    assert match.parameters["lead_time_periods"] == 2
    assert match.parameters["demand"] == "poisson"  # a default that no run file names
    found = comparison.compare(match)
    assert found.results[0].gap.value == pytest.approx(table.mean() / 4 - 1)
    assert found.results[0].iqm.value == pytest.approx(stats.trim_mean(table.ravel(), 0.25))
