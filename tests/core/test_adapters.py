"""What each adapter does to a block, against blocks written out by hand; what is refused, and why."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from timm.layers import RmsNorm
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.tuning import trained_table
from davpt_seg.visualization import prompt_attention

from .test_methods import images, learned, stir
from .tiny import tiny_vit

OPERATIONS = ("norm1", "qkv", "proj", "norm2", "fc1", "fc2")


def written_out(
    model: PromptedViT, tokens: Tensor, i: int, change: dict[str, Any], prompts: Tensor, pairs: Tensor, heat: Any = 1
) -> Tensor:
    """A plain ViT's block with prompts as tokens of the sequence, attention as a softmax, and changed operations.

    Args:
        model: whose trunk's weights are taken.
        tokens: (B, N, D).
        i: which block.
        change: by the name of an operation: what takes its input and output, and gives another output.
        prompts: (M, D), concatenated to the tokens, and cut off again.
        pairs: (n, heads, head_dim), put before keys and values.
        heat: temperature.
    """
    block = model.trunk.blocks[i]
    modules = dict(norm1=block.norm1, qkv=block.attn.qkv, proj=block.attn.proj, norm2=block.norm2)
    modules |= dict(fc1=block.mlp.fc1, fc2=block.mlp.fc2)

    def run(name: str, x: Tensor) -> Tensor:
        module = modules[name]
        if name not in ("norm1", "norm2"):
            y = x @ module.weight.T + module.bias
        else:
            y = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + module.eps).sqrt()
            y = y * module.weight + module.bias
        return change.get(name, lambda x, y: y)(x, y)

    sequence = torch.cat([tokens, prompts.expand(len(tokens), -1, -1)], dim=1)
    query, key, value = run("qkv", run("norm1", sequence)).chunk(3, dim=-1)
    heads, width = block.attn.num_heads, block.attn.head_dim
    outputs = []
    for h in range(heads):
        columns = slice(h * width, (h + 1) * width)
        first = pairs[:, h].expand(len(tokens), -1, -1)
        k, v = (torch.cat([first, side[..., columns]], dim=1) for side in (key, value))
        scores = query[..., columns] @ k.transpose(1, 2) / width**0.5 / heat
        outputs.append(scores.softmax(dim=-1) @ v)
    sequence = sequence + run("proj", torch.cat(outputs, dim=-1))
    normed = run("norm2", sequence)
    ffn = run("fc2", F.gelu(run("fc1", normed)))
    sequence = sequence + change.get("ffn", lambda x, y: y)(normed, ffn)
    return sequence[:, : tokens.shape[1]]


def bottleneck(module: Any, x: Tensor) -> Tensor:
    hidden = x @ module.down.weight.T + module.down.bias
    hidden = F.gelu(hidden) if type(module).__name__ == "SequentialBottleneck" else hidden.clamp(min=0)
    return hidden @ module.up.weight.T + module.up.bias


def changes_of(model: PromptedViT, i: int) -> dict[str, Any]:
    """What the adapters of a model do to the operations of a block, by their papers."""
    adapters = model.adapters
    if "adapter" in adapters:
        return dict(ffn=lambda x, y: y + bottleneck(adapters["adapter"].blocks[i], y))
    if "adaptformer" in adapters:
        return dict(ffn=lambda x, y: y + 0.1 * bottleneck(adapters["adaptformer"].blocks[i], x))
    if "lora" in adapters:
        a, b = adapters["lora"].layers[f"blocks_{i}_attn_qkv"].parameters()
        return dict(qkv=lambda x, y: y + 8 / 2 * x @ a.T @ b.T)
    if "ssf" in adapters:
        paths = dict(qkv="attn_qkv", proj="attn_proj", fc1="mlp_fc1", fc2="mlp_fc2")
        places = {op: adapters["ssf"].places[f"blocks_{i}_{paths.get(op, op)}"] for op in OPERATIONS}
        return {op: lambda x, y, p=place: p.scale * y + p.shift for op, place in places.items()}
    return {}


NONE = torch.empty(0, 4, 8, dtype=torch.float64)  # no key-value prompts of 4 heads
CONFIGS: dict[str, Any] = {
    "adapter": dict(width=8),
    "adaptformer": dict(width=8),
    "ssf": dict(std=0.1),
    "lora": dict(rank=2, alpha=8),
    "key_value_prompts": dict(num_prompts=3),
}


@pytest.mark.parametrize("num_prompts", [0, 4])
@pytest.mark.parametrize("name", CONFIGS)
def test_adapters_change_a_block_as_their_papers_have_it(name: str, num_prompts: int) -> None:
    torch.manual_seed(0)
    model = stir(tiny_vit(adapters=[dict(type=name, **CONFIGS[name])], prompts=dict(num_prompts=num_prompts)))
    embedded = model.embed(images())
    tokens, ours = embedded.tokens, [after for after, _, _ in model.walk(embedded)]
    for i in range(2):
        prompts = model.prompts(i) if num_prompts else torch.empty(0, 32, dtype=torch.float64)
        pairs = model.adapters.key_value(i)
        tokens = written_out(model, tokens, i, changes_of(model, i), prompts, NONE if pairs is None else pairs)
        torch.testing.assert_close(ours[i], tokens, rtol=0, atol=1e-10)


def test_gated_prompts_change_slowly_from_block_to_block() -> None:
    """GateVPT's equations, with the prompts as tokens of the sequence and temperatures out of range, too."""
    torch.manual_seed(0)
    model = stir(tiny_vit(prompts=dict(num_prompts=4, kind="gated", gate_start=-1.0), timm_kwargs=dict(depth=4)))
    gates = model.prompts.gates
    with torch.no_grad():
        gates.temperatures.copy_(torch.tensor([0.5, 2.0, 20.0, 1e-4]))
    embedded = model.embed(images())
    tokens, ours = embedded.tokens, [after for after, _, _ in model.walk(embedded)]
    prompts = model.prompts(0).expand(len(tokens), -1, -1)
    for i, heat in enumerate([0.5, 2.0, 10.0, 0.01]):
        nothing = torch.empty(0, 32, dtype=torch.float64)
        both = written_out(model, torch.cat([tokens, prompts], dim=1), i, {}, nothing, NONE, heat)
        tokens, after = both[:, :-4], both[:, -4:]
        share = 1 / (1 + (-gates.gates[i]).exp()) if i < 3 else 1
        prompts = share * after + (1 - share) * prompts
        torch.testing.assert_close(ours[i], torch.cat([tokens, prompts], dim=1), rtol=0, atol=1e-10)


