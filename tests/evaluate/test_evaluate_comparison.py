"""Comparisons of two arms agree with scipy, pingouin and statsmodels, and say why where they have nothing to say."""

import itertools
import warnings

import numpy as np
import pingouin
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from workflow_scripts.evaluate.measures.comparison import compare, holm
from workflow_scripts.evaluate.measures.power import detectable_difference, patients_needed
from workflow_scripts.evaluate.measures.signed_rank import hodges_lehmann, rank_biserial, signed_rank_test


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


def test_the_effect_of_no_difference_is_zero():
    assert rank_biserial(np.zeros(4)) == 0
