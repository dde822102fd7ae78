"""CQ500: the choice among series by the names of their folders, and the votes of three readers."""

import pytest

from tests.datasets.trees import left_out, run_reader, why
from workflow_scripts.common.errors import InputError
from workflow_scripts.datasets.cq500 import kind_of, main

# Names of folders in the data set, without repeat numbers.
VOCABULARY = {
    "plain, thin": ["CT PLAIN THIN", "CT Thin Plain", "CT PRE CONTRAST THIN", "CT THIN", "CT THIN STD", "CT C THIN"],
    "plain, thick": [
        *("CT Plain", "CT 5mm", "CT 55mm Plain", "CT Plain 3mm", "CT 3.753.75mm Plain", "CT BRAIN PLAIN", "CT 5 MM"),
        *("CT 5 MM PRE CONTRAST", "CT PRE CONTRAST 5MM STD", "CT 1.25mm", "CT 2.55mm", "CT C"),
    ],
    "thin, perhaps plain": ["CT 0.625mm", "CT Thin Stnd"],
    "bone": [
        *("CT BONE", "CT BONE THIN", "CT Thin Bone", "CT PRE CONTRAST BONE", "CT THIN BONE PNS", "CT LT THIN BONE"),
    ],
    "enhanced": [
        *("CT POST CONTRAST", "CT CONTRAST", "CT 5mm POST CONTRAST", "CT 55mm Contrast", "CT Thin Contrast"),
        *("CT CECT THIN", "CT ORAL IV", "CT 4cc sec 150cc D3D on", "CT DE"),
    ],
    "no plain axial head": ["CT HELICAL", "CT HRCT", "CT 3D CT HEADORBIT", "CT I To S"],
}
HEADER = "name,Category,R1:ICH,R1:IPH,R2:ICH,R2:IPH,R3:ICH,R3:IPH"


def add(root, number, series, form="CQ500CT{n} CQ500CT{n}/Unknown Study"):
    """Write the series of a patient; ``series`` maps a name to its number of files."""
    for name, count in series.items():
        folder = root / form.format(n=number) / name
        folder.mkdir(parents=True)
        for index in range(count):
            (folder / f"CT{index:06d}.dcm").touch()


def vote(root, **votes):
    """Write reads.csv: three votes for each patient, as p7="011"."""
    rows = [f"CQ500-CT-{name[1:]},B1,{given[0]},0,{given[1]},0,{given[2]},0" for name, given in votes.items()]
    root.mkdir(exist_ok=True)
    (root / "reads.csv").write_text("\n".join([HEADER, *rows]) + "\n")


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for kind, names in VOCABULARY.items() for name in names], ids=str
)
@pytest.mark.parametrize("form", ["{}", "{}-2"])
def test_every_name_of_the_data_set_is_known(form, name, kind):
    assert kind_of(form.format(name)) == kind
    assert kind_of(form.format(name).replace(" ", "_")) == kind


def test_a_name_that_the_data_set_does_not_have_is_not_guessed():
    assert kind_of("CT HEAD") is None


def test_the_plain_thin_series_is_taken_and_every_other_is_listed(tmp_path):
    others = {"CT POST CONTRAST": 90, "CT Thin Bone": 90, "CT PRE CONTRAST 5MM STD": 30, "CT 0.625mm": 200, "CT X": 90}
    add(tmp_path / "CQ500", 7, {"CT PRE CONTRAST THIN": 90, "CT PLAIN THIN-2": 12, "CT Plain": 0, **others})
    vote(tmp_path / "CQ500", p7="000")
    cases, rows = run_reader(main, tmp_path / "CQ500")
    case = cases["CQ500-CT-7"]
    assert case.ncct.endswith("Unknown Study/CT PRE CONTRAST THIN")
    assert (case.cohort, case.patient, case.lesion, case.exclude) == ("CQ500", "CQ500-CT-7", None, "")
    assert {row["what"] for row in rows} == {f"series {name}" for name in (*others, "CT PLAIN THIN-2", "CT Plain")}
    assert why(rows, "CQ500-CT-7", "series CT POST CONTRAST") == "enhanced"
    assert why(rows, "CQ500-CT-7", "series CT Plain") == "the folder is empty"


@pytest.mark.parametrize(
    ("series", "chosen"),
    [
        ({"CT 5mm": 30, "CT 0.625mm": 200}, "CT 5mm"),
        ({"CT 0.625mm": 200}, "CT 0.625mm"),
        ({"CT PLAIN THIN": 4, "CT Plain": 30}, "CT Plain"),
        ({"CT PLAIN THIN": 90, "CT PLAIN THIN-2": 120}, "CT PLAIN THIN-2"),
    ],
)
def test_order_of_preference(series, chosen, tmp_path):
    add(tmp_path / "CQ500", 7, series)
    vote(tmp_path / "CQ500", p7="000")
    cases, _ = run_reader(main, tmp_path / "CQ500")
    assert cases["CQ500-CT-7"].ncct.endswith(f"/{chosen}")


@pytest.mark.parametrize(
    "form",
    [
        "CQ500CT{n} CQ500CT{n}/Unknown Study",
        "qct01/CQ500CT{n} CQ500CT{n}/Unknown Study",
        "CQ500-CT-{n}/CQ500CT{n}_CQ500CT{n}/Unknown_Study",
        "CQ500-CT-{n}",
    ],
)
def test_copies_nest_their_folders_differently(form, tmp_path):
    add(tmp_path / "CQ500", 7, {"CT PLAIN THIN": 90}, form)
    add(tmp_path / "CQ500", 71, {"CT Plain": 30}, form)
    vote(tmp_path / "CQ500", p7="000", p71="100")
    cases, rows = run_reader(main, tmp_path / "CQ500")
    assert set(cases) == {"CQ500-CT-7", "CQ500-CT-71"}
    assert not rows


@pytest.mark.parametrize(("votes", "excluded"), [("000", False), ("010", False), ("101", True), ("111", True)])
def test_two_of_three_readers_decide(votes, excluded, tmp_path):
    add(tmp_path / "CQ500", 7, {"CT Plain": 30})
    vote(tmp_path / "CQ500", p7=votes)
    cases, _ = run_reader(main, tmp_path / "CQ500")
    assert bool(cases["CQ500-CT-7"].exclude) == excluded


@pytest.mark.parametrize("content", [None, "name,R1:ICH\nCQ500-CT-7,0\n", HEADER + "\nCQ500-CT-8,B1,0,0,0,0,0,0\n"])
def test_without_votes_a_patient_is_not_taken_for_healthy(content, tmp_path):
    add(tmp_path / "CQ500", 7, {"CT Plain": 30})
    if content:
        (tmp_path / "CQ500/reads.csv").write_text(content)
    cases, rows = run_reader(main, tmp_path / "CQ500")
    assert "nobody says" in cases["CQ500-CT-7"].exclude
    assert any(row["what"] == "reads.csv" for row in rows) == (content is None or "R3:ICH" not in content)


def test_patients_that_are_packed_or_have_no_plain_series_are_named(tmp_path):
    add(tmp_path / "CQ500", 7, {"CT POST CONTRAST": 30})
    (tmp_path / "CQ500/CQ500-CT-8.zip").touch()
    (tmp_path / "CQ500/CQ500CT9 CQ500CT9").mkdir()
    with pytest.raises(InputError, match="No case was found"):
        run_reader(main, tmp_path / "CQ500")
    rows = left_out(tmp_path / "out")
    assert [why(rows, f"CQ500-CT-{number}", "case") for number in (7, 8, 9)] == ["there is no plain series"] * 3