@pytest.mark.parametrize("left", [20.0, -3.0])
def test_a_temperature_that_left_its_bounds_can_come_back(left: float) -> None:
    model = tiny_vit(prompts=dict(num_prompts=4, kind="gated"))
    temperatures = model.prompts.gates.temperatures
    with torch.no_grad():
        temperatures[1] = left
    assert model.prompts.gates.temperature(1).item() == pytest.approx(min(max(left, 0.01), 10.0), abs=1e-12)
    (gradient,) = torch.autograd.grad(model(images()).maps[0].square().sum(), temperatures)
    assert gradient.abs().min() > 1e-6


def test_scale_and_shift_change_the_patch_embedding_and_the_last_norm() -> None:
    model = stir(tiny_vit(adapters=[dict(type="ssf")], norm_maps=True))
    pixels = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    places, proj, norm = model.adapters["ssf"].places, model.trunk.patch_embed.proj, model.trunk.norm
    patches = F.unfold(pixels, 8, stride=8).transpose(1, 2) @ proj.weight.flatten(1).T + proj.bias
    patches = patches * places["patch_embed"].scale + places["patch_embed"].shift
    torch.testing.assert_close(model.trunk.patch_embed(pixels).flatten(1, 2), patches, rtol=0, atol=1e-12)
    raw = F.layer_norm(torch.randn(5, 32, dtype=torch.float64), (32,))
    normed = F.layer_norm(raw, (32,), norm.weight, norm.bias, norm.eps)
    torch.testing.assert_close(norm(raw), normed * places["norm"].scale + places["norm"].shift, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("classes", "published"), [(100, 0.28), (1000, 0.97)])  # CIFAR-100, ImageNet-1k
def test_scale_and_shift_train_the_published_number_of_parameters(classes: int, published: float) -> None:
    """SSF, arXiv 2210.08823: of a ViT-B/16, in millions, with a linear head."""
    with torch.device("meta"):
        model = PromptedViT("vit_base_patch16_224", adapters=[dict(type="ssf")])
    assert round((sum(p.numel() for p in learned(model).values()) + classes * 769) / 1e6, 2) == published


