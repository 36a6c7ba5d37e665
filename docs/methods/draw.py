#!/usr/bin/env python
"""Draw what each method adds to a block of the ViT: python docs/methods/draw.py writes the SVG files beside it.

Grey is frozen, orange is learned, blue-green is there in training only. A dashed box is the trunk's own module once
more, for the prompts. Prompts that stay in the sequence are an orange way beside the tokens' grey one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from block import (
    AFTER_ATTENTION,
    AFTER_FFN,
    AFTER_NORM1,
    AFTER_NORM2,
    AFTER_QKV,
    BELOW,
    BESIDE,
    HAS_BIAS,
    HEADS,
    LANE,
    LINEAR,
    MODULES,
    WIDTH,
    block,
)
from canvas import Canvas

FOLDER = Path(__file__).parent
LOW = 165  # height of a drawing with something below the block
UNDER = LANE + 17  # the boxes' lower side
LOSSES = 205  # height of the metric losses
JOIN = 816  # where what runs beside or after the FFN comes back


def linear() -> Canvas:
    """Nothing is added; with the key to all drawings."""
    canvas = block(LOW)
    for x, kind, text in (
        (62, "frozen", "frozen"),
        (156, "learned", "learned"),
        (258, "again", "frozen, used for the prompts, too"),
        (522, "training", "in training only"),
    ):
        canvas.box(x, x + 34, BELOW, "", kind, high=22)
        canvas.note(x + 42, BELOW, text)
    canvas.wire([(676, BELOW), (710, BELOW)], "learned", arrow=True)
    canvas.note(718, BELOW, "prompts in the sequence")
    return canvas


def full() -> Canvas:
    """Everything learns."""
    return block(105, learned=tuple(name for name in MODULES if name not in ("attention", "gelu")))


def bias() -> Canvas:
    """Every bias learns."""
    canvas = block(115)
    for name in HAS_BIAS:
        canvas.circle(sum(MODULES[name]) / 2, UNDER + 3, "b", "learned")
    return canvas


def efficient_bias() -> Canvas:
    """The biases of keys and values learn."""
    canvas = block(115)
    for name, x in (("K", 216), ("V", 229)):
        canvas.circle(x, LANE + HEADS[name], "b", "learned", radius=6)
    canvas.note(192, UNDER + 22, "biases of keys and values")
    return canvas


def vpt_shallow() -> Canvas:
    """Prompts enter the first block's sequence, and stay."""
    canvas = block(LOW, carried=True)
    _enter(canvas, "P")
    canvas.note(56, BELOW, "first block only; then they are tokens like others")
    return canvas


def vpt_deep() -> Canvas:
    """Prompts are further keys and values."""
    canvas = block(LOW)
    _deep_prompts(canvas)
    return canvas


def davpt() -> Canvas:
    """Deep prompts, whose queries are guided by metric losses."""
    canvas = block(LOSSES + 25)
    _deep_prompts(canvas)
    canvas.wire([(186, BELOW + 9), (204, BELOW + 9), (204, LOSSES), (262, LOSSES)], "training", arrow=True)
    canvas.note(212, LOSSES - 30, "Q of P")
    _losses(canvas)
    return canvas


def guidance() -> Canvas:
    """Proxies in the place of prompts, where a guided block has none."""
    canvas = block(LOSSES + 25)
    canvas.box(62, 134, LOSSES, "proxies", "learned", high=30)
    canvas.wire([(134, LOSSES), (262, LOSSES)], "training", arrow=True)
    _losses(canvas)
    return canvas


def carried() -> Canvas:
    """Prompts of an earlier block among the tokens, and this block's own as keys and values."""
    canvas = block(LOW, carried=True)
    _deep_prompts(canvas)
    canvas.note(300, BELOW, "P: the block's own. Orange way: prompts that joined the sequence at an earlier block")
    return canvas


def zero_start() -> Canvas:
    """Deep prompts with a softmax of their own, whose values are zero at the start."""
    canvas = block(LOW)
    queries = AFTER_QKV + 14
    canvas.wire([(queries, LANE + HEADS["Q"]), (queries, BELOW - 9), (244, BELOW - 9)], arrow=True)
    canvas.wire([(40, BELOW), (244, BELOW)], "learned", arrow=True)
    _projected_prompts(canvas)
    canvas.box(244, 344, BELOW, "attention", "again", high=30)
    canvas.wire([(344, BELOW), (AFTER_ATTENTION, BELOW), (AFTER_ATTENTION, LANE + 7)], "learned", arrow=True)
    canvas.circle(AFTER_ATTENTION, LANE, "+", "learned", radius=7)
    canvas.note(372, BELOW, "keys of P, values V of P less V of P0: zero at the start")
    return canvas


def prototypes() -> Canvas:
    """Deep prompts that start as prototypes of the tokens that their block reads."""
    canvas = block(LOW)
    _deep_prompts(canvas)
    canvas.wire([(24, LANE), (24, BELOW - 15)], "training", arrow=True)
    canvas.note(300, BELOW, "P starts as the M means of k-means over training images' tokens x at this place")
    return canvas


def gatevpt() -> Canvas:
    """Shallow prompts with a gate between blocks and a temperature in attention."""
    canvas = block(LOW, carried=True)
    canvas.wire([(52, LANE + BESIDE), (52, BELOW), (862, BELOW), (862, LANE + BESIDE + 9)], "learned", arrow=True)
    canvas.circle(862, LANE + BESIDE, "g", "learned")
    canvas.circle(326, UNDER + 3, "t", "learned")
    canvas.note(62, BELOW - 14, "P as it came")
    canvas.note(340, UNDER + 14, "scores / t")
    canvas.note(648, BELOW - 14, "s(g) P after + (1 - s(g)) P before")
    return canvas


