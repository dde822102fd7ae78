"""Every kind of bad input: the case and the remedy are named, the status is not zero, nothing is left behind.

docs/bad_input.md says what the user reads, kind by kind: it is the expectation of these tests.
"""

import logging
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.bad_input import images, scans, study
from tests.bad_input.kinds import Kind
from tests.bad_input.surroundings import SURROUNDINGS
from tests.ingest.command import CASE, mri_command, ncct_arguments
from tests.ingest.dicom_series import edit, write_series
from tests.workflow import ROOT
from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import DATA_STATUS
from workflow_scripts.ingest import ingest_brain, ingest_lesion, ingest_mri, ingest_ncct
from workflow_scripts.study.case_sheet import load_cases
from workflow_scripts.study.schemas import StudyError


def mri_arguments(source: Path, out: Path) -> list[str]:
    return mri_command(source, out / "dwi.nii.gz")


def lesion_arguments(source: Path, out: Path) -> list[str]:
    """A mask drawn on an NCCT that is ingested already."""
    ingested = out.with_name("ingested")
    scan = images.saved(images.HEAD)(out.with_name("ncct.nii.gz"))
    ingest_ncct.main(ncct_arguments(scan, ingested))
    grid = ["--reference", str(ingested / "ncct.nii.gz"), "--record", str(ingested / "ncct.json")]
    return [*CASE, "--lesion", str(source), *grid, "--out", str(out / "lesion.nii.gz")]


def brain_arguments(source: Path, out: Path) -> list[str]:
    """A brain mask for an NCCT that is ingested already."""
    ingested = out.with_name("ingested")
    ingest_ncct.main(ncct_arguments(images.saved(images.NOISY)(out.with_name("ncct.nii.gz")), ingested))
    grid = ["--reference", str(ingested / "ncct.nii.gz"), "--record", str(ingested / "ncct.json")]
    return [*CASE, "--brain", str(source), *grid, "--out", str(out / "brain.nii.gz")]


def mri_lesion_arguments(source: Path, out: Path) -> list[str]:
    """A mask drawn on an MRI that is ingested already."""
    reference = images.saved(images.HEAD + 1000)(out.with_name("dwi.nii.gz"))
    return [*CASE, "--lesion", str(source), "--reference", str(reference), "--out", str(out / "lesion.nii.gz")]


SECTIONS = {
    "NCCT: a folder of DICOM images": (ingest_ncct.main, ncct_arguments, scans.KINDS),
    "NCCT: a NIfTI file": (ingest_ncct.main, ncct_arguments, images.NCCT),
    "MRI": (ingest_mri.main, mri_arguments, images.MRI),
    "Lesion mask": (ingest_lesion.main, lesion_arguments, images.MASK),
    "Brain mask": (ingest_brain.main, brain_arguments, images.BRAIN_MASK),
    "Lesion mask on the MRI": (ingest_lesion.main, mri_lesion_arguments, images.MRI_MASK),
}
MISTAKES = {"Case sheet": study.SHEET, "Configuration": study.VALUES}
MACHINE = "The machine"


def documented() -> dict[str, dict[str, str]]:
    """Read the document's tables of kinds: section, kind, message."""
    sections = (ROOT / "docs" / "bad_input.md").read_text(encoding="utf-8").split("\n## ")
    sections = [text for text in sections if "\n| kind |" in text]
    rows = {text.splitlines()[0]: re.findall(r"^\| (?!kind |---)(.+) \|$", text, re.MULTILINE) for text in sections}
    split = {title: [row.split(" | ") for row in found] for title, found in rows.items() if found}
    return {title: {name: " Remedy: ".join(cells) for name, *cells in found} for title, found in split.items()}


DOCUMENTED = documented()


def fits(said: str, title: str, name: str) -> bool:
    """Say whether a message is the documented one, in which … stands for any words."""
    pattern = re.escape(DOCUMENTED[title][name]).replace("…", ".+")
    return re.fullmatch(pattern, said) is not None


