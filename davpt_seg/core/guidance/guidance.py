"""Metric guidance: two metric losses, from the guided blocks' records and labels.

DA-VPT (arXiv 2505.23694), Sec. 3.2-3.4: L = L_task + beta * L_ML(X, P) + lambda * L_ML(P, x_cls).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..annotations import NotNegative, Size
from ..arguments import checked
from ..attention import Attended
from ..blocks import Trunk
from .losses import Parts
from .mapping import ClassPromptMapping, Sharing
from .metric import GuidedRecord, Metric, gather_batch
from .pair_statistics import pair_statistics
from .targets import Labelling, Targets


class Guidance(nn.Module):
    """Guide the prompts of some blocks towards the classes that they are assigned to.

    If those blocks have no prompts, proxies replace them: learned vectors of each guided block, which only the metric
    losses read. The losses then train the tokens, through other tuned parameters (LoRA's, for instance).

    In a config, ``labelling``, ``mapping`` and ``metric`` are dicts, and ``num_classes`` is a separate argument.

    Args:
        blocks: guided blocks, counted from 0; negative ones count from the last. Losses are means over blocks.
        num_prompts: M, prompts or proxies in each guided block. A config sets it for proxies only.
        embed_dim: width D of the tokens.
        labelling: conversion of labels into classes of patches and images, with the number of classes C.
        mapping: sharing of prompts among more classes than prompts.
        metric: the sides that are compared, and the loss.
        patch_weight: beta, weight of the loss between prompts and patch tokens (``loss_metric_patch``); 0 omits it.
        cls_weight: lambda, weight of the loss between image tokens and prompts (``loss_metric_cls``); 0 omits it.
        gather: whether several processes compute the losses over the patches and images of all processes, as one
            process with the complete batch would. The losses are no sums over images, so a mean over processes would
            differ. It costs an exchange of the guided tokens. With False, each process uses its batch only.
        learned_proxies: whether to create proxies, because the guided blocks have no prompts. A proxy represents
            itself: it has no query. Initial values are normally distributed, as Proxy-Anchor's.

    Raises:
        InputError: an unknown choice, an argument that the metric lacks, or a value out of range.
    """

    @checked("guidance")
    def __init__(
        self,
        blocks: Sequence[int],
        num_prompts: Size,
        embed_dim: Size,
        labelling: Labelling,
        mapping: Sharing = Sharing(),  # noqa: B008  (frozen)
        metric: Metric = Metric(),  # noqa: B008
        patch_weight: NotNegative = 0.05,
        cls_weight: NotNegative = 0.05,
        gather: bool = True,
        learned_proxies: bool = False,
    ) -> None:
        super().__init__()
        if labelling.labels != "image" and (metric.patch_tokens == "mean" or mapping.class_means != "patch"):
            raise InputError(
                f"guidance metric patch_tokens={metric.patch_tokens!r} and mapping class_means={mapping.class_means!r} "
                "give an image one label: set labelling=dict(labels='image')"
            )
        metric.check_attention(bool(cls_weight))
        self.blocks = tuple(blocks)
        self.num_classes = labelling.num_classes
        self.patch_weight, self.cls_weight = patch_weight, cls_weight
        self.gather = gather
        self.metric, self.labelling, self.class_means = metric, labelling, mapping.class_means
        self.mapping = ClassPromptMapping(
            labelling.num_classes, num_prompts, embed_dim, seed=mapping.seed, kind=mapping.kind
        )
        self.proxies = nn.ParameterDict()
        for block in self.blocks if learned_proxies else ():
            values = nn.init.kaiming_normal_(torch.empty(num_prompts, embed_dim), mode="fan_out")
            learns = bool(patch_weight or cls_weight)  # DistributedDataParallel refuses unused parameters
            self.proxies[str(block)] = nn.Parameter(values, requires_grad=learns)

    def record(
        self,
        block: int,
        entered: Tensor,
        attended: Attended,
        prompts: Optional[Tensor],
        trunk: Trunk,
        grid: tuple[int, int],
    ) -> GuidedRecord:
        """Select what the metric compares from a guided block's activations, see :meth:`Metric.record`."""
        found = self.metric.record(entered, attended, prompts, trunk, grid)
        return found._replace(prompts=self.proxies[str(block)]) if self.proxies else found

    def needs_class_token(self) -> bool:
        """Return whether guidance reads a class token, so that a trunk without one cannot be used."""
        return self.metric.image_token == "class" and bool(self.cls_weight or self.class_means == "image")

    def forward(
        self,
        records: Sequence[GuidedRecord],
        labels: Tensor,
        statistics: bool = False,
        parts: bool = False,
        counts: bool = True,
    ) -> dict[str, Tensor]:
        """Compute the weighted metric losses of a batch, and update the class means.

        Args:
            records: one per guided block.
            labels: labels of the same images: label maps (B, H, W), integers, or the classes of each image (B, C),
                bool.
            statistics: whether to return statistics of prompts and patches, too.
            parts: whether to return the parts of each loss, too, without gradients.
            counts: whether to compute the losses; otherwise they are zero, with zero gradients for all their inputs,
                even infinite ones.

        Returns:
            ``loss_metric_patch`` and ``loss_metric_cls``, scalars; a loss with weight 0 is omitted. With statistics,
            also the results of :func:`~davpt_seg.core.guidance.pair_statistics.pair_statistics`, as ``patch_...``:
            means over blocks. With parts, also ``metric_patch_pull`` and ``metric_patch_push``, whose sum is
            ``loss_metric_patch``, and the same for ``cls``.

        Raises:
            ValueError: labels that do not fit the images, or that are unknown.
        """
        patches, present = self.targets(records, labels)
        if self.mapping.needs_reclustering:
            self.observe(records, patches)
        if self.gather:
            records, patches, present = gather_batch(records, patches, present)
        losses = self.statistics(records, patches) if statistics else {}
        terms = dict(
            patch=(self.patch_weight, self.patch_loss, patches), cls=(self.cls_weight, self.class_token_loss, present)
        )
        for name, (weight, loss, targets) in terms.items():
            if not weight:
                continue
            found = [loss(record, targets) if counts else self._nothing(record) for record in records]
            losses[f"loss_metric_{name}"] = weight * torch.stack([one.total for one in found]).mean()
            for part, values in zip(Parts._fields, zip(*found)) if parts else ():
                losses[f"metric_{name}_{part}"] = weight * torch.stack(values).mean().detach()
        return losses

    def targets(self, records: Sequence[GuidedRecord], labels: Tensor) -> Targets:
        """Return the targets of a batch from label maps (B, H, W) or the classes of each image (B, C)."""
        targets = self.labelling(labels, len(records[-1].tokens), records[-1].grid)
        if self.metric.patch_tokens == "mean":  # all patches of an image have its label, and so has their mean
            return targets._replace(patches=targets.patches[:, :1])
        return targets

    def observe(self, records: Sequence[GuidedRecord], labels: Tensor) -> None:
        """Add the last guided block's patch tokens, or the images' tokens, to the class means; labels are (B, N)."""
        if self.class_means == "patch":
            self.mapping.observe(records[-1].tokens.flatten(0, 1), labels.flatten())
        else:
            tokens = records[-1].image_token if self.class_means == "image" else records[-1].final
            assert tokens is not None  # PromptedViT refuses a trunk or outputs without it
            self.mapping.observe(tokens, labels[:, 0])

    def read(self, record: GuidedRecord) -> list[Tensor]:
        """Return the tensors of a guided block that the metric losses read."""
        assert record.prompts is not None
        read = [record.prompts, record.tokens] if self.patch_weight else []
        if self.cls_weight:
            assert record.image_token is not None
            read += [record.prompts, record.image_token]
        return read

    def _nothing(self, record: GuidedRecord) -> Parts:
        """Return zeros that depend on all inputs of the metric losses, as DistributedDataParallel requires."""
        zero = torch.stack([read.flatten()[:0].sum(dtype=torch.float32) for read in self.read(record)]).sum()
        return Parts(zero, zero)

    def patch_loss(self, record: GuidedRecord, labels: Tensor) -> Parts:
        """Compute L_ML(X, P) of Eq. 4, with prompts as proxies of patch tokens; labels are (B, N)."""
        assert record.prompts is not None  # only a pass without prompts omits them
        return self.metric.loss(record.prompts, record.tokens.flatten(0, 1), *self.patch_pairs(labels))

    def patch_pairs(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the pairs of patch and prompt of the same class, and of different classes, each (B * N, M) bool."""
        labels = labels.flatten()
        labelled = (labels != self.labelling.ignore_index)[:, None]
        same = self.mapping.speaks_for().T[labels.masked_fill(~labelled[:, 0], 0)]  # (B * N, M)
        return same & labelled, ~same & labelled

    def statistics(self, records: Sequence[GuidedRecord], labels: Tensor) -> dict[str, Tensor]:
        """Return statistics of prompts and patches, means over guided blocks; labels are (B, N)."""
        positive, negative = self.patch_pairs(labels)
        each = []
        for record in records:
            assert record.prompts is not None
            each.append(pair_statistics(record.prompts, record.tokens.flatten(0, 1), positive, negative))
        return {f"patch_{name}": torch.stack([one[name] for one in each]).mean() for name in each[0]}

    def class_token_loss(self, record: GuidedRecord, present: Tensor) -> Parts:
        """Compute L_ML(P, x_cls) of Eq. 5, with image tokens as proxies of prompts; present classes are (B, C) bool.

        With ``cls_proxies="prompt"`` prompts are the proxies of image tokens, as in the released code. The positives of
        an image are the prompts of all its classes. An image without any class is ignored.
        """
        assert record.prompts is not None
        assert record.image_token is not None  # PromptedViT refuses a CLS loss on a trunk without class token
        labelled = present.any(dim=1)
        same = (present[labelled].float() @ self.mapping.speaks_for().T.float()) > 0  # (labelled images, M)
        if self.metric.cls_proxies == "prompt":
            return self.metric.loss(record.prompts, record.image_token[labelled], same)
        return self.metric.loss(record.image_token[labelled], record.prompts, same.T)
