"""Folders that are no DICOM study of a head CT."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.fileset import FileSet
from pydicom.uid import EnhancedSRStorage, ExplicitVRLittleEndian, JPEGLSLossless, RTStructureSetStorage

from tests.bad_input.kinds import Kind, Make
from tests.ingest.dicom_series import Scan, compress, edit, head_hu, inside_head, write_enhanced, write_series

SMALL = Scan(gaps=(8.0,) * 13, rows=40, columns=32, pixel=(5.0, 4.0))
SHORT = (8.0,) * 5


def small(**changes: object) -> Scan:
    return Scan(**{"gaps": SMALL.gaps, "rows": 40, "columns": 32, "pixel": (5.0, 4.0), **changes})


def series(**changes: object) -> Make:
    return lambda folder: write_series(small(**changes), folder)


def with_header(change: Callable[[Dataset], object], every: bool = True) -> Make:
    return lambda folder: edit(write_series(SMALL, folder), change, every)


def setting(**values: object) -> Make:
    return with_header(lambda image: [setattr(image, keyword, value) for keyword, value in values.items()])


def lacking(*keywords: str) -> Make:
    return with_header(lambda image: [delattr(image, keyword) for keyword in keywords])


def two_series(first: dict, second: dict) -> Make:
    def make(folder: Path) -> Path:
        write_series(small(number=3, **first), folder)
        return write_series(small(number=4, **second), folder)

    return make


def files(change: Callable[[bytes], bytes], chosen: slice = slice(None)) -> Make:
    """A series in which the bytes of some files are not what they were; they are counted from the feet."""

    def make(folder: Path) -> Path:
        write_series(SMALL, folder)
        for path in sorted(folder.iterdir(), key=lambda path: path.name[-3:])[chosen]:
            path.write_bytes(change(path.read_bytes()))
        return folder

    return make


def emptied(_content: bytes) -> bytes:
    return b""


def litter(folder: Path) -> Path:
    folder.mkdir()
    (folder / "notes.txt").write_text("not an image " * 50)
    (folder / "empty.dcm").touch()
    return folder


def empty(folder: Path) -> Path:
    folder.mkdir()
    return folder


def with_archive(folder: Path) -> Path:
    shutil.make_archive(str(folder / "scan"), "gztar", write_series(SMALL, folder.with_name("images")))
    return folder


def archive(path: Path) -> Path:
    return Path(shutil.make_archive(str(path), "zip", write_series(SMALL, path.with_name("images"))))


def without_pixels(name: str, sop_class: str) -> Make:
    """A DICOM object that refers to images and holds none."""

    def make(folder: Path) -> Path:
        folder.mkdir()
        item = Dataset()
        item.file_meta = FileMetaDataset()
        item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        item.SOPClassUID, item.SOPInstanceUID, item.Modality, item.PatientName = sop_class, "1.2.3", name, "Secret"
        item.save_as(folder / name, enforce_file_format=True)
        return folder

    return make


def beside_a_text(folder: Path) -> Path:
    litter(folder)
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4)), folder / "scan.nii.gz")
    return folder


def medium_without_images(folder: Path) -> Path:
    medium = FileSet()
    fields = {"PatientID": "1", "PatientName": "A", "StudyID": "1", "StudyTime": "101010"}
    for path in write_series(small(fields=fields), folder.with_name("images")).iterdir():
        medium.add(path)
    medium.write(folder)
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "DICOMDIR":
            path.unlink()
    return folder


def compressed(change: Callable[[bytes], bytes]) -> Make:
    def make(folder: Path) -> Path:
        for path in compress(write_series(SMALL, folder), JPEGLSLossless).iterdir():
            path.write_bytes(change(path.read_bytes()))
        return folder

    return make


def _damaged(content: bytes) -> bytes:
    start = content.rindex(b"\xff\xda") + 20  # in the scan of the JPEG-LS stream
    return content[:start] + bytes(len(content) - start - 40) + content[-40:]


def enhanced(change: Callable[[bytes], bytes] = bytes, edited: Callable[[Dataset], object] = id) -> Make:
    def make(folder: Path) -> Path:
        edit(write_enhanced(SMALL, folder / "object"), edited)
        (folder / "object").write_bytes(change((folder / "object").read_bytes()))
        return folder

    return make


def _as_bytes(image: Dataset) -> None:
    pixels = np.clip(image.pixel_array // 8, 0, 255).astype(np.uint8)
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit, image.PixelData, image.RescaleIntercept = 7, pixels.tobytes(), 0


def _upside_down(image: Dataset) -> None:
    image.PixelData = np.roll(image.pixel_array, 20, axis=0).tobytes()


def _aside(image: Dataset) -> None:
    image.ImagePositionPatient = [image.ImagePositionPatient[0] + 50, *image.ImagePositionPatient[1:]]


def _as_colours(image: Dataset) -> None:
    image.PixelData, image.SamplesPerPixel, image.PlanarConfiguration = 3 * image.PixelData, 3, 0
    image.PhotometricInterpretation = "RGB"


def _with_text_for_numbers(image: Dataset) -> None:
    with pydicom.config.disable_value_validation():
        image["ImagePositionPatient"] = pydicom.DataElement("ImagePositionPatient", "LO", "unknown")


def _turned_below_the_middle(image: Dataset) -> None:
    if image.InstanceNumber <= 7:
        image.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]


def _different_pixels(image: Dataset) -> None:
    if image.InstanceNumber <= 7:
        image.PixelSpacing = [4, 4]


def _two_passes(folder: Path) -> Path:
    def pass_number(image: Dataset) -> None:
        image.PixelData = (image.pixel_array + image.InstanceNumber % 2).tobytes()

    return edit(write_series(small(gaps=(8.0, 0.0) * 12 + (8.0,)), folder), pass_number)


def _link_that_breaks(folder: Path) -> Path:
    write_series(SMALL, folder)
    (folder / "more").symlink_to("gone")
    return folder


def _file_that_links_to_itself(folder: Path) -> Path:
    write_series(SMALL, folder)
    (folder / "more").symlink_to("more")
    return folder


def _path_that_links_to_itself(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


def _without_one_position(whole: Dataset) -> None:
    del whole.PerFrameFunctionalGroupsSequence[5].PlanePositionSequence


def _unknown_syntax(image: Dataset) -> None:
    image.file_meta.TransferSyntaxUID = "1.2.3.4.5"


KINDS = (
    Kind("path that does not exist", lambda path: path),
    Kind("path that is a link to itself", _path_that_links_to_itself),
    Kind("empty folder", empty),
    Kind("folder with other files only", litter),
    Kind("archive in the folder", lambda folder: with_archive(empty(folder))),
    Kind("archive instead of the folder", archive),
    Kind("NIfTI file in a folder with others", beside_a_text),
    Kind("structures for radiotherapy only", without_pixels("RTSTRUCT", RTStructureSetStorage)),
    Kind("report only", without_pixels("SR", EnhancedSRStorage)),
    Kind("files of zero bytes", files(emptied)),
    Kind("files cut off in the header", files(lambda content: content[:500])),
    Kind("directory of a medium without its images", medium_without_images),
    Kind("all files cut off in the pixels", files(lambda content: content[:-500])),
    Kind("one file cut off in the pixels", files(lambda content: content[:-500], slice(5, 6))),
    Kind("compressed pixels cut off", compressed(lambda content: content[:-60])),
    Kind("enhanced object cut off", enhanced(lambda content: content[:-500])),
    Kind("headers without pixels", lacking("PixelData")),
    Kind("compressed pixels damaged", compressed(_damaged)),
    Kind("pixels in an unknown transfer syntax", with_header(_unknown_syntax)),
    Kind("broken link in the folder", _link_that_breaks),
    Kind("file in the folder that links to itself", _file_that_links_to_itself),
    Kind("MR images", series(modality="MR")),
    Kind("PET images", setting(Modality="PT")),
    Kind("images of a flat panel that are no CT", setting(Modality="XA")),
    Kind("segmentation only", setting(Modality="SEG")),
    Kind("screenshots", setting(Modality="OT")),
    Kind("colour pixels", with_header(_as_colours)),
    Kind("inverted grey", setting(PhotometricInterpretation="MONOCHROME1")),
    Kind("two patients", with_header(lambda image: setattr(image, "PatientID", f"P{image.InstanceNumber % 2}"))),
    Kind("fewer slices than min_slices", series(gaps=SHORT)),
    Kind("scan that ends inside the brain", series(gaps=(5.0,) * 13)),
    Kind("two slices missing", series(gaps=(8.0,) * 6 + (24.0,) + (8.0,) * 5)),
    Kind("two slices of zero bytes", files(emptied, slice(6, 8))),
    Kind("localizer only", series(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))),
    Kind("scan with contrast medium only", series(fields={"ContrastBolusAgent": "Iomeprol"})),
    Kind("iodine map only", series(image_type=("DERIVED", "PRIMARY", "AXIAL", "IODINE"))),
    Kind("maximum intensity projection only", series(image_type=("DERIVED", "SECONDARY", "AXIAL", "MAXIMUM"))),
    Kind("two series that are equally good", two_series({}, {"values": lambda points: head_hu(points) + 5})),
    Kind("admission and follow-up in one folder", two_series({}, {"fields": {"StudyDate": "20200108"}})),
    Kind("series number that is not there", two_series({}, {}), options=("--series=7",)),
    Kind("two passes over the head in one series", _two_passes),
    Kind("no slice position", lacking("ImagePositionPatient")),
    Kind("no orientation", lacking("ImageOrientationPatient")),
    Kind("no pixel spacing", lacking("PixelSpacing")),
    Kind(
        "no position of one frame of an enhanced object",
        enhanced(edited=_without_one_position),
    ),
    Kind("text for numbers", with_header(_with_text_for_numbers)),
    Kind("rows and columns that are not perpendicular", setting(ImageOrientationPatient=[1, 0, 0, 0.5, 0.8, 0])),
    Kind("slices turned against each other", with_header(_turned_below_the_middle)),
    Kind("positions that contradict the orientation", setting(ImageOrientationPatient=[1, 0, 0, 0, 0.2, -0.979796])),
    Kind("pixel spacing that differs between slices", with_header(_different_pixels)),
    Kind("pixel spacing of zero", setting(PixelSpacing=[0, 0])),
    Kind("pixel spacing in metres", setting(PixelSpacing=[0.005, 0.004])),
    Kind("map that is not in HU", series(fields={"RescaleType": "MGML"})),
    Kind("no rescale slope and intercept", lacking("RescaleSlope", "RescaleIntercept")),
    Kind("rescaling missing in one image", with_header(lambda image: delattr(image, "RescaleIntercept"), every=False)),
    Kind("other HU in one image", with_header(lambda image: setattr(image, "RescaleIntercept", -1000), every=False)),
    Kind("slope of zero", setting(RescaleSlope=0)),
    Kind("one image of another scan", with_header(_upside_down, every=False)),
    Kind("bits that contradict themselves", setting(BitsStored=20)),
    Kind("rows and columns swapped", setting(Rows=32, Columns=40)),
    Kind("one image 50 mm aside", with_header(_aside, every=False)),
    Kind("slices too far apart", series(gaps=(40.0,) * 13)),
    Kind("values scaled to one byte", with_header(_as_bytes)),
    Kind("one value everywhere", series(values=lambda points: np.zeros(points.shape[:-1]))),
    Kind("air only", series(values=lambda points: np.where(inside_head(points), -990.0, -1000.0))),
)
