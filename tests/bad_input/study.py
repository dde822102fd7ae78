"""Case sheets and configurations that are wrong; the good ones that they are changed from."""

import copy
import gzip
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.workflow import ROOT
from workflow_scripts.study.study import Study, load_study

CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
COLUMNS = (ROOT / "cases.tsv").read_text().strip().split("\t")
ROW = {
    "cohort": "icoAIS",
    "patient": "P1",
    "case": "C1",
    "ncct": "C1/ncct",
    "mri": "C1/dwi.nii.gz;C1/adc.nii.gz",
    "mri_modality": "dwi;adc",
    "lesion": "C1/lesion.nii.gz",
    "lesion_space": "mri",
    "mri_aligned": "false",
    "stripped": "dwi;adc",
    "label_standard": "gold",
}
OTHERS = tuple(ROW | {"patient": f"P{number}", "case": f"C{number}"} for number in (2, 3))
LOOSE = {"cohort": "icoAIS", "patient": "P1", "case": "C1", "ncct": ".", "lesion": "a.nii", "lesion_space": "ncct"}
HEALTHY = {"cohort": "HEALTHY", "patient": "P1", "case": "C1", "ncct": "H1/ncct"}
STUDY = {"run": {"arms": ["FS-STKi"]}, "report": {"best_arms": ["FS-STKi"], "interpreted": []}}


def write_masked(folder: Path, voxels: Sequence[int]) -> Path:
    """Write a sheet with one patient for each of ``voxels``, the value of one voxel of the lesion mask, and masks."""
    rows = []
    for number, value in enumerate(voxels):
        header = struct.pack("<i66x2h32xf240x", 348, 2, 8, 352.0)  # size, type and bits of a voxel, where they begin
        (folder / f"{number}.nii.gz").write_bytes(gzip.compress(header + bytes([0] * 999 + [value])))
        one = {"case": f"C{number}", "patient": f"P{number}", "ncct": ".", "lesion": f"{number}.nii.gz"}
        rows.append(one | {"cohort": "icoAIS", "lesion_space": "ncct"})
    return write_sheet(folder / "cases.tsv", *rows)


@dataclass(frozen=True)
class Mistake:
    """A mistake in the case sheet or the configuration; ``load`` reads what has it, written into a folder."""

    name: str
    load: Callable[[Path], object]


def sheet_text(*rows: Mapping[str, str]) -> str:
    columns = list(dict.fromkeys([*COLUMNS, *(column for row in rows for column in row)]))
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    return "\n".join("\t".join(line) for line in lines) + "\n"


def write_sheet(path: Path, *rows: Mapping[str, str]) -> Path:
    path.write_text(sheet_text(*rows), encoding="utf-8")
    return path


def load(folder: Path, change: Mapping[str, object] | None = None, check_paths: bool = False) -> Study:
    """Load a study of icoAIS alone from ``cases.tsv``, with some keys changed; the changes stand in a second file."""
    config = copy.deepcopy(CONFIG)
    for overrides in ({"cases": str(folder / "cases.tsv")}, STUDY, change or {}):
        _merge(config, overrides)
    (folder / "mine.yaml").write_text(yaml.safe_dump(dict(change or {})))
    return load_study(config, [ROOT / "config.yaml", folder / "mine.yaml"], check_paths)


def _merge(config: dict, overrides: Mapping) -> None:
    for key, value in overrides.items():
        if isinstance(value, Mapping) and isinstance(config.get(key), dict):
            _merge(config[key], value)
        else:
            config[key] = value


def one_mask(name: str, *rows: Mapping[str, str]) -> Mistake:
    """Rows with one mask, which exists."""

    def load_it(folder: Path) -> Study:
        (folder / LOOSE["lesion"]).touch()
        write_sheet(folder / "cases.tsv", *rows)
        return load(folder, check_paths=True)

    return Mistake(name, load_it)


def sheet(name: str, content: bytes | str, check_paths: bool = False) -> Mistake:
    """A mistake in the sheet as a whole."""

    def load_it(folder: Path) -> Study:
        (folder / "cases.tsv").write_bytes(content.encode() if isinstance(content, str) else content)
        return load(folder, check_paths=check_paths)

    return Mistake(name, load_it)


def cell(name: str, **change: str) -> Mistake:
    """A mistake in the one row of a sheet."""
    return sheet(name, sheet_text(ROW | change))


