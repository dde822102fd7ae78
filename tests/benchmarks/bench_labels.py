"""How often the interval of the factor of labels covers the planted factor.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bench_labels

Prints the table of docs/label_efficiency.md: for each setting simulated studies, seeded. Dice grows by 0.08 a factor
e of labels; patients differ by 0.2, patients within an arm by 0.06, models by 0.08; the draws of both arms are half the
same, since they learn from the same patients. The last number of labels is that of all patients, with three seeds.
"""

import numpy as np

from workflow_scripts.evaluate.measures.label_curve import Samples, interval, saving

STUDIES, SAMPLES, CONFIDENCE, SEED = 200, 300, 0.95, 14
BUDGETS, SEEDS, SLOPE = (5, 10, 20, 40), 3, 0.08

Curves = list[dict[int, np.ndarray]]


def study(rng: np.random.Generator, patients: int, draws: int, factor: float, spread: float) -> Curves:
    """Dice of the reference, and of an arm worth ``factor`` times its labels; ``spread`` is of draws at 5 labels."""
    patient, shared = rng.normal(0, 0.2, patients), {labels: rng.normal(0, 1, (draws, 1)) for labels in BUDGETS}
    curves = []
    for worth in (1.0, factor):
        own, curve = rng.normal(0, 0.06, patients), {}
        for labels in BUDGETS:
            whole = labels == BUDGETS[-1]
            drawn = rng.normal(0, 1, (SEEDS if whole else draws, 1))
            moved = 0.015 * drawn if whole else spread * np.sqrt(BUDGETS[0] / labels / 2) * (drawn + shared[labels])
            noise = rng.normal(0, 0.08, (len(drawn), patients))
            curve[labels] = 0.05 + SLOPE * np.log(worth * labels) + patient + own + moved + noise
        curves.append(curve)
    return curves


def coverage(patients: int, draws: int, factor: float, spread: float) -> tuple[float, float, float]:
    """Shares of the studies in which the factor is covered, and claimed too high; and in which a point of Dice is."""
    rng, covered, high, point = np.random.default_rng(SEED), 0, 0, 0
    for number in range(STUDIES):
        curves = study(rng, patients, draws, factor, spread)
        samples = Samples.drawn(patients, [draws, SEEDS], SAMPLES, number)
        means = [{labels: samples.means(dice) for labels, dice in curve.items()} for curve in curves]
        found = saving(*means, None, patients, CONFIDENCE)
        above_low = found.low_beyond == "below" or (not found.low_beyond and found.factor_low <= factor)
        below_high = found.high_beyond == "above" or (not found.high_beyond and found.factor_high >= factor)
        covered += above_low and below_high
        high += not above_low
        low, top = interval(means[0][10], patients, CONFIDENCE)
        point += low <= 0.05 + SLOPE * np.log(10) <= top
    return covered / STUDIES, high / STUDIES, point / STUDIES


def main() -> None:
    """Print the table."""
    print(
        "| patients | draws | factor | spread of draws at 5 labels | factor covered | claimed too high | Dice covered |"
    )
    print("|---|---|---|---|---|---|---|")
    settings = [
        (19, 3, 3, 0.03),
        (29, 3, 3, 0.03),
        (29, 5, 3, 0.03),
        (29, 5, 1, 0.03),
        (29, 3, 3, 0.08),
        (29, 5, 3, 0.08),
    ]
    for patients, draws, factor, spread in settings:
        shares = coverage(patients, draws, factor, spread)
        cells = [patients, draws, factor, spread, *(f"{share:.3f}" for share in shares)]
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