def test_the_document_lists_the_kinds_that_are_tested():
    tested = {title: [kind.name for kind in kinds] for title, (_, _, kinds) in SECTIONS.items()}
    tested[MACHINE] = [one.kind.name for one in SURROUNDINGS]
    tested |= {title: [mistake.name for mistake in mistakes] for title, mistakes in MISTAKES.items()}
    assert {title: list(rows) for title, rows in DOCUMENTED.items()} == tested
    assert all(len(set(names)) == len(names) for names in tested.values())


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder of its own for what a kind writes."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def left(out: Path) -> list[Path]:
    return [path for path in out.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("title", "main", "arguments", "kind"),
    [
        pytest.param(title, main, arguments, kind, id=f"{title}-{kind.name}")
        for title, (main, arguments, kinds) in SECTIONS.items()
        for kind in kinds
    ],
)
def test_bad_input_is_refused_by_case_with_a_remedy_and_leaves_nothing(
    title: str, main: Callable, arguments: Callable[[Path, Path], list[str]], kind: Kind, place, caplog
):
    source = kind.make(place / f"input{kind.suffix}")
    command = [*arguments(source, place / "out"), *kind.options]
    caplog.clear()
    with caplog.at_level(logging.ERROR), pytest.raises(SystemExit) as ended:
        run(main, command)
    assert ended.value.code == DATA_STATUS
    (message,) = (record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR)
    case, said = message.replace(f"{place}/", "").split(": ", 1)
    assert case == "Case A/a-1"
    assert " Remedy: " in said
    assert fits(said, title, kind.name), said
    assert not left(place / "out")


@pytest.mark.parametrize("surrounding", [pytest.param(one, id=one.kind.name) for one in SURROUNDINGS])
def test_a_machine_that_refuses_is_told_of_and_nothing_is_left(surrounding, place):
    if surrounding.lacks():
        pytest.skip(surrounding.lacks())
    source = surrounding.kind.make(place / f"input{surrounding.kind.suffix}")
    command = [sys.executable, "-m", "workflow_scripts.ingest.ingest_ncct", *ncct_arguments(source, place / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        surrounding.wrap(command, place / "out"), capture_output=True, text=True, env=environment, check=False
    )
    assert result.returncode in (1, DATA_STATUS), result.stderr
    assert "Traceback" not in result.stderr
    case, said = result.stderr.replace(f"{place}/", "").splitlines()[-1].split("Case A/a-1: ")
    assert case.split()[1] == "ERROR"
    assert fits(said, MACHINE, surrounding.kind.name), said
    assert result.stdout == ""
    assert not left(place / "out")


@pytest.mark.parametrize(
    ("title", "mistake"),
    [
        pytest.param(title, mistake, id=f"{title}-{mistake.name}")
        for title, mistakes in MISTAKES.items()
        for mistake in mistakes
    ],
)
def test_a_mistake_in_the_study_names_its_place_the_value_and_what_is_allowed(title, mistake, place):
    with pytest.raises(StudyError) as refused:
        mistake.load(place)
    said = str(refused.value).replace(f"{place}/", "").replace(f"{ROOT}/", "").replace(str(place), ".")
    assert fits(said, title, mistake.name), said


def _in_a_folder_of_many_scripts(place: Path) -> Path:
    return write_series(scans.SMALL, place / "Klinik Süd – 脳 CT" / "a  b'c\"d$e#")


def _with_names_in_another_encoding(place: Path) -> Path:
    folder = write_series(scans.SMALL, place / "input")
    for path in folder.iterdir():
        path.rename(os.fsdecode(os.fsencode(path) + b"\xe4\xff"))
    return folder


def _one_slice_empty(place: Path) -> Path:
    return scans.files(scans.emptied, slice(6, 7))(place / "input")


def _two_slices_empty(place: Path) -> Path:
    return scans.files(scans.emptied, slice(6, 8))(place / "input")


def _wrong_tilt(place: Path) -> Path:
    return edit(write_series(scans.SMALL, place / "input"), lambda image: setattr(image, "GantryDetectorTilt", 20))


def _nifti_of_many_scripts(place: Path) -> Path:
    (place / "Süd 脳").mkdir()
    return images.saved(images.HEAD)(place / "Süd 脳" / "a b.nii.gz")


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (_in_a_folder_of_many_scripts, []),
        (_with_names_in_another_encoding, []),
        (_one_slice_empty, []),
        (_two_slices_empty, ["--max-missing-slices=2"]),
        (_wrong_tilt, []),
        (_nifti_of_many_scripts, []),
    ],
)
def test_what_can_be_put_right_gives_the_same_image(make, options, place):
    out = place / "Erge bnis–é"
    run(ingest_ncct.main, [*ncct_arguments(make(place), out), *options])
    image = nib.load(out / "ncct.nii.gz")
    inner = (images.HEAD[..., 5:9] > -500).all(axis=-1)  # also where neighbours stand for a slice
    truth = nib.as_closest_canonical(nib.Nifti1Image(images.HEAD, images.AFFINE))
    assert image.shape == truth.shape
    np.testing.assert_allclose(image.affine, truth.affine, atol=1e-3)
    assert np.abs(image.get_fdata() - truth.get_fdata())[..., 7][inner[::-1, ::-1]].max() < 1.5


