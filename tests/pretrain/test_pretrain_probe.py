"""Probes of representations: what is planted is found, what is not there is not, and no patient helps himself."""

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workflow_scripts.common import seeds
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_json, write_tsv
from workflow_scripts.pretrain import pretrain_probe
from workflow_scripts.pretrain.probe.attributes import read_attributes
from workflow_scripts.pretrain.probe.baselines import hu_histogram, mask_moments
from workflow_scripts.pretrain.probe.skills import (
    FOLDS,
    NEIGHBOURS,
    PENALTIES,
    REPEATS,
    Cases,
    neighbour_skill,
    probe_skill,
    weights_of,
)


def cases_of(values, patients=None, draws=200):
    patients = np.arange(len(values)) if patients is None else patients
    return Cases(np.asarray(values), patients, weights_of(patients, draws, 1), 1)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_the_skill_on_numbers_is_the_cross_validated_r2_against_the_mean_of_the_fitted(rng):
    features, patients = rng.normal(size=(30, 6)), np.repeat(np.arange(15), 2)
    values = features[:, 0] + rng.normal(size=30)
    model, errors, chance = make_pipeline(StandardScaler(), RidgeCV(PENALTIES)), 0, 0
    for repeat in range(REPEATS):
        folds = GroupKFold(FOLDS, shuffle=True, random_state=seeds.integer(1, "probe folds", repeat))
        errors += (cross_val_predict(model, features, values, groups=patients, cv=folds) - values) ** 2
        chance += (cross_val_predict(DummyRegressor(), features, values, groups=patients, cv=folds) - values) ** 2
    assert probe_skill(features, cases_of(values, patients))[0] == pytest.approx(1 - errors.sum() / chance.sum())


def test_the_skill_on_words_is_the_balanced_accuracy_between_chance_and_perfection(rng):
    values = np.array(["left"] * 20 + ["none"] * 12 + ["right"] * 8)
    features, patients = rng.normal(size=(40, 5)) + (values == "right")[:, None], np.arange(40)
    model = make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES, class_weight="balanced"))
    expected = [
        balanced_accuracy_score(
            values,
            cross_val_predict(
                model,
                features,
                values,
                groups=patients,
                cv=StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seeds.integer(1, "probe folds", repeat)),
            ),
            adjusted=True,
        )
        for repeat in range(REPEATS)
    ]
    assert probe_skill(features, cases_of(values))[0] == pytest.approx(np.mean(expected))


def test_what_is_planted_is_found_and_its_interval_lies_above_chance(rng):
    values = rng.normal(size=60)
    features = np.column_stack([values + 0.3 * rng.normal(size=60), 0.3 * rng.normal(size=(60, 7))])
    for measure in (probe_skill, neighbour_skill):
        value, *drawn = measure(features, cases_of(values))
        assert np.quantile(drawn, 0.025) > 0
        assert np.quantile(drawn, 0.025) < value < np.quantile(drawn, 0.975)


def test_a_patients_other_scan_does_not_help(rng):
    """Features that say who it is, and nothing else, are worthless for somebody else."""
    patients = np.repeat(np.arange(20), 1 + NEIGHBOURS)
    values = rng.normal(size=20)[patients]
    features = np.eye(20)[patients] + 0.01 * rng.normal(size=(len(patients), 20))
    for measure in (probe_skill, neighbour_skill):
        assert measure(features, cases_of(values, patients))[0] < 0.3
        assert measure(features, cases_of(values))[0] > 0.8, "taken for patients of their own, they would"


def test_neighbours_are_compared_with_all_pairs_of_different_patients(rng):
    features, values = rng.normal(size=(24, 3)), rng.normal(size=24)
    patients = np.repeat(np.arange(12), 2)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    near, every = [], []
    for i in range(24):
        others = [j for j in range(24) if patients[j] != patients[i]]
        others.sort(key=lambda j: np.linalg.norm(standard[i] - standard[j]))
        every += [abs(values[i] - values[j]) for j in others]
        near += [abs(values[i] - values[j]) for j in others[:NEIGHBOURS]]
    expected = 1 - np.mean(near) / np.mean(every)
    assert neighbour_skill(features, cases_of(values, patients))[0] == pytest.approx(expected)


def test_words_agree_or_not(rng):
    values = np.array(["left", "right"] * 10)
    features = (values == "left")[:, None] + 0.01 * rng.normal(size=(20, 1))
    assert neighbour_skill(features, cases_of(values))[0] == pytest.approx(1)


