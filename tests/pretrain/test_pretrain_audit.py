import pytest

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, read_tsv, write_json, write_tsv
from workflow_scripts.pretrain import pretrain_audit
from workflow_scripts.pretrain.pretrain_audit import audit

SPLITS = [
    {"cohort": "A", "patient": "p1", "case": "c0", "split": "train"},
    {"cohort": "A", "patient": "p1", "case": "c1", "split": "train"},
    {"cohort": "A", "patient": "p2", "case": "c2", "split": "validation"},
    {"cohort": "A", "patient": "p3", "case": "c3", "split": "test"},
    {"cohort": "B", "patient": "p3", "case": "c3", "split": "train"},
]
CLEAN = {"gradients": ["A/c0", "A/c1", "B/c3"], "statistics": ["A/c0", "B/c3"]}


def test_a_clean_pretraining_is_counted():
    """Patient p3 of cohort B is another person than p3 of cohort A."""
    assert audit(SPLITS, ["train"], CLEAN) == {
        "splits": ["train"],
        "gradients": {"cases": 3, "patients": 2},
        "statistics": {"cases": 2, "patients": 2},
        "held_out_patients": 2,
        "held_out_patients_seen": 0,
    }


def test_a_study_that_wants_held_out_patients_is_told_how_many_it_saw():
    report = audit(SPLITS, ["train", "validation"], CLEAN | {"gradients": ["A/c0", "A/c2"]})
    assert report["held_out_patients_seen"] == 1


@pytest.mark.parametrize(
    ("leak", "message"),
    [
        ({"gradients": ["A/c0", "A/c2"]}, r"A/c2 \(gradients: patient p2 is in validation\)"),
        ({"statistics": ["A/c3"]}, r"A/c3 \(statistics: patient p3 is in test\)"),
        ({"gradients": ["A/c9"]}, r"A/c9 \(gradients: in no split\)"),
    ],
)
def test_a_planted_leak_is_named(leak, message):
    with pytest.raises(InputError, match=message):
        audit(SPLITS, ["train"], CLEAN | leak)


def test_another_case_of_a_held_out_patient_is_a_leak_though_its_own_row_says_train():
    rows = [*SPLITS, {"cohort": "A", "patient": "p1", "case": "c4", "split": "test"}]
    with pytest.raises(InputError, match=r"A/c0 \(gradients: patient p1 is in test\); A/c1"):
        audit(rows, ["train"], CLEAN)


@pytest.fixture
def run_audit(tmp_path):
    def run(folder, dataset, moved=()):
        rows = read_tsv(dataset / "cases.tsv")
        rows = [
            row | {"patient": row["case"], "split": "test" if row["case"] in moved else row["split"]} for row in rows
        ]
        write_tsv(tmp_path / "splits.tsv", rows, ("cohort", "patient", "case", "split"))
        options = {"encoder": folder / "encoder.pt", "fingerprint": dataset / "fingerprint.json"}
        options |= {"splits": tmp_path / "splits.tsv", "out": tmp_path / "audit.json"}
        pretrain_audit.main([word for key, value in options.items() for word in (f"--{key}", str(value))])
        return read_json(tmp_path / "audit.json")

    return run


def test_an_encoder_is_held_against_the_split_by_its_own_list(run_rule, make_dataset, run_audit):
    dataset = make_dataset(folder="audited")
    folder = run_rule(dataset=dataset, epochs=1)
    report = run_audit(folder, dataset)
    assert report["gradients"] == report["statistics"] == {"cases": 6, "patients": 6}
    assert report["held_out_patients"] == 3 and report["held_out_patients_seen"] == 0
    with pytest.raises(InputError, match=r"A/c4 \(gradients: .*; A/c4 \(statistics: "):
        run_audit(folder, dataset, moved=["c4"])
    write_json(dataset / "fingerprint.json", {"cases": ["A/c0"]})
    with pytest.raises(InputError, match="statistics of other cases"):
        run_audit(folder, dataset)
