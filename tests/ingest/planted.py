"""Scans with words in every field of their headers, and the search for these words in what a command line leaves."""

import gzip
import io
import logging
import warnings
from collections.abc import Callable, Iterable, Set
from pathlib import Path

import nibabel as nib
import pydicom
import pytest
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset

from tests.ingest import dicom_series
from tests.ingest.dicom_series import edit
from workflow_scripts.common.cli import run

WORD, DATE, TIME, UID, AGE = "Zxqwv", "19770707", "131517", "1.2.840.31337424", "077Y"
PLANTED = [WORD, WORD.upper(), DATE, TIME, "31337424", AGE]
TEXT = dict.fromkeys(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"), WORD)
VALUES = TEXT | {"DA": DATE, "DT": DATE + TIME, "TM": TIME, "UI": UID, "AS": AGE}
# Without these the files would be no CT or MR images; all of them are codes, not free text.
NEEDED = {"Modality", "ImageType", "PhotometricInterpretation", "SOPClassUID", "SOPInstanceUID", "RescaleType"}

IDENTIFYING = {
    *("PatientName", "PatientID", "PatientBirthDate", "PatientAge", "AccessionNumber", "StudyID", "StudyDate"),
    *("SeriesDescription", "ProtocolName", "InstitutionName", "ReferringPhysicianName", "StationName"),
    *("SeriesInstanceUID", "StudyInstanceUID", "SeriesTime", "ConvolutionKernel", "Manufacturer"),
}


def planted_fields(keywords: Set[str]) -> Dataset:
    """A header with text, date, time or identifier in every one of these fields, in private ones, and in sequences."""
    header = Dataset()
    with pydicom.config.disable_value_validation():
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
            if vr in VALUES and keyword in keywords:
                header.add_new(tag, vr, VALUES[vr])
        for number, vr in enumerate(VALUES, start=1):
            header.private_block(0x0009, WORD, create=True).add_new(number, vr, VALUES[vr])
        item = Dataset()
        item.update(header)
        header.RequestAttributesSequence = [Dataset()]
        header.RequestAttributesSequence[0].OriginalAttributesSequence = [item]
    return header


ALL = planted_fields({entry[4] for tag, entry in DicomDictionary.items() if tag >> 16 > 0x0002} - NEEDED - {""})
SOME = planted_fields(IDENTIFYING)


def plant_in(image: Dataset, header: Dataset) -> Dataset:
    """Put fields into the header of an image, and text into the preamble and the file meta group."""
    image.update(header)
    image.preamble = (WORD * 128)[:128].encode()
    image.file_meta.SourceApplicationEntityTitle = image.file_meta.ImplementationVersionName = WORD
    image.file_meta.PrivateInformationCreatorUID, image.file_meta.PrivateInformation = UID, WORD.encode() + b" "
    return image


def plant(folder: Path, header: Dataset) -> Path:
    """Put fields into the header of every image of a folder, and an identifier into each; return the folder."""

    def add(image: Dataset) -> None:
        plant_in(image, header)
        image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{UID}.{image.InstanceNumber}"

    with warnings.catch_warnings(), pydicom.config.disable_value_validation():
        warnings.simplefilter("ignore")
        return edit(folder, add)


def plant_in_nifti(image: nib.Nifti1Image) -> nib.Nifti1Image:
    """Put text into all fields of a NIfTI header that hold text, and into extensions."""
    for field in ("descrip", "aux_file", "intent_name", "db_name"):
        if field in image.header:
            image.header[field] = WORD
    for code in (4, 6, 44):  # AFNI, comment, JSON
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, f'{{"PatientName": "{WORD}"}}'.encode()))
    return image


def made_with_words(make: Callable[[Path], Path], path: Path) -> Path:
    """Let ``make`` write a scan or mask with words in its headers, and move its files to names with a word in them.

    What the user gives, the path that is returned, keeps its name. Text lies beside a NIfTI file too.
    """
    dataset, save = dicom_series._dataset, nib.save
    with pytest.MonkeyPatch.context() as patch, pydicom.config.disable_value_validation():
        patch.setattr(dicom_series, "_dataset", lambda *of_slice: plant_in(dataset(*of_slice), SOME))
        patch.setattr(nib, "save", lambda image, target: save(plant_in_nifti(image), target))
        source = make(path)
    if source.is_dir():
        inside = [file for file in source.rglob("*") if file.is_file() and not file.is_symlink()]
        (source / WORD).mkdir()
        for file in inside:
            if file.name != "DICOMDIR":
                file.rename(source / WORD / f"{WORD}-{file.name}")
    else:
        stem = source.name.split(".")[0]
        source.with_name(f"{stem}.json").write_text(f'{{"PatientName": "{WORD}", "AcquisitionTime": "{TIME}"')
        source.with_name(f"{stem}.bval").write_text(f"{WORD} {DATE}")
    return source


def say(main: Callable, arguments: list[str]) -> tuple[int, str]:
    """Run a command line; return its exit status, and what it logged and warned of."""
    stream, status = io.StringIO(), 0
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            run(main, arguments)
    except SystemExit as ended:
        status = ended.code
    finally:
        logging.getLogger().removeHandler(handler)
    return status, stream.getvalue() + "\n".join(str(warning.message) for warning in warned)


def planted_lines(files: Iterable[Path], said: Iterable[str]) -> list[bytes]:
    """Return the lines, in files and in what was said, that have something planted in them."""
    contents = [gzip.decompress(p.read_bytes()) if p.suffix == ".gz" else p.read_bytes() for p in files]
    everything = b"\n".join([*contents, *(text.encode() for text in said)])
    return [line[:300] for line in everything.splitlines() if any(word.encode() in line for word in PLANTED)]
