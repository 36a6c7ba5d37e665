"""The two metric losses against Eq. 4 in loops, and their sides against timm's weights by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Optional

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor

from davpt_seg.core import Features, Guidance, GuidedRecord, Labelling, Metric, PromptedViT, Sharing
from davpt_seg.core.build import read_guidance
from davpt_seg.core.guidance.losses import METRICS

from ..tiny import TRAITS, tiny_vit

B, D, PATCH, GRID = 3, 16, (4, 4), (3, 2)
VOID = 255
SHARING = {"many classes": (7, [0, 2, 2, 1, 0, 1, 2], 3), "few classes": (3, None, 5)}  # C, prompt of each class, M


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def spoken(num_classes: int, prompt_of_class: Optional[list[int]], num_prompts: int) -> list[set[int]]:
    """Classes that each prompt speaks for."""
    if prompt_of_class is None:
        return [{prompt % num_classes} for prompt in range(num_prompts)]
    return [{c for c in range(num_classes) if prompt_of_class[c] == prompt} for prompt in range(num_prompts)]


def guide(sharing: str, **kwargs: Any) -> Guidance:
    num_classes, prompt_of_class, num_prompts = SHARING[sharing]
    metric = {**dict(scale=3.0, margin=0.2), **kwargs.pop("metric", {})}
    config = dict(kwargs, num_classes=num_classes, num_prompts=num_prompts, blocks=kwargs.get("blocks", (0,)))
    guidance = Guidance(embed_dim=D, **read_guidance(dict(config, metric=metric), PATCH))
    if prompt_of_class is not None:
        guidance.mapping.prompt_of_class.copy_(torch.tensor(prompt_of_class))
    return guidance.double()


def record(sharing: str, images: int = B) -> GuidedRecord:
    shapes = ((SHARING[sharing][2], D), (images, GRID[0] * GRID[1], D), (images, D))
    return GuidedRecord(*(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes), grid=GRID)


def label_maps(sharing: str, images: int = B) -> tuple[Tensor, list[list[Optional[int]]], list[set[int]]]:
    """Pixel labels, with the label of each patch and the classes of each image that they were made from."""
    num_classes = SHARING[sharing][0]
    pixels = torch.full((images, GRID[0] * PATCH[0], GRID[1] * PATCH[1]), VOID)
    majority: list[list[Optional[int]]] = [[] for _ in range(images)]
    for image in range(images):
        for patch in range(GRID[0] * GRID[1]):
            y, x = PATCH[0] * (patch // GRID[1]), PATCH[1] * (patch % GRID[1])
            cell = pixels[image, y : y + PATCH[0], x : x + PATCH[1]]
            label, other = torch.randperm(num_classes)[:2].tolist()
            cell[:3], cell[3] = label, other if patch % 2 else VOID  # 12 of 16 pixels
            if patch in (2, 5):
                cell[1:3] = VOID  # now 4 of 16, or 4 against 4
            majority[image].append(None if patch in (2, 5) else label)
    present = [set(image.unique().tolist()) - {VOID} for image in pixels]
    return pixels, majority, present


def equation_4(
    proxies: Tensor, samples: Tensor, same: Sequence[Sequence[Optional[bool]]], scale: float, margin: float
) -> float:
    """Eq. 4, pair by pair; ``same[i][k]`` of sample i and proxy k is None where the pair counts nowhere."""
    pull = push = pulling = 0.0
    for k, proxy in enumerate(proxies.detach()):
        positive = negative = 0.0
        for i, sample in enumerate(samples.detach()):
            cosine = float(proxy @ sample / proxy.norm() / sample.norm())
            if same[i][k] is True:
                positive += math.exp(-scale * (cosine - margin))
            elif same[i][k] is False:
                negative += math.exp(scale * (cosine + margin))
        pulling += any(row[k] is True for row in same)
        pull += math.log(1 + positive)
        push += math.log(1 + negative)
    return pull / pulling + push / len(proxies)


@pytest.mark.parametrize("sharing", SHARING)
def test_patch_loss_is_equation_4_over_the_patches_of_the_batch(sharing: str) -> None:
    one, (pixels, majority, _) = record(sharing), label_maps(sharing)
    speaks_for = spoken(*SHARING[sharing])
    same = [
        [None if label is None else label in classes for classes in speaks_for] for image in majority for label in image
    ]
    assert any(None in row for row in same)
    losses = guide(sharing, patch_weight=0.7)([one], pixels)
    expected = 0.7 * equation_4(one.prompts, one.tokens.flatten(0, 1), same, scale=3.0, margin=0.2)
    assert losses["loss_metric_patch"].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("sharing", SHARING)
def test_class_token_loss_is_equation_4_with_every_present_classs_prompt_as_positive(sharing: str) -> None:
    one, (pixels, _, present) = record(sharing), label_maps(sharing)
    pixels[2][pixels[2] != 1] = VOID  # one image of a single class
    present[2] = {1}
    same = [[bool(classes & image) for image in present] for classes in spoken(*SHARING[sharing])]
    assert max(sum(row[image] for row in same) for image in range(B)) > 1
    assert not all(row[2] for row in same)
    losses = guide(sharing, cls_weight=0.7)([one], pixels)
    expected = 0.7 * equation_4(one.image_token, one.prompts, same, scale=3.0, margin=0.2)
    assert losses["loss_metric_cls"].item() == pytest.approx(expected, rel=1e-9)


def test_a_class_of_a_few_pixels_is_present_though_it_labels_no_patch() -> None:
    one, pixels = record("many classes"), torch.zeros(B, 12, 8, dtype=torch.long)
    guidance = guide("many classes")
    without = guidance([one], pixels)
    pixels[1, 5, 5] = 3
    with_it = guidance([one], pixels)
    assert torch.equal(with_it["loss_metric_patch"], without["loss_metric_patch"])
    assert not torch.isclose(with_it["loss_metric_cls"], without["loss_metric_cls"])


def test_an_image_of_nothing_but_void_gets_no_gradient() -> None:
    one, (pixels, _, _) = record("many classes"), label_maps("many classes")
    pixels[1] = VOID
    sum(guide("many classes")([one], pixels).values()).backward()
    for gradient in (one.image_token.grad, one.tokens.grad):
        assert not gradient[1].any() and gradient[0].any() and gradient[2].any()


@pytest.mark.parametrize(
    "loss",
    [
        "loss_metric_patch",
        "loss_metric_cls",
    ],
)
def test_an_image_of_nothing_but_void_counts_nowhere(loss: str) -> None:
    one, pixels = record("many classes"), torch.zeros(B, 12, 8, dtype=torch.long)
    pixels[1], pixels[2] = VOID, 3
    guidance, rest = guide("many classes"), [0, 2]
    fewer = GuidedRecord(one.prompts, one.tokens[rest], one.image_token[rest], GRID)
    with_it, without = guidance([one], pixels)[loss], guidance([fewer], pixels[rest])[loss]
    torch.testing.assert_close(with_it, without, rtol=1e-9, atol=0)


@pytest.mark.parametrize(("purity", "labelled"), [(0.75, True), (0.8, False)])
def test_patches_are_labelled_from_the_purity_on(purity: float, labelled: bool) -> None:
    pixels = torch.full((B, 12, 8), VOID)
    pixels[1, :3, :4] = 5  # 12 of the first patch's 16 pixels
    labels, present = guide("many classes", labelling=dict(purity=purity)).targets([record("many classes")], pixels)
    expected = torch.full((B, 6), VOID)
    expected[1, 0] = 5 if labelled else VOID
    assert torch.equal(labels, expected)
    assert present.nonzero().tolist() == [[1, 5]]


def test_a_batch_of_nothing_but_void_gives_zero_losses_and_zero_gradients() -> None:
    one = record("many classes")
    guidance = guide("many classes")
    losses = guidance([one], torch.full((B, 12, 8), VOID))
    assert losses["loss_metric_patch"] == 0 and losses["loss_metric_cls"] == 0
    sum(losses.values()).backward()
    assert not any(tensor.grad.any() for tensor in one[:3])
    assert guidance.mapping.class_counts.sum() == 0


def test_losses_are_the_mean_over_guided_blocks_times_their_weights() -> None:
    records, (pixels, _, _) = [record("many classes") for _ in range(3)], label_maps("many classes")
    single = [guide("many classes", patch_weight=1.0, cls_weight=1.0)([one], pixels) for one in records]
    losses = guide("many classes", patch_weight=0.3, cls_weight=2.0)(records, pixels)
    for name, weight in (("loss_metric_patch", 0.3), ("loss_metric_cls", 2.0)):
        assert losses[name].item() == pytest.approx(weight * sum(each[name].item() for each in single) / 3, rel=1e-12)


@pytest.mark.parametrize(("beta", "lamda"), [(0.0, 0.05), (0.05, 0.0), (0.0, 0.0), (0.05, 0.05)])
def test_a_weight_of_zero_leaves_its_loss_out(beta: float, lamda: float) -> None:
    losses = guide("many classes", patch_weight=beta, cls_weight=lamda)(
        [record("many classes")], label_maps("many classes")[0]
    )
    assert list(losses) == ["loss_metric_patch"] * (beta > 0) + ["loss_metric_cls"] * (lamda > 0)


def test_scale_margin_and_prompt_scale_reach_both_losses_and_the_divisor_that_of_patches() -> None:
    one, (pixels, _, _) = record("many classes"), label_maps("many classes")
    pixels[pixels == 3] = VOID  # class 3 and 5 are all that prompt 1 speaks for
    pixels[pixels == 5] = VOID
    pixels[0] = VOID
    plain = guide("many classes")([one], pixels)
    for other in (dict(scale=4.0), dict(margin=0.3), dict(prompt_scale=5.0)):
        changed = guide("many classes", metric=other)([one], pixels)
        assert all(not torch.isclose(changed[name], plain[name]) for name in plain), other
    changed = guide("many classes", metric=dict(divisor="all"))([one], pixels)
    assert not torch.isclose(changed["loss_metric_patch"], plain["loss_metric_patch"])
    # each labelled image has a class, and each class a prompt: both divisors are the number of labelled images
    assert torch.isclose(changed["loss_metric_cls"], plain["loss_metric_cls"])


@pytest.mark.parametrize("metric", ["proxy_nca", "triplet"])
def test_another_metric_is_given_the_same_pairs(metric: str) -> None:
    one, (pixels, majority, present) = record("many classes"), label_maps("many classes")
    num_classes, prompt_of_class, num_prompts = SHARING["many classes"]
    labelling, compared = Labelling(PATCH, num_classes), Metric(METRICS[metric]())
    guidance = Guidance((0,), num_prompts, D, labelling, Sharing(), compared, 0.7, 0.3).double()
    guidance.mapping.prompt_of_class.copy_(torch.tensor(prompt_of_class))
    speaks_for = spoken(*SHARING["many classes"])
    flat = [label for image in majority for label in image]
    known = [i for i, label in enumerate(flat) if label is not None]
    same = torch.tensor([[flat[i] in classes for classes in speaks_for] for i in known])
    of_images = torch.tensor([[bool(classes & image) for image in present] for classes in speaks_for])
    losses = guidance([one], pixels)
    patch = 0.7 * METRICS[metric]()(one.prompts, one.tokens.flatten(0, 1)[known], same, ~same).total
    torch.testing.assert_close(losses["loss_metric_patch"], patch)
    torch.testing.assert_close(
        losses["loss_metric_cls"], 0.3 * METRICS[metric]()(one.image_token, one.prompts, of_images, ~of_images).total
    )
    assert patch > 0


def test_a_static_or_random_mapping_needs_no_class_means_of_training() -> None:
    for mapping in ("static", "random"):
        guidance = guide("many classes", mapping=dict(kind=mapping))
        guidance([record("many classes")], label_maps("many classes")[0])
        assert guidance.mapping.class_counts.sum() == 0


def test_statistics_are_means_over_guided_blocks_and_leave_the_losses_as_they_are() -> None:
    records, (pixels, _, _) = [record("many classes") for _ in range(2)], label_maps("many classes")
    plain = guide("many classes")(records, pixels)
    measured = guide("many classes")(records, pixels, statistics=True)
    assert all(torch.equal(measured[name], value) for name, value in plain.items())
    extra = {name: value for name, value in measured.items() if name not in plain}
    assert sorted(extra) == ["patch_cos_negative", "patch_cos_positive", "patch_labelled", "patch_nearest_right"]
    single = [guide("many classes")([one], pixels, statistics=True) for one in records]
    for name, value in extra.items():
        assert value.item() == pytest.approx(sum(one[name].item() for one in single) / 2)
    assert not torch.isclose(single[0]["patch_cos_positive"], single[1]["patch_cos_positive"])
    assert extra["patch_labelled"] == pytest.approx(4 / 6)  # patches 2 and 5 of the 6 are void


@pytest.mark.parametrize("metric", ["proxy_anchor", "proxy_nca", "triplet"])
def test_parts_are_means_over_guided_blocks_whose_sum_is_the_loss(metric: str) -> None:
    records, (pixels, _, _) = [record("many classes") for _ in range(2)], label_maps("many classes")
    num_classes, prompt_of_class, num_prompts = SHARING["many classes"]
    labelling, compared = Labelling(PATCH, num_classes), Metric(METRICS[metric]())
    guidance = Guidance((0, 1), num_prompts, D, labelling, Sharing(), compared, 0.3, 0.2).double()
    guidance.mapping.prompt_of_class.copy_(torch.tensor(prompt_of_class))
    plain, found = guidance(records, pixels), guidance(records, pixels, parts=True)
    assert all(torch.equal(found[name], value) for name, value in plain.items())
    assert set(found) - set(plain) == {f"metric_{of}_{part}" for of in ("patch", "cls") for part in ("pull", "push")}
    for of in ("patch", "cls"):
        pull, push = found[f"metric_{of}_pull"], found[f"metric_{of}_push"]
        assert not pull.requires_grad and not push.requires_grad
        torch.testing.assert_close(pull + push, found[f"loss_metric_{of}"].detach())


def test_autocast_does_not_narrow_the_losses() -> None:
    one, (pixels, _, _) = record("few classes"), label_maps("few classes")
    one = GuidedRecord(*(tensor.float() for tensor in one[:3]), grid=GRID)
    plain = guide("few classes").float()([one], pixels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = guide("few classes").float()([one], pixels)
    assert all(torch.equal(mixed[name], plain[name]) and plain[name].dtype == torch.float32 for name in plain)


def test_the_last_guided_blocks_patches_are_gathered_where_classes_outnumber_prompts() -> None:
    records, (pixels, majority, _) = [record("many classes") for _ in range(2)], label_maps("many classes")
    guidance = guide("many classes", patch_weight=0.0, cls_weight=0.0)  # gathered all the same
    guidance(records, pixels)
    labels = torch.tensor([VOID if label is None else label for image in majority for label in image])
    assert guidance.mapping.class_counts.tolist() == [(labels == c).sum() for c in range(7)]
    tokens = records[-1].tokens.detach().flatten(0, 1)
    for c in labels.unique().tolist():
        if c != VOID:
            torch.testing.assert_close(guidance.mapping.class_means[c], tokens[labels == c].mean(0))
    few = guide("few classes")
    few([record("few classes")], label_maps("few classes")[0])
    assert few.mapping.class_counts.sum() == 0


def hand_block(block: Block, tokens: Tensor, prompts: Tensor, offset: Optional[Tensor]) -> tuple[Tensor, dict, dict]:
    """One block from timm's weights alone: what it puts out, and every side of its prompts and of its tokens."""
    heads, width = block.attn.num_heads, block.attn.qkv.in_features
    bias = block.attn.qkv.bias if offset is None else block.attn.qkv.bias + offset
    layer_norm = lambda x, norm: F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)  # noqa: E731

    def sides(x: Tensor) -> dict[str, Tensor]:
        x = layer_norm(x, block.norm1)
        found = {"input": x}
        for i, name in enumerate(("query", "key", "value")):
            rows = slice(i * width, (i + 1) * width)
            projected = x @ block.attn.qkv.weight[rows].T + bias[rows]
            norm = {"query": block.attn.q_norm, "key": block.attn.k_norm}.get(name)
            if isinstance(norm, torch.nn.LayerNorm):
                projected = layer_norm(projected.unflatten(-1, (heads, -1)), norm).flatten(-2)
            found[name] = projected
        return found

    of_tokens, of_prompts = {**sides(tokens), "block_input": tokens}, {**sides(prompts), "prompt": prompts}
    keys, values = (
        torch.cat([of_tokens[name], of_prompts[name].expand(len(tokens), -1, -1)], 1).unflatten(-1, (heads, -1))
        for name in ("key", "value")
    )
    scores = torch.einsum("bqhd,bkhd->bhqk", of_tokens["query"].unflatten(-1, (heads, -1)), keys)
    weights = (scores / math.sqrt(width / heads)).softmax(-1)
    of_tokens["attn_output"] = torch.einsum("bhqk,bkhd->bqhd", weights, values).flatten(-2)
    tokens = tokens + block.ls1(block.attn.proj(of_tokens["attn_output"]))
    return tokens + block.ls2(block.mlp(block.norm2(tokens))), of_prompts, of_tokens


