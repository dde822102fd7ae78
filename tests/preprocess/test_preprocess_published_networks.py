"""The paper's skull stripping through the whole command line, on weights of our own: grids, records, refusals."""

import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
import yaml

from tests.preprocess.networks import SYNTHSR, bright_is_brain, write_synthstrip
from tests.workflow import ROOT, job_counts, snakemake
from workflow_scripts.common.volume import Volume, save_volume

SPACING_MM = (3.0, 3.0, 5.0)
SHAPE = (49, 53, 30)
CASE = "scans/S01"


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A folder with one case, a ball of a head in CT, DWI and ADC, and a configuration that names weights."""
    folder = tmp_path_factory.mktemp("published networks")
    affine = np.diag([*SPACING_MM, 1.0])
    affine[:3, 3] = [-70, -80, -60]
    place = np.indices(SHAPE) * np.reshape(SPACING_MM, (3, 1, 1, 1))
    depth = 65 - np.linalg.norm(place - place[:, -1:, -1:, -1:] / 2, axis=0)
    rng = np.random.default_rng(0)
    hu = np.select([depth > 13, depth > 6, depth > 0], [30, 900, 20], -1000) + rng.normal(0, 4, SHAPE)
    mri = np.select([depth > 13, depth > 0], [500, 20], 0) + np.abs(rng.normal(0, 5, SHAPE))
    for name, data in (("ncct", hu), ("dwi", mri), ("adc", 2 * mri)):
        save_volume(folder / f"{name}.nii.gz", Volume(data.astype(np.float32), affine))
    header = (ROOT / "cases.tsv").read_text().strip()
    cells = {
        "cohort": "scans", "patient": "S01", "case": "S01", "ncct": "ncct.nii.gz", "mri": "dwi.nii.gz;adc.nii.gz",
        "mri_modality": "dwi;adc",
    }  # fmt: skip
    row = "\t".join(cells.get(column, "") for column in header.split("\t"))
    (folder / "cases.tsv").write_text(f"{header}\n{row}\n")
    write_synthstrip(folder / "synthstrip.pt", bright_is_brain())
    return folder


def run(study, out, targets, *arguments, check=True, **stripping):
    """Run the workflow in a results folder up to some files, with the given ``preprocess.skull_stripping``."""
    weights = {
        "synthstrip_weights": {"path": "synthstrip.pt", "sha256": None},
        "synthsr_weights": {"path": str(SYNTHSR), "sha256": None},
    }
    config = yaml.safe_load((ROOT / "profiles/examples/real_scans/config.yaml").read_text())
    config |= {"cases": "cases.tsv", "outdir": out, "keep": "all"}
    config["preprocess"] = {"spacing_mm": 3.0, "skull_stripping": weights | stripping}
    (study / "mine.yaml").write_text(yaml.safe_dump(config))
    files = [f"{out}/preprocess/{target}" for target in targets]
    return snakemake(study, "--configfile", "mine.yaml", "--cores", "1", *arguments, *files, check=check)


def mask_of(path, reference):
    image, of = nib.load(path), nib.load(reference)
    assert image.shape == of.shape
    assert np.allclose(image.affine, of.affine)
    return np.asarray(image.dataobj) > 0


def test_the_papers_study_strips_on_the_right_grids_and_records_its_weights(study):
    mri = [f"{CASE}/stripped_{name}.nii.gz" for name in ("dwi", "adc")]
    result = run(study, "results", [f"{CASE}/brain_mask.json", *mri], ncct="synthsr+synthstrip", mri="synthstrip")
    assert job_counts(result.stdout)["weights"] == 2
    case = study / "results" / "preprocess" / CASE
    mask = mask_of(case / "brain_mask.nii.gz", case / "resampled_ncct.nii.gz")
    assert 0 < mask.sum() < mask.size
    facts = json.loads((case / "brain_mask.json").read_text())
    files = {"synthstrip": study / "synthstrip.pt", "synthsr": SYNTHSR}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    assert facts["weights_sha256"] == digests
    # DWI and ADC are alike but for their scale, which the network does not see: the borders differ, 1 and 2 mm.
    dwi, adc = (mask_of(case / f"stripped_{name}.nii.gz", case / f"resampled_{name}.nii.gz") for name in ("dwi", "adc"))
    assert dwi.sum() * 0.027 == pytest.approx(4 / 3 * np.pi * 5.2**3, rel=0.15)
    assert dwi.sum() < adc.sum() < 1.3 * dwi.sum()


def test_embedded_methods_ask_for_no_weights(study):
    targets = [f"{CASE}/brain_mask.json", f"{CASE}/stripped_dwi.nii.gz"]
    counts = job_counts(run(study, "embedded", targets, "-n", ncct="hu", mri="deepbet").stdout)
    assert counts["brain_mask"] == counts["prepare_mri"] == 1
    assert "weights" not in counts
