"""Combination of methods of ``configs/_base_/methods`` into one that fits its trunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..core.adapters import check_adapters
from ..core.build import check_configs
from ..core.prompts.zero_start import check_start
from ..errors import InputError

PROXIES = 10  # default number of proxies, for guidance without prompts
DOUBLED = ("prompts", "guidance")  # a model has only one of each
#: Arguments that change the prompts of another method, and the methods that set them.
OF_PROMPTS = {"carry": "carried", "start": "zero_start", "init": "prototypes"}
LISTS = ("adapters", "tuned")  # these add up
SIZES = {"num_prompts": "key_value_prompts", "rank": "rank", "width": "width"}  # of adapters: arguments, their words
WEIGHTS = ("patch_weight", "cls_weight")  # of guidance: arguments, and words


def joined_methods(words: str, contents: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Join the contents of several methods' files into one.

    Args:
        words: methods as the user wrote them, ``lora+guidance``.
        contents: contents of the methods' config files, by name, in the order of the words. If two of them set the same
            value, the later one takes precedence, and methods that change another method's prompts take precedence
            over it.

    Raises:
        InputError: methods that cannot be joined, or one that needs another.
    """
    names = words.split("+")
    if len(contents) != len(names):
        raise InputError(f"method={words} names a method twice")
    for content in contents.values():
        own = content.get("model", {}).get("backbone", {})
        if not isinstance(own, Mapping):
            raise InputError(f"method={words}: model.backbone must be a dict, got {own!r}")
        for key in DOUBLED:
            if not isinstance(own.get(key, {}), Mapping):
                raise InputError(f"method={words}: {key} must be a dict, got {own[key]!r}")
    backbone: dict[str, Any] = {}
    joined: dict[str, Any] = dict(model=dict(backbone=backbone))
    brought: dict[str, str] = {}
    for name, content in sorted(contents.items(), key=lambda item: _is_way_of_prompts(item[1])):
        own = content.get("model", {}).get("backbone", {})
        for key in DOUBLED:
            if own.get(key, {}).keys() - OF_PROMPTS.keys():
                if key in brought:
                    raise InputError(
                        f"method={words}: {brought[key]} and {name} both set {key}, but a ViT has only one"
                    )
                brought[key] = name
        for key, value in own.items():
            if key in LISTS:
                backbone[key] = [*backbone.get(key, []), *(one for one in value if one not in backbone.get(key, []))]
            elif isinstance(value, Mapping):
                backbone[key] = {**backbone.get(key, {}), **value}
            else:
                backbone[key] = value
        hooks = content.get("custom_hooks", [])
        if hooks:
            joined["custom_hooks"] = [*joined.get("custom_hooks", []), *hooks]
        joined.update({key: value for key, value in content.items() if key not in ("model", "custom_hooks")})
    prompts = backbone.get("prompts", {})
    if prompts and "prompts" not in brought:
        lonely = next(name for key, name in OF_PROMPTS.items() if key in prompts)
        raise InputError(
            f"method={words}: {lonely} changes prompts: join it to a method that has prompts, vpt_deep+{lonely}"
        )
    if prompts and "num_prompts" not in prompts:
        raise InputError(f"method={words}: no model.backbone.prompts.num_prompts")
    if prompts.get("init") == "release" and prompts.get("start", "joint") != "joint":
        del prompts["init"]  # so small that few steps would change their direction, and end the zero start
    if prompts.get("init") != "release":
        prompts.pop("init_scale", None)
    try:
        check_start(prompts.get("start", "joint"), prompts.get("kind", "deep"), prompts.get("carry"))
        check_adapters(backbone.get("adapters", []))
    except InputError as error:
        raise InputError(f"method={words}: {error}") from error
    if set(backbone) == {"guidance"}:
        raise InputError(f"method={words}: guidance needs a method that trains the ViT: join it to one, lora+guidance")
    return joined


