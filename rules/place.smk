import os
import sys
import tarfile
import tempfile
from pathlib import Path


def unpacked(repository, ref):
    """Return the folder that holds a state of a git repository, beside Snakemake's bare clone of it."""
    clone = Path(repository.git_dir)
    folder = clone.with_name(f"{clone.name}-{repository.git.rev_parse(ref + '^{tree}')[:16]}")
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=clone.parent) as place:
            with tempfile.TemporaryFile() as archive:
                repository.archive(archive, treeish=ref)
                archive.seek(0)
                tarfile.open(fileobj=archive).extractall(f"{place}/all", filter="data")
            try:
                os.rename(f"{place}/all", folder)
            except OSError:
                if not folder.is_dir():  # no other process was faster
                    raise
    return folder


# Where the repository lies. From a git host, as a module, Snakemake fetches the rules alone, and not the package.
HERE = workflow.current_basedir
if isinstance(HERE, os.PathLike):
    REPOSITORY = Path(HERE).parent
else:
    REPOSITORY = unpacked(HERE.hosted_repo.repo, HERE.ref)
if str(REPOSITORY) not in sys.path:
    sys.path.insert(0, str(REPOSITORY))
