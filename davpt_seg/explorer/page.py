"""Self-contained page of the explorer: one HTML file, without server or network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from ..replacing import replacing
from . import answers
from .assets import script, style, template
from .collection import Collection
from .description import describe, start_block

BLOCKS = 4  # by default: the last ones with prompts


def write_page(collection: Collection, path: Path, blocks: Optional[Sequence[int]] = None) -> int:
    """Write a page of all images, and return its size in bytes.

    Args:
        collection: models and images.
        path: HTML file; one that exists is replaced.
        blocks: blocks whose attention the page shows, as means over heads; by default the last 4 that have prompts in
            a model.

    Raises:
        InputError: no images, a block that no model has, or an image that a model does not take.
    """
    if not collection.pictures:
        raise InputError("--html needs the images that the page shows: explore CHECKPOINT IMAGE... --html FILE")
    stored = json.dumps(_stored(collection, _checked(collection, blocks)), separators=(",", ":"), allow_nan=False)
    text = template()
    # "<" would end the script element that holds the values
    parts = dict(style=style(), script=script(), stored=stored.replace("<", "\\u003c"))
    for name, part in parts.items():
        before, _, after = text.partition("{{" + name + "}}")
        text = before + part + after
    content = text.encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write_bytes(content)
    return len(content)


def _checked(collection: Collection, blocks: Optional[Sequence[int]]) -> list[int]:
    depth = max(model.depth for model in collection.models)
    with_prompts = [i for i in range(depth) if any(i < m.depth and m.prompts[i] for m in collection.models)]
    if blocks is None:
        starts = {start_block(model) for model in collection.models}
        return sorted(starts | set(with_prompts[-BLOCKS:]))
    for block in blocks:
        if block not in range(depth):
            raise InputError(f"--blocks {block}: the blocks are 0 to {depth - 1}, those with prompts {with_prompts}")
    return sorted(set(blocks))


def _stored(collection: Collection, blocks: Sequence[int]) -> dict[str, Any]:
    described = describe(collection)
    models, images = range(len(collection.models)), range(len(collection.pictures))
    for model in described["models"]:
        model["start"] = model["start"] if model["start"] in blocks else blocks[-1]
    return dict(
        **described,
        blocks=list(blocks),
        looks=[[answers.look(collection, model, image) for image in images] for model in models],
        attention=[
            [{str(b): answers.attention(collection, model, image, b, heads=False) for b in blocks} for image in images]
            for model in models
        ],
    )
