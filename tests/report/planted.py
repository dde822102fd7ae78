"""A small cohort of phantoms that went through the preprocessing, five of them with a planted failure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from tests.preprocess.settings import LIMIT_OPTIONS, REGISTRATION
from workflow_scripts.common.acquisition import describe
from workflow_scripts.common.files import write_json
from workflow_scripts.common.masks import dice
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.transform import write_affine
from workflow_scripts.common.volume import Volume, resample, save_volume, to_ras
from workflow_scripts.phantom.body.anatomy import Anatomy, build_anatomy
from workflow_scripts.phantom.body.plan import plan_case
from workflow_scripts.phantom.scanner.scan import build_patient, scan
from workflow_scripts.preprocess import describe_case
from workflow_scripts.preprocess.contralateral import Mirror, mirror_by_template, mirrored_brain
from workflow_scripts.preprocess.finalise import Final, finalise
from workflow_scripts.preprocess.lesion import lesion_on_grid
from workflow_scripts.preprocess.quality.brain_mask import tissue_beyond
from workflow_scripts.preprocess.quality.metal import metal_near
from workflow_scripts.preprocess.quality.skull import skull_gap_cm2
from workflow_scripts.preprocess.register_mri import register_mri
from workflow_scripts.preprocess.registration.intensities import ct_for_registration
from workflow_scripts.preprocess.stripping.tissue import brain_by_threshold
from workflow_scripts.preprocess.template import built_template, tissue_map
from workflow_scripts.preprocess.voxels.grids import resample_isotropic
from workflow_scripts.preprocess.voxels.morphology import hull_excess

SPACING_MM, SLICE_MM, SEED = 3.0, 5.0, 2023
COHORT, MODALITY = "icoAIS", "dwi"
TEMPLATE_MM, BACKGROUND_HU, CLIP_HU = 4.0, -100.0, (-100.0, 400.0)
HEALTHY = ("I03", "I05", "I08", "I11", "I14")
PLANTED = {  # case: the head it is made of
    "eroded": "I03",
    "shifted": "I05",
    "flipped": "I08",
    "wrong": "I11",
    "cut": "I14",
}
SETTINGS = replace(REGISTRATION, grid_mm=SPACING_MM)


@dataclass(frozen=True)
class Source:
    """What arrives of a case: NCCT as acquired, stripped MRI and the lesion drawn on it, in the MRI's space."""

    ncct: Volume
    mri: Volume
    lesion: Volume
    mri_to_ncct: np.ndarray


@dataclass(frozen=True)
class Head:
    """An NCCT on its isotropic grid with a brain mask and the mask of the second method, mirrored and finalised."""

    acquired: Volume
    ncct: Volume
    brain: np.ndarray
    second: np.ndarray
    mirror: Mirror
    final: Final

    @property
    def stripped(self) -> Volume:
        return self.ncct.with_data(np.where(self.brain, self.ncct.data, np.float32(BACKGROUND_HU)))


def make_cohort(root: Path) -> None:
    """Write ingest and preprocess folders of all cases below ``root``."""
    anatomy = build_anatomy(SPACING_MM)
    sources = {case: _source(anatomy, case) for case in HEALTHY}
    heads = {case: _head(source.ncct) for case, source in sources.items()}
    for case, source in sources.items():
        _preprocess(root, case, heads[case], source)
    for case, model in PLANTED.items():
        source, head = sources[model], heads[model]
        if case == "eroded":
            head = _head(source.ncct, erosion_mm=10)
        elif case == "shifted":
            source = _shifted(source, (9.0, 12.0, 0.0))  # 15 mm
        elif case == "flipped":
            flipped = [image.with_data(image.data[::-1]) for image in (source.mri, source.lesion)]
            source = replace(source, mri=flipped[0], lesion=flipped[1])
        elif case == "wrong":
            other = sources[HEALTHY[0]]
            source = replace(source, mri=other.mri, lesion=other.lesion)
        else:
            kept = round(2 / 3 * source.ncct.data.shape[2])
            head = _head(Volume(source.ncct.data[:, :, :kept], source.ncct.affine))
        _preprocess(root, case, head, source, aligned=case == "shifted")


def _source(anatomy: Anatomy, case: str) -> Source:
    plan = replace(plan_case(COHORT, case, SEED), tilt_degrees=0.0)
    scans = scan(build_patient(anatomy, plan), plan, SPACING_MM, SLICE_MM)
    return Source(scans.ncct, scans.mri[MODALITY], scans.lesion, scans.mri_to_ncct)


def _shifted(source: Source, shift_mm: tuple[float, float, float]) -> Source:
    """Lay MRI and lesion onto the NCCT by the truth, and then ``shift_mm`` away from it."""
    shift = np.eye(4)
    shift[:3, 3] = shift_mm
    moved = shift @ source.mri_to_ncct
    mri, lesion = (Volume(image.data, moved @ image.affine) for image in (source.mri, source.lesion))
    return replace(source, mri=mri, lesion=lesion)


