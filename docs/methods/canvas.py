"""A small SVG canvas: boxes, wires, circles and notes, in mid tones that read on light and on dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

Point = tuple[float, float]

# frozen: the trunk. learned: what a method trains. again: the trunk's module, used for the prompts, too. removed: by
# pruning. training: what inference does not have. Boxes bring their own ground; what lies on the page must be readable
# on white and on black.
STYLE = """
text { font: 13px Helvetica, Arial, sans-serif; text-anchor: middle; }
.note { font-size: 12px; fill: #737d88; text-anchor: start; }
.small { font-size: 10px; }
.box.frozen { fill: #d0d7de; stroke: #818b98; }
.box.learned { fill: #d9480f; stroke: #a63409; }
.box.again { fill: #d0d7de; stroke: #57606a; stroke-width: 1.8; stroke-dasharray: 4 3; }
.box.removed { fill: none; stroke: #818b98; stroke-dasharray: 4 3; }
.box.training { fill: #0b7285; stroke: #095c6b; }
.in.frozen, .in.again { fill: #24292f; }
.in.learned, .in.training { fill: #ffffff; }
.wire { fill: none; stroke-width: 1.5; }
.wire.frozen, .wire.again { stroke: #818b98; }
.wire.learned { stroke: #d9480f; stroke-width: 2.5; }
.wire.training { stroke: #1098ad; stroke-dasharray: 5 3; }
.head.frozen, .head.again { fill: #818b98; }
.head.learned { fill: #d9480f; }
.head.training { fill: #1098ad; }
"""


class Canvas:
    """Collects shapes, in the order in which they cover each other.

    Args:
        width, height: in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._shapes: list[str] = []

    def box(self, left: float, right: float, middle: float, label: str, kind: str = "frozen", high: float = 34) -> None:
        """Draw a module between two sides, centred on a height."""
        place = f'x="{left}" y="{middle - high / 2:g}" width="{right - left:g}" height="{high:g}" rx="4"'
        self._shapes.append(f'<rect class="box {kind}" {place}/>')
        self.text((left + right) / 2, middle, label, f"in {kind}")

    def funnel(self, left: float, right: float, middle: float, label: str, narrow: str) -> None:
        """Draw a learned projection whose ``left`` or ``right`` side is the narrow one."""
        wide, thin = 17, 9
        start, end = (thin, wide) if narrow == "left" else (wide, thin)
        corners = [(left, middle - start), (right, middle - end), (right, middle + end), (left, middle + start)]
        self._shapes.append(f'<polygon class="box learned" points="{_joined(corners)}"/>')
        self.text((left + right) / 2, middle, label, "in learned small")

    def circle(self, x: float, y: float, label: str, kind: str = "frozen", radius: float = 9) -> None:
        """Draw an operation on a wire, or a mark on a box."""
        self._shapes.append(f'<circle class="box {kind}" cx="{x:g}" cy="{y:g}" r="{radius:g}"/>')
        self.text(x, y, label, f"in {kind}" + ("" if label == "+" else " small"))

    def strip(self, x: float, middle: float, high: float = 34) -> None:
        """Draw a learned strip along the end of a box."""
        self._shapes.append(
            f'<rect class="box learned" x="{x - 8:g}" y="{middle - high / 2:g}" width="8" height="{high:g}"/>'
        )

    def wire(self, points: Sequence[Point], kind: str = "frozen", arrow: bool = False) -> None:
        """Draw a line through points, with or without a head; sides are upright or level."""
        if arrow:
            (x, y), (tip_x, tip_y) = points[-2:]
            along = ((tip_x > x) - (tip_x < x), (tip_y > y) - (tip_y < y))
            back = (tip_x - 7 * along[0], tip_y - 7 * along[1])
            corners = [(tip_x, tip_y)] + [
                (back[0] + side * 4 * along[1], back[1] + side * 4 * along[0]) for side in (1, -1)
            ]
            points = [*points[:-1], back]
            self._shapes.append(f'<polygon class="head {kind}" points="{_joined(corners)}"/>')
        self._shapes.append(f'<polyline class="wire {kind}" points="{_joined(points)}"/>')

    def note(self, x: float, y: float, text: str) -> None:
        """Write on the page, from x to the right."""
        self.text(x, y, text, "note")

    def text(self, x: float, y: float, text: str, classes: str) -> None:
        """Write, centred on a height."""
        shift = 3.5 if "small" in classes else 4.5
        self._shapes.append(f'<text class="{classes}" x="{x:g}" y="{y + shift:g}">{escape(text)}</text>')

    def svg(self, title: str) -> str:
        """Return the file's text."""
        size = f'width="{self.width}" height="{self.height}" viewBox="0 0 {self.width} {self.height}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>\n<title>{escape(title)}</title>'
        return "\n".join([head, f"<style>{STYLE}</style>", *self._shapes, "</svg>", ""])


def _joined(points: Sequence[Point]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