def test_intervals_of_neighbours_hold_chance_nearly_as_often_as_they_say(rng):
    held = 0
    for _ in range(100):
        drawn = neighbour_skill(rng.normal(size=(40, 8)), cases_of(rng.normal(size=40)))[1:]
        low, high = np.quantile(drawn, [0.025, 0.975])
        held += low <= 0 <= high
    assert held >= 85


def test_patients_are_drawn_whole_and_the_first_row_counts_everyone_once():
    patients = np.array(["a", "b", "b", "c"])
    weights = weights_of(patients, 50, 0)
    assert (weights[0] == 1).all()
    assert (weights[:, 1] == weights[:, 2]).all()
    assert (weights[1:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_ten_numbers_tell_size_place_and_lie_of_a_mask(rng):
    brain = rng.random((9, 12, 10)) < 0.3
    places = np.argwhere(brain)
    covariance = np.cov(places.T, bias=True)
    expected = [brain.sum(), *places.mean(axis=0), *covariance[np.triu_indices(3)]]
    np.testing.assert_allclose(mask_moments(np.zeros((1, *brain.shape)), brain), expected)
    assert len(expected) == 10


def test_a_histogram_counts_the_brain_alone_and_each_channel_by_itself(rng):
    brain = rng.random((6, 8, 7)) < 0.5
    image = rng.normal(size=(2, *brain.shape)) * 2
    image[:, ~brain] = 1e3
    edges = [-np.inf, *np.linspace(-3, 3, 15), np.inf]
    expected = np.concatenate([np.histogram(channel[brain], edges)[0] for channel in image]) / brain.sum()
    np.testing.assert_allclose(hu_histogram(image, brain), expected)


CASES = [{"cohort": "A", "case": f"c{number}"} for number in range(4)]


@pytest.fixture
def sources(tmp_path):
    """A table without a row for the last case, and case.json of all."""
    rows = [
        {"cohort": "A", "case": f"c{n}", "age": a, "sex": s}
        for n, a, s in ((0, "61", "f"), (1, "", "m"), (2, "7e1", ""))
    ]
    write_tsv(tmp_path / "table.tsv", rows, list(rows[0]))
    for number in range(4):
        facts = {"cohort": "A", "case": f"c{number}", "ml": 100.0 + number, "side": [None, "left"][number % 2]}
        quality = {"fit": {"degrees": number}, "flags": [], "age": 0}
        described = {"facts": facts, "quality": quality}
        write_json(tmp_path / "preprocess/A" / f"c{number}" / "case.json", described)
    return tmp_path / "preprocess", tmp_path / "table.tsv"


def test_attributes_come_from_the_table_or_else_from_the_case(sources):
    age, sex, ml, side, degrees = read_attributes(["age", "sex", "ml", "side", "fit.degrees"], CASES, *sources)
    assert age.source == "table" and age.numeric
    np.testing.assert_array_equal(age.values, [61, np.nan, 70, np.nan])
    assert age.known.tolist() == [True, False, True, False]
    assert not sex.numeric and sex.values[sex.known].tolist() == ["f", "m"]
    assert ml.source == "case.json" and ml.values.tolist() == [100, 101, 102, 103]
    assert side.known.tolist() == [False, True, False, True]
    assert degrees.values.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("names", "changed", "message"),
    [
        (["weight"], None, r"'weight' is no column of probe.table \(age, sex\) and no entry of the case.json of A/c0"),
        (["fit.angle"], None, "'fit.angle' is no column"),
        (["flags"], None, r"'flags' \(case.json\) is neither all numbers nor all words: \[\]"),
        (["age"], ("70", "unknown"), r"'age' \(table\) is neither all numbers nor all words: 'unknown'"),
        (["age"], ("c2", "c1"), "two rows for A/c1"),
        (["age"], ("cohort", "hospital"), "lacks one of the columns cohort, case"),
    ],
)
def test_attributes_that_cannot_be_used_are_refused_by_name(sources, names, changed, message):
    preprocess, table = sources
    if changed:
        table.write_text(table.read_text().replace("7e1", "70").replace(*changed))
    with pytest.raises(InputError, match=message):
        read_attributes(names, CASES, preprocess, table)


@pytest.fixture
def run_probe(tmp_path):
    def run(folder, dataset, out, control=None, **options):
        """Probe the encoder in ``folder``; returns the rows of both tables."""
        rows = [
            row
            | {"patient": row["case"], "size": 0.1 * number, "side": ["left", "right"][number % 2]}
            | {"rare": "odd" if number == 3 else "usual", "one": "5"}
            for number, row in enumerate(read_tsv(dataset / "cases.tsv"))
        ]
        write_tsv(tmp_path / "splits.tsv", rows, ("cohort", "patient", "case", "split"))
        write_tsv(tmp_path / "table.tsv", rows, ("cohort", "case", "size", "side", "rare", "one"))
        given = {
            "encoder": folder / "encoder.pt",
            "dataset": dataset,
            "splits": tmp_path / "splits.tsv",
            "preprocess": tmp_path,
            "table": tmp_path / "table.tsv",
            "supervised": control,
            "random-encoders": 2,
            "bootstrap": 50,
            "confidence": 0.9,
            "seed": 5,
            "out-skills": out / "probe.tsv",
            "out-neighbours": out / "neighbours.tsv",
        }
        words = [word for key, value in given.items() if value for word in (f"--{key}", str(value))]
        lists = {"probed-splits": ["train", "validation"], "attributes": ["size", "side", "rare", "one"]} | options
        pretrain_probe.main(words + [word for key, values in lists.items() for word in (f"--{key}", *values)])
        return read_tsv(out / "probe.tsv"), read_tsv(out / "neighbours.tsv")

    return run


def test_an_encoder_is_probed_on_every_attribute_beside_untrained_ones(run_rule, make_dataset, run_probe, tmp_path):
    dataset = make_dataset(("train",) * 10 + ("validation",) * 4, folder="probed")
    folder = run_rule(dataset=dataset, epochs=1)
    skills, neighbours = run_probe(folder, dataset, tmp_path / "first")
    rows = {(row["attribute"], row["measure"]): row for row in skills}
    assert len(rows) == 4 * 2
    for attribute in ("size", "side"):
        for measure in ("linear probe", "neighbours"):
            row = rows[attribute, measure]
            assert (row["cases"], row["patients"], row["seen"], row["pretraining"]) == ("14", "14", "10", "ALL-SA")
            assert float(row["pretrained_low"]) <= float(row["pretrained_high"])
            assert float(row["random_least"]) <= float(row["random"]) <= float(row["random_most"])
            assert all(row[f"{name}_low"] for name in ("moments", "histogram")) and not row["supervised"]
            gap = float(row["pretrained"]) - float(row["random"])
            assert float(row["difference"]) == pytest.approx(gap, abs=1e-4)
    for attribute in ("rare", "one"):
        assert rows[attribute, "linear probe"]["pretrained"] == ""
        assert "the same for all patients" in rows[attribute, "linear probe"]["note"]

    heads = [row for row in neighbours if row["rank"] == "0"]
    assert len(heads) == 2 * 14
    assert len(neighbours) == (1 + NEIGHBOURS) * len(heads)
    assert all((row["case"] == row["of_case"]) == (row["rank"] == "0") for row in neighbours)
    distance = [float(row["distance"]) for row in neighbours]
    assert all(a <= b for a, b, row in zip(distance, distance[1:], neighbours[1:], strict=False) if row["rank"] != "0")

    controlled, _ = run_probe(folder, dataset, tmp_path / "second", control=folder / "encoder.pt")
    assert (tmp_path / "first/neighbours.tsv").read_bytes() == (tmp_path / "second/neighbours.tsv").read_bytes()
    for row, again in zip(skills, controlled, strict=True):
        assert again["supervised"] == row["pretrained"], "the same weights, given as the control"
        assert {name: cell for name, cell in again.items() if "supervised" not in name} == {
            name: cell for name, cell in row.items() if "supervised" not in name
        }


def test_few_patients_are_told_and_none_is_refused(run_rule, make_dataset, run_probe, tmp_path):
    dataset = make_dataset(("train",) * 6 + ("validation",) * 2, folder="small")
    folder = run_rule(dataset=dataset, epochs=1)
    skills, neighbours = run_probe(folder, dataset, tmp_path, **{"probed-splits": ["validation"]})
    assert {row["note"] for row in skills if row["attribute"] == "size"} == {
        "2 patients, fewer than 10: nothing is said"
    }
    assert [row["rank"] for row in neighbours] == ["0", "1"] * 4
    with pytest.raises(InputError, match="no case of the splits test"):
        run_probe(folder, dataset, tmp_path, **{"probed-splits": ["test"]})
