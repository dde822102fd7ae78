"""The statistics agree with pingouin, scipy and statsmodels, and say why where they have nothing to say."""

import warnings

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from workflow_scripts.evaluate.measures import statistics

BOOTSTRAP = {"draws": 500, "confidence": 0.95, "seed": 1}


def volumes(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    reference = generator.lognormal(3, 1, n)
    return reference * generator.uniform(0.4, 1.5, n), reference


def icc3_of_pingouin(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """The labels of types and columns changed between releases."""
    n = len(first)
    frame = {"case": np.tile(np.arange(n), 2), "rater": np.repeat(["a", "b"], n), "ml": np.r_[first, second]}
    table = pingouin.intraclass_corr(pd.DataFrame(frame), targets="case", raters="rater", ratings="ml")
    row = table[table["Type"].isin(["ICC3", "ICC(C,1)"])].iloc[0]
    interval = row[next(column for column in table.columns if column.startswith("CI95"))]
    return row["ICC"], *interval


@pytest.mark.parametrize(("seed", "n"), [(0, 5), (1, 19), (2, 29)])
def test_icc_and_its_interval_equal_pingouin(seed, n):
    predicted, reference = volumes(seed, n)
    result = statistics.agreement(predicted, reference, 0.95)
    icc, low, high = icc3_of_pingouin(predicted, reference)
    assert result.icc == pytest.approx(icc, abs=1e-6)
    assert (result.icc_low, result.icc_high) == pytest.approx((low, high), abs=0.006)  # pingouin rounds to 2 decimals


def test_icc_is_of_consistency_a_constant_offset_leaves_it_at_one():
    _, reference = volumes(0, 10)
    assert statistics.agreement(reference + 7, reference, 0.95).icc == pytest.approx(1.0)


def test_spearman_equals_scipy():
    predicted, reference = volumes(3, 12)
    result = statistics.agreement(predicted, reference, 0.95)
    assert (result.spearman, result.spearman_p) == pytest.approx(tuple(stats.spearmanr(predicted, reference)))
    assert result.note == ""


@pytest.mark.parametrize("n", [0, 1, 2])
def test_agreement_of_too_few_cases_is_empty_and_says_why(n):
    result = statistics.agreement(np.arange(n, dtype=float), np.arange(n, dtype=float), 0.95)
    assert (result.n, result.spearman, result.icc) == (n, None, None)
    assert "n < 3" in result.note


def test_constant_volumes_have_no_spearman_and_the_note_says_which():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = statistics.agreement(np.zeros(5), np.arange(5.0), 0.95)
        neither = statistics.agreement(np.zeros(5), np.ones(5), 0.95)
    assert result.spearman is None
    assert result.icc == pytest.approx(0.0)
    assert result.note == "predicted volumes all equal: no Spearman"
    assert neither.icc is None


@pytest.mark.parametrize("n", [6, 50, 51])
def test_wilcoxon_without_zeros_or_ties_equals_scipy_and_the_effect_pingouin(n):
    generator = np.random.default_rng(n)
    first, second = generator.random(n), generator.random(n)
    result = statistics.compare(first, second, **BOOTSTRAP)
    expected = stats.wilcoxon(first, second)
    assert (result.statistic, result.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert result.method == ("exact" if n <= 50 else "asymptotic")
    table = pingouin.wilcoxon(second, first)
    assert result.rank_biserial == pytest.approx(float(table["RBC"].iloc[0]), abs=1e-4)


def test_wilcoxon_of_all_zero_differences_is_one_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = statistics.compare(np.full(8, 0.2), np.full(8, 0.2), **BOOTSTRAP)
    assert (result.p, result.zeros, result.rank_biserial) == (1.0, 8, 0.0)
    assert "all differences are zero" in result.note


@pytest.mark.parametrize(("n", "method"), [(10, "permutation"), (13, "permutation"), (14, "asymptotic")])
def test_zeros_are_counted_and_ranked_as_pratt_says(n, method):
    generator = np.random.default_rng(5)
    first = generator.random(n).round(3)
    second = first + np.where(np.arange(n) < 3, 0, generator.normal(0.05, 0.1, n).round(3))
    result = statistics.compare(first, second, **BOOTSTRAP)
    assert result.zeros == 3
    assert result.p == pytest.approx(stats.wilcoxon(np.round(second - first, 9), zero_method="pratt").pvalue)
    assert result.method == method


def test_differences_that_differ_by_a_rounding_error_are_ties():
    first, second = np.array([0.1, 0.2, 0.3, 0.5]), np.array([0.3, 0.4, 0.5, 0.7])
    assert statistics.compare(first, second, **BOOTSTRAP).note.startswith("all differences are equal")


def test_few_non_zero_differences_are_said_to_be_unable_to_reach_significance():
    result = statistics.compare(np.zeros(5), np.array([0.1, 0.2, 0.3, 0.4, 0.55]), **BOOTSTRAP)
    assert result.p == pytest.approx(2**-4)
    assert "p cannot fall below 0.05" in result.note


@pytest.mark.parametrize("n", [0, 1, 2])
def test_comparison_of_too_few_cases_is_empty_and_says_why(n):
    result = statistics.compare(np.zeros(n), np.ones(n), **BOOTSTRAP)
    assert (result.n, result.p, result.note) == (n, None, "n < 3: no test")


def test_holm_equals_statsmodels_and_skips_what_was_not_tested():
    p = [0.04, 0.01, 0.03, 0.2]
    expected = list(multipletests(p, method="holm")[1])
    assert statistics.holm(p) == pytest.approx(expected)
    with_gap = statistics.holm([*p[:2], None, *p[2:]])
    assert with_gap[2] is None
    assert [value for value in with_gap if value is not None] == pytest.approx(expected)


def test_bootstrap_interval_is_seeded_and_covers_the_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    results = [statistics.compare(np.zeros(30), generator.normal(0.1, 0.2, 30), **BOOTSTRAP) for _ in range(60)]
    covered = sum(result.difference_low <= 0.1 <= result.difference_high for result in results)
    assert covered >= 51
    first, second = generator.random((2, 20))
    assert statistics.compare(first, second, **BOOTSTRAP) == statistics.compare(first, second, **BOOTSTRAP)


def test_description_leaves_undefined_values_out_and_counts_the_rest():
    result = statistics.describe(np.array([1.0, np.nan, 2.0, 3.0, 10.0]))
    assert (result.n, result.mean, result.median, result.iqr) == (4, 4.0, 2.5, pytest.approx(4.75 - 1.75))
    assert result.sd == pytest.approx(np.std([1, 2, 3, 10], ddof=1))
    assert statistics.describe(np.array([np.nan])) == statistics.Description(0)
    assert statistics.describe(np.array([2.0])).sd is None