def test_scale_and_shift_refuse_an_operation_that_they_could_not_merge_into() -> None:
    with pytest.raises(ValueError, match=r"linear layers and layer norms; the ViT's 'blocks.0.norm1' is a RmsNorm"):
        tiny_vit(adapters=[dict(type="ssf")], timm_kwargs=dict(norm_layer=RmsNorm))


def test_the_bottlenecks_of_adaptformer_drop_out_in_training_only() -> None:
    adapters = [dict(type="adaptformer", width=64, dropout=0.25)]
    model = stir(tiny_vit(adapters=adapters))
    module = model.adapters["adaptformer"].blocks[0]
    hidden: list[Tensor] = []
    module.up.register_forward_pre_hook(lambda module, inputs: hidden.append(inputs[0]))
    model.train()(images())
    model.eval()(images())
    dropped, whole = hidden
    active = whole > 0
    assert (dropped[active] == 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], whole[kept] / 0.75)


@pytest.mark.parametrize("num_prompts", [5, 20])
def test_key_value_prompts_start_in_hes_range(num_prompts: int) -> None:
    """kaiming_uniform_ on (heads, n, head_dim), whose fan-in torch takes to be n * head_dim."""
    torch.manual_seed(0)
    adapters = [dict(type="key_value_prompts", num_prompts=num_prompts)]
    with torch.no_grad():
        theirs = torch.nn.init.kaiming_uniform_(torch.empty(12, num_prompts, 64)).abs().max()
        for values in PromptedViT("vit_base_patch16_224", adapters=adapters).adapters["key_value_prompts"].values:
            assert values.abs().max().item() == pytest.approx(theirs.item(), rel=0.02)
            assert values.std().item() == pytest.approx(theirs.item() / 3**0.5, rel=0.05)


@pytest.mark.parametrize("num_prompts", [1, 4])
def test_key_value_prompts_take_their_shares_of_attention(num_prompts: int) -> None:
    torch.manual_seed(0)
    alone = tiny_vit(prompts=dict(num_prompts=4))
    torch.manual_seed(0)
    adapters = [dict(type="key_value_prompts", num_prompts=num_prompts)]
    model = tiny_vit(prompts=dict(num_prompts=4), adapters=adapters).eval()
    model.prompts.load_state_dict(alone.prompts.state_dict())
    shares = [prompt_attention(each, images(), block=0) for each in (alone.eval(), model)]
    with torch.no_grad():
        scores = [attention_scores(each, num_prompts if each is model else 0) for each in (alone, model)]
    for share, expected in zip(shares, scores):
        torch.testing.assert_close(share.flatten(2).transpose(1, 2), expected, rtol=0, atol=1e-10)
    assert (shares[1] < shares[0]).all()


def attention_scores(model: PromptedViT, count: int) -> Tensor:
    """Shares of the deep prompts in block 0, (B, N, M), with all keys in one matrix."""
    block, tokens = model.trunk.blocks[0], model.embed(images()).tokens
    sequence = torch.cat([tokens, model.prompts(0).expand(len(tokens), -1, -1)], dim=1)
    query, key, _ = block.attn.qkv(block.norm1(sequence)).unflatten(-1, (3, 4, 8)).permute(2, 0, 3, 1, 4)
    if count:
        extra = model.adapters.key_value(0).transpose(0, 1).expand(len(tokens), -1, -1, -1)
        key = torch.cat([extra, key], dim=2)
    shares = (query @ key.transpose(-1, -2) / 8**0.5).softmax(dim=-1).mean(dim=1)
    return shares[:, 1:-4, -4:]


def test_tuned_names_are_the_same_with_lora() -> None:
    tuned = ["blocks.0.attn.qkv.bias", "blocks.*.norm1.weight", "cls_token"]
    model = tiny_vit(tuned=tuned, adapters=[dict(type="lora", rank=2)])
    ours = {name for name in learned(model) if "lora_" not in name}
    assert ours == {
        "trunk.blocks.0.attn.qkv.bias",
        *("trunk.blocks.0.norm1.weight", "trunk.blocks.1.norm1.weight", "trunk.cls_token"),
    }
    table = trained_table(model)
    assert "trunk.blocks.*.attn.qkv.bias" in table
    assert "adapters.lora.layers.blocks_*_attn_qkv.lora_A  2 x [2, 32]" in re.sub(r" {3,}", "  ", table)


def test_lora_that_was_frozen_stays_frozen_when_it_was_switched_off_for_a_while() -> None:
    model = tiny_vit(adapters=[dict(type="lora", rank=2)]).requires_grad_(False)
    model.encode(images(), prompted=False)
    assert not learned(model)


