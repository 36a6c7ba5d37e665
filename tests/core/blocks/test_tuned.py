"""Names of tuned parameters and of LoRA's targets mean the same on trunks that keep a layer in several."""

from __future__ import annotations

import pytest
import torch

from davpt_seg.core import PromptedViT

from .families import family_vit
from .test_families import draw

TRUNKS = ["dinov3", "dinov3 with biases", "eva02", "eva02 apart", "rope mixed", "sapiens2 with fewer heads of keys"]
BIASES = [
    "patch_embed.proj.bias",
    *(f"blocks.*.{name}.bias" for name in ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")),
]

by_trunk = pytest.mark.parametrize("trunk", TRUNKS)


def learned(model: PromptedViT) -> dict[str, torch.nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


@by_trunk
def test_all_biases_learn_by_the_names_of_a_plain_vit(trunk: str) -> None:
    model = family_vit(trunk, tuned=BIASES).train()
    features = model(draw((32, 32)))
    gradients = torch.autograd.grad(
        features.maps[0].square().sum() + features.mean_token.sum(), learned(model).values()
    )
    assert all(gradient.abs().max() > 1e-9 for gradient in gradients)
    qkv, fc1 = 1 if trunk == "rope mixed" else 3, 2 if trunk == "eva02 apart" else 1  # parameters of a block
    assert len(gradients) == 1 + 2 * (qkv + 1 + fc1 + 1)


@by_trunk
def test_offsets_equal_other_biases_of_timms_own_forward_pass(trunk: str) -> None:
    model, images = family_vit(trunk, tuned=["blocks.*.attn.qkv.bias"]).eval(), draw((24, 40))
    before = model(images)
    with torch.no_grad():
        for parameter in learned(model).values():
            parameter.add_(torch.linspace(-1, 1, parameter.numel(), dtype=parameter.dtype))
    after, prefix = model(images), model.trunk.num_prefix_tokens
    assert (after.mean_token - before.mean_token).abs().max() > 1e-3
    timms = model.fold().trunk.eval()
    expected = timms.fc_norm(timms.forward_features(images)[:, prefix:].mean(dim=1))
    torch.testing.assert_close(after.mean_token, expected, rtol=0, atol=1e-10)


@by_trunk
def test_lora_joins_what_the_names_of_a_plain_vit_mean(trunk: str) -> None:
    adapters = [dict(type="lora", rank=2, targets=["attn.qkv", "mlp.fc1"])]
    model = family_vit(trunk, adapters=adapters)
    parts = {"eva02 apart": 5, "sapiens2 with fewer heads of keys": 4}.get(trunk, 2)
    assert len(model.adapters["lora"].layers) == 2 * parts
