"""Agreement of volumes is that of scipy and pingouin, and its intervals hold what they say."""

import warnings

import numpy as np
import pandas as pd
import pingouin
import pytest
from scipy import stats

from workflow_scripts.evaluate.measures.agreement import agreement, icc_interval


def volumes(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    reference = generator.lognormal(3, 1, n)
    return reference * generator.uniform(0.4, 1.5, n), reference


BOOTSTRAP = {"draws": 500, "seed": 3}


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
