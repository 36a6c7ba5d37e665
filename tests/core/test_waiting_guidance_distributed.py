"""Guidance that does not count yet, under DistributedDataParallel: nothing unused, and the gradients of one process."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from davpt_seg.core import PromptedViT

from .guidance.test_gather import in_processes
from .tiny import tiny_vit

ARMS = {
    "prompts": dict(prompts=dict(num_prompts=2)),
    "proxies": dict(adapters=[dict(type="lora", rank=2)]),
}
OF_GUIDANCE = {"prompts": {}, "proxies": dict(num_prompts=2)}


class Losses(nn.Module):
    """A model that returns its loss on some images of the batch, guidance and its parts included."""

    def __init__(self, model: PromptedViT) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, labels: Tensor, counts: bool) -> Tensor:
        features = self.model(images)
        losses = self.model.guidance(features.records, labels, parts=True, counts=counts)
        assert counts or not any(losses.values())
        return features.maps[0].square().mean() + sum(
            value for name, value in losses.items() if name.startswith("loss")
        )


def arm(name: str) -> PromptedViT:
    torch.manual_seed(0)
    guidance = dict(num_classes=2, blocks=[0, 1], **OF_GUIDANCE[name])
    return tiny_vit(out_indices=(0,), outputs=("maps",), guidance=guidance, **ARMS[name]).train()


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 32, 32, generator=generator, dtype=torch.float64)
    return images, torch.randint(2, (4, 32, 32), generator=generator)


def gradients(model: PromptedViT) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}


def trained(rank: int) -> dict[str, dict[str, Tensor]]:
    """The gradients of steps that do not count, and of one that does; torch raises if a parameter was left unused."""
    own = slice(2 * rank, 2 * rank + 2)
    images, labels = batch()
    found = {}
    for name in ARMS:
        wrapped = DistributedDataParallel(Losses(arm(name)))
        for counts in (False, False, True):
            wrapped.zero_grad()
            wrapped(images[own], labels[own], counts).backward()
            found[f"{name} {counts}"] = {key: value.clone() for key, value in gradients(wrapped.module.model).items()}
    return found


def test_guidance_that_does_not_count_yet_leaves_the_gradients_of_one_process(tmp_path: Path) -> None:
    results = in_processes(trained, tmp_path, number=2, start_method="forkserver")
    for name in ARMS:
        for counts in (False, True):
            model = arm(name)
            Losses(model)(*batch(), counts).backward()
            for key, expected in gradients(model).items():
                assert expected is not None
                for result in results:
                    torch.testing.assert_close(
                        result[f"{name} {counts}"][key], expected, rtol=1e-9, atol=1e-12, msg=key
                    )