@pytest.mark.parametrize(("start", "end"), [("\ufeff", "\n"), ("", "\r\n")], ids=["byte order mark", "line ends"])
def test_a_sheet_saved_by_a_spreadsheet_is_read(start, end, place):
    text = start + study.sheet_text(study.ROW, *study.OTHERS, study.HEALTHY).replace("\n", end)
    (place / "cases.tsv").write_bytes(text.encode())
    assert [case.case for case in study.load(place).cases] == ["C1", "C2", "C3", "C1"]


def test_what_a_spreadsheet_adds_to_a_sheet_changes_nothing(place, caplog):
    plain = study.ROW | {"mri_aligned": "true", "side": "left"}
    study.write_sheet(place / "cases.tsv", plain, *study.OTHERS, study.HEALTHY)
    wanted = study.load(place).cases
    shouted = plain | {"mri_aligned": "TRUE", "side": "Left", "x_age": "71", "mri_modality": "DWI; adc"}
    lines = study.sheet_text(shouted, *study.OTHERS, study.HEALTHY).splitlines()
    empty = "\t" * lines[0].count("\t")
    (place / "cases.tsv").write_text("\n".join(line + "\t\t" for line in [*lines, empty, empty]))
    assert study.load(place).cases == wanted
    study.write_sheet(place / "cases.tsv", plain | {"mri_aligned": "1"}, *study.OTHERS, study.HEALTHY)
    assert study.load(place).cases == wanted
    assert caplog.text.count("x_age") == 1


def test_whole_numbers_that_a_table_made_fractions_are_whole_again(place):
    cells = {"ncct_series": "3.0", "mri_volume": "1.0; 2.00", "lesion_labels": "1.0;2.0"}
    study.write_sheet(place / "cases.tsv", study.ROW | cells, *study.OTHERS)
    case = study.load(place).cases[0]
    assert (case.ncct_series, case.mri_volume, case.lesion_labels) == (3, (1, 2), (1, 2))


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_path_whose_accents_are_written_in_another_form_is_found(forms, place):
    stored, written = (unicodedata.normalize(form, "Müller") for form in forms)
    (place / stored).mkdir()
    study.write_sheet(place / "cases.tsv", study.HEALTHY | {"ncct": written})
    (case,) = load_cases(place / "cases.tsv", None, check_paths=True)
    assert Path(case.ncct).is_dir()


def test_a_row_that_is_excluded_needs_no_files(place):
    study.write_sheet(place / "cases.tsv", study.HEALTHY | {"ncct": "", "exclude": "motion"})
    (case,) = load_cases(place / "cases.tsv", None, check_paths=True)
    assert case.exclude == "motion"


@pytest.mark.parametrize("name", ["NA", "None", "007", "1e5", "nan", "TRUE", "A-5-"])
def test_identifiers_are_text(name, place):
    study.write_sheet(place / "cases.tsv", study.HEALTHY | {"cohort": "2023", "patient": name, "case": name})
    (case,) = load_cases(place / "cases.tsv", None)
    assert (case.cohort, case.patient, case.case) == ("2023", name, name)


@pytest.mark.parametrize("column", ["cohort", "patient", "case"])
def test_a_name_that_a_program_would_take_for_an_option_is_refused(column, place):
    study.write_sheet(place / "cases.tsv", study.HEALTHY | {column: "-A5"})
    with pytest.raises(StudyError, match=f"column {column}.*no - first"):
        load_cases(place / "cases.tsv", None)
