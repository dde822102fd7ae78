"""Labels saved: planted curves give the planted factor, and what was not measured is said to be more or less."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.evaluate.label_efficiency import CURVE_COLUMNS, SAVING_COLUMNS, main
from workflow_scripts.evaluate.measures.label_curve import Samples, interval, labels_needed, log_saving, saving

BUDGETS = (5, 10, 20, 40)


def curve(factor: float, budgets=BUDGETS, a: float = 0.1, b: float = 0.1) -> dict[int, float]:
    """Mean Dice a + b ln(factor × labels)."""
    return {labels: a + b * np.log(factor * labels) for labels in budgets}


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0, 5.0])
@pytest.mark.parametrize("others", [BUDGETS, (5, 12, 40), (7, 9, 30)])
def test_a_shifted_curve_gives_its_shift(factor, others):
    found, low, high = log_saving(curve(1.0), curve(factor, others))
    assert np.exp(found) == pytest.approx(factor, rel=1e-5)
    reached = sorted([*curve(1.0).values()]), sorted(curve(factor, others).values())
    assert (low, high) == pytest.approx((max(reached[0][0], reached[1][0]), min(reached[0][-1], reached[1][-1])))


def test_curves_without_a_common_level_are_beyond_each_other():
    above, low, _ = log_saving(curve(1.0), curve(20.0))
    assert above == np.inf
    assert np.isnan(low)
    assert log_saving(curve(20.0), curve(1.0))[0] == -np.inf


def test_labels_are_read_from_a_curve_that_never_falls():
    # 10 labels did worse than 5: both count as their mean, 0.25, which the least of them reaches.
    needed = labels_needed(np.array([0.25, 0.3, 0.1, 0.5]), [5, 10, 40], [0.3, 0.2, 0.35])
    assert np.exp(needed[:2]) == pytest.approx([5, 20], rel=1e-6)
    assert needed[2:].tolist() == [-np.inf, np.inf]


def planted(rng: np.random.Generator, factor: float, patients: np.ndarray, draws: int) -> dict[int, np.ndarray]:
    means = curve(factor)
    return {
        n: means[n] + patients + rng.normal(0, 0.02, (draws, 1)) + rng.normal(0, 0.05, (draws, len(patients)))
        for n in means
    }


def compared(factor: float, patients: int, labels: int | None = None):
    rng = np.random.default_rng(3)
    patient = rng.normal(0, 0.15, patients)
    curves = [planted(rng, one, patient, 5) for one in (1.0, factor)]
    samples = Samples.drawn(patients, [5], 400, 1)
    means = [{n: samples.means(dice) for n, dice in one.items()} for one in curves]
    return saving(*means, labels, patients, 0.95)


def test_the_planted_factor_lies_in_the_interval():
    found = compared(3.0, 30)
    assert 1 < found.factor_low < 3.0 < found.factor_high
    assert found.factor == pytest.approx(3.0, rel=0.25)
    assert (found.beyond, found.low_beyond) == ("", "")


def test_what_lies_beyond_the_numbers_measured_is_a_bound():
    found = compared(100.0, 30)
    assert (found.beyond, found.low_beyond, found.high_beyond) == ("above", "above", "above")
    assert found.factor == found.factor_low == 1.0  # 40 labels of one against 40 of the other
    assert found.dice_from is None
    at_five = compared(100.0, 30, labels=5)
    assert (at_five.factor, at_five.beyond) == (8.0, "above")
    below = compared(0.01, 30)
    assert (below.factor, below.beyond, below.high_beyond) == (1.0, "below", "below")


def test_five_patients_have_no_interval():
    found = compared(3.0, 5)
    assert found.factor is not None
    assert found.factor_low is None
    assert found.high_beyond == ""


@pytest.mark.parametrize(("draws", "patients"), [(3, 1), (1, 8)])
def test_the_interval_of_a_mean_is_students(draws, patients):
    dice = np.random.default_rng(0).normal(0.5, 0.1, (draws, patients))
    means = Samples.drawn(patients, [draws], 40_000, 1).means(dice)
    expected = stats.ttest_1samp(dice.ravel(), means[0]).confidence_interval(0.95)
    assert interval(means, 6, 0.95) == pytest.approx(tuple(expected), abs=0.01)


@pytest.fixture
def study(tmp_path):
    """Score tables of two arms with 4 and 8 labels of 12, two scans of a patient each, and the whole arms."""
    rng = np.random.default_rng(5)
    patients = [f"P{number}" for number in range(8)]
    dice = {
        ("FS", "4"): 0.2,
        ("FS", "8"): 0.3,
        ("FS", "12"): 0.35,
        ("SA", "4"): 0.3,
        ("SA", "8"): 0.35,
        ("SA", "12"): 0.4,
    }

    def rows(arm, labels, members):
        for member, patient, scan, split in product(members, patients, "ab", ("validation", "train", "test")):
            if split == "test" and arm == "SA":
                continue
            fixed = {"arm": arm, "labels": labels, "member": member, "cohort": "A", "patient": patient}
            place = {"case": f"{patient}{scan}", "split": split, "criterion": "all"}
            yield fixed | place | {"dice": dice[arm, labels] + rng.normal(0, 0.01)}

    columns = ("arm", "labels", "member", "cohort", "patient", "case", "split", "criterion", "dice")
    for arm in ("FS", "SA"):
        fewer = [row for labels in ("4", "8") for row in rows(arm, labels, ("seed-0", "seed-1"))]
        write_tsv(tmp_path / f"{arm}-labels.tsv", fewer, columns)
        whole = [dict(row, labels="") for row in rows(arm, "12", ("seed-0", "seed-1", "seed-2", "ensemble"))]
        write_tsv(tmp_path / f"{arm}.tsv", whole, [name for name in columns if name != "labels"])
        cases = [{"cohort": "A", "case": f"T{number}{scan}", "split": "train"} for number in range(12) for scan in "ab"]
        cases += [{"cohort": "A", "case": "P0a", "split": "validation"}]
        write_tsv(tmp_path / f"{arm}-cases.tsv", cases, ("cohort", "case", "split"))
    splits = [{"cohort": "A", "case": row["case"], "patient": row["case"][:-1]} for row in cases]
    write_tsv(tmp_path / "splits.tsv", splits, ("cohort", "case", "patient"))
    return tmp_path


def run(folder, *more):
    main(
        [
            *("--label-scores", str(folder / "FS-labels.tsv"), str(folder / "SA-labels.tsv")),
            *("--splits", str(folder / "splits.tsv"), "--pairs", "FS,SA", "FS,ABSENT"),
            *("--bootstrap", "50", "--confidence", "0.95", "--seed", "1", *more),
            *("--out-curve", str(folder / "curve.tsv"), "--out-savings", str(folder / "savings.tsv")),
        ]
    )
    return read_tsv(folder / "curve.tsv"), read_tsv(folder / "savings.tsv")


def test_the_tables_hold_trainings_on_fewer_labels_and_the_whole_arm_as_its_last_point(study):
    whole = [str(study / f"{arm}.tsv") for arm in ("FS", "SA")]
    cases = [str(study / f"{arm}-cases.tsv") for arm in ("FS", "SA")]
    curves, savings = run(study, "--scores", *whole, "--arms", "FS", "SA", "--cases", *cases)
    assert tuple(curves[0]) == CURVE_COLUMNS
    assert tuple(savings[0]) == SAVING_COLUMNS
    points = [(row["split"], row["arm"], row["labels"], row["draws"], row["n"]) for row in curves]
    assert points[:3] == [
        ("validation", "FS", "4", "2", "8"),
        ("validation", "FS", "8", "2", "8"),
        ("validation", "FS", "12", "3", "8"),
    ]
    # An arm that is not tested has no test row, and a pair with it none either.
    assert {row["arm"] for row in curves if row["split"] == "test"} == {"FS"}
    assert {row["split"] for row in curves} == {"validation", "test"}
    assert {row["split"] for row in savings} == {"validation"}
    assert [row["labels"] for row in savings] == ["curve", "4", "8", "12"]
    at_four = savings[1]
    assert float(at_four["factor"]) == pytest.approx(2, rel=0.15)  # 0.3 is FS with 8
    assert savings[3]["beyond"] == "above"


def test_without_the_whole_arms_the_curve_ends_with_the_budgets(study):
    curves, _ = run(study)
    assert {row["labels"] for row in curves} == {"4", "8"}
