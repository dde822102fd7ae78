"""Files of tensors and plain values, as torch writes them: nothing in them is executed."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workflow_scripts.common.errors import InputError

# nnU-Net keeps scores as numpy's scalars, whose maker has another name in numpy 1 than in numpy 2.
_SCALAR = np.float64(0).__reduce__()[0]
PLAIN_NUMPY = [
    (_SCALAR, "numpy._core.multiarray.scalar"),
    (_SCALAR, "numpy.core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "?")),
]


def read_tensors(path: Path, remedy: str) -> dict[str, Any]:
    """Read a mapping, its tensors onto the CPU; numbers of numpy are plain values too.

    Raises `InputError` with the ``remedy`` for a file that is absent, cut short or damaged, also in a single bit of a
    tensor, that holds anything else, or that is of another kind.
    """
    try:
        sound = _checksums_fit(path)
        with torch.serialization.safe_globals(PLAIN_NUMPY):
            content = torch.load(path, map_location="cpu", weights_only=True) if sound else None
    except MemoryError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.", remedy) from None
    except Exception as error:  # what is no pickle, or a damaged one, may fail in any way
        raise _unreadable(path, remedy) from error
    if not isinstance(content, dict):
        raise _unreadable(path, remedy)
    return content


def _checksums_fit(path: Path) -> bool:
    """Compare the checksums in torch's archive, which torch itself does not; older files are none and have none."""
    if not zipfile.is_zipfile(path):
        return True
    with zipfile.ZipFile(path) as archive:
        return archive.testzip() is None


def _unreadable(path: Path, remedy: str) -> InputError:
    return InputError(
        f"{path.name} cannot be read: it is damaged, or holds more than tensors and plain values.",
        f"{remedy.removesuffix('.')}; nothing in a file is executed.",
    )
