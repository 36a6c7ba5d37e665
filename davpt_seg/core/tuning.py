"""Which parameters of the backbone are trained: chosen by exact name, reported as a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Optional

import torch
from torch import Tensor, nn

from ..errors import InputError, nearest
from .arguments import checked
from .blocks import APART, Trunk, family_of
from .quantization import int8_values
from .reading import unread_block

PROJECTIONS = ("query", "key", "value")


class ProjectionBiases(nn.Module):
    """Learned offsets on the biases of a block's single projections, starting at zero.

    It is the same whether the trunk has a fused ``qkv`` or three layers, with biases or without.

    DA-VPT (arXiv 2505.23694), Sec. 3.5, "efficient bias": DA-VPT+ trains those of key and value. A bias on every key
    shifts all of a query's scores alike and softmax cancels it, so a key bias has a zero gradient unless the trunk
    normalises its keys (qk-norm) or rotates them (RoPE), or has keys that no bias is added to (E2VPT's key-value
    prompts); it is here because the paper names it. As offsets, weight decay draws them to the pre-trained biases, not
    to zero.
    """

    def __init__(self) -> None:
        super().__init__()
        self.offsets = nn.ParameterDict()
        self.sizes: dict[int, tuple[int, int, int]] = {}

    def add(self, block: int, projection: str, sizes: tuple[int, int, int]) -> nn.Parameter:
        """Train the bias of one projection of one block, whose three have ``sizes``; return it."""
        size = sizes[PROJECTIONS.index(projection)]
        offset = self.offsets[f"{block}_{projection}"] = nn.Parameter(torch.zeros(size))
        self.sizes[block] = sizes
        return offset

    def forward(self, block: int) -> Optional[Tensor]:
        """Return the offset on a block's biases, queries', keys' and values', or None where nothing is trained."""
        if block not in self.sizes:
            return None
        keys = [f"{block}_{projection}" for projection in PROJECTIONS]
        like = next(self.offsets[key] for key in keys if key in self.offsets)
        return torch.cat(
            [
                self.offsets[key] if key in self.offsets else like.new_zeros(size)
                for key, size in zip(keys, self.sizes[block])
            ]
        )


@checked("tuned")
def tune(
    trunk: Trunk, biases: ProjectionBiases, names: Sequence[str], last: Optional[int] = None
) -> dict[str, list[nn.Parameter]]:
    """Make the named parameters of a frozen timm ViT trainable.

    Args:
        trunk: the ViT, with ``blocks``.
        biases: takes the offsets of ``blocks.N.attn.{query,key,value}_bias``, however timm keeps these.
        names: parameter names of the trunk, exact; ``*`` is every block that is run: ``blocks.*.norm1.weight``. Where a
            trunk has several layers in place of ``attn.qkv`` or ``mlp.fc1``, these names mean all of them, and
            ``attn.qkv.bias`` means offsets on all three projections where ``qkv`` has no bias.
        last: the last block that is run, counted from 0; by default the last of all.

    Returns:
        The parameters that each name made trainable.

    Raises:
        ValueError: a string instead of a list, a name that no parameter has, with the nearest ones that exist, or a
            parameter of a block that is not run.
    """
    made: dict[str, list[nn.Parameter]] = {}
    known: dict[str, nn.Parameter] = dict(trunk.named_parameters())
    virtual = {f"blocks.{i}.attn.{p}_bias": (i, p) for i in range(len(trunk.blocks)) for p in PROJECTIONS}
    for name in names:
        matches = _matches(name, [*known, *virtual])
        if not matches:
            shapes = sorted({re.sub(r"\.\d+\.", ".*.", full) for full in [*known, *virtual]})
            listing = f"all names, with * for the block number: {', '.join(shapes)}"
            hint = nearest(name, [*shapes, *known, *virtual], listing)
            raise InputError(f"tuned name {name!r} is no parameter of the backbone; {hint}")
        run = [match for match in matches if last is None or _block(match) <= last]
        if not run:
            raise InputError(f"tuned name {name!r}: {unread_block(_block(matches[0]), last or 0)}")
        made[name] = [known[match] if match in known else _offset(trunk, biases, *virtual[match]) for match in run]
        for parameter in made[name]:
            parameter.requires_grad_(True)
    return made


def _matches(name: str, known: Sequence[str]) -> list[str]:
    """Return the known names that a name means, in the order of ``known``."""
    ways = [[name]]
    if name.endswith(".attn.qkv.bias"):
        ways.append([name.replace("qkv.bias", f"{projection}_bias") for projection in PROJECTIONS])
    else:
        ways += [[name.replace(layer, part) for part in parts] for layer, parts in APART.items() if layer in name]
    for way in ways:
        pattern = "|".join(re.escape(each).replace(r"\*", r"\d+") for each in way)
        matches = [full for full in known if re.fullmatch(pattern, full)]
        if matches:
            return matches
    return []


def _offset(trunk: Trunk, biases: ProjectionBiases, block: int, projection: str) -> nn.Parameter:
    own = trunk.blocks[block]
    return biases.add(block, projection, family_of(own).sizes(own))


def _block(name: str) -> int:
    """Return the block that a parameter is of, or -1 for none."""
    found = re.match(r"blocks\.(\d+)\.", name)
    return int(found[1]) if found else -1


def trained_table(module: nn.Module, title: str = "Trained parameters") -> str:
    """List what of a module is trained, a line for each kind of parameter in all blocks, with counts and shares."""
    total = sum(p.numel() for p in module.parameters()) + int8_values(module)
    groups: dict[tuple[str, tuple[int, ...]], int] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            key = (re.sub(r"(?<=[._])\d+(?=[._]|$)", "*", name), tuple(parameter.shape))
            groups[key] = groups.get(key, 0) + 1
    rows = [(name, f"{n} x {list(shape)}", n * torch.Size(shape).numel()) for (name, shape), n in groups.items()]
    width = max([len(name) for name, _, _ in rows] + [7])
    trained = sum(count for _, _, count in rows)
    lines = [f"{title}: {trained:,} of {total:,} ({100 * trained / max(total, 1):.3f} %)"]
    lines += [f"  {name:{width}}  {shape:>20}  {count:>12,}" for name, shape, count in rows]
    return "\n".join(lines)
