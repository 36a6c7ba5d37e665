"""Metric guidance: what the guided blocks did, plus labels, gives the two metric losses.

DA-VPT (arXiv 2505.23694), Sec. 3.2-3.4: L = L_task + beta * L_ML(X, P) + lambda * L_ML(P, x_cls).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, Optional

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from ..errors import InputError
from .annotations import Count, NotNegative, OneOf, Range, Seed
from .arguments import check_arguments, checked
from .attention import Attended
from .distributed import gather_rows
from .losses import METRIC_ARGUMENTS, METRICS, Parts, metric_loss
from .mapping import MAPPINGS, ClassPromptMapping
from .statistics import pair_statistics
from .targets import LABELS, Labelling, Targets

PROMPT_SIDES = ("query", "key", "value", "prompt")
TOKEN_SIDES = ("attn_output", "query", "key", "value", "input", "block_input")
PATCH_TOKENS = ("each", "mean")
IMAGE_TOKENS = ("class", "mean")
CLASS_MEANS = ("patch", "image", "final")
CLS_PROXIES = ("image", "prompt")


class GuidedRecord(NamedTuple):
    """What one guided block hands out: prompts (M, D), patch tokens (B, N, D), image token (B, D); None where none.

    ``grid`` is (h, w), with h * w = N; of images' mean patches (B, 1, D) too. ``final`` is the token that a classifier
    reads, after the last norm (B, D), where class means are of it.
    """

    prompts: Optional[Tensor]
    tokens: Tensor
    image_token: Optional[Tensor]
    grid: tuple[int, int]
    final: Optional[Tensor] = None


class Guidance(nn.Module):
    """Guide the prompts of some blocks towards the classes they speak for.

    Where those blocks have no prompts, proxies take their place: learned vectors of each guided block, which the metric
    losses alone read. What those losses then move is the tokens, through whatever else is tuned (LoRA, say).

    Args:
        blocks: guided blocks, counted from 0; negative ones count from the last. Losses are the mean over them.
        num_classes: C, of the labels.
        num_prompts: M, prompts or proxies in each guided block. A config sets it for proxies only.
        embed_dim: width D of the tokens.
        patch_size: (height, width).
        patch_weight: beta, of the loss between prompts and patch tokens (``loss_metric_patch``); 0 leaves it out.
        cls_weight: lambda, of the loss between image tokens and prompts (``loss_metric_cls``); 0 leaves it out.
        prompt_side: what stands for a prompt: its ``query`` projection (the paper), ``key``, ``value``, or the raw
            ``prompt`` (the released code).
        token_side: what stands for a patch: its ``attn_output``, heads concatenated, before the output projection
            (the paper), its ``query``, ``key``, ``value``, the block's normalised ``input``, or the raw
            ``block_input``, before ``norm1`` (the released code, with ``patch_tokens="mean"``).
        cls_side: what stands for the image token, named as the token side is.
        patch_tokens: ``each`` patch token is a sample of the patch loss, or an image's ``mean`` of them.
        image_token: which token stands for the image: the ``class`` token, or the ``mean`` of the patches', for a ViT
            whose head reads that (MAE).
        cls_proxies: proxies of the CLS loss: ``image`` tokens, whose samples are the prompts (Eq. 5), or each
            ``prompt``, whose samples are the image tokens (the released code).
        class_means: what the class means that are clustered are of: ``patch`` tokens, ``image`` tokens (the paper's
            classification), both of the last guided block, or the ``final`` token that a classifier reads, after the
            last norm (the released code).
        labels, purity, ignore_index: ``patch`` or ``image`` labels, and what void is: see
            :class:`~davpt_seg.core.targets.Labelling`.
        mapping: how classes share prompts where they outnumber them: ``dynamic``, ``static`` or ``random``, see
            :class:`~davpt_seg.core.mapping.ClassPromptMapping`.
        seed: of the first clustering or the random mapping.
        gather: where several processes train together, take the losses over the patches and images of all of them,
            as one process with the whole batch would. They are no sums over images, so that means of each process's
            own would be other losses. Costs the guided tokens' exchange; False leaves each process its own batch.
        learned_proxies: the guided blocks have no prompts, so make proxies. Each stands for itself: it has no query.
            They start normally distributed, as Proxy-Anchor's do.
        metric: L_ML: ``proxy_anchor`` (the paper's), ``proxy_nca`` or ``triplet``; or ``attention``, on the scores of
            attention themselves, which requires ``prompt_side="key"`` and ``token_side="query"``, and with a CLS loss
            ``cls_side="query"`` and ``cls_proxies="prompt"``.
        **metric_arguments: of that function in :mod:`davpt_seg.core.losses`: ``scale``, ``margin``, ``prompt_scale``
            and ``divisor`` of the first, ``scale`` of the second and last, ``margin`` of the third.

    Raises:
        ValueError: an unknown choice, an argument that is not the metric's, or a value out of range.
    """

    @checked("guidance")
    def __init__(
        self,
        blocks: Sequence[int],
        num_classes: Count,
        num_prompts: Count,
        embed_dim: Count,
        patch_size: tuple[int, int],
        patch_weight: NotNegative = 0.05,
        cls_weight: NotNegative = 0.05,
        prompt_side: Annotated[str, OneOf(PROMPT_SIDES)] = "query",
        token_side: Annotated[str, OneOf(TOKEN_SIDES)] = "attn_output",
        cls_side: Annotated[str, OneOf(TOKEN_SIDES)] = "attn_output",
        patch_tokens: Annotated[str, OneOf(PATCH_TOKENS)] = "each",
        image_token: Annotated[str, OneOf(IMAGE_TOKENS)] = "class",
        cls_proxies: Annotated[str, OneOf(CLS_PROXIES)] = "image",
        class_means: Annotated[str, OneOf(CLASS_MEANS)] = "patch",
        labels: Annotated[str, OneOf(LABELS)] = "patch",
        purity: Annotated[float, Range(above=0, most=1)] = 0.5,
        ignore_index: int = 255,
        mapping: Annotated[str, OneOf(MAPPINGS)] = "dynamic",
        seed: Seed = 0,
        gather: bool = True,
        learned_proxies: bool = False,
        metric: Annotated[str, OneOf(tuple(METRICS))] = "proxy_anchor",
        **metric_arguments: Any,
    ) -> None:
        super().__init__()
        if labels != "image" and (patch_tokens == "mean" or class_means != "patch"):
            raise InputError(
                f"guidance patch_tokens={patch_tokens!r} and class_means={class_means!r} give an image one label: set "
                "labels='image'"
            )
        self.check({"metric": metric, **metric_arguments})
        if metric == "attention":
            _check_attention(prompt_side, token_side, (cls_side, cls_proxies) if cls_weight else None)
        self.blocks = tuple(blocks)
        self.num_classes = num_classes
        self.patch_weight, self.cls_weight = patch_weight, cls_weight
        self.prompt_side, self.token_side, self.cls_side = prompt_side, token_side, cls_side
        self.patch_tokens, self.image_token, self.class_means = patch_tokens, image_token, class_means
        self.cls_proxies = cls_proxies
        self.gather = gather
        self.metric = metric_loss(metric, metric_arguments)
        self.labelling = Labelling(patch_size, num_classes, labels, purity, ignore_index)
        self.mapping = ClassPromptMapping(num_classes, num_prompts, embed_dim, seed=seed, kind=mapping)
        self.proxies = nn.ParameterDict()
        for block in self.blocks if learned_proxies else ():
            values = nn.init.kaiming_normal_(torch.empty(num_prompts, embed_dim), mode="fan_out")
            learns = bool(patch_weight or cls_weight)  # DistributedDataParallel wants no parameter that nothing reads
            self.proxies[str(block)] = nn.Parameter(values, requires_grad=learns)

    @staticmethod
    def check(config: Mapping[str, Any]) -> None:
        """Check a config of guidance, which also holds the arguments of its metric.

        Raises:
            ValueError: a name that is neither guidance's nor a metric's, or a value that does not fit its argument.
        """
        built = ("embed_dim", "patch_size", "learned_proxies")
        further = dict.fromkeys(name for names in METRIC_ARGUMENTS.values() for name in names)
        check_arguments(Guidance, config, "guidance", given=built, further=further)
        metric = config.get("metric", "proxy_anchor")
        metric_loss(metric, {name: value for name, value in config.items() if name in further})

    def record(
        self,
        block: int,
        entered: Tensor,
        attended: Attended,
        prompts: Optional[Tensor],
        trunk: VisionTransformer,
        grid: tuple[int, int],
    ) -> GuidedRecord:
        """Pick the named sides out of what a guided block of the trunk did on a grid of (h, w) patches.

        ``entered`` are the tokens that entered the block, (B, prefix + N, D), before ``norm1``.
        """
        prefix = trunk.num_prefix_tokens
        patches = slice(prefix, prefix + grid[0] * grid[1])  # carried prompts stand behind them
        tokens = _token_side(entered, attended, self.token_side, patches)
        return GuidedRecord(
            prompts=self.proxies[str(block)] if self.proxies else self._prompt_side(attended, prompts),
            tokens=tokens if self.patch_tokens == "each" else tokens.mean(dim=1, keepdim=True),
            image_token=self._image_token(entered, attended, trunk, patches),
            grid=grid,
        )

    def _image_token(
        self, entered: Tensor, attended: Attended, trunk: VisionTransformer, patches: slice
    ) -> Optional[Tensor]:
        if self.image_token == "mean":
            return _token_side(entered, attended, self.cls_side, patches).mean(dim=1)
        return _token_side(entered, attended, self.cls_side, slice(0, 1))[:, 0] if trunk.has_class_token else None

    def needs_class_token(self) -> bool:
        """Tell whether a trunk without class token could not be guided so."""
        return self.image_token == "class" and bool(self.cls_weight or self.class_means == "image")

    def _prompt_side(self, attended: Attended, prompts: Optional[Tensor]) -> Optional[Tensor]:
        if prompts is None or self.prompt_side == "prompt":
            return prompts
        return getattr(attended.prompts, self.prompt_side).flatten(-2)

    def forward(
        self, records: Sequence[GuidedRecord], labels: Tensor, statistics: bool = False, parts: bool = False
    ) -> dict[str, Tensor]:
        """Compute the weighted metric losses of a batch, and gather its class means.

        Args:
            records: one per guided block.
            labels: of the images that made the records: label maps (B, H, W), integers, or the classes of each
                image (B, C), bool.
            statistics: measure, too, how prompts and patches of a class meet.
            parts: return the parts of each loss beside it, without gradients.

        Returns:
            ``loss_metric_patch`` and ``loss_metric_cls``, scalars; without those whose weight is 0. With statistics,
            also those of :func:`~davpt_seg.core.statistics.pair_statistics`, as ``patch_...``: means over blocks. With
            parts, also ``metric_patch_pull`` and ``metric_patch_push``, whose sum is ``loss_metric_patch``, and
            likewise of ``cls``.

        Raises:
            ValueError: labels that do not fit the images, or that are unknown.
        """
        patches, present = self.targets(records, labels)
        if self.mapping.needs_reclustering:
            self.observe(records, patches)
        if self.gather:
            records, patches, present = gather_batch(records, patches, present)
        losses = self.statistics(records, patches) if statistics else {}
        each: dict[str, list[Parts]] = {}
        if self.patch_weight:
            each["patch"] = [self.patch_loss(record, patches) for record in records]
        if self.cls_weight:
            each["cls"] = [self.class_token_loss(record, present) for record in records]
        for name, found in each.items():
            weight = self.patch_weight if name == "patch" else self.cls_weight
            losses[f"loss_metric_{name}"] = weight * torch.stack([one.total for one in found]).mean()
            for part, values in zip(Parts._fields, zip(*found)) if parts else ():
                losses[f"metric_{name}_{part}"] = weight * torch.stack(values).mean().detach()
        return losses

    def targets(self, records: Sequence[GuidedRecord], labels: Tensor) -> Targets:
        """Make the targets of a batch from label maps (B, H, W) or the classes of each image (B, C)."""
        targets = self.labelling(labels, len(records[-1].tokens), records[-1].grid)
        if self.patch_tokens == "mean":  # all patches of an image have its label, and so has their mean
            return targets._replace(patches=targets.patches[:, :1])
        return targets

    def observe(self, records: Sequence[GuidedRecord], labels: Tensor) -> None:
        """Add the last guided block's patch tokens, or images' tokens, to the class means; labels are (B, N)."""
        if self.class_means == "patch":
            self.mapping.observe(records[-1].tokens.flatten(0, 1), labels.flatten())
        else:
            tokens = records[-1].image_token if self.class_means == "image" else records[-1].final
            assert tokens is not None  # PromptedViT refuses a trunk or outputs without it
            self.mapping.observe(tokens, labels[:, 0])

    def read(self, record: GuidedRecord) -> list[Tensor]:
        """Return what the metric losses read of a guided block."""
        assert record.prompts is not None
        read = [record.prompts, record.tokens] if self.patch_weight else []
        if self.cls_weight:
            assert record.image_token is not None
            read += [record.prompts, record.image_token]
        return read

    def patch_loss(self, record: GuidedRecord, labels: Tensor) -> Parts:
        """L_ML(X, P) of Eq. 4: prompts are the proxies of patch tokens; labels are (B, N)."""
        assert record.prompts is not None  # only a pass without prompts leaves them out
        return self.metric(record.prompts, record.tokens.flatten(0, 1), *self.patch_pairs(labels))

    def patch_pairs(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Tell which patches and prompts are of the same class, and which of different ones, each (B * N, M) bool."""
        labels = labels.flatten()
        labelled = (labels != self.labelling.ignore_index)[:, None]
        same = self.mapping.speaks_for().T[labels.masked_fill(~labelled[:, 0], 0)]  # (B * N, M)
        return same & labelled, ~same & labelled

    def statistics(self, records: Sequence[GuidedRecord], labels: Tensor) -> dict[str, Tensor]:
        """Measure how prompts and patches of a class meet, a mean over guided blocks; labels are (B, N)."""
        positive, negative = self.patch_pairs(labels)
        each = []
        for record in records:
            assert record.prompts is not None
            each.append(pair_statistics(record.prompts, record.tokens.flatten(0, 1), positive, negative))
        return {f"patch_{name}": torch.stack([one[name] for one in each]).mean() for name in each[0]}

    def class_token_loss(self, record: GuidedRecord, present: Tensor) -> Parts:
        """L_ML(P, x_cls) of Eq. 5: image tokens are the proxies of prompts; present classes are (B, C) bool.

        With ``cls_proxies="prompt"`` prompts are the proxies of image tokens, as in the released code. The positives of
        an image are the prompts of all classes it holds. An image of nothing but void counts nowhere.
        """
        assert record.prompts is not None
        assert record.image_token is not None  # PromptedViT refuses a CLS loss on a trunk without class token
        labelled = present.any(dim=1)
        same = (present[labelled].float() @ self.mapping.speaks_for().T.float()) > 0  # (labelled images, M)
        if self.cls_proxies == "prompt":
            return self.metric(record.prompts, record.image_token[labelled], same)
        return self.metric(record.image_token[labelled], record.prompts, same.T)


def _check_attention(prompt_side: str, token_side: str, cls: Optional[tuple[str, str]]) -> None:
    """Refuse other sides than those whose products attention's softmax reads; ``cls`` is of the CLS loss, if any."""
    if (prompt_side, token_side, cls or ("query", "prompt")) != ("key", "query", ("query", "prompt")):
        raise InputError(
            "guidance metric='attention' is of the scores of attention: set prompt_side='key', token_side='query', and "
            "either cls_weight=0 or cls_side='query' and cls_proxies='prompt'"
        )


def gather_batch(
    records: Sequence[GuidedRecord], labels: Tensor, present: Tensor
) -> tuple[list[GuidedRecord], Tensor, Tensor]:
    """Join the batches of all processes; images may differ in size, so that patches come as one row: (1, B * N, D)."""
    joined = [
        record._replace(
            tokens=gather_rows(record.tokens.flatten(0, 1))[None],
            image_token=None if record.image_token is None else gather_rows(record.image_token),
        )
        for record in records
    ]
    return joined, gather_rows(labels.flatten())[None], gather_rows(present)


def _token_side(entered: Tensor, attended: Attended, side: str, which: slice) -> Tensor:
    if side == "block_input":
        return entered[:, which]
    if side == "attn_output":
        return attended.output[:, which]
    if side == "input":
        return attended.input[:, which]
    return getattr(attended.tokens, side)[:, which].flatten(-2)
