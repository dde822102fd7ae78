"""How much of the spread of a score comes from the case, the method and the seed of the training."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Variance:
    """Components of the variance of one score; the residual is that of case and seed together, and all else."""

    cases: int
    methods: int
    seeds: int
    case: float | None = None
    method: float | None = None
    seed: float | None = None
    case_by_method: float | None = None
    residual: float | None = None
    note: str = ""


def split_variance(scores: np.ndarray) -> Variance:
    """Split the variance of scores (cases, methods, seeds) by the mean squares of a balanced random-effects design.

    Each training has a seed of its own, so seeds are nested in methods; cases are crossed with both. An estimate below
    zero is given as 0. Needs two cases, methods and seeds at least.
    """
    cases, methods, seeds = scores.shape
    if min(scores.shape) < 2:
        return Variance(cases, methods, seeds, note="needs two cases, two arms and two seeds at least")
    mean = scores.mean()
    by_case = scores.mean(axis=(1, 2), keepdims=True)
    by_method = scores.mean(axis=(0, 2), keepdims=True)
    by_seed = scores.mean(axis=0, keepdims=True)
    by_pair = scores.mean(axis=2, keepdims=True)
    square = {
        "case": methods * seeds * ((by_case - mean) ** 2).sum() / (cases - 1),
        "method": cases * seeds * ((by_method - mean) ** 2).sum() / (methods - 1),
        "seed": cases * ((by_seed - by_method) ** 2).sum() / (methods * (seeds - 1)),
        "pair": seeds * ((by_pair - by_case - by_method + mean) ** 2).sum() / ((cases - 1) * (methods - 1)),
        "rest": ((scores - by_pair - by_seed + by_method) ** 2).sum() / ((cases - 1) * methods * (seeds - 1)),
    }
    components = {
        "case": (square["case"] - square["pair"]) / (methods * seeds),
        "method": (square["method"] - square["seed"] - square["pair"] + square["rest"]) / (cases * seeds),
        "seed": (square["seed"] - square["rest"]) / cases,
        "case_by_method": (square["pair"] - square["rest"]) / seeds,
        "residual": square["rest"],
    }
    below = [name.replace("_", " ") for name, value in components.items() if value < 0]
    note = f"estimated below 0 and given as 0: {', '.join(below)}" if below else ""
    return Variance(cases, methods, seeds, **{k: max(0.0, float(v)) for k, v in components.items()}, note=note)
