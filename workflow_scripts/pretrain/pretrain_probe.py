"""Rule pretrain_probe: measure what a pretrained encoder tells of heads that no one told it, beside untrained ones.

Beside both stand two baselines without a network, and, where one is given, an encoder that learned from labels.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from workflow_scripts.common import seeds
from workflow_scripts.common.cli import run
from workflow_scripts.common.device import choose_device
from workflow_scripts.common.errors import InputError
from workflow_scripts.common.files import read_tsv, write_tsv
from workflow_scripts.pretrain.encoder.checkpoint import load_encoder
from workflow_scripts.pretrain.encoder.initial import read_initial, require_fitting
from workflow_scripts.pretrain.methods.networks import build_encoder
from workflow_scripts.pretrain.probe.attributes import Attribute, read_attributes
from workflow_scripts.pretrain.probe.baselines import BASELINES, baseline_features
from workflow_scripts.pretrain.probe.representation import Representation, embed, stride_of
from workflow_scripts.pretrain.probe.skills import (
    FOLDS,
    NEIGHBOURS,
    Cases,
    Measure,
    nearest,
    neighbour_skill,
    probe_skill,
    weights_of,
)

log = logging.getLogger(__name__)

MEASURES: Mapping[str, Measure] = {"linear probe": probe_skill, "neighbours": neighbour_skill}
COMPARED = ("pretrained", "random", "difference")
ESTIMATES = (*COMPARED, *BASELINES, "supervised")
COLUMNS = (
    *("pretraining", "attribute", "source", "kind", "measure", "cases", "patients", "seen"),
    *(f"{name}{part}" for name in ESTIMATES for part in ("", "_low", "_high")),
    *("random_least", "random_most", "note"),
)
NEIGHBOUR_COLUMNS = ("features", "of_cohort", "of_case", "rank", "cohort", "case", "distance", "value")
MIN_PATIENTS = 10


@dataclass(frozen=True)
class Features:
    """Features of n cases: ``single`` by name, (n, features), and of untrained encoders, (encoders, n, features)."""

    single: Mapping[str, np.ndarray]
    random: np.ndarray

    def of(self, kept: np.ndarray) -> Self:
        """Return those of some cases, bool (n,)."""
        return replace(
            self, single={name: each[kept] for name, each in self.single.items()}, random=self.random[:, kept]
        )


def usable(attribute: Attribute, patients: np.ndarray) -> tuple[np.ndarray, str]:
    """Choose the cases of an attribute that can be probed.

    Returns
    -------
    tuple
        which of the n cases, boolean (n,), and a note that says what was left out, or why nothing can be said, when
        no case is left
    """
    kept, left_out = attribute.known.copy(), []
    if not attribute.numeric:
        for word in np.unique(attribute.values[kept]):
            having = kept & (attribute.values == word)
            if len(np.unique(patients[having])) < FOLDS:
                left_out.append(f"{word!r} ({having.sum()})")
                kept &= ~having
    note = f"left out, fewer than {FOLDS} patients each: {', '.join(left_out)}" if left_out else ""
    if (count := len(np.unique(patients[kept]))) < MIN_PATIENTS:
        return np.zeros_like(kept), f"{count} patients, fewer than {MIN_PATIENTS}: nothing is said"
    if len(np.unique(attribute.values[kept])) < 2:
        return np.zeros_like(kept), "the same for all patients: nothing to tell apart"
    return kept, note


def assess(measure: Measure, features: Features, cases: Cases, confidence: float) -> dict[str, float]:
    """Measure features on one attribute; each estimate has its percentile bootstrap interval.

    ``random`` is the mean over the untrained encoders, ``random_least`` and ``random_most`` are the extremes;
    ``difference`` is between the pretrained encoder and that mean, of the same draws.
    """
    skills = {name: measure(each, cases) for name, each in features.single.items()}
    random = np.array([measure(each, cases) for each in features.random])
    skills |= {"random": random.mean(axis=0)}
    skills |= {"difference": skills["pretrained"] - skills["random"]}
    cells = {"random_least": float(random[:, 0].min()), "random_most": float(random[:, 0].max())}
    for name, values in skills.items():
        low, high = np.quantile(values[1:], [(1 - confidence) / 2, (1 + confidence) / 2])
        cells |= {name: float(values[0]), f"{name}_low": float(low), f"{name}_high": float(high)}
    return cells


def skill_rows(
    attributes: Sequence[Attribute],
    features: Features,
    patients: np.ndarray,
    seen: np.ndarray,
    *,
    draws: int,
    confidence: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Return a row for each attribute and measure.

    ``patients`` (n,) says who each case is of and ``seen`` (n,) whether the pretraining saw it. What cannot be measured
    has a note and no numbers.
    """
    rows = []
    for attribute in attributes:
        kept, note = usable(attribute, patients)
        row = dict.fromkeys(COLUMNS) | {
            "attribute": attribute.name,
            "source": attribute.source,
            "kind": "number" if attribute.numeric else "word",
            "cases": int(kept.sum()),
            "patients": len(np.unique(patients[kept])),
            "seen": int(seen[kept].sum()),
            "note": note,
        }
        rows += [row | {"measure": name} for name in MEASURES]
        if kept.any():
            weights = weights_of(patients[kept], draws, seed)
            cases = Cases(attribute.values[kept], patients[kept], weights, seed)
            for made, measure in zip(rows[-len(MEASURES) :], MEASURES.values(), strict=True):
                made |= assess(measure, features.of(kept), cases, confidence)
    return rows


