"""The frozen block of a ViT, from left to right, as every drawing starts."""

from __future__ import annotations

from canvas import Canvas, Point

WIDTH = 890
LANE = 64  # height of the tokens' way
SKIP = 22  # height of the residual connections
BESIDE = 11  # from the tokens' way to that of prompts in the sequence
BELOW = 138  # height of what joins from below
MODULES = {
    "norm1": (62, 114),
    "qkv": (146, 186),
    "attention": (244, 344),
    "proj": (374, 414),
    "norm2": (476, 528),
    "fc1": (558, 592),
    "gelu": (600, 636),
    "fc2": (644, 678),
}
LINEAR = ("qkv", "proj", "fc1", "fc2")
HAS_BIAS = ("norm1", "norm2", *LINEAR)
SUMS = (440, 838)  # where the residual sums are
AFTER_NORM1, AFTER_QKV, AFTER_ATTENTION, AFTER_NORM2, AFTER_FFN = 130, 204, 359, 543, 690
SPLITS = (44, 460)  # where the residual connections begin
HEADS = {"Q": -12, "K": 0, "V": 12}  # heights of the three wires into attention, from the lane


def block(height: int, carried: bool = False, learned: tuple[str, ...] = (), out: float = 880) -> Canvas:
    """Draw a block.

    Args:
        height: of the drawing.
        carried: prompts stand in the sequence, beside the tokens.
        learned: modules that are trained.
        out: where the tokens' way ends.
    """
    canvas = Canvas(WIDTH, height)
    ways = (("frozen", 0), ("learned", BESIDE)) if carried else (("frozen", 0),)
    for kind, shift in ways:
        for points in _ways(shift, out):
            canvas.wire(points, kind)
        for from_lane in HEADS.values():
            y = LANE + from_lane + shift / 3
            canvas.wire([(AFTER_QKV, y), (MODULES["attention"][0], y)], kind, arrow=not carried)
        canvas.wire([(SUMS[1], LANE + shift), (out, LANE + shift)], kind, arrow=True)
    for name, (left, right) in MODULES.items():
        own = "learned" if name in learned else "frozen"
        canvas.box(left, right, LANE, name, own)
    for name, from_lane in HEADS.items():
        canvas.text(MODULES["attention"][0] + 9, LANE + from_lane, name, "in frozen small")
    for x in SUMS:
        canvas.circle(x, LANE, "+")
    canvas.text(10, LANE, "x", "note")
    return canvas


def _ways(shift: float, out: float) -> list[list[Point]]:
    """List the tokens' ways: the lane with its fan to the three projections, and both residual connections."""
    y, skip = LANE + shift, SKIP + shift / 2
    lane: list[list[Point]] = [[(22, y), (AFTER_QKV, y)], [(MODULES["attention"][1], y), (SUMS[1], y)]]
    fan = [[(AFTER_QKV, LANE + HEADS["Q"] + shift / 3), (AFTER_QKV, LANE + HEADS["V"] + shift / 3)]]
    skips: list[list[Point]] = [
        [(split + shift / 2, y), (split + shift / 2, skip), (end - shift / 2, skip), (end - shift / 2, LANE)]
        for split, end in zip(SPLITS, SUMS)
    ]
    return lane + fan + skips
