"""Answers about one image of an explorer, as values of JSON."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from ..visualization.predictions import class_shares, paint, percent
from .collection import Collection
from .encoding import image_url, integers, quantised
from .nearest import nearest_patches

TOP = 5  # classes of a patch


def look(collection: Collection, model: int, image: int) -> dict[str, Any]:
    """Return a prediction: the image, its paint, a legend, and the classes of every patch.

    Raises:
        InputError: as :meth:`Collection.seen`.
    """
    opened = collection.model(model)
    with collection.lock:
        seen = collection.seen(model, image)
        rows, columns = seen.grid
        painted, legend = None, []
        if seen.labels is not None:
            painted = image_url(paint(seen.pixels, seen.labels, opened.palette, opacity=1.0), "PNG")
            legend = [(index, percent(share)) for index, share in class_shares(seen.labels, len(opened.classes))]
        places = [(row, column) for row in range(rows) for column in range(columns)]
        if seen.image_probabilities is None:
            found = np.stack([seen.class_probabilities(*place) for place in places])
        else:
            found = seen.image_probabilities[None]
        top = np.argsort(-found, axis=1, kind="stable")[:, :TOP]
        return dict(
            pixels=image_url(seen.pixels),
            width=seen.pixels.shape[1],
            height=seen.pixels.shape[0],
            rows=[seen.box_of(row, 0)[1] for row in range(rows)] + [seen.box_of(rows - 1, 0)[3]],
            columns=[seen.box_of(0, column)[0] for column in range(columns)] + [seen.box_of(0, columns - 1)[2]],
            painted=painted,
            legend=legend,
            top=top.shape[1],
            classes=integers(top),
            probabilities=quantised(np.take_along_axis(found, top, axis=1)),
        )


def attention(
    collection: Collection, model: int, image: int, block: int, heads: bool = True
) -> Optional[dict[str, Any]]:
    """Return the attention of all patches to all prompts of a block.

    Args:
        collection: models and images.
        model: index of the model.
        image: index of the image.
        block: index of the block, from 0.
        heads: one map a head; otherwise their mean, which is a fraction of the size.

    Returns:
        ``planes`` (heads, or 1), ``shares`` (planes, M, rows x columns) and ``strength`` (rows x columns); None for a
        block without prompts.

    Raises:
        InputError: as :meth:`Collection.seen`.
    """
    opened = collection.model(model)
    if not (0 <= block < opened.depth and opened.prompts[block]):
        return None
    planes = list(range(opened.heads[block])) if heads else [None]
    with collection.lock:
        seen = collection.seen(model, image)
        rows, columns = seen.grid
        maps = [[seen.patch_map(block, p, head) for p in range(opened.prompts[block])] for head in planes]
        strength = [seen.strength(block, row, column) for row in range(rows) for column in range(columns)]
    return dict(planes=len(planes), shares=quantised(np.array(maps)), strength=quantised(np.array(strength)))


def nearest(
    collection: Collection, model: int, image: int, block: int, prompt: int, head: Optional[int] = None
) -> dict[str, Any]:
    """Return the patches of up to 16 images that attend most to a prompt.

    Returns:
        ``images``, their number, and ``patches``, the highest first.

    Raises:
        InputError: as :meth:`Collection.seen`.
    """
    indices = collection.compared(image)
    for index in indices:
        with collection.lock:  # for one image at a time, so that other questions are answered in between
            collection.seen(model, index).patch_map(block, prompt, head)
    with collection.lock:
        found = nearest_patches([collection.seen(model, index) for index in indices], block, prompt, head)
    patches = [dict(image=indices[each.image], row=each.row, column=each.column, share=each.share) for each in found]
    return dict(images=len(indices), patches=patches)
