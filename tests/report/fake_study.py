"""A small results folder with everything that the report reads: ellipsoids for heads, boxes for lesions."""

from itertools import product
from pathlib import Path

import numpy as np

from tests.preprocess.settings import LIMITS
from tests.report.settings import ARMS, SEEDS, settings
from workflow_scripts.common.acquisition import describe
from workflow_scripts.common.files import write_json, write_tsv, write_yaml
from workflow_scripts.common.stack import Stack
from workflow_scripts.common.volume import Volume, save_volume
from workflow_scripts.evaluate import label_efficiency, score, score_test, summarise
from workflow_scripts.preprocess.quality.checks import checks, concern, flags
from workflow_scripts.pretrain import pretrain_probe

SHAPE, SPACING, MARGIN = (30, 36, 28), 6.0, 2


class FakeStudy:
    """A results folder under ``root`` and the rows of its split table."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.generator = np.random.default_rng(7)
        self.rows: list[dict[str, str | float]] = []

    def path(self, *parts: str) -> str:
        return str(self.root.joinpath(*parts))

    def add_cohort(self, cohort: str, splits: list[str], labelled: bool) -> None:
        for number, split in enumerate(splits, start=1):
            self._add_case(cohort, f"S{number:02d}", split, labelled)

    def _add_case(self, cohort: str, case: str, split: str, labelled: bool) -> None:
        head, brain = self._head()
        lesion = self._lesion(brain) if labelled else np.zeros(SHAPE, bool)
        head[lesion] -= 9
        folder = f"preprocess/{cohort}/{case}"
        affine = np.diag([SPACING, SPACING, SPACING, 1.0])
        affine[:3, 3] = -np.array(SHAPE) / 2 * SPACING
        inner = tuple(slice(MARGIN, size - MARGIN) for size in SHAPE)
        cropped = affine.copy()
        cropped[:3, 3] += MARGIN * SPACING
        stripped = np.where(brain, head, -100.0)
        mirrored = stripped[::-1]
        images = {"ncct": stripped, "mirrored": mirrored, "difference": np.where(brain, mirrored - stripped, 0)}
        for name, data in images.items():
            save_volume(self.path(folder, f"{name}.nii.gz"), Volume(data[inner], cropped), np.float32)
        save_volume(self.path(folder, "brain.nii.gz"), Volume(brain[inner], cropped), np.uint8)
        save_volume(self.path(folder, "resampled_ncct.nii.gz"), Volume(head, affine), np.float32)
        save_volume(self.path(folder, "brain_mask.nii.gz"), Volume(brain, affine), np.uint8)
        ml = float(lesion.sum() * SPACING**3 / 1000)
        if labelled:
            save_volume(self.path(folder, "lesion.nii.gz"), Volume(lesion[inner], cropped), np.uint8)
            save_volume(
                self.path(folder, "registered_dwi.nii.gz"), Volume(300 * brain + 400 * lesion, affine), np.float32
            )
            self._segment(cohort, case, lesion[inner], cropped)
            for arm in ARMS:
                acquired = self.path("segment", arm, "original", cohort, f"{case}.nii.gz")
                save_volume(acquired, Volume(lesion, affine), np.uint8)
        save_volume(self.path("ingest", cohort, case, "ncct.nii.gz"), Volume(head, affine), np.float32)
        write_json(self.path("ingest", cohort, case, "ncct.json"), describe(Stack.of_grid(SHAPE, affine)))
        facts = {
            "cohort": cohort,
            "case": case,
            "brain_ml": float(brain.sum() * SPACING**3 / 1000),
            "lesion_ml": ml if labelled else None,
            "side": "left" if labelled else None,
        }
        quality = {
            "cross_check_dice": 0.8 if len(self.rows) == 3 else 0.99 - 0.01 * (len(self.rows) % 5),
            "hull_excess": 0.04,
            "tissue_beyond_mm": 1.0,
            "end_share": 0.1,
            "metal_ml": 0.0,
            "skull_gap_cm2": 0.0,
            "slice_mm": SPACING,
            "marks": [],
            "not_native": [],
            "gap_over_thickness": 1.0,
            "mri_offset_mm": 0.0 if labelled else None,
            "mri_side_ratio": 1.2 if labelled else None,
            "missing_slices": 0,
            "broken_forms": 0,
            "contralateral": {"doubts": []},
            "registration": {"doubts": [], "deformation_mm": 0.4} if labelled else None,
            "lesion_outside_brain_fraction": 0.0 if labelled else None,
            "lesion_darker_hu": 5.0 if labelled else None,
        }
        judged = checks(facts | quality, LIMITS)
        quality |= {"checks": judged, "flags": flags(judged), "concern": concern(judged)}
        write_json(self.path(folder, "case.json"), {"facts": facts, "quality": quality})
        row = {"cohort": cohort, "patient": case, "case": case, "split": split, "stratum": "left-small"}
        row |= {"side": "left" if labelled else "", "lesion_ml": ml if labelled else "", "label_standard": ""}
        self.rows.append(row)

    def _head(self) -> tuple[np.ndarray, np.ndarray]:
        centred = [(np.arange(size) - (size - 1) / 2) / (size / 2) for size in SHAPE]
        radius = np.sqrt(sum(axis**2 for axis in np.meshgrid(*centred, indexing="ij")))
        brain = radius < 0.78
        head = np.select([radius < 0.25, brain, radius < 0.9], [12.0, 34.0, 600.0], -1000.0)
        return head + self.generator.normal(0, 2, SHAPE) * (radius < 0.9), brain

    def _lesion(self, brain: np.ndarray) -> np.ndarray:
        lesion = np.zeros(SHAPE, bool)
        size = self.generator.integers(2, 7)
        start = [self.generator.integers(6, 12), self.generator.integers(8, 20), self.generator.integers(8, 16)]
        lesion[tuple(slice(at, at + size) for at in start)] = True
        return lesion & brain

    def _segment(self, cohort: str, case: str, lesion: np.ndarray, affine: np.ndarray) -> None:
        for arm, kept in ARMS.items():
            for member in (*(f"seed-{seed}" for seed in SEEDS), "ensemble"):
                keep = self.generator.random(lesion.shape) < kept * self.generator.uniform(0.3, 1)
                shifted = np.roll(lesion, self.generator.integers(0, 3), axis=1) & keep
                path = self.path("segment", arm, member, cohort, f"{case}.nii.gz")
                save_volume(path, Volume(shifted, affine), np.uint8)

    def finish(self) -> None:
        """Write the tables: split, scores, curves, interpretation, settings."""
        write_tsv(self.path("split/splits.tsv"), self.rows, list(self.rows[0]))
        write_json(
            self.path("split/leakage.json"),
            {
                "on_two_sides": 0,
                "repeated": [],
                **dict.fromkeys(("cases", "patients", "pixel_digests", "final_digests"), 16),
            },
        )
        self._evaluate()
        self._labels()
        self._curves()
        self._interpretation()
        self._probe()
        self._records()
        write_yaml(self.path("report/settings.yaml"), settings())

    def _evaluate(self) -> None:
        cases = [f"icoAIS/{row['case']}" for row in self.rows if row["cohort"] == "icoAIS"]
        record = ("--looks", self.path("state/test_looks/{arm}.tsv"), "--config-sha256", "0" * 64)
        names = [(score.main, "scores.tsv", ()), (score_test.main, "test_scores.tsv", record)]
        for arm, (main, name, looks) in product(ARMS, names):
            main(
                [
                    *(word.format(arm=arm) for word in looks),
                    *("--arm", arm, "--members", *(f"seed-{seed}" for seed in SEEDS), "ensemble", "--cases", *cases),
                    *("--segmentations", self.path("segment", arm), "--references", self.path("preprocess")),
                    *("--splits", self.path("split/splits.tsv"), "--min-component-ml", "3"),
                    *("--out", self.path("evaluate", arm, name)),
                    *(
                        "--ingest",
                        self.path("ingest"),
                        "--out-acquired",
                        self.path("evaluate", arm, f"acquired_{name}"),
                    ),
                ]
            )
        outputs = ("scores", "summary", "comparisons", "agreement", "ranks", "variance", "subgroups")
        summarise.main(
            [
                *("--scores", *(self.path("evaluate", arm, name) for arm, (_, name, _) in product(ARMS, names))),
                *("--selected-on", "validation", "--test-arms", *ARMS, "--looks", self.path("state/test_looks")),
                *("--splits", self.path("split/splits.tsv")),
                *("--comparisons", "main:FS-STKi,ALL-STKi-SA", "main:FS-STKi,FS-STKi-D"),
                *("--bootstrap", "200", "--confidence", "0.95", "--seed", "1"),
                *(part for name in outputs for part in (f"--out-{name}", self.path(f"evaluate/{name}.tsv"))),
                *(
                    "--acquired-scores",
                    *(self.path("evaluate", a, f"acquired_{n}") for a, (_, n, _) in product(ARMS, names)),
                ),
                *(
                    part
                    for name in outputs[:4]
                    for part in (f"--out-acquired-{name}", self.path(f"evaluate/acquired_{name}.tsv"))
                ),
                *("--out-test-looks", self.path("evaluate/test_looks.tsv")),
            ]
        )

    def _labels(self) -> None:
        """Curves of two arms on fewer labels, eight patients in each held-out set."""
        named = {"cohort": "icoAIS", "criterion": "all"}
        rows = [
            named
            | {"arm": arm, "labels": labels, "member": f"seed-{draw}", "split": split, "patient": patient}
            | {"case": patient, "dice": 0.1 + 0.1 * worth * np.log(labels) + self.generator.normal(0, 0.03)}
            for (arm, worth), labels, draw in product((("FS-STKi", 1.0), ("ALL-STKi-SA", 1.3)), (5, 10, 20), range(3))
            for split, patient in product(("validation", "test"), (f"P{number}" for number in range(8)))
        ]
        write_tsv(self.path("evaluate/labels.tsv"), rows, list(rows[0]))
        label_efficiency.main(
            [
                *("--label-scores", self.path("evaluate/labels.tsv"), "--splits", self.path("split/splits.tsv")),
                *("--pairs", "FS-STKi,ALL-STKi-SA", "--bootstrap", "100", "--confidence", "0.95", "--seed", "1"),
                *("--out-curve", self.path("evaluate/label_curve.tsv")),
                *("--out-savings", self.path("evaluate/label_savings.tsv")),
            ]
        )

    def _curves(self) -> None:
        epochs = np.arange(20)
        for arm in ARMS:
            for seed in SEEDS:
                noise = self.generator.normal(0, 0.03, (3, 20))
                pseudo = np.clip(0.6 * (1 - np.exp(-epochs / 8)) + noise[0], 0, 1)
                rows = [
                    {
                        "epoch": epoch,
                        "train_loss": float(0.6 * np.exp(-epoch / 9) - 0.3 + noise[1, epoch]),
                        "validation_loss": float(0.5 * np.exp(-epoch / 9) - 0.2 + noise[2, epoch]),
                        "pseudo_dice": float(pseudo[epoch]) if epoch else None,
                        "ema_pseudo_dice": float(pseudo[: epoch + 1].mean()),
                        "seconds": 30.0,
                    }
                    for epoch in epochs
                ]
                write_tsv(self.path("finetune", arm, f"seed-{seed}", "curves.tsv"), rows, list(rows[0]))
        curves = [
            {
                "epoch": e,
                "train_loss": 6 - 0.1 * e,
                "validation_loss": 6.1 - 0.1 * e,
                "teacher_entropy": 6.5 - 0.05 * e,
                "seconds": 3,
            }
            for e in range(20)
        ]
        write_tsv(self.path("pretrain/ALL-SA/curves.tsv"), curves, list(curves[0]))
        rank = [{"epoch": e, "rankme": 5.0 + e, "rankme_centred": 4.0 + e, "samples": 64} for e in range(0, 20, 2)]
        write_tsv(self.path("pretrain/ALL-SA/rankme.tsv"), rank, list(rank[0]))

    def _records(self) -> None:
        """What the trainings used, and the balance of the splits."""
        plan = {
            "patch_size": [8, 20, 20],
            "batch_size": 2,
            "architecture": {"arch_kwargs": {"features_per_stage": [16, 32]}},
        }
        for arm in ARMS:
            used = {"learning_rate": 0.01, "momentum": 0.99, "iterations_per_epoch": 25}
            write_yaml(self.path("finetune", arm, "settings.yaml"), used)
            write_json(self.path("finetune", arm, "nnunet/plans.json"), {"configurations": {"3d_fullres": plan}})
        pretraining = {"method": "desd", "patch_size": [8, 20, 20], "batch_size": 8, "samples_per_epoch": 64}
        write_yaml(self.path("pretrain/ALL-SA/settings.yaml"), pretraining | {"optimiser": {"learning_rate": 0.001}})
        columns = ("cohort", "stratum", "split", "patients", "share", "cases", "median_lesion_ml")
        balance = [dict(zip(columns, ("icoAIS", "all", "train", 4, 1, 4, 12.5), strict=True))]
        write_tsv(self.path("split/balance.tsv"), balance, columns)

    def _interpretation(self) -> None:
        points = self.generator.normal(size=(len(self.rows), 2))
        names = ("cohort", "case", "split")
        embedding = [
            {name: row[name] for name in names} | {"x": float(x), "y": float(y)}
            for row, (x, y) in zip(self.rows, points, strict=True)
        ]
        neighbours, slices = [], {}
        for group in range(2):
            for neighbour in range(6):
                neighbours.append(embedding[6 * group + neighbour] | {"group": group, "neighbour": neighbour})
                slices[f"image-{group}-{neighbour}"] = self.generator.normal(size=(1, 32, 26)).astype(np.float32)
                slices[f"attribution-{group}-{neighbour}"] = self.generator.normal(size=(1, 32, 26)).astype(np.float32)
        folder = "pretrain/ALL-SA/interpretation"
        write_tsv(self.path(folder, "embedding.tsv"), embedding, list(embedding[0]))
        write_tsv(self.path(folder, "neighbours.tsv"), neighbours, list(neighbours[0]))
        np.savez_compressed(self.path(folder, "slices.npz"), **slices)

    def _probe(self) -> None:
        """A size that is told, a side that is not, and a sex that nothing can be said of."""
        name = {"pretraining": "ALL-SA", "source": "table", "kind": "number", "cases": 14, "patients": 12, "seen": 7}
        empty = dict.fromkeys(pretrain_probe.COLUMNS)
        rows = [
            empty | name | {"attribute": attribute, "measure": measure, "note": note} | self._estimates(told)
            for attribute, told, note in (("size", 0.6, ""), ("side", 0.0, ""), ("sex", None, "too few patients"))
            for measure in pretrain_probe.MEASURES
        ]
        write_tsv(self.path("pretrain/ALL-SA/probe.tsv"), rows, pretrain_probe.COLUMNS)
        cases = [row | {"value": 0.5 + 0.01 * number} for number, row in enumerate(self.rows)]
        patients = np.array([f"{row['cohort']}/{row['patient']}" for row in cases])
        features = {kind: self.generator.normal(size=(len(cases), 4)) for kind in ("pretrained", "random")}
        neighbours = pretrain_probe.neighbour_rows(features, cases, patients)
        write_tsv(self.path("pretrain/ALL-SA/neighbours.tsv"), neighbours, pretrain_probe.NEIGHBOUR_COLUMNS)

    def _estimates(self, told: float | None) -> dict[str, float]:
        if told is None:
            return {}
        values = {"pretrained": told, "random": -0.02, "difference": told + 0.02, "moments": 0.5, "histogram": -0.4}
        bounds = {"": 0.0, "_low": -0.3, "_high": 0.2}
        return {f"{name}{part}": value + by for name, value in values.items() for part, by in bounds.items()}
