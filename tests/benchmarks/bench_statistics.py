"""How often the intervals cover what they should, and how often the test sees a difference that is not there.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_statistics

Prints the tables of docs/statistics.md: for each setting 2000 simulated studies, seeded. "Before" is
what this workflow gave until November 2026: at first BCa for mean differences, the F interval for the ICC and no other
interval, then Student's t, the jackknife, and that of Bonett and Wright (2000).
"""

from collections.abc import Callable, Iterable

import numpy as np
from scipy import stats

from workflow_scripts.evaluate.measures.agreement import icc_interval, spearman_interval
from workflow_scripts.evaluate.measures.intervals import (
    correlation_interval,
    mean_interval,
    median_interval,
    skewed_mean_interval,
    symmetric_mean_interval,
)
from workflow_scripts.evaluate.measures.signed_rank import hodges_lehmann, signed_rank_test

STUDIES, SIZES, CONFIDENCE, SEED = 2000, (6, 10, 19, 29), 0.95, 14
BOOTSTRAP = 1000
DRAWN = {"draws": BOOTSTRAP, "seed": SEED}
MISSED = "log-normal, a fifth missed"  # volumes
ZEROS = (0.0, 0.2, 0.4)  # share of patients whose lesion is missed, so that Dice is 0
LARGE = 400_000  # patients in the sample that stands for the population

Sampler = Callable[[np.random.Generator, int, int], np.ndarray]
Interval = tuple[float | None, float | None]


def dice(generator: np.random.Generator, studies: int, n: int, zeros: float) -> np.ndarray:
    """Dice of one arm, (studies, n): mean .42, deviation .22 where it is not 0."""
    return np.where(generator.random((studies, n)) < zeros, 0.0, generator.beta(1.7, 2.35, (studies, n)))


def dice_difference(generator: np.random.Generator, studies: int, n: int, zeros: float, effect: float) -> np.ndarray:
    """Differences of Dice of two arms that miss much the same lesions; many are 0."""
    first = generator.beta(1.7, 2.35, (studies, n))
    second = np.clip(first + generator.normal(effect, 0.13, (studies, n)), 0, 1)
    missed = generator.random((studies, n)) < zeros
    one_missed = generator.random((studies, n)) < 0.1
    first, second = np.where(missed, 0, first), np.where(missed & ~one_missed, 0, second)
    return second - first


def volumes(generator: np.random.Generator, studies: int, n: int, kind: str) -> np.ndarray:
    """Predicted and reference volumes in mL, (studies, n, 2)."""
    own, noise = generator.normal(size=(2, studies, n))
    if kind == "normal":
        return np.stack([50 + 20 * own + 12 * noise, 50 + 20 * own], axis=-1)
    predicted = np.exp(3 + 0.8 * own + 0.6 * noise)
    if kind == MISSED:
        predicted[generator.random((studies, n)) < 0.2] = 0
    return np.stack([predicted, np.exp(3 + own)], axis=-1)


def volume_differences(kind: str) -> Sampler:
    """Return what draws predicted − reference volumes in mL, (studies, n)."""
    return lambda generator, studies, n: -np.diff(volumes(generator, studies, n, kind))[..., 0]


def absolute(sample: Sampler) -> Sampler:
    return lambda *how: np.abs(sample(*how))


def penalised(generator: np.random.Generator, studies: int, n: int) -> np.ndarray:
    """HD95 in mm, (studies, n): a fifth of the predictions is empty and has the diagonal of the image."""
    return np.where(generator.random((studies, n)) < 0.2, 300.0, generator.gamma(4, 8, (studies, n)))


SIGNED = {kind: volume_differences(kind) for kind in ("normal", "log-normal", MISSED)}
SKEWED: dict[str, Sampler] = {
    "HD95": lambda generator, studies, n: generator.gamma(4, 8, (studies, n)),
    "HD95, penalised, a fifth undefined": penalised,
    "false lesions": lambda generator, studies, n: generator.poisson(generator.gamma(1, 2, (studies, n))).astype(float),
} | {f"absolute volume difference, {kind}": absolute(sample) for kind, sample in SIGNED.items()}


