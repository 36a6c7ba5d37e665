"""Write the table of docs/trunks.md: ViTs of timm that prompts can join, found by building a small ViT of each name.

python tools/trunks_page.py            # writes the page's table
python tools/trunks_page.py --print    # prints it
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import timm
from timm.data import constants

from davpt_seg.core.blocks.refused import MODULES, refusal, refused_by_name
from davpt_seg.core.trunk import always
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

PAGE = Path(__file__).parents[1] / "docs" / "trunks.md"
BEGIN, END = "<!-- written by tools/trunks_page.py -->\n", "<!-- end -->\n"
SMALL: dict[str, Any] = dict(depth=1, embed_dim=96, num_heads=4)
# Families by a pattern of timm's names; a name belongs to the first pattern that it matches.
FAMILIES = {
    "DINOv3 (and EUPE's distillations)": r"_dinov3",
    "LingBot-Vision": r"_lingbot$",
    "EVA-02": r"eva02_\w+_patch14_\d+$",
    "EVA-02 CLIP, EVA CLIP": r"eva\w*_clip",
    "EVA": r"eva_",
    "Perception Encoder, core": r"vit_pe_core",
    "Perception Encoder, lang": r"vit_pe_lang",
    "Perception Encoder, spatial": r"vit_pe_spatial",
    "Sapiens 2": r"_sapiens2$",
    "RoPE-ViT (Naver)": r"_rope_(?:mixed_)?(?:ape_)?224$",
    "timm's own with RoPE": r"_rope_reg\d",
    "DINOv2, with registers or without": r"^vit_.*_dinov2$",
    "TIPSv2": r"_tipsv2$",
    "SigLIP, SigLIP 2": r"^vit_.*_siglip",
    "CLIP, MetaCLIP, DFN": r"^vit_.*_clip",
    "AIMv2": r"^aimv2",
    "RADIO": r"^vit_.*_radio",
    "InternViT": r"_intern",
    "FlexiViT": r"^flexivit",
    "BEiT-3": r"^beit3",
    "BEiT, BEiT v2": r"^beit",
    "DeiT, distilled": r"^deit_.*distilled",
    "DeiT": r"^deit_",
    "DeiT-III": r"^deit3_",
    "SAM": r"^samvit",
    "ViT-RelPos": r"relpos",
    "NaFlexViT": r"^naflexvit",
    "ViT hybrids": r"^vit_.*(?:_r(?:esnet)?\d|_mci_|_r_s\d)",
    "ViTamin": r"^vitamin",
    "CaiT": r"^cait",
    "XCiT": r"^xcit",
    "Hiera": r"^hiera",
    "ViT: AugReg, MAE, DINO, and timm's own": r"^vit_",
}
CONSTANTS = {
    (constants.IMAGENET_DEFAULT_MEAN, constants.IMAGENET_DEFAULT_STD): "ImageNet",
    (constants.IMAGENET_INCEPTION_MEAN, constants.IMAGENET_INCEPTION_STD): "0.5",
    (constants.OPENAI_CLIP_MEAN, constants.OPENAI_CLIP_STD): "CLIP",
    ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)): "0 and 1",
}


class Facts(NamedTuple):
    """Facts about a name for the page."""

    name: str
    reason: str
    prefix: Optional[int]
    patch: Optional[int]
    constants: frozenset[str]


def names() -> list[str]:
    """Return timm's names of plain ViTs and of their relatives."""
    modules = ("vision_transformer", "eva", "deit", "beit", *MODULES)
    found = {name for module in modules for name in timm.list_models(module=module)}
    return sorted(name for name in found if not name.startswith("test_"))


def family(name: str) -> str:
    """Return the family of a name."""
    return next((title for title, pattern in FAMILIES.items() if re.search(pattern, name)), "")


def facts(name: str) -> Facts:
    """Build a small model of a name and return its facts."""
    known = _constants(name)
    if reason := refused_by_name(name):
        return Facts(name, reason, None, None, known)
    trunk = _built(name)
    reason = refusal(trunk) or ""
    return Facts(name, reason, trunk.num_prefix_tokens, _patch(trunk), known)


def _patch(trunk: Any) -> Optional[int]:
    size = getattr(trunk.patch_embed, "patch_size", None)
    return None if size is None else size[0]


def _built(name: str) -> Any:
    try:
        return timm.create_model(name, **SMALL, **always(name))
    except AssertionError:  # Sapiens 2 names the heads of keys of each block
        return timm.create_model(name, **SMALL, **always(name), num_kv_heads=2)


def _constants(name: str) -> frozenset[str]:
    found = set()
    for weights in timm.list_pretrained(f"{name}.*"):
        cfg = timm.get_pretrained_cfg(weights)
        pair = (tuple(cfg.mean), tuple(cfg.std))
        found.add(CONSTANTS.get(pair) or f"{pair[0]} and {pair[1]}")
    return frozenset(found)


def rows(every: list[Facts]) -> Iterator[str]:
    """Yield the table's rows: supported ViTs first, both groups in the order of the families."""
    groups: dict[tuple[bool, int, str, str], list[Facts]] = {}
    titles = list(FAMILIES)
    for each in every:
        title = family(each.name)
        groups.setdefault((bool(each.reason), titles.index(title), title, each.reason), []).append(each)
    for (_, _, title, reason), members in sorted(groups.items()):
        patches = sorted({each.patch for each in members if each.patch})
        prefix = sorted({each.prefix for each in members if each.prefix is not None})
        cells = [
            title,
            _example([each.name for each in members]),
            f"no: {reason}" if reason else "yes",
            _listed(prefix),
            _listed(patches),
            _listed(sorted(frozenset[str]().union(*(each.constants for each in members)))),
        ]
        yield f"| {' | '.join(cells)} |"


def _example(members: list[str]) -> str:
    name = min(members, key=lambda member: ("base" not in member, "patch16_224" not in member, len(member), member))
    return f"`{name}`" + (f" ({len(members)})" if len(members) > 1 else "")


def _listed(values: list[Any]) -> str:
    return ", ".join(map(str, values)) or "-"


def table() -> str:
    """Return the page's table."""
    columns = ("family", "a name in timm (of how many)", "prompts join", "prefix tokens", "patch", "mean and std")
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|\n"
    return head + "".join(f"{row}\n" for row in rows([facts(name) for name in names()]))


def with_table(text: str, content: str) -> str:
    """Return a page's text with a new table between its marks."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}{content}{END}{rest.partition(END)[2]}"


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Write or print the table."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--print", action="store_true", help="print the table, and write nothing")
    if parser.parse_args(argv).print:
        print(table(), end="")
    else:
        PAGE.write_text(with_table(PAGE.read_text(), table()))


if __name__ == "__main__":
    main()
