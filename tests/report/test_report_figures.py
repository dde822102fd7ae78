"""Every figure can be drawn from a results folder, twice with the same bytes, and shows what it should."""

import base64
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.path import Path as MplPath
from PIL import Image

from tests.report.settings import settings
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.report import (
    figure_cohort,
    figure_dice,
    figure_examples,
    figure_failures,
    figure_finetune,
    figure_interpretation,
    figure_neighbours,
    figure_pretraining,
    figure_probe,
    figure_qq,
    figure_quality,
    figure_size,
    figure_volumes,
)
from workflow_scripts.report.drawing import errors, slices
from workflow_scripts.report.pages.flow import counted
from workflow_scripts.report.pages.page import render

ARMS = ("FS-STKi", "ALL-STKi-SA", "FS-STKi-D")


def commands(study) -> dict[str, tuple[Callable[[list[str]], None], list[str]]]:
    splits = ["--splits", study.path("split/splits.tsv")]
    scores = ["--scores", study.path("evaluate/scores.tsv"), "--cohort", "icoAIS", "--arms", *ARMS]
    folder = "pretrain/ALL-SA/interpretation"
    return {
        "cohort.svg": (figure_cohort.main, [*splits, "--min-component-ml", "3"]),
        "dice-icoAIS-test.svg": (
            figure_dice.main,
            [
                *scores,
                *("--comparisons", study.path("evaluate/comparisons.tsv"), "--split", "test"),
                *("--min-component-ml", "3"),
            ],
        ),
        "examples-icoAIS.png": (
            figure_examples.main,
            [*scores, "--preprocess", study.path("preprocess"), "--segment", study.path("segment"), "--examples", "2"],
        ),
        "finetune.svg": (
            figure_finetune.main,
            ["--finetune", study.path("finetune"), "--arms", *ARMS, "--seeds", "0", "1", "2"],
        ),
        "pretraining.svg": (
            figure_pretraining.main,
            ["--pretrain", study.path("pretrain"), "--pretrainings", "ALL-SA"],
        ),
        "interpretation-ALL-SA.png": (
            figure_interpretation.main,
            [
                *splits,
                *("--embedding", study.path(folder, "embedding.tsv"), "--pretraining", "ALL-SA"),
                *("--neighbours", study.path(folder, "neighbours.tsv"), "--slices", study.path(folder, "slices.npz")),
            ],
        ),
        "probe.svg": (
            figure_probe.main,
            ["--probes", study.path("pretrain/ALL-SA/probe.tsv"), "--confidence", "0.95"],
        ),
        "neighbours-ALL-SA.png": (
            figure_neighbours.main,
            [
                *("--neighbours", study.path("pretrain/ALL-SA/neighbours.tsv"), "--attribute", "size"),
                *("--preprocess", study.path("preprocess"), "--pretraining", "ALL-SA"),
            ],
        ),
        "size-icoAIS-test.svg": (figure_size.main, [*scores, "--split", "test", "--min-component-ml", "3"]),
        "volumes-icoAIS-test.svg": (figure_volumes.main, [*scores, "--split", "test"]),
        "qq-icoAIS-validation.svg": (
            figure_qq.main,
            [
                *("--scores", study.path("evaluate/scores.tsv"), "--cohort", "icoAIS", "--split", "validation"),
                *("--comparisons", study.path("evaluate/comparisons.tsv")),
            ],
        ),
        "failures-icoAIS.png": (
            figure_failures.main,
            [*scores, "--preprocess", study.path("preprocess"), "--segment", study.path("segment")],
        ),
        "quality.svg": (figure_quality.main, [*splits, "--preprocess", study.path("preprocess")]),
    }


