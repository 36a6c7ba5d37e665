"""A timm Vision Transformer, frozen, walked block by block with prompts as extra keys and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Annotated, Any, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..errors import InputError
from .adapters import Adapters
from .adapters.old_lora import take_old_names
from .annotations import OneOf, Probability
from .arguments import checked, plain, require_dict
from .attention import Attended, carried_block, prompted_block
from .blocks import Embedded, Trunk, embedding_of, family_of
from .build import (
    block_indices,
    build_guidance,
    build_prompts,
    check_configs,
    guided_blocks,
    join_extra_keys,
    patch_size,
)
from .delta import Origin, changed_by, origin_of, put_back, same_trunk
from .features import Features, image_tokens, to_map
from .guidance.old_guidance import current_guidance
from .inputs import BlockInputs
from .precision import TRUNK_DTYPES, Precision, require_frozen
from .quantization import QUANTIZATIONS, quantize, require_torchao
from .reading import OUTPUTS, check_tokens, freeze_unread, last_block_read
from .record import RECORD, Record
from .sharded import through
from .sharing import own_tensors
from .trunk import WeightsSource, build_trunk
from .tuning import ProjectionBiases, tune

TRUNK_MODES = ("eval", "train")
#: Not among the arguments that a model remembers: where its trunk's weights come from, which its trunk knows.
NOT_REMEMBERED = {"self", "__class__", "pretrained", "weights"}


class PromptedViT(BlockInputs):
    """Any plain timm ViT, adapted by a few learned parameters (VPT-Deep arXiv 2203.12119, DA-VPT arXiv 2505.23694).

    Args:
        model_name: timm's, for instance ``vit_large_patch16_224.augreg_in21k``: a plain ViT (``vit_*``, ``deit3_*``,
            MAE, MoCo-v3, DINO, DINOv2 with or without registers, DINOv3, EVA-02, BEiT, Perception Encoder, RoPE ViTs,
            CLIP and SigLIP towers).
        pretrained: get timm's weights of that name from its hub.
        weights: or take them, strictly, from a local file of any known format (docs/weights.md), or from a dict of the
            arguments of :class:`~davpt_seg.core.weights.WeightsFile`; or from another PromptedViT, whose trunk is
            shared: one copy in memory serves both, and neither changes the other's.
        out_indices: blocks whose tokens are returned as maps, counted from 0, negative from the last.
        norm_maps: apply the trunk's final norm to the maps.
        outputs: what a forward pass computes: ``class_token``, ``mean_token``, ``maps``. Both tokens need all blocks;
            without them, blocks after the last map and the last guided block are not run, and nothing is made for them.
        prompts: arguments of :class:`~davpt_seg.core.prompts.Prompts` (``num_prompts``, ``kind``, ``carry``, ``start``,
            ``init``, ``dropout``, ``norm``, ...), or None for no prompts.
        adapters: what joins the trunk besides (LoRA, SSF, Adapter, AdaptFormer, E2VPT's key-value prompts): a list of
            dicts of a ``type`` of :data:`~davpt_seg.core.adapters.ADAPTERS` and its arguments.
        pool_prompts: average the prompts that stay in the sequence into the mean token, too, as DA-VPT's released MAE
            classifiers do with those of the last block (``prompts=dict(carry=-1)``).
        guidance: arguments of :class:`~davpt_seg.core.guidance.Guidance` (``num_classes``, ``blocks``, ...), or None.
            ``blocks`` is the last one by default. Without prompts in them, ``num_prompts`` proxies are made.
        tuned: names of trunk parameters to train, see :func:`~davpt_seg.core.tuning.tune`.
        frozen: freeze the trunk, except for the tuned names. What reaches no output is frozen in any case.
        trunk_mode: ``eval`` or ``train``: the mode that dropout and drop-path of the trunk are in while training.
        drop_path_rate: the trunk's; needs ``trunk_mode='train'``.
        with_cp: gradient checkpointing: each block's forward pass is run again in the backward pass, which saves memory
            for time; gradients stay the same.
        timm_kwargs: further arguments of ``timm.create_model`` (``depth``, ``img_size``, ...).
        trunk_dtype: type in which the layers of the frozen trunk are stored and compute, ``float32``, ``bfloat16`` or
            ``float16``; all that is learned stays float32. See :class:`~davpt_seg.core.precision.Precision`.
        trunk_quantization: ``int8`` stores the weights of the frozen trunk's linear layers in it, by torchao; see
            :class:`~davpt_seg.core.quantization.Int8Linear`.

    Attributes:
        arguments: what it was built with, as plain values, without ``pretrained`` and ``weights``.

    Raises:
        ValueError: a block, name, mode or weights file that does not fit, an argument of another type or out of range,
            or a tuned name that reaches no output; the message says what would.
        InputError: ``pretrained`` weights that cannot be downloaded; the message says what to do instead.
    """

    @checked("backbone", elsewhere=("prompts", "adapters", "guidance", "tuned"))
    def __init__(
        self,
        model_name: str,
        pretrained: Annotated[bool, "a file goes to weights={value!r}"] = False,
        weights: WeightsSource = None,
        out_indices: Sequence[int] = (-1,),
        norm_maps: bool = False,
        outputs: Sequence[Annotated[str, OneOf(OUTPUTS)]] = OUTPUTS,
        prompts: Optional[Mapping[str, Any]] = None,
        adapters: Sequence[Mapping[str, Any]] = (),
        guidance: Optional[Mapping[str, Any]] = None,
        tuned: Sequence[str] = (),
        frozen: bool = True,
        trunk_mode: Annotated[str, OneOf(TRUNK_MODES)] = "eval",
        drop_path_rate: Probability = 0.0,
        with_cp: bool = False,
        timm_kwargs: Optional[Mapping[str, Any]] = None,
        pool_prompts: bool = False,
        trunk_dtype: Annotated[str, OneOf(TRUNK_DTYPES)] = "float32",
        trunk_quantization: Optional[Annotated[str, OneOf(QUANTIZATIONS)]] = None,
    ) -> None:
        arguments = plain({name: value for name, value in locals().items() if name not in NOT_REMEMBERED})
        super().__init__()
        self.arguments: dict[str, Any] = arguments
        guidance = None if guidance is None else current_guidance(require_dict(guidance, "guidance"))
        self.arguments["guidance"] = plain(guidance)
        check_configs(prompts, adapters, guidance)
        if drop_path_rate and trunk_mode == "eval":
            raise InputError(f"drop_path_rate={drop_path_rate} does nothing with trunk_mode='eval'; set 'train'")
        timm_kwargs = dict(timm_kwargs or {})
        if "drop_path_rate" in timm_kwargs:
            raise InputError("timm_kwargs has drop_path_rate; give it to the backbone itself")
        if trunk_quantization:
            require_torchao()
        timm_kwargs["drop_path_rate"] = drop_path_rate
        self.trunk = self._build_trunk(model_name, pretrained, weights, timm_kwargs)
        self.embedding = embedding_of(self.trunk)
        self.families = [family_of(block) for block in self.trunk.blocks]
        self.trunk_mode = trunk_mode
        self.with_cp = False
        self.precision = Precision()  # until all is built
        self.shares_trunk = False  # likewise
        self.depth = len(self.trunk.blocks)
        self.embed_dim = self.trunk.embed_dim
        self.patch_size = patch_size(self.trunk)
        self.out_indices = block_indices(self.trunk, out_indices, "out_indices")
        self.norm_maps = norm_maps
        self.outputs = tuple(outputs)
        guided = guided_blocks(self.trunk, guidance)
        self.last = last_block_read(self.depth, outputs, self.out_indices, guided)
        if frozen:
            self.trunk.requires_grad_(False)
        self.biases = ProjectionBiases()
        made = tune(self.trunk, self.biases, tuned, self.last)
        if trunk_dtype != "float32":
            require_frozen(self.trunk, f"trunk_dtype={trunk_dtype!r}")
        if trunk_quantization:
            require_frozen(self.trunk, f"trunk_quantization={trunk_quantization!r}")
        self.adapters = Adapters(self.trunk, adapters, self.last + 1)
        self.prompts = build_prompts(self.trunk, prompts, self.last, guided)
        join_extra_keys(self.prompts, self.adapters, self.last)
        self.guidance = build_guidance(self.trunk, self.prompts, guidance)
        self.pool_prompts = pool_prompts
        class_means = None if self.guidance is None else self.guidance.class_means
        check_tokens(self.outputs, pool_prompts, self.carry, class_means)
        self.folded = None
        if not set(outputs) - {"maps"}:  # a token that leaves the last block depends on all that learns
            freeze_unread(self, self._read, made)
        self.with_cp = with_cp
        trained = (name for name, parameter in self.trunk.named_parameters() if parameter.requires_grad)
        self.learned_in_trunk = frozenset(trained)
        self.shares_trunk = isinstance(weights, nn.Module)
        self._own_in_trunk: set[str] = set()
        self._own_what_is_trained()
        origin = origin_of(self.trunk)
        if (trunk_quantization or trunk_dtype != "float32") and self.has_weights:
            origin.pin(self.trunk)
        if trunk_quantization:
            quantize(self.trunk)
        self.precision = Precision(trunk_dtype)
        self.precision.store(self.trunk)
        origin.stored(self.trunk)
        self.train()  # the trunk in its own mode: some of timm's draw random positions in training
        self._register_load_state_dict_pre_hook(take_old_names)

    def _build_trunk(
        self, model_name: str, pretrained: bool, weights: WeightsSource, timm_kwargs: Mapping[str, Any]
    ) -> Trunk:
        return build_trunk(model_name, pretrained, weights, timm_kwargs)

    @property
    def has_weights(self) -> bool:
        """Whether the trunk's weights were read; True but for a backbone that reads them when training starts."""
        return True

    def require_weights(self, record: Record) -> None:
        """Read the trunk's weights from their source, if there is one and they still wait to be read.

        Args:
            record: trunk that is needed, for the message where they cannot be read.
        """

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        given = dict(state_dict)
        if prefix + RECORD in state_dict:
            put_back(self, state_dict, prefix)
        if not same_trunk(self, given, prefix):  # of a complete checkpoint, of tuned parameters, of another model
            self.trunk.origin = Origin()  # type: ignore[assignment]
        if self.shares_trunk:
            own_tensors(self.trunk, changed_by(self, state_dict, prefix))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _own_what_is_trained(self) -> None:
        """Give a shared trunk its own copies of the parameters that are trained, also of those unfrozen by now."""
        if self.shares_trunk:
            trained = {name for name, parameter in self.trunk.named_parameters() if parameter.requires_grad}
            own_tensors(self.trunk, trained - self._own_in_trunk)
            self._own_in_trunk |= trained

    def train(self, mode: bool = True) -> PromptedViT:
        """Set the mode of all that is learned; the trunk's own is ``trunk_mode`` while training.

        A folded model learns nothing and stays in eval mode.
        """
        mode = mode and self.folded is None
        super().train(mode)
        self.trunk.train(mode and self.trunk_mode == "train")
        return self

    def grid(self, images: Tensor) -> tuple[int, int]:
        """Return how many patches (h, w) images (B, 3, H, W) have, those that stick out included."""
        # not -(-side // patch): ONNX rounds quotients toward zero
        rows, columns = ((side + patch - 1) // patch for side, patch in zip(images.shape[2:], self.patch_size))
        return rows, columns

    def embed(self, images: Tensor) -> Embedded:
        """Turn images (B, 3, H, W) of any size into tokens (B, prefix + N, D); sides are padded right and below."""
        carried = 0 if self.prompts is None or self.carry is None else self.prompts.counts[self.carry]
        # timm pads to the same size, but torch.export cannot bound its formula
        (height, width), (rows, columns) = images.shape[2:], self.grid(images)
        images = F.pad(images, (0, columns * self.patch_size[1] - width, 0, rows * self.patch_size[0] - height))
        with self.precision.computing(images.device):
            embedded = self.embedding(self.trunk, images, carried)
        return embedded._replace(tokens=self.precision.stream(embedded.tokens))

    def walk(
        self, embedded: Embedded, prompted: bool = True, start: int = 0
    ) -> Iterator[tuple[Tensor, Optional[Tensor], Attended]]:
        """Run the blocks that are read one by one, yielding tokens, the block's prompts (M, D) and what attention did.

        Tokens are (B, prefix + N, D) until prompts are carried along, whose tokens then follow the patches'.

        Args:
            embedded: tokens that enter the first block that is run, and positions.
            prompted: see :meth:`encode`.
            start: first block that is run, counted from 0.
        """
        tokens, positions = embedded
        for i, (family, block, position) in enumerate(zip(self.families, self.trunk.blocks, positions)):
            if i < start:
                continue
            if i > self.last:
                return
            prompts, changes = self.joining(i, prompted)
            run: Callable[..., tuple[Tensor, Attended]] = prompted_block
            if prompts is not None and i == self.carry:
                run = carried_block
            run = through(block, run)
            if self.with_cp and torch.is_grad_enabled():
                run = partial(checkpoint, run, use_reentrant=False)
            entered = tokens
            with self.precision.computing(tokens.device):
                tokens, attended = run(family, block, tokens, prompts, changes, position)
                if prompted:
                    tokens = self.gated(i, entered, prompts, tokens)
            yield tokens, prompts, attended

    def patches(self, grid: tuple[int, int]) -> slice:
        """Return the places of a grid's patches among the tokens: after the prefix, before persistent prompts."""
        return slice(self.trunk.num_prefix_tokens, self.trunk.num_prefix_tokens + grid[0] * grid[1])

    def forward(self, images: Tensor) -> Features:
        """Encode images (B, 3, H, W); in training, with the records of the guided blocks.

        Raises:
            ValueError: training of prompts that still await their prototypes.
        """
        if self.training and self.prompts and self.prompts.awaits_prototypes:
            raise InputError(
                "prompts init='prototypes': no prototypes were taken yet. Set method=...+prototypes or "
                "custom_hooks=[dict(type='DataMeanInitHook')], or call davpt_seg.core.prototypes.prototypes(model, "
                "batches) before training"
            )
        return self.encode(images, record=self.training)

    def encode(self, images: Tensor, record: bool = False, prompted: bool = True) -> Features:
        """Encode images (B, 3, H, W), with or without records and prompts.

        Args:
            images: normalised with the constants of the weights.
            record: also return what the guided blocks did.
            prompted: with the prompts and adapters, or as the bare trunk (whose records lack what needs prompts: None).
        """
        if torch.is_grad_enabled():
            self._own_what_is_trained()
        guidance = self.guidance if record else None
        grid = self.grid(images)
        maps, records = {}, {}
        with nullcontext() if prompted else self.adapters.switched_off():
            embedded = self.embed(images)
            tokens = embedded.tokens
            for i, (following, prompts, attended) in enumerate(self.walk(embedded, prompted)):
                if guidance and i in guidance.blocks:
                    records[i] = guidance.record(i, tokens, attended, prompts, self.trunk, grid)
                tokens = following
                if i in self.out_indices and "maps" in self.outputs:
                    maps[i] = to_map(self.trunk, tokens[:, self.patches(grid)], images, grid, self.norm_maps)
            pooled = slice(self.trunk.num_prefix_tokens, None) if self.pool_prompts else self.patches(grid)
            class_token, mean_token = image_tokens(self.trunk, tokens, pooled, self.outputs)
        if guidance and guidance.class_means == "final":
            final = mean_token if class_token is None else class_token
            assert final is not None  # check_tokens refuses outputs without either
            records = {i: record._replace(final=final.detach()) for i, record in records.items()}
        return Features(
            class_token=class_token,
            mean_token=mean_token,
            maps=tuple(maps[i] for i in self.out_indices) if maps else (),
            records=tuple(records[i] for i in guidance.blocks) if guidance else (),
        )

    def _read(self) -> list[Tensor]:
        """Return what heads and metric losses read of an encoded image, of one pass over zeros."""
        size = self.trunk.patch_embed.img_size or self.patch_size
        weight = self.trunk.patch_embed.proj.weight
        features = self.encode(weight.new_zeros(1, weight.shape[1], *size), record=True)
        read = list(features.maps)
        for record in features.records:
            assert self.guidance is not None
            read += self.guidance.read(record)
        return read
