"""Provide the CT template that defines the mid-sagittal plane x = 0 (paper section 3.2d)."""

import argparse
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from workflow_scripts.common.cli import run
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.volume import Volume, load_volume, require_same_grid, resample, save_volume, to_ras
from workflow_scripts.preprocess.stripping.tissue import padding
from workflow_scripts.preprocess.voxels.grids import isotropic_grid
from workflow_scripts.preprocess.voxels.morphology import dilate, erode, largest_component

GREY_HU, WHITE_HU, CSF_HU = 37.0, 29.0, 8.0
TISSUE_SHARE = 0.3
CLOSING_MM = 8.0
PLAUSIBLE_MEDIAN_HU = (10.0, 60.0)
PLAUSIBLE_ML = (900.0, 2400.0)
PLAUSIBLE_OFFSET_MM = 10.0


def tissue_map(tissue: str) -> Volume:
    """Load nilearn's MNI152 2009a map of ``gm`` or ``wm``, as shares 0..1 on a grid symmetric about x = 0."""
    for file in importlib.metadata.files("nilearn") or []:
        if Path(file).name.startswith(f"mni_icbm152_{tissue}_tal_nlin_sym_09a"):
            volume = to_ras(load_volume(file.locate(), given=True))
            return volume.with_data(volume.data / 255)
    raise InputError(f"nilearn holds no MNI152 {tissue} map.", "install the environment again (requirements.txt).")


def built_template(grey: Volume, white: Volume, spacing_mm: float) -> tuple[Volume, Volume]:
    """Paint grey matter, white matter and CSF with their HU and make both halves equal.

    ``grey`` and ``white`` are shares 0..1 on one grid that is symmetric about x = 0. CSF is what the closed brain
    holds besides. Returns the template (HU, 0 outside the brain) and its mask on a grid of ``spacing_mm`` that is
    symmetric about x = 0, too.
    """
    grey_share, white_share = ((tissue + np.flip(tissue, 0)) / 2 for tissue in (grey.data, white.data))
    matter = largest_component(grey_share + white_share > TISSUE_SHARE)
    closed = erode(dilate(matter, grey.spacing, CLOSING_MM), grey.spacing, CLOSING_MM)
    brain = ndimage.binary_fill_holes(closed | matter)
    hu = CSF_HU + (GREY_HU - CSF_HU) * grey_share + (WHITE_HU - CSF_HU) * white_share
    shape, affine = isotropic_grid(grey, spacing_mm)
    affine[0, 3] = -spacing_mm * (shape[0] - 1) / 2
    smooth = 0.25 * np.maximum(spacing_mm / grey.spacing, 1)
    total, share = (
        resample(grey.with_data(ndimage.gaussian_filter(data, smooth)), shape, affine, order=1, background=0)
        for data in (np.where(brain, hu, 0).astype(np.float32), brain.astype(np.float32))
    )
    inside = share.data >= 0.5
    template = total.with_data(np.where(inside, total.data / np.where(inside, share.data, 1), np.float32(0)))
    return template, share.with_data(inside.astype(np.uint8))


def given_template(image: Volume, mask: Volume | None) -> tuple[Volume, Volume]:
    """Check a template and set everything outside its brain to 0.

    Raises `InputError` when it is not in HU (Cormack units, for instance), not stripped, or not centred on x = 0.
    """
    if mask is not None:
        require_same_grid(image, mask, "the template", "its mask")
        mask = to_ras(mask)
    image = to_ras(image)
    brain = ~padding(image.data) if mask is None else mask.data > 0
    millilitres = np.count_nonzero(brain) * image.voxel_ml
    if not PLAUSIBLE_ML[0] <= millilitres <= PLAUSIBLE_ML[1]:
        raise InputError(
            f"The CT template's brain has {millilitres:.0f} mL.",
            "give a skull-stripped template, or, in a study, its brain mask as preprocess.template.mask.",
        )
    median = float(np.median(image.data[brain]))
    if not PLAUSIBLE_MEDIAN_HU[0] <= median <= PLAUSIBLE_MEDIAN_HU[1]:
        raise InputError(
            f"The median of the CT template's brain is {median:.0f}, which is no HU of brain "
            "(templates of the Clinical toolbox are in Cormack units).",
            "give a template in HU (in a study, preprocess.template.image).",
        )
    offset = float((image.affine @ [*ndimage.center_of_mass(brain), 1])[0])
    if abs(offset) > PLAUSIBLE_OFFSET_MM:
        raise InputError(
            f"The CT template's brain is centred at x = {offset:.0f} mm, not on the mid-sagittal plane x = 0.",
            "give a template in MNI space.",
        )
    template = image.with_data(np.where(brain, image.data, np.float32(0)))
    return template, image.with_data(brain.astype(np.uint8))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", help="CT template in HU, MNI space, skull-stripped; built when left out")
    parser.add_argument("--mask", help="brain mask of the image; everything but its padding when left out")
    parser.add_argument("--spacing", type=float, required=True, help="of the built template, mm")
    parser.add_argument("--out-template", required=True)
    parser.add_argument("--out-mask", required=True)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Build the template from tissue maps, or check and write the one given."""
    arguments = _parse(argv)
    if arguments.image:
        template, brain = given_template(
            load_volume(arguments.image, given=True),
            load_volume(arguments.mask, given=True) if arguments.mask else None,
        )
    else:
        template, brain = built_template(tissue_map("gm"), tissue_map("wm"), arguments.spacing)
    save_volume(arguments.out_template, template)
    save_volume(arguments.out_mask, brain, np.uint8)


if __name__ == "__main__":
    run(main)