NAMES = (
    *("cohort.svg", "dice-icoAIS-test.svg", "examples-icoAIS.png", "finetune.svg", "pretraining.svg"),
    *("interpretation-ALL-SA.png", "probe.svg", "neighbours-ALL-SA.png", "quality.svg", "size-icoAIS-test.svg"),
    *("volumes-icoAIS-test.svg", "qq-icoAIS-validation.svg", "failures-icoAIS.png"),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_has_the_same_bytes_twice(study, tmp_path, name):
    main, arguments = commands(study)[name]
    contents = []
    for folder in ("first", "second"):
        out = tmp_path / folder / name
        main([*arguments, "--out", str(out)])
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]
    assert len(contents[0]) > 5000


def test_examples_are_the_worst_and_the_best_test_cases(study):
    scores = read_tsv(study.path("evaluate/scores.tsv"))
    split, cases = figure_examples.choose(scores, ARMS, 2)
    chosen = [
        row for row in scores if row["member"] == "ensemble" and row["criterion"] == "all" and row["split"] == "test"
    ]
    means = {
        case: np.mean([float(row["dice"]) for row in chosen if row["case"] == case])
        for case in {row["case"] for row in chosen}
    }
    assert split == "test"
    assert cases == [min(means, key=means.get), max(means, key=means.get)]


def test_examples_come_from_the_validation_set_where_no_test_case_has_a_lesion(study):
    scores = [row for row in read_tsv(study.path("evaluate/scores.tsv")) if row["split"] != "test"]
    assert figure_examples.choose(scores, ARMS, 2)[0] == "validation"


def test_no_example_is_chosen_without_a_lesion():
    assert figure_examples.choose([], ARMS, 2)[1] == []


def test_neighbours_are_shown_of_heads_along_the_order_of_the_attribute(study):
    rows = read_tsv(study.path("pretrain/ALL-SA/neighbours.tsv"))
    lines = figure_neighbours.choose(rows)
    heads = sorted((row for row in rows if row["rank"] == "0"), key=lambda row: float(row["value"]))
    names = list(dict.fromkeys((row["cohort"], row["case"]) for row in heads))
    assert [names.index((line[0]["cohort"], line[0]["case"])) for line in lines] == [2, 8, 14]
    for head, *others in lines:
        assert [(row["features"], row["rank"]) for row in others] == [
            (kind, rank) for kind in ("pretrained", "random") for rank in ("1", "2", "3")
        ]
        assert all((row["of_cohort"], row["of_case"]) == (head["cohort"], head["case"]) for row in others)


def test_no_head_is_chosen_where_the_attribute_is_not_known(study, tmp_path):
    rows = [row | {"value": ""} for row in read_tsv(study.path("pretrain/ALL-SA/neighbours.tsv"))]
    assert figure_neighbours.choose(rows) == []
    figure_neighbours.draw([tmp_path / "empty.png"], [], Path(study.path("preprocess")), "size", "ALL-SA")
    assert (tmp_path / "empty.png").stat().st_size > 1000


def test_a_figure_without_labelled_cases_says_so(study, tmp_path):
    main, arguments = commands(study)["dice-icoAIS-test.svg"]
    out = tmp_path / "dice.svg"
    main([*arguments, "--cohort", "CENTER-TBI", "--out", str(out)])
    assert out.stat().st_size > 5000


@pytest.mark.parametrize("name", ["size-icoAIS-test.svg", "volumes-icoAIS-test.svg", "failures-icoAIS.png"])
def test_a_figure_of_a_cohort_without_scores_says_so_in_both_formats(study, tmp_path, name):
    main, arguments = commands(study)[name]
    outputs = [tmp_path / f"one.{ending}" for ending in ("svg", "png")]
    main([*arguments, "--cohort", "CENTER-TBI", "--out", *map(str, outputs)])
    assert all(path.stat().st_size > 3000 for path in outputs)


