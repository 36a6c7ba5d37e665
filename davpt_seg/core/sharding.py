"""A trunk that is larger than one card: its blocks sharded over processes by FSDP2."""

from __future__ import annotations

from typing import Any

from torch import nn

from ..errors import InputError
from .inputs import BlockInputs
from .quantization import is_quantized


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

    for module in list(model.modules()):
        for block in module.trunk.blocks if isinstance(module, BlockInputs) else ():
            fully_shard(block, **{"reshard_after_forward": True, **options})  # by default a root keeps its parameters
    sharded = [name for name, parameter in model.named_parameters() if isinstance(parameter, DTensor)]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, sharded)
