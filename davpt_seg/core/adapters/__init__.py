"""Methods that join the trunk beside prompts: LoRA, SSF, Adapter, AdaptFormer, E2VPT's key-value prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Optional, cast

from torch import Tensor, nn

from ...errors import InputError
from ..arguments import check_arguments
from ..blocks import Trunk
from .adapter import HoulsbyAdapter
from .adaptformer import AdaptFormer
from .base import Adapter
from .e2vpt import KeyValuePrompts
from .lora import LoRA
from .ssf import SSF

ADAPTERS: dict[str, type[Adapter]] = {
    "adapter": HoulsbyAdapter,
    "adaptformer": AdaptFormer,
    "key_value_prompts": KeyValuePrompts,
    "lora": LoRA,
    "ssf": SSF,
}


class Adapters(nn.ModuleDict):
    """All adapters of a trunk, by type.

    Args:
        trunk: the ViT that they join; its own parameters keep their names and whether they learn.
        depth: number of its blocks that are run; later ones get nothing. By default all.
        configs: one dict an adapter: its ``type``, a name of :data:`ADAPTERS`, and its arguments.

    Raises:
        ValueError: an unknown type or argument, or two adapters that change the same place.
    """

    def __init__(self, trunk: Trunk, configs: Sequence[Mapping[str, Any]], depth: Optional[int] = None) -> None:
        super().__init__()
        check_adapters(configs)
        for config in configs:
            arguments = {name: value for name, value in config.items() if name != "type"}
            self[config["type"]] = ADAPTERS[config["type"]](trunk, depth=depth, **arguments)

    def ffn(self, block: int) -> Optional[nn.Module]:
        """Return what changes a block's FFN output, or None; no two do (see :class:`Adapter`)."""
        return next((found for adapter in self._all() if (found := adapter.ffn(block)) is not None), None)

    def key_value(self, block: int) -> Optional[Tensor]:
        """Return what joins a block's keys and values, (n, heads, head_dim), or None."""
        return next((found for adapter in self._all() if (found := adapter.key_value(block)) is not None), None)

    def keep_initial(self) -> None:
        """Keep copies of what joins keys and values, for prompts that start at zero by an offset."""
        for adapter in self._all():
            adapter.keep_initial()

    def initial_key_value(self, block: int) -> Optional[Tensor]:
        """Return the copy of what joined a block's keys and values at the start, or None."""
        return next((found for adapter in self._all() if (found := adapter.initial_key_value(block)) is not None), None)

    @contextmanager
    def switched_off(self) -> Iterator[None]:
        """Let the trunk be as it was, for as long as the context lasts."""
        for adapter in self._all():
            adapter.switch(on=False)
        try:
            yield
        finally:
            for adapter in self._all():
                adapter.switch(on=True)

    def merge(self, trunk: Trunk) -> None:
        """Put into the trunk's weights what can be, and keep the rest."""
        for name, adapter in list(self.items()):
            if cast(Adapter, adapter).merge(trunk):
                del self[name]

    def _all(self) -> list[Adapter]:
        return [cast(Adapter, adapter) for adapter in self.values()]


def check_adapters(configs: Sequence[Mapping[str, Any]]) -> None:
    """See whether adapters are known, have their arguments, and join; nothing is built.

    Raises:
        ValueError: as :class:`Adapters` does.
    """
    if not isinstance(configs, (list, tuple)) or not all(isinstance(config, Mapping) for config in configs):
        raise InputError(f"adapters must be a list of dicts, got {configs!r}; write [dict(type='lora', rank=8)]")
    places: dict[str, str] = {}
    for config in configs:
        name = config.get("type")
        if not isinstance(name, str) or name not in ADAPTERS:
            raise InputError(f"adapters type must be one of {tuple(ADAPTERS)}, got {name!r}")
        check_arguments(ADAPTERS[name], config, f"adapter {name!r}", given=("trunk", "depth"), further=("type",))
        place = ADAPTERS[name].place
        if place in places:
            raise InputError(
                f"adapters {places[place]!r} and {name!r} both change {place}, and which comes first is not defined: "
                "choose one"
            )
        places[place] = name
