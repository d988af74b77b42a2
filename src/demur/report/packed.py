"""Long lists of numbers as short text: two characters each, in 4,096 steps between the least and the greatest."""

from collections.abc import Sequence
from math import isfinite
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TypedDict

DIGITS = ascii_uppercase + ascii_lowercase + digits + "+/"
STEPS = len(DIGITS) ** 2 - 1


class Packed(TypedDict):
    low: float
    high: float
    text: str


def packed(values: Sequence[float]) -> Packed:
    """`values`, which groups.js unpacks, each to within half a step of (greatest - least) / 4,095. Raises ValueError for a number that is
    not finite."""
    if not all(map(isfinite, values)):
        raise ValueError("a number to be packed is not finite")
    low, high = min(values, default=0.0), max(values, default=0.0)
    steps = [round(STEPS * (value - low) / (high - low)) if high > low else 0 for value in values]
    return {"low": low, "high": high, "text": "".join(DIGITS[step // len(DIGITS)] + DIGITS[step % len(DIGITS)] for step in steps)}
