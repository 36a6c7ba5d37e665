"""Advice on mask values that are no class: what they are likely to be."""

from __future__ import annotations

import math
from collections.abc import Collection

from .label_values import VOID, Scheme, listed

# Results of convert("L") for the first 21 colours of VOC's palette and its void, which most palette masks have.
VOC_GRAYS = {0, 15, 19, 34, 38, 52, 53, 57, 72, 75, 76, 90, 94, 109, 113, 128, 133, 147, 151, 220}


def advice_on(wrong: Collection[int], held: Collection[int], scheme: Scheme) -> str:
    """Describe the likely meaning of values that are no class; empty if none is likely.

    Args:
        wrong: values that are neither a class nor void.
        held: all values that were seen, the wrong ones included.
        scheme: meaning of values in the data set.
    """
    count = len(scheme.classes)
    values = sorted(set(held))
    steps = [v for v in values if v and scheme.of(v) != VOID]
    step = math.gcd(*steps) if steps else 1
    levels = len(values) - 1
    if set(wrong) == {count} and not scheme.reduce_zero_label and 0 not in values:
        return "masks count from 1: set reduce_zero_label=True, or subtract 1 from them"
    if set(wrong) == {count} and not scheme.reduce_zero_label:
        return f"masks hold 0 to {count}: name one more class, or, if 0 is void, set reduce_zero_label=True"
    if 1 < levels < count + 1 and all(abs(v - round(i * 255 / levels)) <= 1 for i, v in enumerate(values)):
        return f"masks hold class numbers stretched to 0 to 255: store {listed(values)} as 0 to {levels}"
    if step > 1 and max(steps) // step < max(count, 2):
        also = f", and 255 would be {255 // step}" if 255 in values and 255 not in steps and 255 % step == 0 else ""
        return f"masks hold class numbers times {step}: divide them by {step}{also}"
    if len(values) > 2 and set(values) - {255} <= VOC_GRAYS:
        return "masks hold gray levels of VOC's colours: convert the colour masks to class numbers, not to gray"
    return ""
