"""The folder of an exported model: networks in nnU-Net's own layout, and a manifest that holds a digest of every file.

A folder is used only when it is whole: nothing of it is read before its digests have been compared.
"""

import shutil
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from workflow_scripts.common.digests import file_digest
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_json, replacing, replacing_folder, write_json
from workflow_scripts.segment.model.contents import (
    AGAIN,
    KEYS,
    PLANS,
    TEMPLATES,
    check_contents,
)

FORMAT = 1
MANIFEST = "model.json"
CHECKPOINT = "checkpoint_final.pth"
TEMPLATE, TEMPLATE_MASK = TEMPLATES
PACKAGES = ("torch", "nnunetv2", "dynamic-network-architectures", "numpy", "scipy")
KINDS = {"arm": str, "seeds": list, "vote": str, "code": str, "versions": dict, "files": dict}
MOST_UNPACKED, MOST_TIMES = 2**26, 10  # bytes, and this many times the zip: weights hardly shrink, JSON does
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the time stamp of every entry of a zip, so that equal models give equal bytes


def installed() -> dict[str, str]:
    """Return the versions of the libraries that networks run with, as they are installed here."""
    return {name: version(name) for name in PACKAGES}


def fold(number: int) -> str:
    """Return the folder of one training of the arm, as nnU-Net names its folds."""
    return f"fold_{number}"


def seal(folder: Path, description: Mapping[str, Any]) -> None:
    """Write the manifest: format, ``description``, and the SHA-256 of every file that lies in ``folder``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digests = {path.relative_to(folder).as_posix(): file_digest(path) for path in files}
    write_json(folder / MANIFEST, {"format": FORMAT, **description, "files": digests})


def check_model(folder: Path) -> dict[str, Any]:
    """Return the manifest of a model whose files are all there and unchanged.

    Raises `InputError`, naming the file, where one is missing or damaged, or the format is another.
    """
    manifest = _read_manifest(folder)
    for name, digest in manifest["files"].items():
        _inside(name)
        if not (folder / name).is_file():
            raise InputError(f"The model's folder lacks {name}.", AGAIN)
        if file_digest(folder / name) != digest:
            raise InputError(f"{name} of the model is damaged: its digest is not that of {MANIFEST}.", AGAIN)
    check_contents(folder, manifest["files"])
    return manifest


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file() and any(folder.rglob(PLANS)):
        raise InputError(
            f"{str(folder)!r} holds networks of nnU-Net, but no {MANIFEST}: nothing says how scans are made for them.",
            "name the folder or zip that `export_<arm>` writes in the study that trained them.",
        )
    if not path.is_file():
        raise InputError(f"{str(folder)!r} is no exported model: it holds no {MANIFEST}.", "name its folder or zip.")
    try:
        manifest = read_json(path)
    except InputError:
        raise InputError(f"{MANIFEST} of the model is damaged.", AGAIN) from None
    if not isinstance(manifest, dict) or "format" not in manifest:
        raise InputError(f"{MANIFEST} of the model is damaged: it names no format.", AGAIN)
    if manifest["format"] != FORMAT:
        raise InputError(
            f"The model has format {manifest['format']!r}, this code reads format {FORMAT}.",
            "use the version of the code that the model card names, or export the model with this one.",
        )
    if missing := [key for key in ("licence", "notice") if key not in manifest]:
        raise InputError(f"{MANIFEST} of the model is damaged: it has no {missing[0]!r}.", AGAIN)
    for key, kind in KINDS.items():
        if not isinstance(manifest.get(key), kind) or not manifest[key]:
            raise InputError(f"{MANIFEST} of the model is damaged: it has no proper {key!r}.", AGAIN)
    wanted = set(KEYS)
    wanted |= {f"{fold(number)}/{CHECKPOINT}" for number in range(len(manifest["seeds"]))}
    if missing := sorted(wanted - set(manifest["files"])):
        raise InputError(f"{MANIFEST} of the model is damaged: it does not list {', '.join(missing)}.", AGAIN)
    return manifest


def checkpoints(folder: Path, manifest: Mapping[str, Any]) -> list[Path]:
    """Return the networks of a model, one a seed."""
    return [folder / fold(number) / CHECKPOINT for number in range(len(manifest["seeds"]))]


def pack(folder: Path, archive: Path) -> None:
    """Write the folder as a zip; the same files give the same bytes."""
    with replacing(archive) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."):
            entry = zipfile.ZipInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}", EARLIEST)
            entry.external_attr = 0o644 << 16
            zipped.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


def unpack(archive: Path, folder: Path) -> None:
    """Write the model that a zip holds, at any depth, into ``folder``: what its manifest names and nothing else.

    Raises `InputError` where the zip is damaged, holds no model or several, or would unpack to far more than a model.
    """
    try:
        with zipfile.ZipFile(archive) as zipped, replacing_folder(folder) as temporary:
            entries = {PurePosixPath(entry.filename): entry for entry in zipped.infolist() if not entry.is_dir()}
            root = _root(archive.name, entries)
            size = sum(entry.file_size for entry in entries.values())
            if size > MOST_UNPACKED + MOST_TIMES * archive.stat().st_size:
                raise InputError(f"{archive.name} would unpack to {size / 1e9:.1f} GB: that is no model.", AGAIN)
            _extract(zipped, entries[root / MANIFEST], temporary / MANIFEST)
            for name in _read_manifest(temporary)["files"]:
                _inside(name)
                if root / name not in entries:
                    raise InputError(f"{archive.name} lacks {name}.", AGAIN)
                _extract(zipped, entries[root / name], temporary / name)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        # the last two: one with a password, or packed in a way of its own
        raise InputError(f"{archive.name} is no whole zip ({error}).", AGAIN) from error


def _root(name: str, entries: Iterable[PurePosixPath]) -> PurePosixPath:
    """Return the folder of a zip's one manifest."""
    entries = list(entries)
    roots = [path.parent for path in entries if path.name == MANIFEST]
    if len(roots) == 1:
        return roots[0]
    if roots:
        raise InputError(f"{name} holds {len(roots)} models.", "unpack it and name the folder of one of them.")
    if inner := [path.name for path in entries if path.suffix == ".zip"]:
        raise InputError(f"{name} holds another zip ({inner[0]}) and no model.", "unpack it and name the zip in it.")
    raise InputError(f"{name} holds no folder of an exported model.", AGAIN)


def _extract(zipped: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipped.open(entry) as source, target.open("wb") as file:
        shutil.copyfileobj(source, file)


def _inside(name: str) -> None:
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise InputError(f"{MANIFEST} names a file outside the model's folder ({name}).", AGAIN)