def test_failures_are_the_held_out_cases_with_the_lowest_dice_each_once(study):
    scores = read_tsv(study.path("evaluate/scores.tsv"))
    chosen = figure_failures.choose(scores, ARMS, "icoAIS")
    held_out = {row["case"] for row in study.rows if row["cohort"] == "icoAIS" and row["split"] != "train"}
    assert sorted(row["case"] for row in chosen) == sorted(held_out)
    dice = [float(row["dice"]) for row in chosen]
    assert dice == sorted(dice)
    of_worst = [row for row in scores if row["case"] == chosen[0]["case"] and row["member"] == "ensemble"]
    assert dice[0] == min(float(row["dice"]) for row in of_worst if row["criterion"] == "all")


def boxes(*places: tuple[int, int]) -> np.ndarray:
    """A mask with boxes from one x to another."""
    mask = np.zeros((40, 8, 8), bool)
    for start, stop in places:
        mask[start:stop, 2:6, 2:6] = True
    return mask


@pytest.mark.parametrize(
    ("reference", "segmentation", "wrong"),
    [
        (boxes((4, 8)), boxes(), ["missed"]),
        (boxes(), boxes((4, 8)), ["false lesion"]),
        (boxes((4, 8)), boxes((32, 36)), ["side"]),
        (boxes((4, 8)), boxes((12, 16)), ["missed", "false lesion"]),
        (boxes((4, 8)), boxes((5, 9)), ["boundary"]),
        (boxes((4, 8)), boxes((5, 9), (30, 36)), ["false lesion", "boundary"]),
        (boxes((4, 8), (30, 36)), boxes((5, 9)), ["missed", "boundary"]),
        (boxes((4, 14), (30, 31)), boxes((5, 15)), ["boundary"]),
        (boxes((4, 8)), boxes((4, 8)), []),
        (boxes(), boxes(), []),
    ],
)
def test_what_went_wrong_is_named(reference, segmentation, wrong):
    assert errors.what_went_wrong(reference, segmentation, 19.5) == wrong


def test_a_segmentation_much_larger_or_smaller_is_called_so():
    sizes = [errors.size_in_words(boxes((10, 20)), boxes((10, stop))) for stop in (30, 20, 13, 10)]
    assert sizes == ["too large", "", "too small", ""]


def test_differences_of_a_qq_plot_are_those_of_the_patients_that_both_arms_have():
    rows = [
        {"arm": arm, "patient": patient, "dice": dice}
        for arm, patient, dice in [
            ("X", "a", "0.1"),
            ("X", "a", "0.3"),
            ("X", "b", "0.5"),
            ("Y", "a", "0.6"),
            ("Y", "c", "1"),
        ]
    ]
    assert figure_qq.differences(rows, ("X", "Y")) == pytest.approx([0.4])


