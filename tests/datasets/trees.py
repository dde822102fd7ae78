"""Small trees with the layout and the quirks of the public data sets; heads and lesions are formulas."""

import json
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from PIL import Image

from tests.ingest.command import CASE, ingest_ncct
from tests.ingest.dicom_series import CENTRE, Scan, write_series
from tests.ingest.tilt import lesion
from workflow_scripts.common.files import read_tsv
from workflow_scripts.ingest.ingest_lesion import main as ingest_lesion
from workflow_scripts.study.case_sheet import Case, load_cases

SMALL = {"rows": 40, "columns": 32, "pixel": (5.0, 4.0)}
AFFINE = {  # of NIfTI trees: columns to the left, rows to the back, as ISLES'24 has both
    "LPS": np.array([[-4.0, 0, 0, 66], [0, -5, 0, 96], [0, 0, 5, 2], [0, 0, 0, 1]]),
    "LAS": np.array([[-4.0, 0, 0, 66], [0, 5, 0, -99], [0, 0, 5, 2], [0, 0, 0, 1]]),
}
SHAPE = (32, 40, 24)


def egg_hu(points: np.ndarray) -> np.ndarray:
    """HU of a head that is narrow below and wide above, so that top and bottom can be told apart."""
    x, y, z = np.moveaxis(points - CENTRE, -1, 0)
    width = 0.75 + z / 200
    inside = (x / 60 / width) ** 2 + (y / 75 / width) ** 2 + (z / 55) ** 2 < 1
    return np.where(inside, 40 + 0.3 * x + 0.2 * y, -1000.0)


def ct(**changes) -> Scan:
    """A small CT of the egg."""
    return Scan(**{**SMALL, "values": egg_hu, **changes})


def run_reader(main: Callable, folder: Path, *options: str) -> tuple[dict[str, Case], list[dict[str, str]]]:
    """Run a reader's command line; return the cases of its sheet, as the workflow loads them, and what was left out."""
    out = folder.parent / "out"
    main([str(folder), "--out", str(out), *options])
    return {case.case: case for case in load_cases(out / "cases.tsv", None, check_paths=True)}, left_out(out)


def left_out(out: Path) -> list[dict[str, str]]:
    """Read the list of what was left out."""
    return read_tsv(out / "left_out.tsv")


def why(rows: list[dict[str, str]], case: str, what: str) -> str:
    """Return the reason in the only row of a case's thing."""
    (row,) = [row for row in rows if (row["case"], row["what"]) == (case, what)]
    return row["why"]


def volume_ml(path: Path | str) -> float:
    """Volume of a mask in mL."""
    image = nib.load(path)
    assert image.get_data_dtype() == np.uint8
    return float((np.asarray(image.dataobj) == 1).sum() * abs(np.linalg.det(image.affine[:3, :3])) / 1000)


def dice_after_ingest(case: Case, folder: Path) -> float:
    """Ingest scan and mask as the workflow does; return the Dice of the mask and the lesion's formula."""
    series = [] if case.ncct_series is None else ["--series", str(case.ncct_series)]
    ncct, _ = ingest_ncct(Path(case.ncct), folder, *series)
    arguments = ["--reference", str(folder / "ncct.nii.gz"), "--record", str(folder / "ncct.json")]
    ingest_lesion([*CASE, "--lesion", case.lesion, *arguments, "--out", str(folder / "lesion.nii.gz")])
    found = np.asarray(nib.load(folder / "lesion.nii.gz").dataobj) > 0
    index = np.stack(np.meshgrid(*map(np.arange, ncct.shape), indexing="ij"), axis=-1)
    truth = lesion(nib.affines.apply_affine(ncct.affine, index))
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


def ring(scan: Scan) -> np.ndarray:
    """Labels on the slices of a scan: 1 in the middle of the lesion, 2 around it; (columns, rows, slices)."""
    outer = scan.drawn(lesion).astype(np.uint8)
    core = scan.drawn(lambda points: lesion(points * 2 - [24, -20, 66]))
    return np.where(core, 1, 2 * outer).astype(np.uint8)


def add_aisd(
    root: Path,
    case: str,
    scan: Scan | None = None,
    *,
    label: int = 2,
    part: str = "dicom-0",
    mri: str = "DWI",
    first_is_top: bool = False,
    last: int | None = None,
) -> Path:
    """Write a case of AISD: CT, DWI, pictures and mask; ``last`` cuts the mask short; return the CT folder."""
    scan = scan or ct()
    folder = write_series(scan, root / part / case / "CT")
    (folder / ".DS_Store").write_bytes(b"\0")
    write_series(Scan(**SMALL, modality="MR"), root / part / case / mri)
    pictures = np.clip(scan.drawn(egg_hu), 0, 80) * 255 / 80
    order = slice(None, None, -1) if first_is_top else slice(None)
    write_pictures(root / "image/image" / case, pictures[..., order])
    write_pictures(root / "mask/mask" / case, label * scan.drawn(lesion)[..., order][..., :last])
    return folder


def write_pictures(folder: Path, pictures: np.ndarray) -> None:
    """Write 000.png, 001.png, … of an array (columns, rows, slices)."""
    folder.mkdir(parents=True)
    for index in range(pictures.shape[2]):
        Image.fromarray(pictures[..., index].T.astype(np.uint8)).save(folder / f"{index:03d}.png")


def add_cpaisd(root: Path, part: str, study: str, scan: Scan, labels: np.ndarray, downwards: bool = False) -> Path:
    """Write a study of CPAISD; ``downwards`` lets its slices and their SliceLocation run against z."""
    folder = root / part / study
    count = labels.shape[2]
    files = sorted(write_series(scan, root.parent / "series" / study).iterdir(), key=lambda path: int(path.name[-3:]))
    for index, file in enumerate(files):
        number = count - 1 - index if downwards else index
        place = folder / f"{number:05d}"
        place.mkdir(parents=True)
        file.rename(place / "raw.dcm")
        np.savez_compressed(place / "mask.npz", mask=labels[..., index].T)
        np.savez_compressed(place / "image.npz", image=np.zeros(labels.shape[1::-1]))
        (place / "metadata.json").write_text(json.dumps({"slice_location": 5.0 * number}))
    (folder / "metadata.json").write_text("{}")
    return folder


def on_grid(affine: np.ndarray, shape: tuple[int, ...], values: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Sample a function of points RAS+ in mm on a grid."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    return values(nib.affines.apply_affine(affine, index))


def save_nifti(path: Path, data: np.ndarray, affine: np.ndarray) -> Path:
    """Write NIfTI with the type of the data."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nib.save(image, path)
    return path


def save_image(path: Path, axes: str = "LPS", shape: tuple[int, ...] = SHAPE) -> Path:
    """Write the egg as NIfTI."""
    return save_nifti(path, on_grid(AFFINE[axes], shape, egg_hu).astype(np.int16), AFFINE[axes])


def save_mask(
    path: Path, axes: str = "LPS", shape: tuple[int, ...] = SHAPE, value: float = 1, dtype: type = np.uint8
) -> Path:
    """Write the lesion as NIfTI; its voxels have ``value``."""
    return save_nifti(path, (value * on_grid(AFFINE[axes], shape, lesion)).astype(dtype), AFFINE[axes])
