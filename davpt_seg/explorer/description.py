"""Description of an explorer's models and images, as values of JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..visualization.class_names import all_shown, shown
from .collection import Collection
from .encoding import image_url
from .mapping_history import mapping_history
from .opened import Opened

COLOURS = 64  # steps of the heat map


def describe(collection: Collection) -> dict[str, Any]:
    """Describe models and images: what the page needs before its first question."""
    from matplotlib import colormaps

    heat = np.rint(255 * colormaps["cividis"](np.linspace(0, 1, COLOURS))[:, :3]).astype(int)
    return dict(
        models=[_model(model) for model in collection.models],
        images=pictures(collection),
        heat=heat.tolist(),
    )


def pictures(collection: Collection) -> list[dict[str, Any]]:
    """Return the images' names and small versions."""
    return [dict(name=shown(each.name), thumb=image_url(each.thumb)) for each in collection.pictures]


def _model(model: Opened) -> dict[str, Any]:
    history = mapping_history(model.checkpoint)
    return dict(
        name=shown(model.name),
        method=model.method,
        task=model.task,
        classes=all_shown(model.classes),
        palette=np.asarray(model.palette).tolist(),
        prompts=list(model.prompts),
        heads=list(model.heads),
        guided=list(model.guided),
        start=start_block(model),
        separate=model.separate_softmax,
        assigned={
            str(block): [all_shown(model.classes_of_prompt(block, prompt)) for prompt in range(model.prompts[block])]
            for block in model.guided
        },
        history=[
            dict(
                when=f"epoch {each.epoch}" if each.epoch is not None else f"iteration {each.iter}",
                map=each.prompt_of_class,
            )
            for each in history or ()
        ],
    )


def start_block(model: Opened) -> int:
    """Return the block that is shown first: the last guided one, else the last one with prompts, else the last."""
    with_prompts = [block for block, count in enumerate(model.prompts) if count]
    guided = [block for block in model.guided if block in with_prompts]
    return max(guided or with_prompts, default=model.depth - 1)
