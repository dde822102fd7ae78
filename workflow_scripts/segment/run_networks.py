"""Run the networks of an exported model on new patients, all with one load of it.

What they say of a patient is kept in a store under a digest of model, code and images: a patient whose result is there
is not segmented again. A fault in one stops no other, and is told by the job that wants its result.
"""

import argparse
import logging
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib

from workflow_scripts.common.cli import run
from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, replacing_folder, write_json
from workflow_scripts.common.malloc import return_freed_memory
from workflow_scripts.common.nnunet.cases import channel_files
from workflow_scripts.common.out_of_memory import is_lack_of_memory
from workflow_scripts.segment.model import folder as layout
from workflow_scripts.segment.model.batch import Store
from workflow_scripts.segment.model.contents import DATASET
from workflow_scripts.segment.model.memory import need_of, require
from workflow_scripts.segment.model.result import RESULT

if TYPE_CHECKING:
    from workflow_scripts.segment.model.networks import Model

log = logging.getLogger(__name__)


def keep_within(memory_gb: float, model: Path, images: Path) -> None:
    """Make this process need no more memory than a bound, if slower; raises `InputError` where it cannot."""
    needed = need_of(model, nib.load(images / "ncct.nii.gz").shape)
    require(memory_gb, needed.returned, "A scan of this size")
    if needed.kept > memory_gb:
        return_freed_memory()


def segmenting(arguments: argparse.Namespace) -> Callable[[Path, Path], None]:
    """Return what runs the networks on a patient's images and writes what they say into a folder."""

    @cache
    def model() -> "Model":
        # Not above: patients that the store has need none of it, and importing it takes seconds.
        import torch

        from workflow_scripts.common.device import choose_device
        from workflow_scripts.segment.model.networks import Model

        torch.set_num_threads(arguments.threads)
        device = choose_device(arguments.gpus)
        log.info("loading the model")
        return Model(arguments.model, device)

    def make(images: Path, folder: Path) -> None:
        if arguments.memory_gb and not arguments.gpus:
            keep_within(arguments.memory_gb, arguments.model, images)
        model()(images).save(folder / RESULT)

    return make


def run_all(
    store: Store, images: dict[str, Path], channels: Sequence[str], make: Callable[[Path, Path], None]
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Return the folder of each patient's result, and of each that has none the problem and its remedy.

    ``images`` are the folders of their final images by name, cohort/case. Raises a lack of memory, of which another
    try may have more, when all others are done.
    """
    made, failed, shortage = {}, {}, None
    for name, folder in images.items():
        place = store.place(name, channel_files(folder, channels))
        try:
            if not place.is_dir():
                with replacing_folder(place) as temporary:
                    make(folder, temporary)
                log.info("%s: the networks have run", name)
            made[name] = str(place)
        except InputError as error:
            failed[name] = [error.problem, error.remedy]
        except Exception as error:
            log.exception("%s: the networks failed", name)
            if is_lack_of_memory(error):
                shortage = error
            failed[name] = [
                f"The networks failed on it ({type(error).__name__}).",
                "look into the log of run_networks.",
            ]
    if shortage:
        raise shortage
    return made, failed


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of an exported model")
    parser.add_argument("--preprocess", type=Path, required=True, help="folder of the final images, cohort/case/")
    parser.add_argument("--cases", nargs="+", required=True, help="cohort/case of the patients")
    parser.add_argument("--store", type=Path, required=True, help="folder of the results")
    parser.add_argument("--code", default="", help="digest of the code; results of other code are not taken")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, help="how many the job asked for; 0: it computes on the CPU")
    parser.add_argument("--memory-gb", type=float, help="bound of this process, where it computes on the CPU")
    parser.add_argument("--out", type=Path, required=True, help="JSON: where each result lies, and which there are not")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Check the model, run its networks on every patient, write where the results lie."""
    arguments = _parse(argv)
    layout.check_model(arguments.model)
    channels = read_json(arguments.model / DATASET)["channels"]
    store = Store(arguments.store, f"{file_digest(arguments.model / layout.MANIFEST)} {arguments.code}")
    images = {name: arguments.preprocess / name for name in arguments.cases}
    made, failed = run_all(store, images, channels, segmenting(arguments))
    write_json(arguments.out, {"made": made, "failed": failed})


if __name__ == "__main__":
    run(main)