def value(name: str, **change: object) -> Mistake:
    """A mistake in the configuration."""

    def load_it(folder: Path) -> Study:
        write_sheet(folder / "cases.tsv", ROW, *OTHERS, HEALTHY)
        return load(folder, change)

    return Mistake(name, load_it)


SHEET = (
    Mistake("no case sheet", load),
    sheet("empty file", ""),
    sheet("missing column", sheet_text(ROW).replace("patient\t", "", 1)),
    sheet("unknown column", sheet_text(ROW).replace("patient\t", "age\t", 1)),
    sheet("no names of columns", sheet_text(ROW | {"patient": "Muster"}).split("\n", 1)[1]),
    sheet("commas between the columns", sheet_text(ROW).replace("\t", ",")),
    sheet("commas and quotation marks", '"cohort","patient"\n"a","b"\n'),
    sheet("column that is there twice", sheet_text(ROW).replace("split", "side", 1)),
    sheet("sheet in another encoding", sheet_text(ROW | {"exclude": "Bewegung: ungenügend"}).encode("latin-1")),
    sheet("sheet in UTF-16", sheet_text(ROW).encode("utf-16")),
    sheet("quotation mark without partner", sheet_text(ROW | {"exclude": '"motion'}, ROW | {"case": "C2"})),
    sheet("quotation marks over several rows", sheet_text(ROW | {"exclude": '"motion'}, ROW | {"exclude": 'motion"'})),
    sheet("more cells than columns", sheet_text(ROW).rstrip("\n") + "\t\tmotion\n"),
    one_mask("mask of another patient", LOOSE, LOOSE | {"patient": "P2", "case": "C2"}),
    one_mask("mask that is the scan", LOOSE | {"ncct": LOOSE["lesion"]}),
    sheet("case that is there twice", sheet_text(ROW, ROW)),
    sheet("path that does not exist", sheet_text(ROW), check_paths=True),
    sheet("path that no system takes", sheet_text(ROW | {"ncct": "C1/" + 300 * "n"}), check_paths=True),
    cell("space in the cohort", cohort="ico AIS"),
    cell("no patient", patient=""),
    cell("no NCCT", ncct=""),
    cell("series number that is no number", ncct_series="third"),
    cell("fewer modalities than MRI", mri_modality="dwi"),
    cell("one modality twice", mri_modality="dwi;dwi"),
    cell("unknown modality", mri_modality="dwi;flair"),
    cell("lesion mask that is no NIfTI file", lesion="lesion.png"),
    cell("unknown space of the mask", lesion_space="ct"),
    cell("mask without its space", lesion_space=""),
    cell("mask on an MRI that is not there", mri="", mri_modality="", stripped=""),
    cell("unknown stripped image", stripped="ncct;flair"),
    cell("stripped image that is not in the row", mri="C1/dwi.nii.gz", mri_modality="dwi"),
    cell("word for true or false", mri_aligned="yes"),
    cell("unknown label standard", label_standard="bronze"),
    cell("unknown side", side="L"),
    cell("unknown split", split="dev"),
    sheet(
        "patient on two sides of the split",
        sheet_text(ROW | {"split": "train"}, ROW | {"case": "C2", "split": "test"}),
    ),
    sheet("patient in capitals and not", sheet_text(ROW, ROW | {"case": "C2", "patient": "p1"})),
    sheet("case in capitals and not", sheet_text(ROW, ROW | {"case": "c1"})),
    sheet("cohort in capitals and not", sheet_text(ROW, ROW | {"cohort": "ICOAIS"})),
    cell("identifier with signs", case="sub_01.a"),
    cell("identifier that is too long for a file", case=200 * "C"),
    cell("name of a patient", patient="Muster, Anna"),
    cell("volumes for other MRI", mri_volume="1"),
    cell("labels that are no numbers", lesion_labels="core"),
    cell("background for a lesion", lesion_labels="0;1"),
)

