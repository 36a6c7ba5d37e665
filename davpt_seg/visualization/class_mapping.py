"""Figure of the classes that share a prompt, over training."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure

from ..core.guidance.mapping_log import Clustering
from .class_names import PLAIN, shown

# Each is as far as can be from all before it (CIEDE2000, at least 20), with a lightness that black or white text can
# be read on.
COLOURS = (
    *("#1a72b8", "#dced1a", "#ff601a", "#4e602b", "#ff1adc", "#1aeded", "#eddced", "#834e4e", "#2bb860", "#a79572"),
    *("#721aed", "#1a8383", "#83b8ff", "#ff8395", "#9583a7", "#ffb81a", "#cadcb8", "#95601a", "#ffb895", "#a72b83"),
)
LIGHT = 0.45  # luma from which text is black
TITLE = "Which prompt each class uses during training"
READING = "A row is a class, a column a clustering. The number and colour name the prompt; a number marks a change."
NUMBERED = 5000  # with more moves, their numbers would lie on each other
NAMED = 120  # with more classes, names beside the rows and numbers in them could not be read


@rc_context(PLAIN)
def mapping_picture(clusterings: Sequence[Clustering]) -> Figure:
    """Draw the prompt of each class after each clustering, as colours, and the time of k-means below it.

    Classes are sorted by their last prompts, then by their first ones, so that final groups are bands.
    """
    last = clusterings[-1]
    prompts = np.array([clustering.prompt_of_class for clustering in clusterings]).T  # (C, clusterings)
    order = np.lexsort((prompts[:, 0], prompts[:, -1]))
    height = float(np.clip(0.2 * len(order), 2, 20))
    width = float(np.clip(0.3 * len(clusterings), 5, 12))
    figure = Figure(figsize=(width + 2.5, height + 2.5), dpi=110, layout="constrained")
    figure.suptitle(TITLE, fontsize=11, weight="bold")
    strip, cost = figure.subplots(2, 1, sharex=True, height_ratios=[height, 1.2])
    strip.set_title(fill(READING, round(11 * (width + 2.5))), fontsize=8)
    _draw_strip(strip, prompts[order], [shown(last.classes[c]) for c in order], last.num_prompts)
    cost.bar(range(len(clusterings)), [1000 * clustering.seconds for clustering in clusterings], color="0.45")
    by_epoch = last.epoch is not None
    cost.set(xlabel=f"clustering after {'epoch' if by_epoch else 'iteration'}", ylabel="k-means (ms)")
    places = range(0, len(clusterings), -(-len(clusterings) // 20))
    ticks = [clusterings[t].epoch if by_epoch else clusterings[t].iter for t in places]
    cost.set_xticks(list(places), [str(tick) for tick in ticks], rotation=0 if by_epoch else 45)
    return figure


def _draw_strip(axes: Axes, prompts: np.ndarray, names: Sequence[str], num_prompts: int) -> None:
    count, steps = prompts.shape
    axes.imshow(prompts, cmap=_colours(num_prompts), vmin=-0.5, vmax=num_prompts - 0.5, aspect="auto")
    axes.hlines(np.flatnonzero(np.diff(prompts[:, -1])) + 0.5, -0.5, steps - 0.5, color="white", linewidth=2)
    if count <= NAMED:
        axes.set_yticks(range(count), names, fontsize=8)
        arrived = np.diff(prompts, axis=1, prepend=-1) != 0
        for row, column in np.argwhere(arrived) if arrived.sum() <= NUMBERED else ():
            prompt = int(prompts[row, column])
            colour = _text_colour(prompt)
            axes.text(column, row, str(prompt), ha="center", va="center", fontsize=8, color=colour, weight="bold")
    else:
        axes.set(ylabel=f"{count} classes", yticks=[])
    axes.tick_params(bottom=False)


def _colours(count: int) -> ListedColormap:
    """Return colours of prompts; those of more than twenty recur, and neighbours always differ."""
    return ListedColormap([COLOURS[prompt % len(COLOURS)] for prompt in range(count)])


def _text_colour(prompt: int) -> str:
    """Return black or white, whichever is legible on the colour of a prompt."""
    red, green, blue = to_rgb(COLOURS[prompt % len(COLOURS)])
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > LIGHT else "white"
