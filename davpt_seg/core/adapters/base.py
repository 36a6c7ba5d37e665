"""What a method that joins the trunk can be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Optional

from torch import Tensor, nn

from ..blocks import Trunk


class Adapter(nn.Module):
    """A method that adds learned parts to a frozen trunk; each says what it has, and the rest stays as here.

    Constructors take the trunk, ``depth``, the number of its blocks that are run (by default all), and what a config
    sets.

    Attributes:
        place: what it changes; two methods that change the same do not join.
    """

    place: ClassVar[str]

    def ffn(self, block: int) -> Optional[nn.Module]:
        """Return what takes a block's normalised FFN input and its FFN output, and gives another output, or None."""
        return None

    def key_value(self, block: int) -> Optional[Tensor]:
        """Return what joins a block's keys and values after projection, (n, heads, head_dim), or None."""
        return None

    def keep_initial(self) -> None:
        """Keep copies of what joins keys and values, for prompts that start at zero by an offset."""

    def initial_key_value(self, block: int) -> Optional[Tensor]:
        """Return the copy of what joined a block's keys and values at the start, or None."""
        return None

    def switch(self, on: bool) -> None:
        """Switch off, or on again, what changes the outputs of the trunk's own modules."""

    def merge(self, trunk: Trunk) -> bool:
        """Merge what was learned into the trunk's weights where possible; return whether nothing else is left."""
        return False


class Joined(nn.Module):
    """A learned change of what one module of the trunk returns; joins it as a forward hook, beside the trunk.

    Subclasses' ``forward`` takes the module's input and output, and returns the new output. It keeps no state, because
    gradient checkpointing calls it twice.
    """

    enabled = True

    def join(self, module: nn.Module) -> None:
        """Change the output of a module from now on."""
        module.register_forward_hook(JoinedHook(self))

    def leave(self, module: nn.Module) -> None:
        """Stop changing the module's output."""
        hooks = module._forward_hooks
        for key in [key for key, hook in hooks.items() if isinstance(hook, JoinedHook) and hook.joined is self]:
            del hooks[key]


class JoinedHook:
    """Forward hook that lets a :class:`Joined` change a module's output.

    A copy of the module alone (``copy.deepcopy(model.trunk)``) is changed by the same :class:`Joined`, and not by a
    copy of it that no model owns and no optimizer trains. A copy of the model has its own, see :meth:`rejoin`.

    Args:
        joined: the learned change.
    """

    def __init__(self, joined: Joined) -> None:
        self.joined = joined

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        """Return the changed output, or the module's own where the change is switched off."""
        return self.joined(inputs[0], output) if self.joined.enabled else output

    def __deepcopy__(self, memo: dict[int, Any]) -> JoinedHook:
        return JoinedHook(self.joined)

    @staticmethod
    def rejoin(copied: nn.Module, memo: Mapping[int, Any]) -> None:
        """Let modules that ``copy.deepcopy`` made be changed by the copies that are in its memo."""
        for module in copied.modules():
            for hook in module._forward_hooks.values():
                if isinstance(hook, JoinedHook):
                    hook.joined = memo.get(id(hook.joined), hook.joined)
