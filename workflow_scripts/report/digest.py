"""One digest over everything that a study computes: two runs that did the same have the same one.

Images and arrays count by their values, curves without seconds and device. Logs, measurements of time, and what only
repeats the rest (pages, records of whole jobs) do not count. Run by hand: `make digest`.
"""

import argparse
import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from workflow_scripts.common.array_digests import values_digest
from workflow_scripts.common.cli import run
from workflow_scripts.common.digests import bytes_digest, file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.nifti import read_nifti
from workflow_scripts.study.whole_jobs.record import is_record

LEFT_OUT = {"logs", "benchmarks", "state", "report", "digest.tsv", "archive.tar.gz"}
OF_MACHINE = {  # columns that two equal runs differ in: of when and how fast, and of where the study lies
    "curves.tsv": {"seconds", "images_per_second", "device"},
    # A step that was killed, or whose case was made again, may have scored the same masks twice, in another order.
    "test_looks.tsv": {"time", "config_sha256", "look"},
}
COLUMNS = ("file", "sha256")
MADE_ANEW = (
    "give the call of Snakemake that made it with this file as its only target and --forcerun and the file at its end; "
    "then that call itself."
)


def digests(results: Path) -> dict[str, str]:
    """Return the digest of each file below a folder of results, by its path; raises `InputError` where none is."""
    found = {}
    for path in sorted(results.rglob("*")):
        relative = path.relative_to(results)
        if relative.parts[0] in LEFT_OUT or path.name.startswith(".") or is_record(relative):
            continue
        if path.is_file():
            found[relative.as_posix()] = content_digest(path)
    if not found:
        raise InputError(f"There is no result below {results}.", "name the folder `outdir` of a study.")
    return found


def content_digest(path: Path) -> str:
    """Return the digest of what a file says, whatever wrote its bytes."""
    if path.name.endswith((".nii", ".nii.gz")):
        header, voxels = read_nifti(path, MADE_ANEW, whole_path=True)
        return bytes_digest((values_digest(voxels) + values_digest(header.get_best_affine())).encode())
    if path.suffix == ".b2nd":
        from workflow_scripts.common.nnunet.arrays import read_array  # imports torch, which takes seconds

        return read_array(path)[1]
    if path.suffix in (".npz", ".pt", ".pth") and zipfile.is_zipfile(path):
        return _members_digest(path)
    if path.name in OF_MACHINE:
        left_out = OF_MACHINE[path.name]
        rows = {repr([item for item in row.items() if item[0] not in left_out]) for row in read_tsv(path)}
        return bytes_digest(repr(sorted(rows)).encode())
    return file_digest(path)


def _members_digest(path: Path) -> str:
    """Digest the members of an archive without their times; torch names their folder like the file."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            content = archive.read(name)
            if path.suffix == ".npz":
                content = values_digest(np.load(io.BytesIO(content), allow_pickle=False)).encode()
            digest.update(f"{name} {bytes_digest(content)}\n".encode())
    return digest.hexdigest()


def whole(found: dict[str, str]) -> str:
    """Return the one digest of all files and their names."""
    return bytes_digest("".join(f"{name} {digest}\n" for name, digest in sorted(found.items())).encode())


def main(argv: Sequence[str] | None = None) -> None:
    """Write the table of digests, the one of all in its first row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True, help="folder `outdir` of a study")
    parser.add_argument("--out", type=Path, required=True, help="TSV, one row a file; compare two runs by it")
    arguments = parser.parse_args(argv)
    found = digests(arguments.results)
    rows = [{"file": "all", "sha256": whole(found)}]
    write_tsv(arguments.out, rows + [{"file": name, "sha256": value} for name, value in found.items()], COLUMNS)


if __name__ == "__main__":
    run(main)
