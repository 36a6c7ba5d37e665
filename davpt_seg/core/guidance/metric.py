"""Comparison of metric guidance: sides that represent prompts, patches and images, and the loss between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, Optional

from torch import Tensor

from ...errors import InputError
from ..annotations import OneOf
from ..arguments import Arguments, check_names, require_dict
from ..attention import Attended
from ..blocks import Trunk
from .gather import gather_rows
from .losses import METRICS, MetricLoss, ProxyAnchor, metric_loss

PROMPT_SIDES = ("query", "key", "value", "prompt")
TOKEN_SIDES = ("attn_output", "query", "key", "value", "input", "block_input")
PATCH_TOKENS = ("each", "mean")
IMAGE_TOKENS = ("class", "mean")
CLS_PROXIES = ("image", "prompt")


class GuidedRecord(NamedTuple):
    """Record of one guided block: prompts (M, D), patch tokens (B, N, D), image token (B, D), or None.

    ``grid`` is (h, w), with h * w = N, also if the patch tokens are one mean per image, (B, 1, D). ``final`` is the
    token that a classifier reads, after the last norm (B, D), if class means are taken of it.
    """

    prompts: Optional[Tensor]
    tokens: Tensor
    image_token: Optional[Tensor]
    grid: tuple[int, int]
    final: Optional[Tensor] = None


def gather_batch(
    records: Sequence[GuidedRecord], labels: Tensor, present: Tensor
) -> tuple[list[GuidedRecord], Tensor, Tensor]:
    """Join the batches of all processes; images may differ in size, so patches are one row: (1, B * N, D)."""
    joined = [
        record._replace(
            tokens=gather_rows(record.tokens.flatten(0, 1))[None],
            image_token=None if record.image_token is None else gather_rows(record.image_token),
        )
        for record in records
    ]
    return joined, gather_rows(labels.flatten())[None], gather_rows(present)


@dataclass(frozen=True)
class Metric(Arguments):
    """Comparison of the metric losses. A config has the loss's ``kind`` and arguments in place of ``loss``.

    Args:
        loss: L_ML: ``proxy_anchor`` (the paper's), ``proxy_nca`` or ``triplet``; or ``attention``, on attention scores,
            which requires ``prompt_side="key"`` and ``token_side="query"``, and with a CLS loss ``cls_side="query"``
            and ``cls_proxies="prompt"``. See :mod:`davpt_seg.core.guidance.losses`.
        prompt_side: side that represents a prompt: its ``query`` projection (the paper), ``key``, ``value``, or the raw
            ``prompt`` (the released code).
        token_side: side that represents a patch: its ``attn_output``, heads concatenated, before the output projection
            (the paper), its ``query``, ``key``, ``value``, the block's normalised ``input``, or the raw
            ``block_input``, before ``norm1`` (the released code, with ``patch_tokens="mean"``). In trunks with rotary
            positions (RoPE), queries and keys are taken before the rotation, because a prompt has no position; only
            the loss ``attention`` compares queries after it, as attention's scores do.
        cls_side: side that represents the image token, with the same names as the token side.
        patch_tokens: samples of the patch loss: ``each`` patch token, or the ``mean`` of an image's.
        image_token: token that represents the image: the ``class`` token, or the ``mean`` of the patch tokens, for a
            ViT whose head reads their mean (MAE).
        cls_proxies: proxies of the CLS loss: ``image`` tokens, whose samples are the prompts (Eq. 5), or each
            ``prompt``, whose samples are the image tokens (the released code).
    """

    what = "guidance metric"
    loss: MetricLoss = ProxyAnchor()  # noqa: RUF009  (frozen)
    prompt_side: Annotated[str, OneOf(PROMPT_SIDES)] = "query"
    token_side: Annotated[str, OneOf(TOKEN_SIDES)] = "attn_output"
    cls_side: Annotated[str, OneOf(TOKEN_SIDES)] = "attn_output"
    patch_tokens: Annotated[str, OneOf(PATCH_TOKENS)] = "each"
    image_token: Annotated[str, OneOf(IMAGE_TOKENS)] = "class"
    cls_proxies: Annotated[str, OneOf(CLS_PROXIES)] = "image"

    @classmethod
    def of(cls, config: Any, **given: Any) -> Metric:
        """Build the metric from a dict of a config, see :meth:`Arguments.of`."""
        of_losses = dict.fromkeys(name for loss in METRICS.values() for name in loss.names())
        check_names(cls, require_dict(config, cls.what), cls.what, ("loss",), ("kind", *of_losses))
        loss = metric_loss(config.get("kind", "proxy_anchor"), _only(config, of_losses))
        return cls(loss, **_only(config, cls.names()), **given)

    def check_attention(self, cls_loss: bool) -> None:
        """Check the sides for the loss on attention scores: they must be those that attention multiplies.

        Args:
            cls_loss: whether there is a CLS loss.

        Raises:
            InputError: other sides.
        """
        of_cls = (self.cls_side, self.cls_proxies) if cls_loss else ("query", "prompt")
        scores = (self.prompt_side, self.token_side, of_cls) == ("key", "query", ("query", "prompt"))
        if type(self.loss) is METRICS["attention"] and not scores:
            raise InputError(
                "guidance metric='attention' compares attention scores: set prompt_side='key', token_side='query', "
                "and either cls_weight=0 or cls_side='query' and cls_proxies='prompt'"
            )

    def record(
        self,
        entered: Tensor,
        attended: Attended,
        prompts: Optional[Tensor],
        trunk: Trunk,
        grid: tuple[int, int],
    ) -> GuidedRecord:
        """Select the named sides from the activations of a guided block.

        Args:
            entered: tokens that entered the block, (B, prefix + N, D), before ``norm1``.
            attended: record of the block's attention.
            prompts: prompts of the block, (M, D), or None.
            trunk: ViT.
            grid: patches (h, w), with h * w = N.
        """
        prefix = trunk.num_prefix_tokens
        if type(self.loss) is METRICS["attention"]:  # compares what attention compares
            attended = attended._replace(tokens=attended.placed)
        patches = slice(prefix, prefix + grid[0] * grid[1])  # persistent prompts follow them
        tokens = _token_side(entered, attended, self.token_side, patches)
        if prompts is not None and self.prompt_side != "prompt":
            prompts = getattr(attended.prompts, self.prompt_side).flatten(-2)
        image_token = None
        if self.image_token == "mean":
            image_token = _token_side(entered, attended, self.cls_side, patches).mean(dim=1)
        elif trunk.cls_token is not None:
            image_token = _token_side(entered, attended, self.cls_side, slice(0, 1))[:, 0]
        tokens = tokens if self.patch_tokens == "each" else tokens.mean(dim=1, keepdim=True)
        return GuidedRecord(prompts, tokens, image_token, grid)


def _only(config: Mapping[str, Any], names: Any) -> dict[str, Any]:
    return {name: value for name, value in config.items() if name in names}


def _token_side(entered: Tensor, attended: Attended, side: str, which: slice) -> Tensor:
    if side == "block_input":
        return entered[:, which]
    if side == "attn_output":
        return attended.output[:, which]
    if side == "input":
        return attended.input[:, which]
    return getattr(attended.tokens, side)[:, which].flatten(-2)
