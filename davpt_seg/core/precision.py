"""The frozen trunk in half precision: how it is stored, and how it computes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Optional

import torch
from torch import Tensor, nn

from ..errors import InputError, some

TRUNK_DTYPES = ("float32", "bfloat16", "float16")


class Precision:
    """Store the linear and convolution layers of a frozen trunk in one type, and compute as autocast in it does.

    These layers hold 99 % of a ViT. Its norms, layer scales, class token and position embeddings stay float32, as the
    residual stream and all that is learned do. Autocast converts the same layers at each call, so outputs and
    gradients equal, bit for bit, those of a float32 trunk under ``torch.autocast`` of that type.

    Args:
        name: a type of :data:`TRUNK_DTYPES`; ``float32`` changes nothing.
    """

    def __init__(self, name: str = "float32") -> None:
        self.half: Optional[torch.dtype] = None if name == "float32" else getattr(torch, name)

    def store(self, trunk: nn.Module) -> None:
        """Convert the layers of a trunk, in place."""
        for module in trunk.modules():
            if self.half is not None and isinstance(module, (nn.Linear, nn.Conv2d)):
                for parameter in module.parameters(recurse=False):
                    parameter.data = parameter.data.to(self.half)

    def computing(self, device: torch.device) -> AbstractContextManager:
        """Return the context in which the trunk computes on a device; it takes precedence over one around it."""
        return nullcontext() if self.half is None else torch.autocast(device.type, dtype=self.half)

    def stream(self, tokens: Tensor) -> Tensor:
        """Return tokens in the type of the residual stream."""
        return tokens if self.half is None else tokens.to(torch.promote_types(tokens.dtype, torch.float32))


def require_frozen(trunk: nn.Module, argument: str) -> None:
    """Check that no parameter of a trunk is trained.

    Args:
        trunk: the ViT.
        argument: argument that needs this, for the message.

    Raises:
        InputError: one is.
    """
    trained = [name for name, parameter in trunk.named_parameters() if parameter.requires_grad]
    if trained:
        raise InputError(
            f"{argument} is for a frozen trunk, because small steps of an optimizer would be rounded away; trained are "
            f"{some(trained)}. Omit {argument.partition('=')[0]} (--amp computes in low precision and keeps the "
            "weights in float32), or omit frozen=False and these tuned names; LoRA, adapters and prompts fit, and of "
            "biases the offsets 'blocks.*.attn.query_bias', 'key_bias' and 'value_bias'"
        )


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Return a context in which tensors of a device keep their types.

    Where autocast is not on, it is none at all: programs of ``torch.export`` with such contexts cannot be read back.
    """
    kind = device.type
    is_on = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)  # the meta device has none
    return torch.autocast(kind, enabled=False) if is_on else nullcontext()
