"""No argument is taken for what it is not: whatever is given, a sound module is built or the argument is named."""

from __future__ import annotations

import logging
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Optional, Union

import numpy as np
import pytest
import torch
from torch import nn

from davpt_seg.core import PromptedViT
from davpt_seg.core.annotations import Count, OneOf, Positive, Probability, Range
from davpt_seg.core.arguments import check_arguments, checked
from davpt_seg.errors import InputError

from .tiny import TINY

MUTATIONS: list[Any] = [
    *(None, math.nan, math.inf, -math.inf, -1, 0, 1e30, 10**30, np.float32("nan"), torch.tensor(-1.0)),
    *("False", "abc", "", [], {}, True, object(), [[1]], [None], ["abc", 1], {"a": 1}, {1: 2}, b"deep", {"deep"}),
]


def vit(**arguments: Any) -> PromptedViT:
    torch.manual_seed(0)
    return PromptedViT(**{"model_name": "vit_tiny_patch16_224", "timm_kwargs": TINY, **arguments})


PROMPTED: dict[str, Any] = dict(prompts=dict(num_prompts=2))
GUIDED: dict[str, Any] = dict(
    num_classes=3,
    blocks=[1],
    patch_weight=0.1,
    cls_weight=0.1,
    gather=True,
    mapping=dict(seed=1),
    labelling=dict(purity=0.6),
    metric=dict(prompt_scale=2.0),
)
METRIC = dict(
    kind="proxy_anchor", scale=32.0, margin=0.1, prompt_scale=1.0, divisor="all", prompt_side="query",
    token_side="attn_output", cls_side="attn_output", patch_tokens="each", image_token="class", cls_proxies="image",
)  # fmt: skip


def guided_by(group: str) -> Callable[..., PromptedViT]:
    return lambda **config: vit(**PROMPTED, guidance={"num_classes": 3, group: config})


#: Of each module: what builds a model with it, and a value for each of its arguments.
MODULES: dict[str, tuple[Callable[..., PromptedViT], dict[str, Any]]] = {
    "backbone": (
        vit,
        dict(
            model_name="vit_tiny_patch16_224", pretrained=False, weights=None, out_indices=[0, 1], norm_maps=False,
            outputs=["maps"], prompts=dict(num_prompts=2), adapters=[dict(type="ssf")], guidance=dict(num_classes=3),
            tuned=["blocks.*.norm1.bias"], frozen=True, trunk_mode="train", drop_path_rate=0.1, with_cp=False,
            timm_kwargs=TINY, pool_prompts=False,
        ),
    ),
    "prompts": (
        lambda **config: vit(prompts=config),
        dict(
            num_prompts=2, kind="deep", carry=None, start="offset", init="vpt", dropout=0.1, norm="none",
            segments=["10", "01"], init_scale=1.0,
        ),
    ),
    "gated prompts": (lambda **config: vit(prompts=config), dict(num_prompts=2, kind="gated", gate_start=-5.0)),
    "guidance": (lambda **config: vit(**PROMPTED, guidance=config), GUIDED),
    "guidance metric": (guided_by("metric"), METRIC),
    "guidance mapping": (guided_by("mapping"), dict(kind="dynamic", seed=0, class_means="patch")),
    "guidance labelling": (guided_by("labelling"), dict(labels="patch", purity=0.5, ignore_index=255)),
    "old guidance by proxies": (
        lambda **config: vit(guidance=config), dict(num_classes=3, num_prompts=2, metric="proxy_nca", scale=1.0)
    ),
    "old guidance by triplets": (
        lambda **config: vit(**PROMPTED, guidance=config), dict(num_classes=3, metric="triplet", margin=0.1)
    ),
    "adapter": (lambda **config: vit(adapters=[config]), dict(type="adapter", width=2)),
    "adaptformer": (
        lambda **config: vit(adapters=[config]), dict(type="adaptformer", width=2, scale=0.1, dropout=0.1)
    ),
    "key_value_prompts": (lambda **config: vit(adapters=[config]), dict(type="key_value_prompts", num_prompts=2)),
    "lora": (
        lambda **config: vit(adapters=[config]),
        dict(type="lora", rank=2, alpha=2.0, dropout=0.1, targets=["attn.qkv"]),
    ),
    "ssf": (lambda **config: vit(adapters=[config]), dict(type="ssf", std=0.02)),
}  # fmt: skip