def guided_vit(trait: str = "plain", **guidance: Any) -> PromptedViT:
    config = dict(num_classes=4, blocks=(0, -1), cls_weight=0.0 if trait == "no_class_token" else 0.05)
    names = [f"blocks.*.attn.{p}_bias" for p in ("query", "key", "value")]
    model = tiny_vit(
        timm_kwargs=TRAITS[trait], prompts=dict(num_prompts=3), guidance={**config, **guidance}, tuned=names
    )
    with torch.no_grad():
        for offset in model.biases.parameters():
            offset.normal_()
    return model.train()


SIDES = [
    ("query", "attn_output", "attn_output"),  # the paper
    ("prompt", "block_input", "query"),  # the released code
    ("key", "query", "input"),
    ("value", "key", "value"),
    ("query", "value", "key"),
    ("key", "input", "block_input"),
]


@pytest.mark.parametrize(("prompt_side", "token_side", "cls_side"), SIDES)
@pytest.mark.parametrize("trait", TRAITS)
def test_each_side_is_what_timms_weights_give_by_hand(
    trait: str, prompt_side: str, token_side: str, cls_side: str
) -> None:
    model = guided_vit(trait, metric=dict(prompt_side=prompt_side, token_side=token_side, cls_side=cls_side))
    images = torch.randn(2, 3, 24, 40, dtype=torch.float64)
    tokens, prefix = model.embed(images).tokens, model.trunk.num_prefix_tokens
    records = model(images).records
    assert len(records) == 2
    for i, ours in enumerate(records):
        tokens, of_prompts, of_tokens = hand_block(
            model.trunk.blocks[i], tokens, model.prompts.values[str(i)], model.biases(i)
        )
        close = dict(rtol=0, atol=1e-10)
        torch.testing.assert_close(ours.prompts, of_prompts[prompt_side], **close)
        assert ours.tokens.shape == (2, 15, 32)
        torch.testing.assert_close(ours.tokens, of_tokens[token_side][:, prefix:], **close)
        if trait == "no_class_token":
            assert ours.image_token is None
        else:
            torch.testing.assert_close(ours.image_token, of_tokens[cls_side][:, 0], **close)