def fit_method(backbone: dict[str, Any], prompts: Optional[int] = None, guided: Optional[int] = None) -> None:
    """Fit a method to its trunk and to given numbers of prompts.

    A method written for 24 blocks keeps its last prompt counts. Guidance moves to the block of the persistent prompts.
    If guided blocks have no prompts, it gets proxies.

    Args:
        backbone: config of the backbone, changed in place; in our models, the last map is that of the last block.
        prompts: prompts in each block that is not guided; None: as in the method.
        guided: prompts in each guided block, or proxies; None: as in the method.
    """
    depth = max(backbone["out_indices"]) + 1
    own = backbone.get("prompts")
    guidance = backbone.get("guidance")
    if guidance and own and own.get("carry") is not None:
        guidance["blocks"] = [own["carry"]]
    blocks = [block % depth for block in guidance["blocks"]] if guidance else []
    if own:
        own["num_prompts"] = _counts(own, depth, blocks, prompts, guided)
    if guidance and not (own and _has_prompts(own, blocks)):
        guidance["num_prompts"] = PROXIES if guided is None else guided


def _counts(
    own: Mapping[str, Any], depth: int, blocks: Sequence[int], prompts: Optional[int], guided: Optional[int]
) -> Any:
    counts = own["num_prompts"]
    if own.get("kind", "deep") != "deep":
        return counts if prompts is None else prompts
    each = counts[-depth:] if isinstance(counts, list) else [counts] * depth
    asked = [guided if block in blocks else prompts for block in range(depth)]
    each = [count if number is None else number for count, number in zip(each, asked)]
    one_number = len(set(each)) == 1 and (prompts is not None or not isinstance(counts, list))
    return each[0] if one_number else each


def _has_prompts(own: Mapping[str, Any], blocks: Sequence[int]) -> bool:
    counts = own["num_prompts"]
    if own.get("kind", "deep") != "deep":
        return 0 in blocks
    return bool(counts[blocks[0]] if isinstance(counts, list) else counts)


def fit_values(backbone: dict[str, Any], values: Any) -> None:
    """Set the sizes and weights of a method; None keeps the value of its file.

    Args:
        backbone: config of the backbone, changed in place.
        values: values of the words, by name, or None.

    Raises:
        InputError: a number of prompts that no block would have, or values that the method does not take.
    """
    if "guidance" in backbone:
        guidance = backbone["guidance"]
        guidance.update({name: values[name] for name in WEIGHTS if values[name] is not None})
        if values["prompt_scale"] is not None:
            guidance["metric"] = {**guidance.get("metric", {}), "prompt_scale": values["prompt_scale"]}
    fit_method(backbone, values["prompts"], values["guided_prompts"])
    if values.typed("prompts") and _all_guided(backbone) and backbone["prompts"]["num_prompts"] != values["prompts"]:
        raise InputError(
            f"prompts={values['prompts']}: every block is guided here, so that no block has this number of prompts; "
            "set guided_prompts"
        )
    for adapter in backbone.get("adapters", []):
        adapter.update(
            {key: values[word] for key, word in SIZES.items() if key in adapter and values[word] is not None}
        )
    guidance = backbone.get("guidance")
    check_configs(backbone.get("prompts"), backbone.get("adapters", []), guidance and {**guidance, "num_classes": 1})


def _all_guided(backbone: Mapping[str, Any]) -> bool:
    depth = max(backbone["out_indices"]) + 1
    blocks = {block % depth for block in backbone.get("guidance", {}).get("blocks", ())}
    return blocks == set(range(depth)) and backbone["prompts"].get("kind", "deep") == "deep"


def brought(cfg: Mapping[str, Any]) -> set[str]:
    """Return the features of an experiment, for ``of`` of :class:`~davpt_seg.experiments.words.Word`."""
    backbone = cfg["model"]["backbone"]
    sizes = {SIZES[key] for adapter in backbone.get("adapters", []) for key in adapter if key in SIZES}
    return sizes | ({"prompts", "guidance"} & backbone.keys()) | ({"max_iters"} & cfg["train_cfg"].keys())


def _is_way_of_prompts(content: Mapping[str, Any]) -> bool:
    """Return whether a method changes the prompts of another, and has none itself."""
    prompts = content.get("model", {}).get("backbone", {}).get("prompts", {})
    return bool(prompts) and not prompts.keys() - OF_PROMPTS.keys()
