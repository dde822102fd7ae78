"""The statistics agree with scipy, pingouin and statsmodels, and say why where they have nothing to say."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from workflow_scripts.evaluate.measures.agreement import agreement, icc_interval
from workflow_scripts.evaluate.measures.comparison import compare, holm
from workflow_scripts.evaluate.measures.description import describe
from workflow_scripts.evaluate.measures.intervals import (
    mean_interval,
    median_interval,
    skewed_mean_interval,
    symmetric_mean_interval,
)
from workflow_scripts.evaluate.measures.power import detectable_difference, patients_needed
from workflow_scripts.evaluate.measures.ranks import rank_stability
from workflow_scripts.evaluate.measures.signed_rank import hodges_lehmann, rank_biserial, signed_rank_test
from workflow_scripts.evaluate.measures.variance import split_variance


def volumes(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    reference = generator.lognormal(3, 1, n)
    return reference * generator.uniform(0.4, 1.5, n), reference


BOOTSTRAP = {"draws": 500, "seed": 3}


class TestSignedRank:
    @settings(max_examples=200)
    @given(st.lists(st.integers(-4, 4), min_size=1, max_size=11))
    def test_p_equals_the_count_over_all_patterns_of_signs_with_zeros_and_ties(self, values):
        difference = np.array(values, float)
        ranks = stats.rankdata(np.abs(difference))[difference != 0]
        observed = abs(ranks @ np.sign(difference[difference != 0]))
        sums = [abs(ranks @ np.array(signs)) for signs in itertools.product((-1, 1), repeat=len(ranks))]
        expected = np.mean(np.array(sums) >= observed - 1e-9)
        assert signed_rank_test(difference).p == pytest.approx(expected)

    @pytest.mark.parametrize("n", [6, 20, 60, 200])
    def test_without_zeros_or_ties_it_is_the_exact_test_of_scipy_and_the_effect_pingouins(self, n):
        generator = np.random.default_rng(n)
        first, second = generator.random(n), generator.random(n)
        result = compare(first, second, confidence=0.95)
        expected = stats.wilcoxon(first, second, method="exact")
        assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue))
        assert result.method == "exact"
        table = pingouin.wilcoxon(second, first)
        assert result.rank_biserial == pytest.approx(float(table["RBC"].iloc[0]), abs=1e-4)

    @pytest.mark.parametrize(("n", "nonzero"), [(29, 4), (200, 4), (500, 5)])
    def test_p_never_falls_below_what_the_non_zero_differences_allow(self, n, nonzero):
        difference = np.zeros(n)
        difference[:nonzero] = 0.01 * np.arange(1, nonzero + 1)
        result = compare(np.zeros(n), difference, confidence=0.95)
        assert result.p == pytest.approx(2.0 ** (1 - nonzero))
        assert f"{nonzero} non-zero differences: p cannot fall below {result.p:.3g}" in result.note

    def test_beyond_two_hundred_differences_the_normal_approximation_says_so(self):
        difference = np.random.default_rng(0).normal(0.1, 1, 300)
        result = signed_rank_test(difference)
        assert result.method == "asymptotic"
        assert result.p == pytest.approx(stats.wilcoxon(difference, method="exact").pvalue, abs=1e-3)

    def test_zeros_are_counted_ranked_and_left_out(self):
        difference = np.array([0, 0, 0.1, -0.2, 0.3, 0.4])
        result = compare(np.zeros(6), difference, confidence=0.95)
        assert result.zeros == 2
        assert result.rank_biserial == pytest.approx((3.5 + 0 + 5 + 6 - 4 + 0.5 - 1) / 18, abs=0.02)
        assert result.common_language == pytest.approx((3 + 1) / 6)

    def test_all_zero_differences_have_p_one_without_a_warning(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = compare(np.full(8, 0.2), np.full(8, 0.2), confidence=0.95)
        assert (result.p, result.zeros, result.rank_biserial, result.common_language) == (1.0, 8, 0.0, 0.5)
        assert "all differences are zero" in result.note

    def test_hodges_lehmann_holds_the_shifts_that_the_test_does_not_reject(self):
        difference = np.random.default_rng(3).normal(0.1, 0.2, 15)
        estimate, low, high = hodges_lehmann(difference, 0.95)
        pairs = [(a + b) / 2 for i, a in enumerate(difference) for b in difference[i:]]
        assert estimate == pytest.approx(np.median(pairs))
        for bound, inwards in ((low, 1e-9), (high, -1e-9)):
            assert stats.wilcoxon(difference - (bound + inwards), method="exact").pvalue > 0.05
            assert stats.wilcoxon(difference - (bound - inwards), method="exact").pvalue <= 0.05


class TestComparison:
    def test_differences_that_differ_by_a_rounding_error_are_ties(self):
        first, second = np.array([0.1, 0.2, 0.3, 0.5]), np.array([0.3, 0.4, 0.5, 0.7])
        assert "all differences are equal" in compare(first, second, confidence=0.95).note

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_too_few_patients_give_no_test_and_the_reason(self, n):
        result = compare(np.zeros(n), np.ones(n), confidence=0.95)
        assert (result.n, result.p, result.note) == (n, None, "n < 3: no test")

    @pytest.mark.parametrize("n", [5, 6])
    def test_no_interval_stands_below_six_patients(self, n):
        result = compare(np.zeros(n), np.random.default_rng(0).random(n), confidence=0.95)
        bounds = (result.difference_low, result.difference_high, result.hodges_lehmann_low, result.hodges_lehmann_high)
        bounds += (result.mean_second_low, result.mean_second_high)
        assert all((bound is None) == (n < 6) for bound in bounds)
        assert ("n < 6: no interval" in result.note) == (n < 6)

    def test_its_intervals_are_those_of_the_t_tests(self):
        first, second = np.random.default_rng(1).random((2, 19))
        result = compare(first, second, confidence=0.9)
        expected = stats.ttest_rel(second, first).confidence_interval(0.9)
        assert (result.difference_low, result.difference_high) == pytest.approx(tuple(expected))
        for arm, low, high in (
            (first, result.mean_first_low, result.mean_first_high),
            (second, result.mean_second_low, result.mean_second_high),
        ):
            assert (low, high) == pytest.approx(tuple(stats.ttest_1samp(arm, 0).confidence_interval(0.9)))

    def test_power_and_its_inverse_agree(self):
        difference = np.random.default_rng(2).normal(0.04, 0.13, 19)
        shown = detectable_difference(difference)
        at_that_size = difference - difference.mean() + shown
        assert patients_needed(at_that_size) == 19
        assert patients_needed(difference - difference.mean() + shown / 2) > 60

    def test_no_power_is_promised_to_fewer_than_the_test_needs(self):
        """Five differences never give p ≤ .05 by the signed-rank test, however large they are."""
        difference = np.array([0.50, 0.51, 0.49, 0.52, 0.48])
        assert (detectable_difference(difference), patients_needed(difference)) == (None, 6)
        assert signed_rank_test(difference).p > 0.05 >= signed_rank_test(np.append(difference, 0.47)).p

    def test_power_is_that_of_simulated_studies(self):
        generator = np.random.default_rng(4)
        sd, n = 0.13, 19
        sample = stats.zscore(generator.normal(size=n), ddof=1) * sd
        studies = generator.normal(detectable_difference(sample), sd, (4000, n))
        assert np.mean(stats.ttest_1samp(studies, 0, axis=1).pvalue <= 0.05) == pytest.approx(0.8, abs=0.02)

    def test_holm_equals_statsmodels_and_skips_what_was_not_tested(self):
        p = [0.04, 0.01, 0.03, 0.2]
        expected = list(multipletests(p, method="holm")[1])
        assert holm(p) == pytest.approx(expected)
        with_gap = holm([*p[:2], None, *p[2:]])
        assert with_gap[2] is None
        assert [value for value in with_gap if value is not None] == pytest.approx(expected)
        assert holm([None, None]) == [None, None]
        assert holm([]) == []


def consistency(first: np.ndarray, second: np.ndarray) -> float:
    """ICC(3,1) of two raters by its definition: twice their covariance over the sum of their variances."""
    return 2 * np.cov(first, second)[0, 1] / (first.var(ddof=1) + second.var(ddof=1))


class TestAgreement:
    @pytest.mark.parametrize(("seed", "n"), [(0, 5), (1, 19), (2, 29)])
    def test_icc_equals_anova_of_pingouin_unrounded(self, seed, n):
        predicted, reference = volumes(seed, n)
        frame = pd.DataFrame({"a": predicted, "b": reference}).melt(ignore_index=False).reset_index()
        mean_squares = pingouin.anova(frame, dv="value", between=["index", "variable"], ss_type=2).set_index("Source")
        between, error = mean_squares.loc["index", "MS"], mean_squares.loc["index * variable", "MS"]
        expected = (between - error) / (between + error)
        assert agreement(predicted, reference, 0.95, **BOOTSTRAP).icc == pytest.approx(expected, abs=1e-12)

    def test_icc_is_of_consistency_a_constant_offset_leaves_it_at_one_without_interval(self):
        _, reference = volumes(0, 10)
        result = agreement(reference + 7, reference, 0.95, **BOOTSTRAP)
        assert result.icc == pytest.approx(1.0)
        assert result.icc_low is None
        assert "too little variation for an interval of the ICC" in result.note

    def test_interval_of_the_icc_is_the_bootstrap_t_of_its_definition(self):
        """From the ICC's own definition, one patient left out at a time, in other bootstrap samples."""
        predicted, reference = volumes(5, 10)

        def z_and_error(chosen: np.ndarray) -> tuple[float, float]:
            each = np.arctanh(
                [consistency(*(v[np.delete(chosen, left)] for v in (predicted, reference))) for left in range(10)]
            )
            return np.arctanh(consistency(predicted[chosen], reference[chosen])), np.sqrt(9 * each.var())

        z, error = z_and_error(np.arange(10))
        samples = [z_and_error(chosen) for chosen in np.random.default_rng(0).integers(0, 10, (1000, 10))]
        ratios = np.array([abs(sampled - z) / own for sampled, own in samples])
        expected = z + error * np.array([-1, 1]) * np.quantile(ratios, [0.95, 0.98])
        found = icc_interval(np.column_stack([predicted, reference]), 0.95, draws=8000, seed=3)
        assert np.arctanh(found) == pytest.approx(expected, rel=0.1)

    def test_interval_of_the_icc_widens_with_few_patients(self):
        predicted, reference = volumes(5, 24)
        found = [agreement(predicted[:n], reference[:n], 0.95, **BOOTSTRAP) for n in (8, 24)]
        few, many = (np.ptp(np.arctanh([one.icc_low, one.icc_high])) for one in found)
        assert few > many

    def test_interval_of_the_icc_of_skewed_volumes_covers_nearly_as_often_as_it_says(self):
        """The interval from F covers 83 % of such studies (docs/statistics.md)."""
        own, noise = np.random.default_rng(1).normal(size=(2, 300, 19))
        pairs = zip(np.exp(3 + 0.8 * own + 0.6 * noise), np.exp(3 + own), strict=True)
        everyone = np.random.default_rng(2).normal(size=(2, 400_000))
        truth = consistency(np.exp(3 + 0.8 * everyone[0] + 0.6 * everyone[1]), np.exp(3 + everyone[0]))
        found = [icc_interval(np.column_stack(pair), 0.95, draws=300, seed=3) for pair in pairs]
        assert 0.91 < np.mean([low is not None and low <= truth <= high for low, high in found]) < 0.98

    def test_interval_of_spearman_is_that_of_the_jackknife_by_scipy(self):
        predicted, reference = volumes(5, 12)
        kept = [np.arange(12) != left_out for left_out in range(12)]
        z = np.arctanh([stats.spearmanr(predicted[k], reference[k]).statistic for k in kept])
        half = stats.t.ppf(0.975, 22) * np.sqrt(11 / 12 * ((z - z.mean()) ** 2).sum())
        result = agreement(predicted, reference, 0.95, **BOOTSTRAP)
        expected = np.arctanh(result.spearman) + half * np.array([-1, 1])
        assert np.arctanh([result.spearman_low, result.spearman_high]) == pytest.approx(expected)

    def test_spearman_equals_scipy_and_lies_in_its_interval(self):
        predicted, reference = volumes(3, 12)
        result = agreement(predicted, reference, 0.95, **BOOTSTRAP)
        assert result.spearman == pytest.approx(stats.spearmanr(predicted, reference).statistic)
        assert -1 < result.spearman_low < result.spearman < result.spearman_high < 1
        assert result.note == ""

    @pytest.mark.parametrize("n", [0, 1, 2])
    def test_too_few_patients_give_nothing_and_the_reason(self, n):
        result = agreement(np.arange(n, dtype=float), np.arange(n, dtype=float), 0.95, **BOOTSTRAP)
        assert (result.n, result.spearman, result.icc) == (n, None, None)
        assert "n < 3" in result.note

    @pytest.mark.parametrize("predicted", [np.zeros(10), volumes(4, 10)[1], volumes(4, 10)[1] * 2 + 1])
    def test_no_interval_claims_certainty(self, predicted):
        """All segmentations empty, all perfect, all in the right order: one number, and no interval of no width."""
        result = agreement(predicted, volumes(4, 10)[1], 0.95, **BOOTSTRAP)
        for low, high in ((result.spearman_low, result.spearman_high), (result.icc_low, result.icc_high)):
            assert low is None or high - low > 0.01
        assert "no interval" in result.note or "for an interval" in result.note or "no Spearman" in result.note

    def test_constant_volumes_have_no_spearman_and_the_note_says_which(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = agreement(np.zeros(7), np.arange(7.0), 0.95, **BOOTSTRAP)
            neither = agreement(np.zeros(7), np.ones(7), 0.95, **BOOTSTRAP)
        assert result.spearman is None
        assert result.icc == pytest.approx(0.0)
        assert "predicted volumes all equal: no Spearman" in result.note
        assert neither.icc is None
        assert "no ICC" in neither.note


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


def test_the_effect_of_no_difference_is_zero():
    assert rank_biserial(np.zeros(4)) == 0