@pytest.mark.parametrize("norm", ["l2", "layer"])
def test_the_raw_prompt_side_is_what_enters_the_block(norm: str) -> None:
    model = tiny_vit(
        prompts=dict(num_prompts=3, norm=norm, dropout=0.5),
        guidance=dict(num_classes=4, metric=dict(prompt_side="prompt")),
    ).train()
    torch.manual_seed(1)
    (one,) = model(torch.randn(1, 3, 32, 32, dtype=torch.float64)).records
    torch.manual_seed(1)
    torch.randn(1, 3, 32, 32, dtype=torch.float64)
    assert torch.equal(one.prompts, [model.prompts(i) for i in range(2)][1])


@pytest.mark.parametrize("loss", ["loss_metric_patch", "loss_metric_cls"])
@pytest.mark.parametrize("prompt_side", ["query", "key", "value", "prompt"])
def test_gradients_reach_the_prompts_of_every_guided_block(prompt_side: str, loss: str) -> None:
    model = guided_vit(metric=dict(prompt_side=prompt_side, scale=2.0))  # at 32, pairs that fit already feel nothing
    features = model(torch.randn(2, 3, 32, 32, dtype=torch.float64))
    labels = torch.randint(4, (2, 4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    model.guidance(features.records, labels)[loss].backward()
    assert all(values.grad.norm(dim=1).min() > 1e-6 for values in model.prompts.values.values())
    assert all(p.grad is None for p in model.trunk.parameters())


@pytest.mark.parametrize(
    ("blocks", "expected"), [((0, 1), [0, 1]), ((-2, -1), [0, 1]), ((-1,), [1]), ((0,), [0]), (None, [1])]
)
def test_guided_blocks_are_counted_from_either_end(blocks: Optional[tuple[int, ...]], expected: list[int]) -> None:
    guidance = dict(num_classes=4, metric=dict(prompt_side="prompt"), **{} if blocks is None else dict(blocks=blocks))
    model = tiny_vit(prompts=dict(num_prompts=3), guidance=guidance).train()
    records = model(torch.randn(1, 3, 32, 32, dtype=torch.float64)).records
    assert len(records) == len(expected)
    for i, one in zip(expected, records):
        assert torch.equal(one.prompts, model.prompts.values[str(i)])


def test_records_are_made_in_training_or_on_request_only() -> None:
    model = guided_vit()
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    assert len(model(images).records) == 2
    assert model.eval()(images).records == ()
    recorded: Features = model.encode(images, record=True)
    assert torch.equal(recorded.maps[0], model(images).maps[0]) and len(recorded.records) == 2
    bare = model.encode(images, record=True, prompted=False).records
    assert all(one.prompts is None and one.tokens.shape == (1, 16, 32) for one in bare)


def test_labels_and_patches_meet_on_padded_images_with_oblong_patches() -> None:
    model = tiny_vit(
        timm_kwargs=dict(patch_size=(8, 4)), prompts=dict(num_prompts=3), guidance=dict(num_classes=9)
    ).train()
    images = torch.randn(2, 3, 21, 30, dtype=torch.float64)
    labels = torch.full((2, 21, 30), VOID)
    labels[1, 16:, 24:28] = 6  # 5 of the 8 rows of the last patch but one, in the padded bottom row
    labels, present = model.guidance.targets(model(images).records, labels)
    assert labels.shape == (2, 3 * 8) and (labels != VOID).nonzero().tolist() == [[1, 2 * 8 + 6]]
    assert labels[1, 22] == 6 and present.nonzero().tolist() == [[1, 6]]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            dict(metric=dict(prompt_side="attn_output")),
            r"prompt_side must be one of \('query', 'key', 'value', 'prompt'\), got 'attn_",
        ),
        (
            dict(metric=dict(token_side="prompt")),
            r"token_side must be one of \('attn_output', .*'block_input'\), got 'prompt'",
        ),
        (
            dict(metric=dict(cls_side="class_token")),
            r"cls_side must be one of \('attn_output', .*'block_input'\), got 'class_token'",
        ),
        (dict(metric=dict(divisor="none")), r"divisor must be one of \('positive', 'all'\), got 'none'"),
        (dict(labelling=dict(purity=0.0)), r"purity must be a number above 0 and at most 1, got 0\.0"),
        (dict(labelling=dict(purity=1.5)), r"purity must be a number above 0 and at most 1, got 1\.5"),
        (dict(labelling=dict(ignore_index=0)), r"ignore_index 0 is one of the 7 classes"),
        (dict(labelling=dict(labels="pixel")), r"labels must be one of \('patch', 'image'\), got 'pixel'"),
        (
            dict(mapping=dict(kind="learned")),
            r"mapping kind must be one of \('dynamic', 'static', 'random'\), got 'learned'",
        ),
        (dict(metric=dict(kind="triplet")), r"'scale' is no argument of metric 'triplet'"),
        (
            dict(patch_wieght=1.0),
            r"guidance has no argument 'patch_wieght'; did you mean 'patch_weight'.* Known: blocks, .* metric",
        ),
    ],
)
def test_an_impossible_guidance_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        guide("many classes", **config)


