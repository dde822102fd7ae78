"""Numbers as readers see them: true minus signs, intervals, and p on the true side of every level."""

from collections.abc import Mapping

LEVELS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
LEVEL = 0.05
SMALLEST_P = 1e-4
MOST_DECIMALS = 9
ROUNDING = 5e-10  # smaller numbers are zeros, and have no sign


def fixed(value: str, decimals: int) -> str:
    """Format a number of a table with fixed decimals; an empty cell stays empty."""
    return f"{float(value):.{decimals}f}" if value else ""


def number(value: str, decimals: int = 3, sign: str = "-") -> str:
    """Write a number with a true minus sign; an empty cell stays empty.

    One that is not 0 gets as many decimals as keep it from being written as 0, so that a bound stays on its side.

    Example
    -------
    >>> number("-0.0004"), number("0.25", 2, "+"), number("0", 2, "+")
    ('−0.0004', '+0.25', '0.00')
    """
    if not value:
        return ""
    known = float(value)
    if abs(known) <= ROUNDING:
        return f"{0:.{decimals}f}"
    digits = next(n for n in range(decimals, MOST_DECIMALS + 1) if round(known, n) or n == MOST_DECIMALS)
    return f"{known:{sign}.{digits}f}".replace("-", "−")


def interval(row: Mapping[str, str], name: str, decimals: int = 3, sign: str = "-") -> str:
    """Write the interval of a row's estimate ``name``; empty where there is none."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{number(low, decimals, sign)} to {number(high, decimals, sign)}" if low else ""


def p_value(p: str) -> str:
    """Write p with three digits, or as many as keep it on its side of every level; an empty cell stays empty.

    Example
    -------
    >>> p_value("0.1234"), p_value("0.050003"), p_value("1e-9"), p_value("1")
    ('0.123', '0.050003', '< 0.0001', '1')
    """
    if not p:
        return ""
    value = float(p)
    if value < SMALLEST_P:
        return f"< {SMALLEST_P:.4f}"
    texts = (f"{value:.{digits}g}" for digits in range(3, 7))
    return next(text for text in texts if all((float(text) <= at) == (value <= at) for at, _ in LEVELS))


def significance(p: str) -> str:
    """Return the mark of an adjusted p-value: * p ≤ 0.05, ** p ≤ 0.01, *** p ≤ 0.001, otherwise ns."""
    return next((mark for level, mark in LEVELS if float(p) <= level), "ns")
