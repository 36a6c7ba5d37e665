"""A trunk that is larger than one card: its blocks sharded over processes by FSDP2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from ..errors import InputError
from .quantization import is_quantized


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


def shard_blocks(model: nn.Module, **options: Any) -> None:
    """Shard the blocks of each prompted ViT in a model over all processes, one FSDP2 unit a block.

    All else stays replicated: prompts, adapters, heads, and the trunk's embeddings and norms. Wrap the model in
    ``DistributedDataParallel`` next, which averages the gradients of what is learned and leaves the blocks to FSDP2.
    All processes must have loaded the same weights before. ``torch.distributed.checkpoint.state_dict`` saves them.

    Args:
        model: model on its device, complete with its weights.
        options: further arguments of ``torch.distributed.fsdp.fully_shard`` (``mesh``, ``offload_policy``, ...).

    Raises:
        InputError: a trunk in int8, whose weights are no parameters that FSDP2 could shard.
    """
    if is_quantized(model):
        raise InputError(
            "FSDP2 shards parameters, and the weights of an int8 trunk are buffers, so each card would keep them all: "
            "omit trunk_quantization (trunk_dtype='bfloat16' can be sharded)"
        )
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor
    from torch.nn.parallel import DistributedDataParallel

    from .inputs import BlockInputs

    for module in list(model.modules()):
        for block in module.trunk.blocks if isinstance(module, BlockInputs) else ():
            fully_shard(block, **{"reshard_after_forward": True, **options})  # by default a root keeps its parameters
    sharded = [name for name, parameter in model.named_parameters() if isinstance(parameter, DTensor)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, sharded)
