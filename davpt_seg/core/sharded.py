"""What a block that FSDP2 shards needs, and what it cannot do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from ..errors import InputError


def through(block: nn.Module, run: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``run``, a function that runs a block, as a forward pass of that block.

    The walk calls a block's submodules, and never ``block.forward``. FSDP2 gathers the parameters of a block that
    ``fully_shard`` was applied to before a forward pass, and frees them after it; so ``run`` becomes a method of the
    block that FSDP2 knows.

    Raises:
        InputError: a block inside FSDP1's wrapper.
    """
    if hasattr(block, "_fsdp_wrapped_module"):
        raise InputError(
            "FullyShardedDataParallel (FSDP1, MMEngine's FSDPStrategy) wraps single blocks of the ViT and flattens "
            "their parameters, so prompts cannot join them; shard them by davpt_seg.core.sharding.shard_blocks (FSDP2)"
        )
    if not hasattr(block, "unshard"):  # of FSDPModule, whose import takes a second
        return run
    if not hasattr(block, run.__name__):
        from torch.distributed.fsdp import register_fsdp_forward_method

        setattr(block, run.__name__, run)
        register_fsdp_forward_method(block, run.__name__)
    return getattr(block, run.__name__)


def require_complete(blocks: Iterable[nn.Module]) -> None:
    """Check that no block is sharded.

    Raises:
        InputError: one is.
    """
    if any(hasattr(block, "unshard") for block in blocks):
        raise InputError(
            "fold() needs complete parameters, and the blocks are sharded over processes; gather the model's state by "
            "torch.distributed.checkpoint.state_dict.get_model_state_dict, load it into a model that is not sharded, "
            "and fold that one"
        )
