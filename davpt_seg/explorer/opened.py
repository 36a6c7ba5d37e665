"""A trained model, opened for exploring."""

from __future__ import annotations

import os
from typing import Any, Optional, Union

from mmengine.config import Config

from ..apis.open_trained import check_device, opened
from ..apis.paths import path_of
from ..core.adapter_folder.backbone import TrunkSource
from ..core.blocks import heads_of
from ..errors import InputError
from ..training.tasks import CLASSIFICATION, SEGMENTATION
from ..visualization.block_attention import prompt_counts
from .block_tokens import BlockTokens
from .classification import Classification
from .images import ImageSource, read_shown
from .method_line import method_line
from .opening import refuse_several, short_name, vit_of
from .prediction import normalised
from .seen import Seen
from .segmentation import Segmentation

TASKS: dict[str, Any] = {SEGMENTATION: Segmentation, CLASSIFICATION: Classification}


class Opened:
    """A trained segmentor or classifier, opened for exploring.

    >>> model = Opened("work_dirs/davpt/linear_vits14_camvid/epoch_15.pth")
    >>> seen = model.look("street.jpg")
    >>> seen.prompt_shares(model.depth - 1, *seen.patch_at(200, 100))  # (M,)

    Args:
        checkpoint: a ``.pth`` file that ``davpt-seg train`` wrote, or an adapter folder (a path, or ``hub:USER/NAME``).
        config: as :class:`~davpt_seg.apis.Predictor` takes it.
        device: likewise.
        trust_config: likewise.
        trunk: likewise.
        name: short name; by default that of the adapter folder, or of the checkpoint's folder and file.

    Attributes:
        checkpoint: as given.
        name: short name.
        task: ``segmentation`` or ``classification``.
        classes: C names.
        palette: their colours, (C, 3) uint8.
        method: one line about what was added to the ViT.
        depth: number of blocks.
        heads: number of attention heads of each block.
        prompts: number of prompts that the tokens of each block attend to, 0 for none; persistent prompts count in
            later blocks that have none of their own.
        guided: guided blocks, from 0.
        separate_softmax: whether prompts have a softmax of their own (zero start).

    Raises:
        InputError: as :class:`~davpt_seg.apis.Predictor`; also a model whose backbone is no ``PromptedViT``, and a
            folder of several adapter folders.
    """

    def __init__(
        self,
        checkpoint: Union[str, os.PathLike[str]],
        config: Optional[Union[str, os.PathLike[str], Config]] = None,
        *,
        device: Optional[str] = None,
        trust_config: bool = False,
        trunk: TrunkSource = None,
        name: Optional[str] = None,
    ) -> None:
        check_device(device)
        path = path_of(checkpoint, "checkpoint (a .pth file or an adapter folder)")
        refuse_several(path)
        trained = opened(path, config, trunk, trust_config, tuple(TASKS))
        self.checkpoint, self.name = checkpoint, name or short_name(path)
        self.task = trained.task
        self._task = TASKS[self.task](trained, device)
        self.classes, self.palette = self._task.classes, self._task.palette
        self._vit = vit_of(self._task.model, trained.origin)
        self._tokens = BlockTokens(self._vit)
        self.method = method_line(self._vit)
        self.depth = self._vit.depth
        self.heads = tuple(heads_of(block) for block in self._vit.trunk.blocks)
        self.prompts = prompt_counts(self._vit)
        self.guided: tuple[int, ...] = self._vit.guidance.blocks if self._vit.guidance else ()
        self.separate_softmax = self._vit.starts_at_zero

    def look(self, image: ImageSource) -> Seen:
        """Predict an image, and prepare it for questions about attention.

        Args:
            image: path, PIL image, or RGB pixels (H, W, 3) uint8. A larger one than 1024 pixels on the longer side is
                reduced first. Its attention is computed at the scale of tests, but at no more than 518 pixels.

        Raises:
            InputError: no image, a broken one, or one that the model or its test pipeline does not take.
        """
        prediction = self._task.predict(read_shown(self._task.reader, image))
        looked = normalised(self._task.model, prediction, self._vit.patch_size)
        return Seen(prediction, looked, self._tokens)

    def classes_of_prompt(self, block: int, prompt: int) -> list[str]:
        """Return the names of the classes that guidance assigns to a prompt; none in a block without guidance.

        Raises:
            InputError: there is no such block or prompt.
        """
        if not (0 <= block < self.depth and 0 <= prompt < self.prompts[block]):
            raise InputError(f"block {block} has no prompt {prompt}: the blocks have (from 0) {self.prompts} prompts")
        if self._vit.guidance is None or block not in self.guided:
            return []
        assigned = self._vit.guidance.mapping.speaks_for()[prompt].tolist()
        return [name for name, own in zip(self.classes, assigned) if own]

    def prompt_of_class(self) -> Optional[list[int]]:
        """Return the prompt of each class, C numbers; None without guidance, or where proxies replace its prompts.

        All guided blocks have the same mapping. Where a class has several prompts, this is the first.
        """
        if self._vit.guidance is None or not self.prompts[self.guided[-1]]:
            return None
        return self._vit.guidance.mapping.speaks_for().int().argmax(dim=0).tolist()
