"""Means, medians, components of the variance and ranks: their intervals cover, and say why where there is none."""

import numpy as np
import pytest
from scipy import stats

from workflow_scripts.evaluate.measures.description import describe
from workflow_scripts.evaluate.measures.intervals import (
    mean_interval,
    median_interval,
    skewed_mean_interval,
    symmetric_mean_interval,
)
from workflow_scripts.evaluate.measures.ranks import rank_stability
from workflow_scripts.evaluate.measures.variance import split_variance

BOOTSTRAP = {"draws": 500, "seed": 3}


class TestDescription:
    def test_undefined_values_are_left_out_and_the_rest_counted(self):
        result = describe(np.array([1.0, np.nan, 2.0, 3.0, 10.0]), 0.95)
        assert (result.n, result.mean, result.median, result.iqr) == (4, 4.0, 2.5, pytest.approx(4.75 - 1.75))
        assert result.sd == pytest.approx(np.std([1, 2, 3, 10], ddof=1))
        assert (result.mean_low, result.median_low, result.note) == (None, None, "n < 6: no interval")
        assert describe(np.array([np.nan]), 0.95).note == "no value"
        assert (describe(np.array([2.0]), 0.95).sd, describe(np.array([2.0]), 0.95).iqr) == (None, None)

    def test_interval_of_the_mean_is_students(self):
        values = np.random.default_rng(0).random(19)
        expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert mean_interval(values, 0.95) == pytest.approx(tuple(expected))

    def test_the_symmetric_interval_reaches_as_far_down_as_up_and_covers_where_students_does_not(self):
        """Differences of two arms that both miss 40 % of the lesions (docs/statistics.md)."""
        generator = np.random.default_rng(1)
        covered = np.zeros(2)
        for _ in range(600):
            differences = np.where(generator.random(10) < 0.6, generator.normal(0.04, 0.13, 10), 0)
            intervals = symmetric_mean_interval(differences, 0.95, **BOOTSTRAP), mean_interval(differences, 0.95)
            covered += [low is not None and low <= 0.024 <= high for low, high in intervals]
            assert intervals[0][0] is None or sum(intervals[0]) / 2 == pytest.approx(differences.mean())
        assert covered[0] / 600 > 0.93
        assert covered[0] >= covered[1]

    def test_percentile_t_is_seeded_reaches_further_up_and_needs_six_values_that_differ(self):
        values, options = np.random.default_rng(0).exponential(size=19), {"draws": 1000, "seed": 3}
        low, high = skewed_mean_interval(values, 0.95, **options)
        assert (low, high) == skewed_mean_interval(values, 0.95, **options)
        assert high - values.mean() > values.mean() - low > 0
        assert skewed_mean_interval(values[:5], 0.95, **options) == (None, None)
        assert skewed_mean_interval(np.ones(9), 0.95, **options) == (None, None)

    @pytest.mark.parametrize("of_mean", [skewed_mean_interval, symmetric_mean_interval])
    def test_a_mean_of_nearly_equal_values_has_students_interval(self, of_mean):
        """Samples without the one other value have no spread and leave no bound."""
        values = np.array([0.0] * 9 + [10.0])
        assert of_mean(values, 0.95, draws=1000, seed=3) == mean_interval(values, 0.95)

    def test_percentile_t_is_that_of_its_definition_with_four_tenths_of_the_upper_tail(self):
        values = np.random.default_rng(0).exponential(size=12)
        samples = np.random.default_rng(1).choice(values, (40_000, 12))
        ratios = stats.ttest_1samp(samples, values.mean(), axis=1).statistic
        ends = np.quantile(ratios, [0.975, 0.01])
        expected = values.mean() - ends * stats.sem(values)
        assert skewed_mean_interval(values, 0.95, draws=40_000, seed=3) == pytest.approx(tuple(expected), rel=0.05)

    def test_percentile_t_of_a_skewed_mean_covers_more_often_than_students(self):
        covered = np.zeros(2)
        for sample in np.random.default_rng(1).lognormal(0, 1.2, (600, 19)):
            intervals = skewed_mean_interval(sample, 0.95, draws=500, seed=3), mean_interval(sample, 0.95)
            covered += [low <= np.exp(0.72) <= high for low, high in intervals]
        assert 0.98 > covered[0] / 600 > 0.91 > covered[1] / 600

    @pytest.mark.parametrize(("n", "confidence", "outer"), [(6, 0.95, 1), (10, 0.95, 2), (29, 0.95, 9), (29, 0.9, 10)])
    def test_interval_of_the_median_lies_between_two_pairs_of_order_statistics(self, n, confidence, outer):
        """Tabulated depths of the sign test (e.g. Conover 1999, table A3)."""
        low, high = median_interval(np.arange(1.0, n + 1), confidence)
        assert outer <= low < outer + 1
        assert n - outer < high <= n + 1 - outer
        assert low + high == pytest.approx(n + 1)

    @pytest.mark.parametrize("n", [6, 10, 19, 29])
    def test_intervals_cover_about_as_often_as_they_say(self, n):
        generator = np.random.default_rng(n)
        covered = np.zeros(2)
        for sample in generator.exponential(size=(1500, n)) + generator.normal(size=(1500, n)):
            for which, (interval, truth) in enumerate(((mean_interval, 1.0), (median_interval, 0.9))):
                low, high = interval(sample, 0.95)
                covered[which] += low <= truth <= high
        assert (covered / 1500 > 0.93).all()
        assert (covered / 1500 < 0.975).all()


