"""The frozen ViT against timm's own forward passes, on images of any size, in every mode."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.features import crop_to_extent
from davpt_seg.errors import InputError

from .tiny import TINY, TRAITS, tiny_vit

UNEVEN = [(20, 37), (24, 33), (33, 8), (5, 3), (63, 50)]  # sides that a patch of 8 does not divide


@pytest.fixture(autouse=True)
def seeded_and_offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))


def build(model_name: str = "vit_tiny_patch16_224", depth: int = 1, **kwargs: Any) -> PromptedViT:
    """A ViT as small as can be, for what is refused before it runs."""
    timm_kwargs = dict(TINY, embed_dim=8, depth=depth, num_heads=2, **kwargs.pop("timm_kwargs", {}))
    return PromptedViT(model_name, timm_kwargs=timm_kwargs, **kwargs)


@pytest.mark.parametrize("norm_maps", [False, True])
@pytest.mark.parametrize("size", [(32, 32), (24, 40), (64, 8)])
@pytest.mark.parametrize("trait", TRAITS)
def test_without_prompts_it_is_timms_own_vit(trait: str, size: tuple[int, int], norm_maps: bool) -> None:
    model = tiny_vit(timm_kwargs=TRAITS[trait], out_indices=(1, 0, -1), norm_maps=norm_maps)
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    ours, trunk = model(images), model.trunk.eval()
    last, (first_map, second_map) = trunk.forward_intermediates(images, indices=[0, 1], norm=norm_maps)
    for mine, timms in zip(ours.maps, (second_map, first_map, second_map)):
        if (
            norm_maps
        ):  # timm's ViTs of pooled patches have their final norm after the pooling, where it is per token too
            timms = trunk.fc_norm(timms.movedim(1, -1)).movedim(-1, 1)
        torch.testing.assert_close(mine, timms, rtol=0, atol=1e-10)
    if trunk.has_class_token:
        torch.testing.assert_close(ours.class_token, trunk.fc_norm(last[:, 0]), rtol=0, atol=1e-10)
    else:
        assert ours.class_token is None


@pytest.mark.parametrize("trait", ["plain", "no_class_token"])
def test_normed_maps_are_a_layer_norm_of_each_patch(trait: str) -> None:
    model = tiny_vit(timm_kwargs=TRAITS[trait])
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    raw = model(images).maps[0]
    model.norm_maps = True
    norm = model.trunk.norm if trait == "plain" else model.trunk.fc_norm
    expected = F.layer_norm(raw.movedim(1, -1), (32,), norm.weight, norm.bias, norm.eps).movedim(-1, 1)
    torch.testing.assert_close(model(images).maps[0], expected, rtol=0, atol=1e-10)


def sample(maps: Tensor, height: float, width: float) -> Tensor:
    """The first height x width cells of maps, stretched to their full size by torch's own bilinear sampling."""
    grids = []
    for size, extent in ((maps.shape[3], width), (maps.shape[2], height)):  # x, then y
        centres = (torch.arange(size, dtype=maps.dtype) + 0.5) * extent / size  # cell edges are at whole numbers
        grids.append(2 * centres / size - 1)
    grid = torch.stack(torch.meshgrid(grids[0], grids[1], indexing="xy"), dim=-1).expand(len(maps), -1, -1, -1)
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)


