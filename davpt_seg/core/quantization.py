"""The frozen trunk in int8: its linear layers' weights, each output channel with a scale, by torchao."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from ..errors import InputError
from ..packages import install

QUANTIZATIONS = ("int8",)


class Int8Linear(nn.Linear):
    """A frozen linear layer whose weight is stored in int8; its input, its output and its bias are not.

    Rounding is symmetric with one scale per output channel, ``scale = max |w| / 127.5``, so that a weight moves by at
    most half a scale (and a channel's largest positive one by one half more). Int8 values and scales are buffers, which
    checkpoints hold; a floating-point ``weight`` of another checkpoint is rounded when it is loaded. Layers become of
    this class in place, by :func:`quantize`, and keep their hooks.
    """

    weight_int8: Tensor
    weight_scale: Tensor

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The weight as torchao's tensor, (outputs, inputs)."""
        block = [1, self.in_features]
        return require_torchao().Int8Tensor(self.weight_int8, self.weight_scale, block, self.weight_scale.dtype)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        weight = state_dict.pop(f"{prefix}weight", None)
        if weight is not None:
            state_dict.update({f"{prefix}{name}": value for name, value in _rounded(weight).items()})
        super()._load_from_state_dict(state_dict, prefix, *args)


def quantize(trunk: nn.Module) -> None:
    """Turn the linear layers of a frozen trunk into :class:`Int8Linear`, in place.

    Raises:
        InputError: torchao is missing.
    """
    for module in trunk.modules():
        if type(module) is nn.Linear:
            rounded = _rounded(module.weight)
            del module.weight
            module.__class__ = Int8Linear
            for name, value in rounded.items():
                module.register_buffer(name, value)


def is_quantized(module: nn.Module) -> bool:
    """Return whether a module has int8 layers."""
    return any(isinstance(part, Int8Linear) for part in module.modules())


def int8_values(module: nn.Module) -> int:
    """Return the number of weights in int8, which are no parameters."""
    return sum(part.weight_int8.numel() for part in module.modules() if isinstance(part, Int8Linear))


def names_as_in(state: Collection[str], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a model's tensors by the names that they have in a state dict, which may hold int8 layers as floats."""
    own = dict(own)
    for name in [name for name in own if name.endswith(".weight_int8") and name.removesuffix("_int8") in state]:
        own[name.removesuffix("_int8")] = own.pop(name)
        del own[name.removesuffix("int8") + "scale"]
    return own


def require_torchao() -> Any:
    """Return ``torchao.quantization``.

    Raises:
        InputError: torchao is missing, or older than its ``Int8Tensor``.
    """
    try:
        from torchao import quantization
    except ImportError:
        quantization = None
    if not hasattr(quantization, "Int8Tensor"):
        raise InputError(
            f"trunk_quantization='int8' needs torchao 0.18 or newer, which is not installed: {install('torchao')}, "
            "or set trunk_dtype='bfloat16', which needs no package and halves the ViT's memory"
        )
    return quantization


def _rounded(weight: Tensor) -> dict[str, Tensor]:
    """Round a weight (outputs, inputs); return int8 values and scales (outputs, 1), float32, as buffers by name."""
    torchao = require_torchao()
    found = torchao.Int8Tensor.from_hp(weight.detach().float(), torchao.PerRow())
    return dict(weight_int8=found.qdata, weight_scale=found.scale)
