"""Metric guidance: what the guided blocks did, plus labels, gives the two metric losses.

DA-VPT (arXiv 2505.23694), Sec. 3.2-3.4: L = L_task + beta * L_ML(X, P) + lambda * L_ML(P, x_cls).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from .attention import Attended
from .distributed import gather_rows
from .labels import majority_labels, pixel_counts, present_classes
from .losses import DIVISORS, proxy_anchor
from .mapping import ClassPromptMapping

PROMPT_SIDES = ("query", "key", "value", "prompt")
TOKEN_SIDES = ("attn_output", "query", "key", "value", "input")


class GuidedRecord(NamedTuple):
    """What one guided block hands out: prompts (M, D), patch tokens (B, N, D), class token (B, D); None where none.

    ``grid`` is (h, w), with h * w = N.
    """

    prompts: Optional[Tensor]
    tokens: Tensor
    class_token: Optional[Tensor]
    grid: tuple[int, int]


class Guidance(nn.Module):
    """Guide the prompts of some blocks towards the classes they speak for.

    Args:
        blocks: guided blocks, counted from 0; negative ones count from the last. Losses are the mean over them.
        num_classes: C, of the labels.
        num_prompts: M, prompts in each guided block.
        embed_dim: width D of the tokens.
        patch_size: (height, width).
        patch_weight: beta, of the loss between prompts and patch tokens (``loss_metric_patch``); 0 leaves it out.
        cls_weight: lambda, of the loss between class tokens and prompts (``loss_metric_cls``); 0 leaves it out.
        prompt_side: what stands for a prompt: its ``query`` projection (the paper), ``key``, ``value``, or the raw
            ``prompt`` (the released code).
        token_side: what stands for a patch: its ``attn_output``, heads concatenated, before the output projection
            (the paper), its ``query``, ``key``, ``value``, or the block's normalised ``input``.
        cls_side: what stands for the class token, named as the token side is.
        scale, margin, prompt_scale, divisor: see :func:`davpt_seg.core.losses.proxy_anchor`.
        purity: least share of a patch's pixels that its class must hold.
        ignore_index: label of void pixels.
        seed: of the first clustering.
        gather: where several processes train together, take the losses over the patches and images of all of them,
            as one process with the whole batch would. They are no sums over images, so that means of each process's
            own would be other losses. Costs the guided tokens' exchange; False leaves each process its own batch.

    Raises:
        ValueError: an unknown side or divisor, a purity outside (0, 1], an ignore_index that is a class.
    """

    def __init__(
        self,
        blocks: Sequence[int],
        num_classes: int,
        num_prompts: int,
        embed_dim: int,
        patch_size: tuple[int, int],
        patch_weight: float = 0.05,
        cls_weight: float = 0.05,
        prompt_side: str = "query",
        token_side: str = "attn_output",
        cls_side: str = "attn_output",
        scale: float = 32.0,
        margin: float = 0.1,
        prompt_scale: float = 1.0,
        divisor: str = "positive",
        purity: float = 0.5,
        ignore_index: int = 255,
        seed: int = 0,
        gather: bool = True,
    ) -> None:
        super().__init__()
        for what, value, choices in (
            ("prompt_side", prompt_side, PROMPT_SIDES),
            ("token_side", token_side, TOKEN_SIDES),
            ("cls_side", cls_side, TOKEN_SIDES),
            ("divisor", divisor, DIVISORS),
        ):
            if value not in choices:
                raise ValueError(f"guidance {what} must be one of {choices}, got {value!r}")
        if 0 <= ignore_index < num_classes:
            raise ValueError(f"guidance ignore_index {ignore_index} is one of the {num_classes} classes")
        if not 0 < purity <= 1:
            raise ValueError(f"guidance purity must be above 0 and at most 1, got {purity}")
        self.blocks = tuple(blocks)
        self.num_classes = num_classes
        self.patch_size = patch_size
        self.patch_weight, self.cls_weight = patch_weight, cls_weight
        self.prompt_side, self.token_side, self.cls_side = prompt_side, token_side, cls_side
        self.metric: dict[str, Any] = dict(scale=scale, margin=margin, prompt_scale=prompt_scale, divisor=divisor)
        self.purity, self.ignore_index = purity, ignore_index
        self.gather = gather
        self.mapping = ClassPromptMapping(num_classes, num_prompts, embed_dim, seed=seed)

    def record(
        self, attended: Attended, prompts: Optional[Tensor], trunk: VisionTransformer, grid: tuple[int, int]
    ) -> GuidedRecord:
        """Pick the named sides out of what a guided block of the trunk did on a grid of (h, w) patches."""
        has_class_token, prefix = trunk.has_class_token, trunk.num_prefix_tokens
        return GuidedRecord(
            prompts=self._prompt_side(attended, prompts),
            tokens=_token_side(attended, self.token_side, slice(prefix, None)),
            class_token=_token_side(attended, self.cls_side, slice(0, 1))[:, 0] if has_class_token else None,
            grid=grid,
        )

    def _prompt_side(self, attended: Attended, prompts: Optional[Tensor]) -> Optional[Tensor]:
        if prompts is None or self.prompt_side == "prompt":
            return prompts
        return getattr(attended.prompts, self.prompt_side).flatten(-2)

    def forward(self, records: Sequence[GuidedRecord], pixel_labels: Tensor) -> dict[str, Tensor]:
        """Compute the weighted metric losses of a batch, and gather its class means.

        Args:
            records: one per guided block.
            pixel_labels: (B, H, W), of the images that made the records.

        Returns:
            ``loss_metric_patch`` and ``loss_metric_cls``, scalars; without those whose weight is 0.

        Raises:
            ValueError: label maps that do not fit the images, or that hold unknown labels.
        """
        labels, present = self.observe(records, pixel_labels)
        if self.gather:
            records, labels, present = gather_batch(records, labels, present)
        losses = {}
        if self.patch_weight:
            terms = [self.patch_loss(record, labels) for record in records]
            losses["loss_metric_patch"] = self.patch_weight * torch.stack(terms).mean()
        if self.cls_weight:
            terms = [self.class_token_loss(record, present) for record in records]
            losses["loss_metric_cls"] = self.cls_weight * torch.stack(terms).mean()
        return losses

    def observe(self, records: Sequence[GuidedRecord], pixel_labels: Tensor) -> tuple[Tensor, Tensor]:
        """Add the last guided block's patch tokens to the class means, if those are clustered.

        Returns:
            The patches' labels (B, N) and which classes each image holds (B, C), bool.
        """
        counts = pixel_counts(pixel_labels, self.patch_size, self.num_classes, self.ignore_index)
        num_pixels = self.patch_size[0] * self.patch_size[1]
        labels = majority_labels(counts, num_pixels, self.purity, self.ignore_index)
        tokens, grid = records[-1].tokens, records[-1].grid
        if labels.shape != (len(tokens), *grid):
            raise ValueError(
                f"label maps {tuple(pixel_labels.shape)} give {tuple(labels.shape)} patches, but the images gave "
                f"{(len(tokens), *grid)}: images and label maps must have the same height and width"
            )
        labels = labels.flatten(1)  # (B, N)
        if self.mapping.needs_clustering:
            self.mapping.observe(tokens.flatten(0, 1), labels.flatten())
        return labels, present_classes(counts)

    def patch_loss(self, record: GuidedRecord, labels: Tensor) -> Tensor:
        """L_ML(X, P) of Eq. 4: prompts are the proxies of patch tokens; labels are (B, N)."""
        assert record.prompts is not None  # only a pass without prompts leaves them out
        labels = labels.flatten()
        void = labels == self.ignore_index
        same = self.mapping.speaks_for().T[labels.masked_fill(void, 0)]  # (B * N, M)
        positive, negative = same & ~void[:, None], ~same & ~void[:, None]
        return proxy_anchor(record.prompts, record.tokens.flatten(0, 1), positive, negative, **self.metric)

    def class_token_loss(self, record: GuidedRecord, present: Tensor) -> Tensor:
        """L_ML(P, x_cls) of Eq. 5: class tokens are the proxies of prompts; present classes are (B, C) bool.

        The positives of an image are the prompts of all classes it holds. An image of nothing but void counts nowhere.
        """
        assert record.prompts is not None
        assert record.class_token is not None  # PromptedViT refuses a CLS loss on a trunk without class token
        labelled = present.any(dim=1)
        same = (present[labelled].float() @ self.mapping.speaks_for().T.float()) > 0  # (labelled images, M)
        return proxy_anchor(record.class_token[labelled], record.prompts, same.T, **self.metric)


def gather_batch(
    records: Sequence[GuidedRecord], labels: Tensor, present: Tensor
) -> tuple[list[GuidedRecord], Tensor, Tensor]:
    """Join the batches of all processes; images may differ in size, so that patches come as one row: (1, B * N, D)."""
    joined = [
        record._replace(
            tokens=gather_rows(record.tokens.flatten(0, 1))[None],
            class_token=None if record.class_token is None else gather_rows(record.class_token),
        )
        for record in records
    ]
    return joined, gather_rows(labels.flatten())[None], gather_rows(present)


def _token_side(attended: Attended, side: str, which: slice) -> Tensor:
    if side == "attn_output":
        return attended.heads[:, which]
    if side == "input":
        return attended.input[:, which]
    return getattr(attended.tokens, side)[:, which].flatten(-2)
