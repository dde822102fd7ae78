"""The digest knows what a study computed and not when; the archive has nothing of a patient."""

import tarfile

import nibabel as nib
import numpy as np
import pytest

from workflow_scripts.common.errors import InputError
from workflow_scripts.common.nnunet.arrays import write_array
from workflow_scripts.report import archive, digest


def write_results(folder, seconds="1.5", value=3.0, level=6):
    """A study's results in small; ``seconds`` and ``level`` of compression are no results, ``value`` is one."""
    case = folder / "preprocess" / "batches" / "C1"  # a cohort of any name
    case.mkdir(parents=True)
    image = nib.Nifti1Image(np.full((4, 4, 4), value, np.float32), np.eye(4))
    nib.openers.Opener.default_compresslevel = level
    image.to_filename(case / "ncct.nii.gz")
    nib.openers.Opener.default_compresslevel = 1
    curves = folder / "finetune" / "A" / "seed-0" / "curves.tsv"
    curves.parent.mkdir(parents=True)
    curves.write_text(f"epoch\tloss\tseconds\n0\t0.5\t{seconds}\n")
    (folder / "evaluate").mkdir()
    # Where a study lies is in its configuration.
    looks = f"arm\ttime\tcases\tconfig_sha256\nA\t{seconds}\t12\t{seconds}\n"
    (folder / "evaluate" / "test_looks.tsv").write_text(looks)
    np.savez(folder / "slices.npz", a=np.arange(3))
    # With `jobs: cases`, digests of the files of a whole job, by their bytes.
    for record in ("preprocess/icoAIS/C1/files.json", "segment/A/batches/icoAIS/0.json"):
        (folder / record).parent.mkdir(parents=True, exist_ok=True)
        (folder / record).write_text(f'{{"{folder}": "{level}"}}')
    for name in ("logs", "benchmarks"):
        (folder / name).mkdir()
        (folder / name / "x.tsv").write_text(f"s\n{seconds}\n")
    return folder


def whole(folder):
    return digest.whole(digest.digests(folder))


def test_two_runs_agree_whatever_time_they_took(tmp_path):
    one = write_results(tmp_path / "one")
    other = write_results(tmp_path / "other", seconds="9", level=9)
    image = "preprocess/batches/C1/ncct.nii.gz"
    assert (one / image).read_bytes() != (other / image).read_bytes()
    assert whole(one) == whole(other)


def test_a_look_at_the_same_scores_again_and_in_another_order_is_no_other_result(tmp_path):
    head = "arm\tlook\ttime\tcases\tconfig_sha256\tscores_sha256\n"
    rows = {arm: f"{arm}\t1\t{arm}\t12\t0\tscores of {arm}\n" for arm in "AB"}
    table, found = tmp_path / "test_looks.tsv", set()
    for content in (rows["A"] + rows["B"], rows["B"] + rows["A"] + rows["B"].replace("\t1\t", "\t2\t")):
        table.write_text(head + content)
        found.add(digest.content_digest(table))
    assert len(found) == 1
    table.write_text(head + rows["A"] + rows["B"].replace("scores of B", "others"))
    assert digest.content_digest(table) not in found


def test_another_value_is_another_digest(tmp_path):
    one, other = write_results(tmp_path / "one"), write_results(tmp_path / "other", value=3.0000002)
    assert whole(one) != whole(other)
    first, second = digest.digests(one), digest.digests(other)
    assert [name for name in first if first[name] != second[name]] == ["preprocess/batches/C1/ncct.nii.gz"]


def test_a_damaged_array_is_refused_by_its_name(tmp_path):
    path = tmp_path / "arrays" / "icoAIS__I01.b2nd"
    path.parent.mkdir()
    write_array(path, np.arange(4096, dtype=np.float32).reshape(1, 16, 16, 16), [8, 8, 8])
    assert digest.digests(tmp_path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"icoAIS__I01\.b2nd"):
        digest.digests(tmp_path)


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="no result"):
        digest.digests(tmp_path)


def run_archive(folder, table):
    results = write_results(folder / "results")
    (results / "evaluate" / "summary.tsv").write_text(table)
    (results / "evaluate" / "subgroups.tsv").write_text("by\n")
    (results / "evaluate" / "scores.tsv").write_text("case\ndice\nJaneDoe-1\t0.5\n")
    (folder / "cases.tsv").write_text("cohort\tpatient\tcase\nA\tJaneDoe\tJaneDoe-1\nA\t12\t12\nA\t0538050\t253805\n")
    digest.main([f"--results={results}", f"--out={results / 'digest.tsv'}"])
    out = folder / "archive.tar.gz"
    given = [f"--results={results}", f"--sheet={folder / 'cases.tsv'}", f"--digest={results / 'digest.tsv'}"]
    archive.main([*given, f"--repository={folder}", f"--out={out}"])
    return out


def test_an_archive_holds_tables_and_digest_and_no_name_of_the_sheet(tmp_path):
    with tarfile.open(run_archive(tmp_path, "arm\tcases\tdice\nA\t12\t0.0538050\n")) as members:
        assert len(members.getnames()) == len(set(members.getnames()))
        content = {member.name: members.extractfile(member).read() for member in members}
        assert all(member.uname == "" and member.mtime == 0 for member in members)
    tables = {f"study/evaluate/{name}.tsv" for name in ("subgroups", "summary", "test_looks")}
    assert set(content) == {*tables, "study/sha256.txt"}
    assert b"JaneDoe" not in b"".join(content.values())


@pytest.mark.parametrize("name", ["JaneDoe-1", "0538050", "253805"])
def test_a_table_that_names_a_case_is_refused_and_leaves_no_archive(tmp_path, name):
    with pytest.raises(InputError, match=r"summary\.tsv has a patient") as refused:
        run_archive(tmp_path, f"arm\tworst\nA\t{name}\n")
    assert name not in str(refused.value)
    assert not (tmp_path / "archive.tar.gz").exists()
