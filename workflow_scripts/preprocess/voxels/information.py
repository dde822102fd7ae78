"""Mutual information: how much the values of one image tell about those of another."""

import numpy as np


def mutual_information(joint: np.ndarray) -> float:
    """Return the mutual information in nats of two variables, from their joint histogram (counts, 2-D).

    Example
    -------
    >>> round(mutual_information(np.array([[5, 0], [0, 5]])), 3)
    0.693
    """
    joint = joint / joint.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())