def _head(acquired: Volume, erosion_mm: float = 0) -> Head:
    ncct = resample_isotropic(to_ras(acquired), SPACING_MM, antialias=True, background=-1024)
    second = brain_by_threshold(ncct.data, ncct.spacing, np.zeros(ncct.data.shape, bool))
    brain = ndimage.distance_transform_edt(second, sampling=ncct.spacing) > erosion_mm
    stripped = ncct.with_data(np.where(brain, ncct.data, np.float32(BACKGROUND_HU)))
    template, template_mask = built_template(tissue_map("gm"), tissue_map("wm"), TEMPLATE_MM)
    clipped = ct_for_registration(stripped, brain, SETTINGS.window_hu, SETTINGS.background_hu)
    mirror = mirror_by_template(clipped, brain, template, template_mask.data > 0, SETTINGS)
    mirrored = mirrored_brain(stripped, brain, mirror.ncct_to_counterpart, BACKGROUND_HU)
    return Head(acquired, ncct, brain, second, mirror, finalise(stripped, mirrored, brain, CLIP_HU, 1))


def _preprocess(root: Path, case: str, head: Head, source: Source, *, aligned: bool = False) -> None:
    """Run what the rules run on the MRI and the lesion, and write what they and those before them write."""
    folder, ingest = root / "preprocess" / COHORT / case, root / "ingest" / COHORT / case
    ncct, final = head.ncct, head.final
    to_ncct, registration = register_mri(head.stripped, head.brain, source.mri, SETTINGS, aligned=aligned)
    to_mri = np.linalg.inv(to_ncct)
    registered = resample(source.mri, ncct.data.shape, ncct.affine, order=1, background=0, to_source=to_mri)
    images = {name: getattr(final, name) for name in ("ncct", "mirrored", "difference", "brain")}
    images |= {"lesion": lesion_on_grid(source.lesion, final.ncct, to_ncct), f"registered_{MODALITY}": registered}
    images["brain_mask"] = ncct.with_data(head.brain)
    for name, volume in images.items():
        kind = np.uint8 if name in ("brain", "lesion", "brain_mask") else np.float32
        save_volume(folder / f"{name}.nii.gz", volume, kind)
    save_volume(ingest / "ncct.nii.gz", to_ras(head.acquired), np.float32)
    record = describe(Stack.of_grid(head.acquired.data.shape, head.acquired.affine))
    write_json(
        ingest / "ncct.json",
        {
            **record,
            "pixel_digest": case,
            "marks": [],
            "not_native": [],
            "gap_over_thickness": None,
            "slices": {"missing": 0, "lost_at_the_ends": 0},
        },
    )
    write_affine(folder / "ncct_to_template.txt", head.mirror.ncct_to_template, "the NCCT", "the CT template")
    write_json(folder / "contralateral.json", head.mirror.facts)
    write_json(folder / "mri_to_ncct.json", registration)
    brain_facts = {
        "brain_ml": np.count_nonzero(head.brain) * ncct.voxel_ml,
        "hull_excess": hull_excess(head.brain),
        "cross_check_dice": dice(head.brain, head.second),
        "tissue_beyond_mm": tissue_beyond(ncct, head.brain),
        "metal_ml": metal_near(ncct, head.brain),
        "skull_gap_cm2": skull_gap_cm2(ncct, head.brain),
    }
    write_json(folder / "brain_mask.json", brain_facts)
    describe_case.main([*describe_arguments(root, case), *LIMIT_OPTIONS, "--out", str(folder / "case.json")])


def describe_arguments(root: Path, case: str) -> list[str]:
    """Return the inputs of ``describe_case`` for a case below ``root``."""
    folder = root / "preprocess" / COHORT / case
    files = {name: f"{name}.nii.gz" for name in ("ncct", "mirrored", "difference", "brain", "lesion")}
    files |= {
        "mri": f"registered_{MODALITY}.nii.gz",
        "to-template": "ncct_to_template.txt",
        "brain-json": "brain_mask.json",
    }
    files |= {"contralateral-json": "contralateral.json", "registration-json": "mri_to_ncct.json"}
    options = [word for name, file in files.items() for word in (f"--{name}", str(folder / file))]
    record = root / "ingest" / COHORT / case / "ncct.json"
    return ["--cohort", COHORT, "--case", case, "--ingest-json", str(record), *options]


def page_arguments(root: Path, case: str) -> Sequence[str]:
    """Return the inputs of ``case_page`` for a case below ``root``."""
    folder, ingest = root / "preprocess" / COHORT / case, root / "ingest" / COHORT / case
    files = {name: folder / f"{name}.nii.gz" for name in ("ncct", "mirrored", "difference", "brain", "lesion")}
    files |= {
        "brain-mask": folder / "brain_mask.nii.gz",
        "case-json": folder / "case.json",
        "ingest-json": ingest / "ncct.json",
        "upright": ingest / "ncct.nii.gz",
    }
    options = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    mri = ["--mri", MODALITY, str(folder / f"registered_{MODALITY}.nii.gz")]
    return ["--cohort", COHORT, "--case", case, "--title", "Planted failures", *options, *mri]
