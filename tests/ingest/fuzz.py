"""Mutants of good scans for the command lines of the stage: what happens to each.

``python -m tests.ingest.fuzz --mutants 300 --seed 1`` prints how many were read, refused in words, and refused any
other way (traceback, more than 2 GB, more than 20 s, text of the header in a message), and how many of those that
were read gave an image unlike the scan's.
"""

import argparse
import gzip
import io
import json
import logging
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import processing

from tests.bad_input.images import AFFINE, HEAD, saved
from tests.bad_input.scans import small
from tests.ingest.command import mri_command, ncct_arguments
from tests.ingest.dicom_series import inside_head, write_series
from workflow_scripts.common.cli import run
from workflow_scripts.ingest.ingest_mri import main as ingest_mri
from workflow_scripts.ingest.ingest_ncct import main as ingest_ncct

SECRET = "ZXQWV"
FIELDS = {"PatientName": SECRET, "PatientID": SECRET, "SeriesDescription": SECRET, "StudyDescription": SECRET}
MOST_BYTES, MOST_SECONDS = 2 * 2**30, 20
NUMBERS = (0, 1, 2, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
UNLIKE_HU = 50.0
LEAST_SEEN = 0.9  # of the voxels of an image that lacks slices


HARMLESS = ("read", "refused", "read, slice lost and flagged", "read, header flagged")


class TooLong(Exception):
    """A mutant took more time than any good scan of its size."""


def mutate(content: bytes, rng: np.random.Generator, header: int) -> bytes:
    """Return bytes changed in one of the ways in which files are damaged, mostly in their first ``header`` bytes."""
    changed = bytearray(content)
    end = header if rng.random() < 0.8 else len(changed)
    start = int(rng.integers(0, max(1, min(end, len(changed)) - 8)))
    match rng.integers(6):
        case 0:
            changed[start] ^= 1 << int(rng.integers(8))
        case 1:
            changed[start : start + 8] = rng.bytes(8)
        case 2:
            struct.pack_into("<L", changed, start, int(rng.choice(NUMBERS)))
        case 3:
            struct.pack_into("<f", changed, start, float(rng.choice([np.nan, np.inf, -1, 0, 1e9, 1e-9])))
        case 4:
            del changed[int(rng.integers(len(changed))) :]
        case _:
            del changed[start : start + int(rng.integers(1, 64))]
    return bytes(changed)


def nifti_mutant(folder: Path, rng: np.random.Generator) -> Path:
    """Write a NIfTI file whose bytes, compressed or not, were changed."""
    path = saved(HEAD)(folder / "scan.nii.gz")
    if rng.random() < 0.3:
        path.write_bytes(mutate(path.read_bytes(), rng, 64))
    else:
        path.write_bytes(gzip.compress(mutate(gzip.decompress(path.read_bytes()), rng, 352), 1))
    return path


def dicom_mutant(folder: Path, rng: np.random.Generator, original: Path) -> Path:
    """Copy a series and change one file, several in different ways, or all in the same way."""
    shutil.copytree(original, folder / "dicom")
    paths = sorted((folder / "dicom").iterdir())
    chosen = paths[:: int(rng.choice([1, 4, len(paths)]))]
    alike = int(rng.integers(2**31)) if rng.random() < 0.5 else None
    for path in chosen:
        content = path.read_bytes()
        path.write_bytes(mutate(content, rng if alike is None else np.random.default_rng(alike), len(content) - 2560))
    return folder / "dicom"


def compared(image: nib.Nifti1Image, truth: nib.Nifti1Image) -> tuple[bool, bool]:
    """Say whether an image has all the slices of the truth, and whether it is like it: those it has in their places."""
    whole, expected = image.shape == truth.shape, truth.get_fdata()
    if not whole:  # of a whole one that was moved nothing but its header could tell
        expected = processing.resample_from_to(truth, image, order=0, cval=np.nan).get_fdata()
    inside = np.isfinite(expected)
    off = np.abs(np.clip(image.get_fdata(), -1024, 3000) - expected)[inside]
    return whole, bool(inside.mean() > LEAST_SEEN and off.mean() < UNLIKE_HU)


def outcome(main, arguments: Sequence[str], image: Path, truth: nib.Nifti1Image) -> str:
    """Run a command line on a mutant and say in a word what came of it."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    signal.alarm(MOST_SECONDS)
    try:
        run(main, arguments)
    except SystemExit:
        word = "refused" if " Remedy: " in said.getvalue() else "no remedy"
    except TooLong:
        word = "too long"
    except Exception:  # noqa: BLE001 - that there is none is what is measured
        sys.stderr.write(traceback.format_exc())
        word = "traceback"
    else:
        record = json.loads(image.with_name(image.name.replace(".nii.gz", ".json")).read_text())
        flagged = record.get("slices", {}).get("lost_at_the_ends")
        whole, like = compared(nib.load(image), truth)
        word = "read" if whole and like else "read, slice lost and flagged" if flagged and like else "read, unlike"
        if word == "read, unlike" and record.get("broken_forms"):
            word = "read, header flagged"
    finally:
        signal.alarm(0)
        logging.getLogger().removeHandler(handler)
    return "header text" if SECRET in said.getvalue() else word


def _ring(*_: object) -> None:
    raise TooLong


def main(argv: Sequence[str] | None = None) -> None:
    """Make mutants from a seed, half of them NIfTI files, and count outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGALRM, _ring)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    rng, counts = np.random.default_rng(arguments.seed), Counter()
    truth = nib.as_closest_canonical(nib.Nifti1Image(HEAD, AFFINE))
    with tempfile.TemporaryDirectory() as place:
        ct = write_series(small(fields=FIELDS), Path(place) / "ct")
        signal_of = {"modality": "MR", "values": lambda points: 500.0 * inside_head(points)}
        mr = write_series(small(fields=FIELDS, **signal_of), Path(place) / "mr")
        for index in range(arguments.mutants):
            folder = Path(place) / f"{index}"
            folder.mkdir()
            match index % 4:
                case 0 | 2:
                    source, script = nifti_mutant(folder, rng), ingest_ncct
                case 1:
                    source, script = dicom_mutant(folder, rng, ct), ingest_ncct
                case _:
                    source, script = dicom_mutant(folder, rng, mr), ingest_mri
            image = folder / "out" / ("dwi.nii.gz" if script is ingest_mri else "ncct.nii.gz")
            line = mri_command(source, image) if script is ingest_mri else ncct_arguments(source, image.parent)
            word = outcome(script, line, image, truth)
            word = "read" if script is ingest_mri and word.startswith("read") else word  # no truth is known here
            counts[word] += 1
            if word not in HARMLESS:
                sys.stderr.write(f"mutant {index}: {word}\n")
            shutil.rmtree(folder)
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    main()