def assert_sound(model: PromptedViT) -> None:
    """A training step's losses and gradients are finite."""
    features = model.train()(torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)))
    outputs = [*features.maps, *(token for token in (features.class_token, features.mean_token) if token is not None)]
    total = torch.stack([output.square().mean() for output in outputs]).sum()
    if model.guidance:
        whole = model.guidance.labelling.labels == "image"
        labels = torch.eye(2, model.guidance.num_classes).bool() if whole else torch.zeros(2, 32, 32, dtype=torch.long)
        total = total + sum(model.guidance(features.records, labels).values())
    assert total.isfinite()
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if learned:
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(total, learned))


def mutated(config: Mapping[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    for name in config:
        for value in MUTATIONS:
            yield name, value, {**config, name: value}


def wrong(build: Callable[..., PromptedViT], name: str, value: Any, config: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a mutated argument is refused; and what is wrong about the outcome, if anything is."""
    try:
        model = build(**config)
    except ValueError as error:
        return True, "" if re.search(rf"\b{name}\b", str(error)) else f"not named: {error}"
    except Exception as error:  # the claim is that no other kind comes out
        return True, f"{type(error).__name__}: {error}"
    try:
        assert_sound(model)
    except (AssertionError, RuntimeError) as error:
        return False, f"built, but {type(error).__name__}: {error}"
    return False, ""


def test_every_mutated_argument_gives_a_sound_model_or_is_named(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    counts = {True: 0, False: 0}
    problems = []
    for module, (build, valid) in MODULES.items():
        assert_sound(build(**valid))
        for name, value, config in mutated(valid):
            if name == "pretrained" and value is True:  # would ask the network
                continue
            refused, problem = wrong(build, name, value, config)
            counts[refused] += 1
            if problem:
                problems.append(f"{module} {name}={value!r}: {problem[:200]}")
    with capsys.disabled():
        print(f"\n{sum(counts.values())} mutated arguments: {counts[True]} refused, {counts[False]} built")
    assert not problems, "\n".join([f"{len(problems)} problems", *problems])
    assert counts[True] > 1000


@checked("module")
def module(
    count: Count = 1,
    scale: Positive = 1.0,
    dropout: Probability = 0.0,
    share: Annotated[float, Range(above=0, most=1)] = 0.5,
    std: Annotated[float, Range(least=0, most=1)] = 0.5,
    flag: bool = False,
    name: Annotated[str, OneOf(("a", "b"))] = "a",
    mode: Literal["x", "y"] = "x",
    indices: Sequence[int] = (),
    counts: Annotated[Union[Count, Sequence[Count]], "one for each block"] = 1,
    size: tuple[int, int] = (1, 1),
    config: Optional[Mapping[str, Any]] = None,
    net: Optional[nn.Module] = None,
    free: Any = None,
) -> dict[str, Any]:
    """A module with every kind of argument; returns them."""
    return locals()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 0, "module count must be an integer of at least 1, got 0"),
        ("count", 2.0, "module count must be an integer of at least 1, got 2.0"),
        ("count", True, "module count must be an integer of at least 1, got True"),
        ("count", "8", "module count must be an integer of at least 1, got '8'; write 8 without quotes"),
        ("scale", math.nan, "module scale must be a number above 0, got nan"),
        ("scale", math.inf, "module scale must be a number above 0, got inf; it must be finite"),
        ("dropout", 1, "module dropout must be a number of at least 0 and below 1, got 1"),
        ("share", 50, "module share must be a number above 0 and at most 1, got 50"),
        ("std", -1, "module std must be a number from 0 to 1, got -1"),
        ("flag", "False", "module flag must be True or False, got 'False'; write False without quotes"),
        ("flag", 0, "module flag must be True or False, got 0"),
        ("name", "c", "module name must be one of ('a', 'b'), got 'c'"),
        ("mode", "z", "module mode must be one of ('x', 'y'), got 'z'"),
        ("indices", 3, "module indices must be a list of integers, got 3; write [3]"),
        ("indices", "12", "module indices must be a list of integers, got '12'"),
        ("indices", [1, "a"], "module indices must be a list of integers, got [1, 'a']"),
        (
            "counts",
            [1, 0],
            "module counts must be an integer of at least 1 or a list of integers of at least 1, got [1, 0]; one for "
            "each block",
        ),
        ("size", [1], "module size must be 2 values: an integer, an integer, got [1]"),
        ("config", [1], "module config must be a dict of arguments or None, got [1]"),
        ("config", {1: 2}, "module config must be a dict of arguments or None, got {1: 2}"),
        ("net", 1, "module net must be a Module or None, got 1"),
        ("cuont", 1, "module has no argument 'cuont'; did you mean 'count' or 'counts'? Known: count, scale, "),
    ],
)
def test_messages_say_what_was_expected_and_what_to_write(name: str, value: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        module(**{name: value})
    assert str(error.value) == message or (name == "cuont" and str(error.value).startswith(message))
    if name != "cuont":
        with pytest.raises(InputError, match=re.escape(message)):
            check_arguments(module, {name: value}, "module")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("count", np.int64(3), 3),
        ("scale", 1, 1),
        ("scale", np.float32(0.5), 0.5),
        ("scale", torch.tensor(0.5), 0.5),
        ("flag", np.bool_(True), True),
        ("indices", np.array([1, 2]), [1, 2]),
        ("indices", (1, 2), (1, 2)),
        ("indices", range(2), [0, 1]),
        ("counts", [np.int32(2)], [2]),
        ("size", [1, 2], (1, 2)),
        ("config", {"a": 1}, {"a": 1}),
        ("free", b"anything", b"anything"),
    ],
)
def test_numbers_of_numpy_and_torch_and_lists_for_tuples_are_taken(name: str, value: Any, expected: Any) -> None:
    found = module(**{name: value})[name]
    assert found == expected and type(found) is type(expected)
    check_arguments(module, {name: value}, "module")


def test_a_missing_argument_is_named() -> None:
    with pytest.raises(InputError, match="prompts needs num_prompts"):
        vit(prompts=dict(kind="deep"))
    with pytest.raises(InputError, match="adapter 'adapter' needs width"):
        vit(adapters=[dict(type="adapter")])


def test_positional_arguments_are_checked_too_and_python_counts_them() -> None:
    with pytest.raises(InputError, match="module scale must be"):
        module(1, -1)
    with pytest.raises(TypeError, match="multiple values"):
        module(1, count=2)


def test_a_compiled_metric_loss_is_the_eager_one() -> None:
    from davpt_seg.core import ProxyAnchor

    generator = torch.Generator().manual_seed(0)
    proxies, tokens = torch.randn(3, 8, generator=generator), torch.randn(9, 8, generator=generator)
    positive = torch.arange(9)[:, None] % 3 == torch.arange(3)
    compiled = torch.compile(ProxyAnchor(), backend="eager")
    torch.testing.assert_close(compiled(proxies, tokens, positive), ProxyAnchor()(proxies, tokens, positive))


@pytest.mark.skipif(sys.version_info < (3, 10), reason="int | None is of Python 3.10")
def test_a_union_is_checked_however_it_is_written() -> None:
    @checked("Module")
    def new(size: int | None = None, kinds: list[str] | bool = False) -> tuple[Any, Any]:
        return size, kinds

    assert new(np.int64(3), ["a"]) == (3, ["a"])
    assert new(None, True) == (None, True)
    for name, value, said in (
        ("size", "3", "an integer or None"),
        ("kinds", [1], "a list of strings or True or False"),
    ):
        with pytest.raises(InputError, match=f"Module {name} must be {said}, got"):
            new(**{name: value})
