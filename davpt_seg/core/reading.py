"""What of a model is read: its last block that is, and the parameters that reach an output or a loss."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..errors import InputError

if TYPE_CHECKING:
    from .vit import Features, PromptedViT

OUTPUTS = ("class_token", "mean_token", "maps")


def last_block_read(depth: int, outputs: Collection[str], out_indices: Sequence[int], guided: Sequence[int]) -> int:
    """Return the last block that an output or a guided block needs; later blocks change nothing."""
    if not outputs:
        raise InputError(f"outputs must name at least one of {OUTPUTS}")
    if set(outputs) - {"maps"}:  # both tokens leave the last block
        return depth - 1
    return max(*out_indices, *guided, 0)


def unread_block(block: int, last: int) -> str:
    """Say why nothing of a block can learn."""
    return (
        f"block {block} reaches no output: the last block that out_indices, out_type or guidance reads is {last}, "
        "counted from 0, and later ones are not run"
    )


def freeze_unread(model: PromptedViT, tuned: Mapping[str, Iterable[nn.Parameter]]) -> None:
    """Freeze the learned parameters that no output and no metric loss depends on.

    A final norm is one where maps are read without it, and so is the FFN of a guided block after the last map. An
    optimizer could not move them, and DistributedDataParallel waits for their gradients.

    Args:
        model: complete but for its training.
        tuned: parameters that each tuned name made trainable.

    Raises:
        InputError: a tuned name of which nothing is left to train.
    """
    unread = unread_parameters(model)
    for name, parameter in model.named_parameters():
        if name in unread:
            parameter.requires_grad_(False)
    for name, parameters in tuned.items():
        if not any(parameter.requires_grad for parameter in parameters):
            raise InputError(
                f"tuned name {name!r} reaches no output, so it could not learn: omit it"
                + ("; maps pass the final norm with norm_maps=True" if name.startswith(("norm.", "fc_norm.")) else "")
            )


def unread_parameters(model: PromptedViT) -> set[str]:
    """Return the names of learned parameters without a path to an output or a metric loss.

    A token that leaves the last block depends on all of them. For maps alone, autograd's own graph is asked, of one
    pass on the meta device, which computes and stores no value.
    """
    learned = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not learned or set(model.outputs) - {"maps"}:
        return set()
    with torch.inference_mode(False), torch.enable_grad():
        state = {
            f"model.{name}": torch.empty_like(tensor, device="meta").requires_grad_(tensor.requires_grad)
            for name, tensor in chain(model.named_parameters(), model.named_buffers())
        }
        like = next(iter(state.values()))
        channels = model.trunk.patch_embed.proj.in_channels
        images = torch.empty(1, channels, *_image_size(model), dtype=like.dtype, device="meta")
        features = torch.func.functional_call(_Encoder(model), state, (images,))
        reached = _leaves(_read(model, features))
    return {name for name in learned if id(state[f"model.{name}"]) not in reached}


def _leaves(tensors: Iterable[Tensor]) -> set[int]:
    """Return the ids of the leaf tensors that tensors were computed from."""
    found = {id(tensor) for tensor in tensors if tensor.is_leaf}
    waiting = [tensor.grad_fn for tensor in tensors]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        found.add(id(getattr(node, "variable", None)))  # of a node that accumulates a leaf's gradient
        waiting += [following for following, _ in node.next_functions]
    return found


class _Encoder(nn.Module):
    """A model's ``encode`` as a forward pass, for ``functional_call``."""

    def __init__(self, model: PromptedViT) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Features:
        return self.model.encode(images, record=True)


def _image_size(model: PromptedViT) -> tuple[int, int]:
    size = model.trunk.patch_embed.img_size
    return (model.patch_size[0], model.patch_size[1]) if size is None else (size[0], size[1])


def _read(model: PromptedViT, features: Features) -> list[Tensor]:
    """Return what heads and metric losses read."""
    guidance, read = model.guidance, list(features.maps)
    for record in features.records:
        assert guidance is not None and record.prompts is not None
        if guidance.patch_weight:
            read += [record.prompts, record.tokens]
        if guidance.cls_weight:
            assert record.image_token is not None
            read += [record.prompts, record.image_token]
    return read
