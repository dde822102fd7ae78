"""Digests by which arrays and images are recognised: SHA-256, hexadecimal."""

import hashlib

import numpy as np


def values_digest(values: np.ndarray) -> str:
    """Return the digest of type, shape and values of an array.

    The bytes of its file do not serve: the same values, compressed by several threads, give other bytes each time.
    """
    digest = hashlib.sha256(f"{values.dtype.str} {values.shape} ".encode())
    digest.update(np.ascontiguousarray(values))
    return digest.hexdigest()


def image_digest(hu: np.ndarray) -> str:
    """Return the digest of an image's shape and its values rounded to 16-bit integers, in array order (x slowest)."""
    values = np.ascontiguousarray(np.rint(hu).astype("<i2"))
    return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()