VALUES = (
    value("unknown key", preproces={}),
    value("number out of range", preprocess={"spacing_mm": -1}),
    value("text for a number", preprocess={"spacing_mm": "1 mm"}),
    value("number for a mapping", preprocess=1),
    value("too few numbers", pretrain={"patch_size": [16, 112]}),
    value("samples that are no whole number of batches", pretrain={"samples_per_epoch": 9601}),
    value("batch that the GPUs cannot share", resources={"pretrain": {"gpu": 3, "nodes": 2}}),
    value("slab below the patch", pretrain={"slab_slices": 12}),
    value("slab below the local views", pretrain={"local_views": {"count": 2, "patch_size": [32, 48, 48]}}),
    value("unknown method", preprocess={"skull_stripping": {"ncct": "bet"}}),
    value("negative number of missing slices", ingest={"max_missing_slices": -1}),
    value("labels of a cohort that is not there", ingest={"lesion_labels": {"AISD": [1, 2, 3, 4, 5]}}),
    value("labels that are words", ingest={"lesion_labels": {"icoAIS": ["core"]}}),
    value("limits in the wrong order", preprocess={"clip_hu": [400, -100]}),
    value("limits that leave nothing", preprocess={"registration": {"window_hu": [80, 80]}}),
    value("range in the wrong order", pretrain={"parent_scale": [1, 0.5]}),
    value("range inside an augmentation", pretrain={"augmentation": {"noise": {"sigma": [0.1, 0]}}}),
    value("angles in the wrong order", pretrain={"augmentation": {"rotation": {"degrees": [15, -15]}}}),
    value("range below 0", pretrain={"augmentation": {"gamma": {"exponent": [-0.5, 1.5]}}}),
    value("number without end", finetune={"learning_rate": float("inf")}),
    value("no number", pretrain={"student_temperature": float("nan")}),
    value("shares that do not add up", split={"ratios": {"train": 0.9}}),
    value("template that is not there", preprocess={"template": {"image": "nowhere.nii.gz"}}),
    value("unknown arm", run={"arms": ["FS"]}),
    value("even number of seeds", run={"seeds": [0, 1]}),
    value("unknown cohort to segment", run={"segment": ["ICO"]}),
    value("unknown cohort in an arm", arms={"FS-STKi": {"train": ["AISD"]}}),
    value("arm whose cohorts have no mask", arms={"FS-STKi": {"train": ["HEALTHY"]}}),
    Mistake("one patient with a lesion mask", lambda folder: write_sheet(folder / "cases.tsv", ROW) and load(folder)),
    Mistake(
        "patients who are all fixed to other splits",
        lambda folder: (
            write_sheet(folder / "cases.tsv", *(row | {"split": "test"} for row in (ROW, *OTHERS))) and load(folder)
        ),
    ),
    Mistake(
        "masks that hold no lesion", lambda folder: write_masked(folder, [0] * 4) and load(folder, check_paths=True)
    ),
    value("cohort to evaluate without a mask", run={"segment": ["HEALTHY", "icoAIS"], "evaluate": ["HEALTHY"]}),
    value("arms chosen on the test set", evaluate={"selected_on": "test"}),
    value("arm compared with itself", evaluate={"comparisons": {"own": [["FS-STKi", "FS-STKi"]]}}),
    value(
        "pair that is compared twice",
        evaluate={"comparisons": {"main": [["FS-STKi", "FS-STKi-D"]], "own": [["FS-STKi-D", "FS-STKi"]]}},
    ),
    value("arm to test that does not run", evaluate={"test_arms": ["FS-STKi-D"]}),
    value("cohort to evaluate that is not segmented", run={"evaluate": ["HEALTHY"]}),
    value("unknown cohort in an image set", run={"arms": ["ALL-STKi"]}, report={"best_arms": ["ALL-STKi"]}),
    value(
        "pretraining with other channels than its arm",
        image_sets={"ALL": ["icoAIS"]},
        arms={"FS-STKi": {"pretraining": "ALL-D"}},
    ),
    value("more labels than patients", arms={"FS-STKi": {"labels": [1, 40]}}),
    value("no labels", arms={"FS-STKi": {"labels": 0}}),
    value("a number of labels given twice", arms={"FS-STKi": {"labels": [2, 1, 2]}}),
    value("half a label", arms={"FS-STKi": {"labels": [2.5]}}),
    value(
        "labels that are called as an arm is",
        arms={"FS-STKi-labels1": CONFIG["arms"]["FS-STKi"], "FS-STKi": {"labels": 1}},
    ),
    value("draws that are none", label_efficiency={"draws": 0}),
    value("frozen encoder of an arm from scratch", arms={"FS-STKi": {"encoder": {"freeze_epochs": 33}}}),
)