def neighbour_rows(
    features: Mapping[str, np.ndarray], cases: Sequence[Mapping[str, Any]], patients: np.ndarray
) -> list[dict[str, Any]]:
    """Return a row for each case (rank 0) and for each of its nearest cases of other patients, by kind of features.

    ``cases`` are n mappings with cohort, case and whatever else a row is to say of the case.
    """
    rows = []
    count = min(NEIGHBOURS, *(int((patients != patient).sum()) for patient in patients))
    for kind, each in features.items():
        order, distances = nearest(each, patients, count)
        for case, members, away in zip(cases, order, distances, strict=True):
            of = {"features": kind, "of_cohort": case["cohort"], "of_case": case["case"]}
            rows.append(case | of | {"rank": 0, "distance": 0.0})
            for rank, (member, distance) in enumerate(zip(members, away, strict=True), start=1):
                rows.append(cases[member] | of | {"rank": rank, "distance": float(distance)})
    return rows


def read_cases(dataset: Path, splits_table: Path, splits: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of the dataset's cases of some splits, with their patient; raises `InputError` for none."""
    patient = {(row["cohort"], row["case"]): f"{row['cohort']}/{row['patient']}" for row in read_tsv(splits_table)}
    rows = [row for row in read_tsv(dataset / "cases.tsv") if row["split"] in splits]
    if not rows:
        raise InputError(
            f"The pretraining's dataset has no case of the splits {', '.join(splits)}.",
            "name among probe.splits one of pretrain.splits, or validation.",
        )
    return [row | {"patient": patient[row["cohort"], row["case"]]} for row in rows]


def represent(
    path: Path,
    dataset: Path,
    keys: Sequence[str],
    random: int,
    seed: int,
    device: torch.device,
    supervised: Path | None = None,
) -> tuple[Features, dict[str, Any]]:
    """Return the features of some cases, and what the encoder's file says.

    The random encoders have the same architecture, freshly initialised; so has the ``supervised`` one, read from a
    checkpoint of an arm or another file with weights.
    """
    encoder, content = load_encoder(path)
    architecture, channels = content["architecture"], len(content["channels"])
    encoders = [encoder]
    for number in range(random):
        torch.manual_seed(seeds.integer(seed, "untrained encoder", number))
        encoders.append(build_encoder(architecture, channels))
    if supervised:
        weights, taught = read_initial(supervised, architecture).weights, build_encoder(architecture, channels)
        require_fitting(weights, taught.state_dict())
        taught.load_state_dict(weights)
        encoders.append(taught)
    models = [Representation(each).to(device).eval() for each in encoders]
    embedded = embed(models, dataset, keys, stride_of(architecture), device)
    single = {"pretrained": embedded[0], **baseline_features(dataset, keys)}
    single |= {"supervised": embedded[-1]} if supervised else {}
    return Features(single, embedded[1 : 1 + random]), content


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoder", type=Path, required=True, help="encoder.pt of the pretraining")
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the pretraining's arrays and cases.tsv")
    parser.add_argument("--splits", type=Path, required=True, help="split/splits.tsv, for the patients")
    parser.add_argument("--probed-splits", nargs="+", required=True, help="splits whose cases are probed")
    parser.add_argument("--preprocess", type=Path, required=True, help="folder with {cohort}/{case}/case.json")
    parser.add_argument("--attributes", nargs="+", required=True, help="columns of --table, or entries of case.json")
    parser.add_argument("--table", type=Path, help="TSV with cohort, case and columns of attributes")
    parser.add_argument("--supervised", type=Path, help="weights of an encoder that learned from labels, as a control")
    parser.add_argument("--random-encoders", type=int, required=True, help="untrained encoders to compare with")
    parser.add_argument("--bootstrap", type=int, required=True, help="draws of the intervals")
    parser.add_argument("--confidence", type=float, required=True, help="level of the intervals")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--gpus", type=int, default=0, help="how many the job asked for; 0: it computes on the CPU")
    parser.add_argument("--out-skills", type=Path, required=True, help="TSV")
    parser.add_argument("--out-neighbours", type=Path, required=True, help="TSV")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the skills of one pretraining, and the neighbours of every case with their value of the first attribute."""
    arguments = _parse(argv)
    device = choose_device(arguments.gpus)
    torch.set_num_threads(arguments.threads)

    cases = read_cases(arguments.dataset, arguments.splits, arguments.probed_splits)
    attributes = read_attributes(arguments.attributes, cases, arguments.preprocess, arguments.table)
    keys = [case["key"] for case in cases]
    features, content = represent(
        arguments.encoder,
        arguments.dataset,
        keys,
        arguments.random_encoders,
        arguments.seed,
        device,
        arguments.supervised,
    )
    before = (content.get("initial_weights") or {}).get("cases") or []
    patients, seen = np.array([case["patient"] for case in cases]), {*content["cases"], *before}
    was_seen = np.array([f"{case['cohort']}/{case['case']}" in seen for case in cases])
    rows = skill_rows(
        attributes,
        features,
        patients,
        was_seen,
        draws=arguments.bootstrap,
        confidence=arguments.confidence,
        seed=arguments.seed,
    )
    name = {"pretraining": content["settings"]["pretraining"]}
    write_tsv(arguments.out_skills, [row | name for row in rows], COLUMNS)
    first = attributes[0]
    shown = [
        case | {"value": value if known else None}
        for case, value, known in zip(cases, first.values.tolist(), first.known, strict=True)
    ]
    neighbours = neighbour_rows(
        {"pretrained": features.single["pretrained"], "random": features.random[0]}, shown, patients
    )
    write_tsv(arguments.out_neighbours, neighbours, NEIGHBOUR_COLUMNS)
    log.info("%d cases, %d attributes", len(cases), len(attributes))


if __name__ == "__main__":
    run(main)
