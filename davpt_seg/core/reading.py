"""What of a model is read: its last block that is, and the parameters that reach an output or a loss."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Optional

import torch
from torch import Tensor, nn

from ..errors import InputError

OUTPUTS = ("class_token", "mean_token", "maps")
#: Unread parameters of models that were built, by their arguments and parameters; a pass takes a tenth of a second.
_UNREAD: dict[str, frozenset[str]] = {}
MOST_REMEMBERED = 64


def last_block_read(depth: int, outputs: Collection[str], out_indices: Sequence[int], guided: Sequence[int]) -> int:
    """Return the last block that an output or a guided block needs; later blocks change nothing."""
    if not outputs:
        raise InputError(f"outputs must name at least one of {OUTPUTS}")
    if set(outputs) - {"maps"}:  # both tokens leave the last block
        return depth - 1
    return max(*out_indices, *guided, 0)


def unread_block(block: int, last: int) -> str:
    """Describe why nothing of a block can learn."""
    return (
        f"block {block} reaches no output: the last block that out_indices, out_type or guidance reads is {last}, "
        "counted from 0, and later ones are not run"
    )


def check_tokens(
    outputs: Collection[str], pool_prompts: bool, carry: Optional[int], class_means: Optional[str]
) -> None:
    """Check that what reads a token of the last block finds it among the outputs.

    Args:
        outputs: what a forward pass computes.
        pool_prompts: the mean token averages prompts that stay in the sequence.
        carry: block whose prompts stay in it, or None.
        class_means: tokens whose class means guidance clusters, or None without guidance.

    Raises:
        InputError: it does not.
    """
    if pool_prompts and ("mean_token" not in outputs or carry is None):
        raise InputError(
            "pool_prompts=True averages the prompts of the sequence into the mean token: set out_type='avg_featmap' "
            "and let prompts stay in the sequence, prompts=dict(num_prompts=..., carry=-1)"
        )
    if class_means == "final" and not set(outputs) - {"maps"}:
        raise InputError(
            "guidance class_means='final' averages the token that a classifier reads, and this model returns maps: "
            "set out_type='cls_token' or 'avg_featmap', or mapping=dict(class_means='image')"
        )


def freeze_unread(
    model: nn.Module, read: Callable[[], Sequence[Tensor]], tuned: Mapping[str, Iterable[nn.Parameter]]
) -> None:
    """Freeze the learned parameters that no output and no metric loss depends on.

    A final norm is one where maps are read without it, and so is the FFN of a guided block after the last map. An
    optimizer could not move them, and DistributedDataParallel waits for their gradients.

    Args:
        model: complete but for its training.
        read: a method of the model that runs it, and returns all that heads and metric losses read.
        tuned: parameters that each tuned name made trainable.

    Raises:
        InputError: a tuned name of which nothing is left to train.
    """
    unread = _remembered(model, read)
    for name, parameter in model.named_parameters():
        if name in unread:
            parameter.requires_grad_(False)
    for name, parameters in tuned.items():
        if not any(parameter.requires_grad for parameter in parameters):
            raise InputError(
                f"tuned name {name!r} reaches no output, so it could not learn: omit it"
                + ("; maps pass the final norm with norm_maps=True" if name.startswith(("norm.", "fc_norm.")) else "")
            )


def _remembered(model: nn.Module, read: Callable[[], Sequence[Tensor]]) -> frozenset[str]:
    """Return :func:`unread_parameters`; of a second model with the same arguments and parameters, without a pass."""
    shapes = [(name, tuple(each.shape), each.requires_grad) for name, each in model.named_parameters()]
    key = repr((type(model), model.arguments, shapes))
    if key not in _UNREAD:
        if len(_UNREAD) >= MOST_REMEMBERED:
            _UNREAD.clear()
        _UNREAD[key] = frozenset(unread_parameters(model, read))
    return _UNREAD[key]


def unread_parameters(model: nn.Module, read: Callable[[], Sequence[Tensor]]) -> set[str]:
    """Return the names of learned parameters without a path to an output or a metric loss.

    Autograd's own graph is asked, of one pass on the meta device, which computes and stores no value.
    """
    learned = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not learned:
        return set()
    with torch.inference_mode(False), torch.enable_grad():
        state = {
            f"model.{name}": torch.empty_like(tensor, device="meta").requires_grad_(tensor.requires_grad)
            for name, tensor in chain(model.named_parameters(), model.named_buffers())
        }
        reached = _leaves(torch.func.functional_call(_Reader(model, read), state, ()))
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


class _Reader(nn.Module):
    """A model and its method as a forward pass, for ``functional_call``."""

    def __init__(self, model: nn.Module, read: Callable[[], Sequence[Tensor]]) -> None:
        super().__init__()
        self.model, self.read = model, read

    def forward(self) -> Sequence[Tensor]:
        return self.read()