class TestVariance:
    def test_planted_components_are_recovered_within_a_tenth(self):
        generator = np.random.default_rng(0)
        planted = {"case": 0.04, "method": 0.003, "seed": 0.002, "case_by_method": 0.01, "residual": 0.006}
        sd = {name: np.sqrt(value) for name, value in planted.items()}
        found = {name: [] for name in planted}
        for _ in range(200):
            shapes = {"case": (60, 1, 1), "method": (1, 40, 1), "seed": (1, 40, 4), "case_by_method": (60, 40, 1)}
            shapes["residual"] = (60, 40, 4)
            result = split_variance(sum(generator.normal(0, sd[name], shape) for name, shape in shapes.items()))
            for name, estimates in found.items():
                estimates.append(getattr(result, name))
        for name, value in planted.items():
            assert np.mean(found[name]) == pytest.approx(value, rel=0.1), name

    @pytest.mark.parametrize("shape", [(1, 3, 3), (9, 1, 3), (9, 3, 1), (0, 3, 3)])
    def test_a_design_without_replicates_gives_nothing_and_the_reason(self, shape):
        result = split_variance(np.zeros(shape))
        assert (result.case, result.seed) == (None, None)
        assert "needs two" in result.note


RANKING = {"draws": 500, "confidence": 0.95, "seed": 1}


class TestRanks:
    def test_arms_far_apart_keep_their_ranks_and_equal_ones_share_them(self):
        patients = np.random.default_rng(0).random((20, 1))
        ranks = rank_stability(np.hstack([patients, patients + 0.1, patients]), **RANKING)
        assert [rank.rank for rank in ranks] == [2.5, 1, 2.5]
        assert [(rank.rank_low, rank.rank_high) for rank in ranks] == [(2.5, 2.5), (1, 1), (2.5, 2.5)]
        assert [rank.first_share for rank in ranks] == [0, 1, 0]

    def test_arms_that_differ_by_chance_are_not_firm(self):
        scores = np.random.default_rng(0).random((12, 3))
        ranks = rank_stability(scores, **RANKING)
        for arm, rank in zip(scores.T, ranks, strict=True):
            expected = stats.ttest_1samp(arm, 0).confidence_interval(0.95)
            assert (rank.mean_low, rank.mean_high) == pytest.approx(tuple(expected))
        assert sum(rank.first_share for rank in ranks) == pytest.approx(1)
        assert max(rank.rank_high - rank.rank_low for rank in ranks) == 2

    def test_one_arm_is_first_of_nothing(self):
        (rank,) = rank_stability(np.random.default_rng(0).random((12, 1)), **RANKING)
        assert (rank.rank, rank.first_share, rank.note) == (None, None, "one arm: no order")

    def test_few_patients_give_ranks_without_a_range(self):
        ranks = rank_stability(np.array([[0.1, 0.2]] * 5), **RANKING)
        assert [(rank.rank, rank.rank_low, rank.note) for rank in ranks] == [
            (2, None, "n < 6: no interval"),
            (1, None, "n < 6: no interval"),
        ]
        assert rank_stability(np.empty((0, 2)), **RANKING)[0].note == "no patient"