def test_a_checkpoint_of_the_bare_trunk_fits_lora_but_for_what_is_learned() -> None:
    bare, model = tiny_vit(), tiny_vit(adapters=[dict(type="lora")])
    missing, unexpected = model.load_state_dict(bare.state_dict(), strict=False)
    assert not unexpected and len(missing) == 4 and all("lora_" in name for name in missing)
    assert torch.equal(model(images()).maps[0], bare(images()).maps[0])


@pytest.mark.parametrize("trunk_mode", ["eval", "train"])
def test_the_dropout_of_lora_is_on_in_training_whatever_the_trunks_mode(trunk_mode: str) -> None:
    adapters = [dict(type="lora", rank=2, dropout=0.5)]
    model = stir(tiny_vit(adapters=adapters, trunk_mode=trunk_mode, timm_kwargs=dict(proj_drop_rate=0.0)))
    first, second = (model.train()(images()).maps[0] for _ in range(2))
    assert (first - second).abs().max() > 1e-3
    first, second = (model.eval()(images()).maps[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("adapters", "message"),
    [
        (dict(type="lora"), r"adapters must be a list of dicts, got .*; write \[dict"),
        (["lora"], r"adapters must be a list of dicts"),
        ([dict(rank=8)], r"adapters type must be one of \('adapter', .*'ssf'\), got None"),
        ([dict(type="lorra")], r"got 'lorra'"),
        ([dict(type="lora", rnak=8)], r"adapter 'lora' has no argument 'rnak'; did you mean 'rank'"),
        ([dict(type="lora", rank=0)], r"adapter 'lora' rank must be an integer of at least 1, got 0"),
        ([dict(type="lora", targets="attn.qkv")], r"must be a list of strings, got 'attn.qkv'; write \['attn.qkv'\]"),
        ([dict(type="lora", targets=["qkv"])], r"\['qkv'\] must be linear layers .* \['attn.qkv', 'attn.proj', 'mlp"),
        ([dict(type="lora", targets=[])], r"targets \[\] must be linear layers of a block, one or more"),
        ([dict(type="adapter", width=0)], r"adapter 'adapter' width must be an integer of at least 1, got 0"),
        ([dict(type="adaptformer", width=1.5)], r"adapter 'adaptformer' width must be .* got 1.5"),
        ([dict(type="key_value_prompts", num_prompts=0)], r"num_prompts must be an integer of at least 1, got 0"),
        ([dict(type="lora"), dict(type="ssf")], r"'lora' and 'ssf' both change the linear layers, .* choose one"),
        ([dict(type="adapter", width=8), dict(type="adaptformer")], r"'adapter' and 'adaptformer' both change the FFN"),
        ([dict(type="lora"), dict(type="lora")], r"'lora' and 'lora' both change"),
    ],
)
def test_adapters_that_cannot_be_are_refused(adapters: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_vit(adapters=adapters)


@pytest.mark.parametrize(
    "types",
    [("lora", "adapter"), ("lora", "adaptformer"), ("ssf", "adapter"), ("ssf", "adaptformer", "key_value_prompts")],
)
def test_adapters_of_different_places_join(types: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    model = tiny_vit(adapters=[dict(type=name, **CONFIGS[name]) for name in types], prompts=dict(num_prompts=4))
    stir(model)
    before = model(images()).maps[0]
    counts = [sum(p.numel() for p in learned(tiny_vit(adapters=[dict(type=n, **CONFIGS[n])])).values()) for n in types]
    assert sum(p.numel() for p in learned(model).values()) == sum(counts) + 4 * 32 * 2
    torch.testing.assert_close(model.eval().fold()(images()).maps[0], before, rtol=0, atol=1e-10)


def test_what_was_learned_is_felt_in_the_compiled_model() -> None:
    adapters = [dict(type="lora", rank=2), dict(type="adapter", width=8), dict(type="key_value_prompts")]
    model = stir(tiny_vit(adapters=adapters, prompts=dict(num_prompts=4))).eval()
    other = stir(tiny_vit(adapters=[dict(type="ssf")], prompts=dict(num_prompts=4, kind="gated"))).eval()
    for each in (model, other):
        expected = each(images()).maps[0]
        compiled = torch.compile(each, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(images()).maps[0], expected, rtol=0, atol=1e-12)