@pytest.mark.parametrize("shape", [(3, 12, 12), (3, 6, 4), (2, 12, 8), (3, 13, 8), (3, 8, 12)])
def test_label_maps_of_another_size_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(
        ValueError, match=r"label maps \(.*\) give .* patches, but the images gave .*same height and width"
    ):
        guide("many classes")([record("many classes")], torch.zeros(shape, dtype=torch.long))


def test_labels_beyond_the_classes_are_refused() -> None:
    pixels = label_maps("many classes")[0]
    pixels[1, 3, 3] = 7
    with pytest.raises(ValueError, match=r"holds \[7\], but the data set has 7 classes"):
        guide("many classes")([record("many classes")], pixels)


@pytest.mark.parametrize("metric", METRICS)
def test_losses_that_do_not_count_are_zero_with_zero_gradients_even_of_infinite_tokens(metric: str) -> None:
    sides = dict(prompt_side="key", token_side="query", cls_side="query", cls_proxies="prompt")
    model = guided_vit(metric=dict(kind=metric, **sides)).train()
    records = model(torch.randn(2, 3, 32, 32, dtype=torch.float64)).records
    labels = torch.randint(4, (2, 4, 4)).repeat_interleave(8, 1).repeat_interleave(8, 2)
    leaves = [[side.detach().fill_(math.inf).requires_grad_() for side in one[:3]] for one in records]
    infinite = [GuidedRecord(*sides, grid=one.grid) for sides, one in zip(leaves, records)]
    counted, losses = (model.guidance(infinite, labels, parts=True, counts=counts) for counts in (True, False))
    assert losses.keys() == counted.keys() and not torch.stack(list(counted.values())).isfinite().all()
    assert all(value == 0 for value in losses.values())
    losses["loss_metric_patch"].add(losses["loss_metric_cls"]).backward()
    for leaf in (leaf for each in leaves for leaf in each):
        assert leaf.grad is not None and not leaf.grad.any()