@pytest.mark.parametrize("size", [*UNEVEN, (32, 32), (24, 40)])
@pytest.mark.parametrize("trait", ["plain", "registers", "no_class_token"])
def test_maps_of_any_image_cover_it_exactly(trait: str, size: tuple[int, int]) -> None:
    model = tiny_vit(timm_kwargs=TRAITS[trait])
    images = torch.randn(2, 3, *size, dtype=torch.float64)
    (ours,) = model(images).maps
    assert ours.shape == (2, 32, -(-size[0] // 8), -(-size[1] // 8))
    _, (padded,) = model.trunk.eval().forward_intermediates(images, indices=[1])  # timm pads right and below
    torch.testing.assert_close(ours, sample(padded, size[0] / 8, size[1] / 8), rtol=0, atol=1e-5)
    if size not in UNEVEN:
        assert torch.equal(ours, padded)


@pytest.mark.parametrize("shape", [(5, 4), (1, 7), (9, 9)])
def test_maps_without_padding_are_handed_back_untouched(shape: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, *shape)
    assert crop_to_extent(maps, *map(float, shape)) is maps


def test_maps_have_one_type_under_autocast_whether_padded_or_not() -> None:
    model = tiny_vit(prompts=dict(num_prompts=2)).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        types = {model(torch.randn(1, 3, *size)).maps[0].dtype for size in ((32, 32), (30, 32))}
    assert len(types) == 1


@pytest.mark.parametrize("extent", [(4.25, 6.5), (4.01, 7.0), (5.0, 6.125), (4.9, 6.9)])
def test_a_ramp_over_the_pixels_stays_that_ramp(extent: tuple[float, float]) -> None:
    patch, (rows, columns) = 8, (5, 7)
    y = patch * (torch.arange(rows, dtype=torch.float64) + 0.5)  # each cell holds the mean of its pixels
    x = patch * (torch.arange(columns, dtype=torch.float64) + 0.5)
    maps = (3 * y[:, None] - 2 * x)[None, None]
    y, x = y * extent[0] / rows, x * extent[1] / columns  # where the new cells' centres lie in the image
    expected = 3 * y[:, None] - 2 * x
    inside = (y >= patch / 2)[:, None] & (x >= patch / 2)  # no cell centre lies nearer to the border
    ours = crop_to_extent(maps, *extent)[0, 0]
    assert inside.sum() >= (rows - 1) * (columns - 1)
    torch.testing.assert_close(ours[inside], expected[inside], rtol=0, atol=1e-4)


def test_frozen_is_frozen_bit_for_bit() -> None:
    tuned = ["blocks.*.attn.value_bias", "blocks.1.norm2.bias", "cls_token"]
    model = tiny_vit(prompts=dict(num_prompts=3), guidance=dict(num_classes=5), tuned=tuned).float().train()
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.5)
    for _ in range(3):
        optimizer.zero_grad()
        features = model(torch.randn(2, 3, 32, 32))
        labels = torch.randint(5, (2, 4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
        task = features.maps[0].square().mean() + features.class_token.square().mean()
        (task + sum(model.guidance(features.records, labels).values())).backward()
        optimizer.step()
    changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == {
        *("prompts.values.0", "prompts.values.1", "biases.offsets.0_value", "biases.offsets.1_value"),
        *("trunk.blocks.1.norm2.bias", "trunk.cls_token"),
    }
    assert len(before) > 30


DROPS = ["drop_path_rate", "proj_drop_rate", "attn_drop_rate", "pos_drop_rate"]


def bare_twin(model: PromptedViT) -> PromptedViT:
    """The same weights without prompts and drops."""
    twin = tiny_vit()
    twin.trunk.load_state_dict(model.trunk.state_dict())
    return twin


def twice(model: PromptedViT, images: Tensor) -> tuple[Tensor, Tensor]:
    return model(images).maps[0], model(images).maps[0]


@pytest.mark.parametrize("drop", DROPS)
def test_the_trunk_drops_in_training_if_its_mode_says_so_and_never_in_eval(drop: str) -> None:
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    if drop == "drop_path_rate":  # timm's rates of two blocks: 0 and this
        model = tiny_vit(trunk_mode="train", drop_path_rate=0.5)
    else:
        model = tiny_vit(trunk_mode="train", timm_kwargs={drop: 0.5})
    first, second = twice(model.train(), images)
    assert (first - second).abs().max() > 1e-3
    kept, again = twice(model.eval(), images)
    assert torch.equal(kept, again)
    torch.testing.assert_close(kept, bare_twin(model)(images).maps[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("drop", DROPS[1:])
def test_the_trunk_drops_nothing_in_training_by_default(drop: str) -> None:
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64)
    model = tiny_vit(timm_kwargs={drop: 0.5}, prompts=dict(num_prompts=4)).train()
    first, second = twice(model, images)
    assert torch.equal(first, second)
    assert model.training and model.prompts.training and not any(m.training for m in model.trunk.modules())
    assert torch.equal(first, model.eval()(images).maps[0])
    assert not model.prompts.training


def test_prompt_dropout_is_on_in_training_whatever_the_trunks_mode() -> None:
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    model = tiny_vit(prompts=dict(num_prompts=20, dropout=0.5))
    first, second = twice(model.train(), images)
    assert (first - second).abs().max() > 1e-3
    assert torch.equal(*twice(model.eval(), images))


def test_bare_encoding_ignores_the_prompts() -> None:
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    model = tiny_vit(prompts=dict(num_prompts=5))
    bare = bare_twin(model)(images)
    assert torch.equal(model.encode(images, prompted=False).maps[0], bare.maps[0])
    assert (model(images).maps[0] - bare.maps[0]).abs().max() > 1e-3


@pytest.mark.parametrize("trait", ["plain", "registers", "no_class_token"])
def test_records_hold_the_patches_without_class_token_and_registers(trait: str) -> None:
    guidance = dict(num_classes=4, metric=dict(token_side="input"), cls_weight=0.0)
    model = tiny_vit(timm_kwargs=TRAITS[trait], prompts=dict(num_prompts=2), guidance=guidance).train()
    prefix = {"plain": 1, "registers": 4, "no_class_token": 0}[trait]
    images = torch.randn(2, 3, 20, 37, dtype=torch.float64)
    assert model.embed(images).tokens.shape == (2, prefix + 3 * 5, 32)
    features = model(images)
    assert features.records[0].tokens.shape == (2, 3 * 5, 32)
    assert (features.records[0].image_token is None) is (trait == "no_class_token")


REAL = {  # patch, width, has a class token
    "vit_small_patch14_dinov2": (14, 384, True),
    "vit_small_patch14_reg4_dinov2": (14, 384, True),
    "deit3_small_patch16_224": (16, 384, True),
    "deit_tiny_distilled_patch16_224": (16, 192, True),
    "vit_base_patch16_clip_224": (16, 768, True),
    "vit_base_patch16_siglip_224": (16, 768, False),
    "vit_medium_patch16_gap_256": (16, 512, False),
    "vit_small_patch16_36x1_224": (16, 384, True),
}


@pytest.mark.parametrize("name", REAL)
def test_real_models_keep_timms_names_and_take_any_image(name: str) -> None:
    patch, width, has_class_token = REAL[name]
    model = PromptedViT(
        name,
        out_indices=(0, -1),
        prompts=dict(num_prompts=3),
        guidance=dict(num_classes=5, cls_weight=0.05 * has_class_token),
        timm_kwargs=dict(depth=2),
    ).train()
    with torch.device("meta"):
        own = {key: value.shape for key, value in timm.create_model(name, depth=2).named_parameters()}
    ours = {key: value.shape for key, value in model.trunk.named_parameters()}
    heads = ("head", "head_dist", "attn_pool")
    assert ours == {key: shape for key, shape in own.items() if key.partition(".")[0] not in heads}
    features = model(torch.randn(1, 3, 60, 44))
    rows, columns = -(-60 // patch), -(-44 // patch)
    assert [tuple(each.shape) for each in features.maps] == [(1, width, rows, columns)] * 2
    assert features.records[0].tokens.shape == (1, rows * columns, width)
    assert (features.class_token is not None) is has_class_token
    losses = model.guidance(
        features.records, torch.randint(5, (1, 6, 5)).repeat_interleave(10, 1).repeat_interleave(9, 2)[:, :, :44]
    )
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize(
    "name",
    ["resnet18", "swin_tiny_patch4_window7_224", "no_such_model", "vit_tiny_r_s16_p8_224", "samvit_base_patch16"],
)
def test_other_kinds_of_models_are_refused_by_name(name: str) -> None:
    """Those near to plain ViTs, each with its reason, are in ``blocks/test_names.py``."""
    with pytest.raises(InputError, match=f"model_name '{name}'"):
        PromptedViT(name)


def test_a_drop_path_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"drop_path_rate=0\.1 does nothing with trunk_mode='eval'; set 'train'"):
        build(drop_path_rate=0.1)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match=r"trunk_mode must be one of \('eval', 'train'\), got 'frozen'"):
        build(trunk_mode="frozen")


@pytest.mark.parametrize("indices", [(2,), (0, -3), (), (11,)])
def test_out_indices_beyond_the_blocks_are_refused(indices: tuple[int, ...]) -> None:
    with pytest.raises(
        ValueError, match=rf"out_indices \[{', '.join(map(str, indices))}\]: the ViT has 2 blocks, 0 to 1"
    ):
        build(depth=2, out_indices=indices)


@pytest.mark.parametrize("blocks", [(2,), (0, -3), ()])
def test_guided_blocks_beyond_the_blocks_are_refused(blocks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"guided blocks \[.*\]: the ViT has 2 blocks, 0 to 1"):
        build(depth=2, prompts=dict(num_prompts=2), guidance=dict(num_classes=3, blocks=blocks))


@pytest.mark.parametrize(
    ("prompts", "blocks", "counts"),
    [
        (None, (-1,), r"\{2: 0\}"),
        (dict(num_prompts=0), (1,), r"\{1: 0\}"),
        (dict(num_prompts=[0, 2, 2]), (0, 1), r"\{0: 0, 1: 2\}"),
        (dict(num_prompts=[1, 2, 2]), (0, 2), r"\{0: 1, 2: 2\}"),
    ],
)
def test_guided_blocks_without_prompts_or_with_unequal_ones_are_refused(
    prompts: dict[str, Any], blocks: tuple[int, ...], counts: str
) -> None:
    with pytest.raises(ValueError, match=rf"guided blocks must have prompts, the same number each.*{counts}"):
        build(depth=3, prompts=prompts, guidance=dict(num_classes=3, blocks=blocks))


def test_unguided_blocks_may_have_other_numbers_of_prompts() -> None:
    model = build(depth=3, prompts=dict(num_prompts=[0, 2, 2]), guidance=dict(num_classes=3, blocks=(1, 2)))
    assert model.guidance.blocks == (1, 2) and model.guidance.mapping.num_prompts == 2


def test_a_class_token_loss_without_class_token_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"guidance needs a class token, and this ViT has none; set metric=dict.image_token=.mean"
    ):
        build(timm_kwargs=TRAITS["no_class_token"], prompts=dict(num_prompts=2), guidance=dict(num_classes=3))


def test_two_sources_of_weights_are_refused() -> None:
    with pytest.raises(ValueError, match=r"pretrained=True and weights='some\.pth' are two sources"):
        build(pretrained=True, weights="some.pth")


def test_random_weights_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    build()
    assert "vit_tiny_patch16_224 starts from random weights (neither pretrained nor weights is set)" in caplog.text


def test_pretrained_without_a_network_says_what_to_do() -> None:
    with pytest.raises(
        InputError, match=r"'vit_tiny_patch16_224\.augreg_in21k' could not be downloaded.*weights='path/to"
    ):
        PromptedViT("vit_tiny_patch16_224.augreg_in21k", pretrained=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            dict(pretrained="vit.pth"),
            r"pretrained must be True or False, got 'vit.pth'; a file goes to weights='vit.pth'",
        ),
        (dict(out_indices=0), r"out_indices must be a list of integers, got 0; write \[0\]"),
        (dict(prompts=10), r"prompts must be a dict of arguments, got 10; write dict\(num_prompts=...\)"),
        (dict(prompts=dict(num_prompts=3.0)), r"num_prompts must be an integer of at least 0 or .* got 3.0"),
        (dict(prompts=dict(num_prompts=None)), r"num_prompts must be an integer of at least 0 or .* got None"),
        (dict(prompts=dict(num_prompts=3), guidance=True), r"guidance must be a dict of arguments, got True"),
        (
            dict(prompts=dict(num_prompts=3), guidance=dict(num_classes=3, blocks=-1)),
            r"guidance blocks must be a list of integers, got -1; write \[-1\]",
        ),
        (
            dict(prompts=dict(num_prompts=3), guidance=dict(num_classes=0)),
            r"guidance num_classes must be an integer of at least 1, got 0",
        ),
        (
            dict(prompts=dict(num_prompts=3), guidance=dict(num_classes=3, patch_weight=-1)),
            r"guidance patch_weight must be a number of at least 0, got -1",
        ),
        (
            dict(prompts=dict(num_prompts=3), guidance=dict(num_classes=3, metric=dict(scale=0.0))),
            r"guidance metric 'proxy_anchor' scale must be a number above 0, got 0.0",
        ),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**arguments)