def coverage(intervals: Iterable[Interval], truth: float) -> str:
    """Return how often the intervals hold the truth; one that is missing holds nothing."""
    held = [low is not None and low - 1e-12 <= truth <= high + 1e-12 for low, high in intervals]
    return f"{np.mean(held):.3f}".lstrip("0")


def row(name: str, values: Iterable[str]) -> None:
    print(f"| {name} | {' | '.join(values)} |")


def table(title: str) -> None:
    print(f"\n| {title} | {' | '.join(f'n = {n}' for n in SIZES)} |\n|---|{'---|' * len(SIZES)}")


def each_size(sample: Sampler, interval: Callable[[np.ndarray], Interval], truth: float) -> list[str]:
    """Return the coverage at each size of study."""
    found = []
    for n in SIZES:
        generator = np.random.default_rng([SEED, n])
        found.append(coverage(map(interval, sample(generator, STUDIES, n)), truth))
    return found


def population(sample: Sampler) -> np.ndarray:
    return sample(np.random.default_rng(SEED), 1, LARGE)[0]


def bca(values: np.ndarray) -> Interval:
    """The interval of the mean as it was, by the formula of Efron (1987), with a bootstrap of our own for its speed."""
    n, mean = len(values), values.mean()
    if np.ptp(values) == 0:
        return None, None
    draws = values[np.random.default_rng(SEED).integers(0, n, (BOOTSTRAP, n))].mean(axis=1)
    share = (np.mean(draws < mean) + np.mean(draws <= mean)) / 2
    bias = stats.norm.ppf(np.clip(share, 1 / BOOTSTRAP, 1 - 1 / BOOTSTRAP))
    without = (values.sum() - values) / (n - 1)
    apart = without.mean() - without
    skew = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    z = bias + stats.norm.ppf([(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    low, high = np.quantile(draws, stats.norm.cdf(bias + z / (1 - skew * z)))
    return float(low), float(high)


def icc_of(ratings: np.ndarray) -> tuple[float, float]:
    """ICC(3,1) of (n, 2) and the ratio F of its mean squares."""
    common, apart = ratings.sum(axis=1).var(), (ratings[:, 0] - ratings[:, 1]).var()
    return (common - apart) / (common + apart), common / apart


def f_interval(ratings: np.ndarray) -> Interval:
    quantile = stats.f.ppf((1 + CONFIDENCE) / 2, len(ratings) - 1, len(ratings) - 1)
    low, high = icc_of(ratings)[1] / quantile, icc_of(ratings)[1] * quantile
    return (low - 1) / (low + 1), (high - 1) / (high + 1)


def bonett_wright(ratings: np.ndarray) -> Interval:
    """The interval of Spearman's correlation as it was."""
    rho = float(stats.spearmanr(*ratings.T).statistic)
    return correlation_interval(rho, np.sqrt((1 + rho**2 / 2) / (len(ratings) - 3)), len(ratings) - 2, CONFIDENCE)


def jackknife_of_icc(ratings: np.ndarray) -> Interval:
    """The interval of the ICC as it was (Arvesen and Schmitz 1970)."""
    n = len(ratings)
    z = np.arctanh([icc_of(np.delete(ratings, left_out, axis=0))[0] for left_out in range(n)])
    error = np.sqrt((n - 1) / n * ((z - z.mean()) ** 2).sum())
    return correlation_interval(icc_of(ratings)[0], error, n - 1, CONFIDENCE)


def bench_location() -> None:
    table("mean and median of Dice, coverage")
    for zeros in ZEROS:

        def sample(generator: np.random.Generator, studies: int, n: int, zeros: float = zeros) -> np.ndarray:
            return dice(generator, studies, n, zeros)

        everyone, name = population(sample), f"{zeros:.0%} zeros"
        row(f"mean, t, {name}", each_size(sample, lambda v: mean_interval(v, CONFIDENCE), everyone.mean()))
        row(f"mean, BCa, {name}", each_size(sample, bca, everyone.mean()))
        middle = float(np.median(everyone))
        row(f"median, order statistics, {name}", each_size(sample, lambda v: median_interval(v, CONFIDENCE), middle))


def bench_skewed() -> None:
    table("mean and median of other measures, coverage")
    for name, sample in SKEWED.items():
        everyone = population(sample)
        mean, middle = everyone.mean(), float(np.median(everyone))
        found = each_size(sample, lambda v: skewed_mean_interval(v, CONFIDENCE, **DRAWN), mean)
        row(f"{name}: mean, percentile-t", found)
        row(f"{name}: mean, t (not used)", each_size(sample, lambda v: mean_interval(v, CONFIDENCE), mean))
        row(f"{name}: median", each_size(sample, lambda v: median_interval(v, CONFIDENCE), middle))
    for kind, sample in SIGNED.items():
        mean = population(sample).mean()
        row(f"signed, {kind}: mean, t", each_size(sample, lambda v: mean_interval(v, CONFIDENCE), mean))


def bench_difference() -> None:
    table("paired difference of Dice, coverage")
    for zeros in ZEROS:

        def sample(generator: np.random.Generator, studies: int, n: int, zeros: float = zeros) -> np.ndarray:
            return dice_difference(generator, studies, n, zeros, effect=0.04)

        everyone, name = population(sample), f"{zeros:.0%} missed by both"
        row(
            f"mean, symmetric percentile-t, {name}",
            each_size(sample, lambda v: symmetric_mean_interval(v, CONFIDENCE, **DRAWN), everyone.mean()),
        )
        row(f"mean, t (before), {name}", each_size(sample, lambda v: mean_interval(v, CONFIDENCE), everyone.mean()))
        row(f"mean, BCa (before), {name}", each_size(sample, bca, everyone.mean()))
        chosen = everyone[np.random.default_rng(SEED).integers(0, LARGE, (2, LARGE))]
        pseudo_median = float(np.median(chosen.mean(axis=0)))
        row(
            f"Hodges–Lehmann, {name}",
            each_size(sample, lambda v: hodges_lehmann(v, CONFIDENCE)[1:], pseudo_median),
        )


def bench_agreement() -> None:
    table("agreement of volumes, coverage")
    for kind in SIGNED:

        def sample(generator: np.random.Generator, studies: int, n: int, kind: str = kind) -> np.ndarray:
            return volumes(generator, studies, n, kind)

        everyone = population(sample)
        rho, icc = float(stats.spearmanr(*everyone.T).statistic), icc_of(everyone)[0]
        row(f"Spearman, jackknife, {kind}", each_size(sample, lambda v: spearman_interval(v, CONFIDENCE), rho))
        row(f"Spearman, Bonett and Wright (before), {kind}", each_size(sample, bonett_wright, rho))
        row(f"ICC, bootstrap-t, {kind}", each_size(sample, lambda v: icc_interval(v, CONFIDENCE, **DRAWN), icc))
        row(f"ICC, jackknife (before), {kind}", each_size(sample, jackknife_of_icc, icc))
        row(f"ICC, F (before), {kind}", each_size(sample, f_interval, icc))


def bench_false_positives() -> None:
    limit = 0.05 + 2 * np.sqrt(0.05 * 0.95 / STUDIES)
    table(f"p ≤ .05 without a difference (wanted: at most {limit:.3f})")
    for zeros in ZEROS:
        found = []
        for n in SIZES:
            generator = np.random.default_rng([SEED, n])
            differences = dice_difference(generator, STUDIES, n, zeros, 0)
            signs = generator.choice([-1, 1], differences.shape)
            found.append(np.mean([signed_rank_test(d.round(9)).p <= 0.05 for d in differences * signs]))
        row(f"exact, {zeros:.0%} missed by both", (f"{share:.3f}" for share in found))
    for scans in (1, 2, 3):
        as_one, apart = [], []
        for n in SIZES:
            generator = np.random.default_rng([SEED, n, scans])
            patient = generator.normal(0, 0.1, (STUDIES, n, 1))
            differences = patient + generator.normal(0, 0.05, (STUDIES, n, scans))
            as_one.append(np.mean([signed_rank_test(d).p <= 0.05 for d in differences.mean(axis=2)]))
            apart.append(np.mean([signed_rank_test(d).p <= 0.05 for d in differences.reshape(STUDIES, -1)]))
        row(f"{scans} scans a patient, patient means", (f"{share:.3f}" for share in as_one))
        row(f"{scans} scans a patient, scans apart (before)", (f"{share:.3f}" for share in apart))


if __name__ == "__main__":
    bench_location()
    bench_skewed()
    bench_difference()
    bench_agreement()
    bench_false_positives()