class TestSlices:
    """A marked voxel must come out where a radiologist looks for it."""

    @pytest.fixture
    def marked(self) -> np.ndarray:
        data = np.zeros((5, 6, 7))
        data[4, 5, 6] = 1  # right, anterior, superior
        return data

    @pytest.mark.parametrize(("axis", "index", "corner"), [(2, 6, (0, 0)), (1, 5, (0, 0)), (0, 4, (0, 0))])
    def test_right_and_front_are_at_the_left_and_up_is_up(self, marked, axis, index, corner):
        assert slices.plane(marked, axis, index)[corner] == 1

    def test_an_image_stored_in_another_order_is_shown_the_same_way(self, marked, tmp_path):
        save_volume(tmp_path / "ras.nii.gz", Volume(marked, np.eye(4)))
        flipped = np.diag([-1.0, -1.0, 1.0, 1.0])
        flipped[:2, 3] = (4, 5)
        save_volume(tmp_path / "lps.nii.gz", Volume(marked[::-1, ::-1], flipped))
        both = [slices.load_ras(tmp_path / name).data for name in ("ras.nii.gz", "lps.nii.gz")]
        assert np.array_equal(*both)

    def test_spread_slices_stay_inside_the_mask(self):
        mask = np.zeros((4, 4, 30), bool)
        mask[:, :, 10:20] = True
        indices = slices.spread(mask, 2, 4)
        assert indices == sorted(indices)
        assert min(indices) > 10
        assert max(indices) < 19

    def test_an_outline_encloses_its_mask_and_nothing_else(self):
        mask = np.zeros((30, 40), bool)
        mask[4:12, 10:22] = True
        mask[20:27, 5:9] = True
        path = slices.outline(mask, 10.0, 20.0)
        pieces = [piece for piece in path.split("M") if piece]
        polygons = []
        for piece in pieces:
            start, steps = piece.rstrip("z").split("l")
            corners = [[int(word) for word in pair.split()] for pair in [start]]
            numbers = [int(word) for word in steps.split()]
            corners += [list(pair) for pair in zip(numbers[::2], numbers[1::2], strict=True)]
            polygons.append(MplPath(np.cumsum(corners, axis=0)))
        rows, columns = np.indices(mask.shape)
        centres = np.column_stack([(columns.ravel() + 0.5) * 20, (rows.ravel() + 0.5) * 10])
        inside = np.any([polygon.contains_points(centres) for polygon in polygons], axis=0)
        assert np.array_equal(inside.reshape(mask.shape), mask)

    def test_an_empty_mask_has_no_outline(self):
        assert slices.outline(np.zeros((5, 5), bool), 10.0, 10.0) == ""


def test_curves_with_empty_cells_leave_a_gap():
    column = figure_finetune.column([{"a": "1"}, {"a": ""}], "a")
    assert column[0] == 1
    assert np.isnan(column[1])


def test_a_pretraining_without_a_teacher_is_drawn_and_described(tmp_path):
    curves = [
        {"epoch": epoch, "train_loss": 1.0, "validation_loss": 1.1, "feature_deviation": 0.4} for epoch in range(3)
    ]
    rank = [{"epoch": epoch, "rankme": 5.0, "rankme_centred": 4.0, "samples": 64} for epoch in range(3)]
    for name, rows in (("curves", curves), ("rankme", rank)):
        write_tsv(tmp_path / "ALL-MAE" / f"{name}.tsv", rows, list(rows[0]))
    drawn = tmp_path / "pretraining.svg"
    figure_pretraining.main(["--pretrain", str(tmp_path), "--pretrainings", "ALL-MAE", "--out", str(drawn)])
    assert "ALL-MAE: deviation of the embeddings" in drawn.read_text()
    study = settings()
    content = {
        "settings": study,
        "confidence": "95 %",
        "pretraining_records": [],
        "arm_records": [],
        "counted": counted,
    }
    assert "masked autoencoding" not in render("index/methods.html.j2", **content)
    study["pretrainings"]["ALL-MAE"] = {"image_set": "ALL", "channels": ["ncct"], "symmetry": False, "method": "mae"}
    study["pretrain"]["masking"] = {"fraction": 0.75}
    page = render("index/methods.html.j2", **content)
    assert "hidden blocks (75 % of a view)" in page and "ncct, masked autoencoding." in page


def test_a_picture_in_the_page_has_the_pixels_of_its_png(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    with Image.open(io.BytesIO(base64.b64decode(slices.webp_uri(tmp_path / "a.png").split(",")[1]))) as shown:
        assert np.array_equal(np.asarray(shown.convert("RGB")), pixels)


def test_lesion_status_comes_from_the_label_not_from_the_cohort():
    assert [figure_interpretation.kind_of(ml) for ml in ("", "0", "3.2")] == ["unknown", "free", "lesion"]


def test_outputs_are_not_left_half_written(tmp_path):
    with pytest.raises(InputError, match=r"missing\.tsv does not exist"):
        figure_cohort.main(["--splits", "missing.tsv", "--min-component-ml", "3", "--out", str(tmp_path / "a.svg")])
    assert list(Path(tmp_path).iterdir()) == []
