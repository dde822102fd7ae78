"""Conversion by dcm2niix, and the choice among the files it writes."""

import logging
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import dcm2niix
import nibabel as nib
import numpy as np

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.stack import Stack, in_order_of
from workflow_scripts.common.volume import Volume

log = logging.getLogger(__name__)

# -g i: no defaults file of the user's; -b n: no sidecar, so no header field is copied; -f: a fixed name; -m y: one
# series is one volume; -l n: dcm2niix leaves unsigned 16-bit pixels tilted and unevenly spaced.
OPTIONS = ["-g", "i", "-b", "n", "-z", "n", "-f", "image", "-m", "y", "-l", "n"]
NAME = re.compile(r"image.*?(?P<tilt>_Tilt)?(?P<equal>_Eq)?(?:_\d+)?\.nii")

HIGHEST_B = 50_000.0  # s/mm²; beyond all of clinical and most of research scanners


@dataclass(frozen=True)
class Output:
    """A file that dcm2niix wrote: which corrections its name tells, and the image (4-D where it repeats)."""

    untilted: bool
    equalised: bool
    volume: Volume
    b_values: tuple[float, ...]

    @property
    def label(self) -> str:
        """The corrections, in dcm2niix's words."""
        words = [word for word, made in (("Tilt", self.untilted), ("Eq", self.equalised)) if made]
        return "_".join(words) or "plain"


def convert(files: Sequence[Path]) -> list[Output]:
    """Run dcm2niix on the images of one series and read everything it writes.

    The images are linked into a temporary folder under neutral names. What dcm2niix prints is dropped, since it may
    repeat header fields. Raises `InputError` when it writes no image.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "dicom", Path(folder) / "nifti"
        source.mkdir()
        target.mkdir()
        for index, path in enumerate(files):
            (source / f"{index:05d}.dcm").symlink_to(path.resolve())
        command = [str(dcm2niix.bin), *OPTIONS, "-o", str(target), str(source)]
        status = subprocess.run(command, capture_output=True, check=False).returncode
        if status < 0:
            raise InputError(
                f"dcm2niix was stopped by signal {-status}.", "give it more memory, or room in TMPDIR; then run again."
            )
        outputs = [_read(path) for path in sorted(target.glob("*.nii"))]
    log.info("dcm2niix: %d DICOM images, %d volumes, exit status %d", len(files), len(outputs), status)
    if not outputs:
        raise InputError(
            f"dcm2niix made no image of {len(files)} DICOM images (exit status {status}).",
            "check that the files are complete and TMPDIR has room, or convert them to NIfTI by another program.",
        )
    return outputs


def plain_output(outputs: Sequence[Output], shape: tuple[int, int, int]) -> Output:
    """Return the uncorrected volume, the acquired pixels; raises `InputError` unless it has the acquired slices."""
    for output in outputs:
        if not (output.untilted or output.equalised) and sorted(output.volume.data.shape) == sorted(shape):
            return output
    raise InputError(
        f"dcm2niix did not make one volume of the series' {shape[2]} slices of {shape[0]} × {shape[1]} pixels.",
        "put only the images of one scan into the folder, or convert them to NIfTI by another program.",
    )


def in_stack_order(stack: Stack, plain: Volume, files: Sequence[Path]) -> np.ndarray:
    """Return acquired pixels in the order (column, row, slice) of the stack, whose images ``files`` are.

    dcm2niix states the wrong direction across the slices of a tilted scan with the feet first, so one slice is
    converted alone and found again. Raises `InputError` when it is not where either direction has it.
    """
    pixels = in_order_of(stack, plain).data
    index = len(files) // 3
    alone = in_order_of(stack, convert(files[index : index + 1])[0].volume).data
    for candidate in (pixels, pixels[..., ::-1]):
        found = candidate[..., index : index + 1]
        if alone.shape == found.shape and np.allclose(found, alone, rtol=0, atol=0.5):
            return candidate
    raise InputError(
        "dcm2niix puts the slices of the series into an order that is not that of their positions.",
        "convert the series to NIfTI by another program.",
    )


def choose_output(outputs: Sequence[Output], min_slices: int) -> tuple[Output, list[dict[str, object]]]:
    """Choose the volume with most corrections (tilt before gaps), among equals the one with most slices.

    Returns it with one record an output: corrections, shape, and why it was chosen or not.
    """
    reasons = ["" if output.volume.data.ndim == 3 else "not three-dimensional" for output in outputs]
    for index, output in enumerate(outputs):
        if not reasons[index] and output.volume.data.shape[2] < min_slices:
            reasons[index] = f"fewer than {min_slices} slices"
    usable = [index for index, reason in enumerate(reasons) if not reason]
    if not usable:
        raise InputError(
            f"None of the {len(outputs)} volumes that dcm2niix made is usable ({'; '.join(sorted(set(reasons)))}).",
            "give the folder of one complete axial series.",
        )

    def rank(index: int) -> tuple[bool, bool, int]:
        output = outputs[index]
        return output.untilted, output.equalised, output.volume.data.shape[2]

    best = max(usable, key=rank)
    for index in usable:
        reasons[index] = (
            "chosen: most corrections, then most slices" if index == best else "fewer corrections or slices"
        )
    records = [
        {"output": output.label, "shape": list(output.volume.data.shape), "decision": reason}
        for output, reason in zip(outputs, reasons, strict=True)
    ]
    return outputs[best], records


def _read(path: Path) -> Output:
    name = NAME.fullmatch(path.name)
    image = nib.load(path)
    b_values = path.with_suffix(".bval")
    return Output(
        untilted=bool(name and name["tilt"]),
        equalised=bool(name and name["equal"]),
        volume=Volume(np.asarray(image.dataobj), np.asarray(image.affine, float)),
        b_values=read_b_values(b_values),
    )


def read_b_values(path: Path) -> tuple[float, ...]:
    """Return the numbers of a .bval file, s/mm²; none where it is missing, empty, or holds what is no b-value."""
    try:
        found = tuple(float(word) for word in re.split(r"[\s,;]+", path.read_text("utf-8").strip()))
    except (OSError, ValueError):
        return ()
    return found if all(0 <= value <= HIGHEST_B for value in found) else ()