def e2vpt() -> Canvas:
    """Deep prompts, and learned keys and values in every head."""
    canvas = block(LOW)
    _deep_prompts(canvas)
    canvas.box(312, 344, BELOW, "E", "learned", high=30)
    canvas.wire([(328, BELOW - 15), (328, UNDER)], "learned", arrow=True)
    canvas.note(352, BELOW, "K and V of every head, after projection")
    return canvas


def pruning() -> Canvas:
    """E2VPT: prompts, and segments of prompts, that matter least are removed."""
    canvas = Canvas(WIDTH, 125)
    for row, kept in enumerate(("1111011101111111", "0000000000000000", "1101111111110111", "1111111111101110")):
        y = 26 + 24 * row
        canvas.note(10, y, f"prompt {row + 1}")
        for i, letter in enumerate(kept):
            left = 76 + 26 * i
            canvas.box(left, left + 22, y, "", "learned" if letter == "1" else "removed", high=16)
    canvas.note(506, 26, "dashed: removed, neither stored nor learned.")
    canvas.note(506, 50, "A segment (of 16) reads as zeros;")
    canvas.note(506, 74, "a whole prompt is gone, nothing attends to it.")
    return canvas


def lora() -> Canvas:
    """Two thin matrices beside the projection."""
    canvas = block(LOW)
    canvas.wire([(AFTER_NORM1, LANE), (AFTER_NORM1, BELOW), (138, BELOW)], "learned")
    canvas.wire([(138, BELOW), (196, BELOW), (196, LANE + 9)], "learned", arrow=True)
    canvas.funnel(138, 160, BELOW, "A", narrow="right")
    canvas.funnel(166, 188, BELOW, "B", narrow="left")
    canvas.circle(196, LANE, "+", "learned", radius=7)
    canvas.note(210, BELOW, "rank r; or beside proj, fc1 and fc2, too")
    return canvas


def adapter() -> Canvas:
    """A bottleneck after the FFN."""
    canvas = block(LOW)
    _bottleneck(canvas, AFTER_FFN, "gelu")
    return canvas


def adaptformer() -> Canvas:
    """A bottleneck beside the FFN."""
    canvas = block(LOW)
    _bottleneck(canvas, AFTER_NORM2, "relu")
    canvas.circle(780, BELOW, "x 0.1", "frozen", radius=14)
    return canvas


def ssf() -> Canvas:
    """A scale and a shift after every norm and linear layer."""
    canvas = block(115)
    for name in ("norm1", "norm2", *LINEAR):
        canvas.strip(MODULES[name][1] + 4, LANE)
    text = "each strip: scale and shift, a pair for each channel; also after the patch embedding and the last norm"
    canvas.note(62, UNDER + 20, text)
    return canvas


def _enter(canvas: Canvas, label: str) -> None:
    canvas.box(8, 40, BELOW, label, "learned", high=30)
    canvas.wire([(24, BELOW - 15), (24, LANE + BESIDE)], "learned", arrow=True)


def _deep_prompts(canvas: Canvas) -> None:
    canvas.wire([(40, BELOW), (278, BELOW), (278, UNDER)], "learned", arrow=True)
    _projected_prompts(canvas)
    canvas.note(198, BELOW - 14, "K, V of P")


def _projected_prompts(canvas: Canvas) -> None:
    canvas.box(8, 40, BELOW, "P", "learned", high=30)
    for name in ("norm1", "qkv"):
        canvas.box(*MODULES[name], BELOW, name, "again", high=30)


def _losses(canvas: Canvas) -> None:
    canvas.wire([(AFTER_ATTENTION, LANE), (AFTER_ATTENTION, LOSSES - 15)], "training", arrow=True)
    canvas.box(262, 440, LOSSES, "metric losses", "training", high=30)
    canvas.note(AFTER_ATTENTION + 10, BELOW, "attention's output at the patches and the class token")
    canvas.note(452, LOSSES, "with labels, and which prompt speaks for which class")


def _bottleneck(canvas: Canvas, start: float, activation: str) -> None:
    canvas.wire([(start, LANE), (start, BELOW), (JOIN, BELOW), (JOIN, LANE + 7)], "learned", arrow=True)
    left = 702 if start == AFTER_FFN else 590
    canvas.funnel(left, left + 32, BELOW, "down", narrow="right")
    canvas.box(left + 37, left + 71, BELOW, activation, "frozen", high=24)
    canvas.funnel(left + 76, left + 106, BELOW, "up", narrow="left")
    canvas.circle(JOIN, LANE, "+", "learned", radius=7)


DRAWINGS: dict[str, Callable[[], Canvas]] = {
    drawing.__name__: drawing
    for drawing in (
        linear,
        full,
        bias,
        efficient_bias,
        vpt_shallow,
        vpt_deep,
        davpt,
        guidance,
        carried,
        zero_start,
        prototypes,
        gatevpt,
        e2vpt,
        pruning,
        lora,
        adapter,
        adaptformer,
        ssf,
    )
}


def drawings() -> dict[str, str]:
    """Return the files' texts by their names."""
    return {f"{name}.svg": draw().svg(f"{name}: {draw.__doc__}") for name, draw in DRAWINGS.items()}


def main() -> None:
    """Write the files."""
    for name, text in drawings().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)


if __name__ == "__main__":
    main()
