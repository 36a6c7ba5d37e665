"""Processes, accumulation, checkpointing, mixed precision and compilation keep the result."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from davpt_seg.compat import prepare_cpu_ddp
from davpt_seg.core import PromptedViT
from davpt_seg.engine import MetricLossHook

from ..core.tiny import tiny_vit
from ..training import by_iterations, tiny_camvid


class Losses(Hook):
    """Keeps the losses of this process."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        self.rows.append({name: float(value) for name, value in (outputs or {}).items() if "loss" in name})


def global_batch_of_four(data: Path, work_dir: Path, processes: int) -> Config:
    """Five iterations on eleven classes and four prompts; the mapping is made anew after two and four."""
    cfg = by_iterations(tiny_camvid(data, work_dir, **{"model.backbone.prompts.num_prompts": 4}), 5)
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=-1)
    cfg.train_dataloader.batch_size = 4 // processes
    cfg.custom_hooks[1].interval = 2
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.dropout_ratio = 0
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    return cfg


def run(cfg: Config) -> dict[str, Any]:
    runner = Runner.from_cfg(cfg)
    losses = Losses()
    runner.register_hook(losses)
    runner.train()
    model = getattr(runner.model, "module", runner.model)
    return dict(losses=losses.rows, weights=model.state_dict())


def one_of_two(rank: int, cfg: Config, folder: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    cfg.launcher = "pytorch"
    prepare_cpu_ddp(cfg)  # find_unused_parameters=False
    results = run(copy.deepcopy(cfg))
    cfg.update(resume=True, load_from=f"{cfg.work_dir}/iter_3.pth", work_dir=f"{folder}/resumed", experiment_name="2")
    torch.save(dict(results, resumed=run(cfg)["weights"]), f"{folder}/{rank}.pth")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="forks; hide the GPU with CUDA_VISIBLE_DEVICES=''")
def test_two_processes_resumed_or_not_have_the_losses_and_weights_of_one_on_the_same_global_batch(
    camvid: Path, tmp_path: Path
) -> None:
    cfg = global_batch_of_four(camvid, tmp_path / "two", 2)
    torch.multiprocessing.start_processes(one_of_two, (cfg, str(tmp_path)), nprocs=2, start_method="fork")
    pair = [torch.load(tmp_path / f"{rank}.pth") for rank in range(2)]
    one = run(global_batch_of_four(camvid, tmp_path / "one", 1))
    for expected, first, second in zip(one["losses"], pair[0]["losses"], pair[1]["losses"]):
        assert expected.keys() == {"loss", "decode.loss_ce", "aux.loss_ce", "loss_metric_patch", "loss_metric_cls"}
        for name, value in expected.items():
            assert (first[name] + second[name]) / 2 == pytest.approx(value, rel=1e-5), name
            if "metric" in name:  # each process computes that of all
                assert first[name] == pytest.approx(second[name], rel=1e-6)
    assert len(one["losses"]) == 5
    for name, tensor in one["weights"].items():
        assert torch.equal(pair[0]["weights"][name], pair[1]["weights"][name]), name
        torch.testing.assert_close(pair[0]["weights"][name], tensor, rtol=1e-5, atol=1e-5, msg=name)
        for process in pair:  # resumed after the third iteration, with class means of both processes' third batch
            assert torch.equal(process["resumed"][name], process["weights"][name]), name


def segmentor(method: str = "davpt", **options: Any) -> nn.Module:
    """A tiny model, always the same, with its metric losses attached."""
    cfg = tiny_camvid(Path(), Path(), method, **options)
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.dropout_ratio = 0
    init_default_scope("mmseg")
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).train()
    if "guidance" in cfg.model.backbone:
        MetricLossHook().before_train(SimpleNamespace(model=model, hooks=[]))
    return model


def images(count: int = 4) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 11, (count, 1, 4, 4), generator=generator)
    labels = labels.repeat_interleave(14, 2).repeat_interleave(14, 3)
    samples = [SegDataSample(gt_sem_seg=PixelData(data=one), metainfo=dict(img_shape=(56, 56))) for one in labels]
    inputs = torch.randint(0, 256, (count, 3, 56, 56), generator=generator, dtype=torch.uint8)
    return dict(inputs=list(inputs), data_samples=samples)


def part(data: dict[str, Any], which: slice) -> dict[str, Any]:
    return {name: values[which] for name, values in data.items()}


def step(model: nn.Module, batches: list[dict[str, Any]]) -> list[dict[str, Tensor]]:
    """One optimizer step on accumulated batches; their losses."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    wrapper = OptimWrapper(optimizer, accumulative_counts=len(batches))
    return [model.train_step(batch, wrapper) for batch in batches]


def test_accumulating_two_batches_is_one_of_both_for_a_loss_over_pixels() -> None:
    one, two, data = segmentor("baselines/vpt_deep"), segmentor("baselines/vpt_deep"), images()
    before = copy.deepcopy(one.state_dict())
    step(one, [data])
    step(two, [part(data, slice(0, 2)), part(data, slice(2, 4))])
    for name, tensor in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    assert not torch.equal(before["backbone.prompts.values.1"], one.state_dict()["backbone.prompts.values.1"])


def test_accumulating_metric_losses_is_their_mean_and_not_that_of_one_batch() -> None:
    one, two, by_hand, data = segmentor(), segmentor(), segmentor(), images()
    halves = [part(data, slice(0, 2)), part(data, slice(2, 4))]
    (whole,) = step(one, [data])
    first, second = step(two, halves)
    for name in ("decode.loss_ce", "aux.loss_ce"):
        torch.testing.assert_close((first[name] + second[name]) / 2, whole[name])
    for name in ("loss_metric_patch", "loss_metric_cls"):
        assert first[name] > 0
    # log(1 + sum) over more patches is more than the mean over fewer: what Eq. 4 pulls and pushes is seen at once
    assert (first["loss_metric_patch"] + second["loss_metric_patch"]) / 2 < whole["loss_metric_patch"]
    total = 0.0
    for half in halves:
        ready = by_hand.data_preprocessor(half, True)
        total = total + by_hand.parse_losses(by_hand(**ready, mode="loss"))[0] / 2
    total.backward()
    for name, parameter in by_hand.named_parameters():
        if parameter.requires_grad:
            stepped = parameter.detach() - 0.1 * parameter.grad
            torch.testing.assert_close(two.get_parameter(name).detach(), stepped, msg=name)


def guided_vit(**options: Any) -> PromptedViT:
    torch.manual_seed(0)
    return tiny_vit(
        prompts=dict(num_prompts=4, dropout=0.1),
        guidance=dict(num_classes=6, blocks=[0, 1]),
        tuned=["blocks.*.attn.value_bias"],
        timm_kwargs=dict(depth=3, proj_drop_rate=0.1),
        trunk_mode="train",
        **options,
    )


def gradients(model: PromptedViT) -> tuple[dict[str, Tensor], int]:
    """Of features and metric losses; and how many numbers autograd kept for the backward pass."""
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    generator = torch.Generator().manual_seed(1)
    pictures = torch.randn(2, 3, 32, 32, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 6, (2, 32, 32), generator=generator)
    torch.manual_seed(2)  # dropout
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        features = model(pictures)
        losses = model.guidance(features.records, labels)
        total = features.maps[0].square().mean() + sum(losses.values())
    total.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}, kept


def test_gradient_checkpointing_keeps_gradients_bit_for_bit_and_less_memory() -> None:
    plain, kept = gradients(guided_vit())
    checkpointed, kept_less = gradients(guided_vit(with_cp=True))
    assert plain.keys() == checkpointed.keys()
    assert len(plain) == 3 + 3  # prompts and value biases of three blocks
    for name, gradient in plain.items():
        assert gradient.abs().max() > 0, name
        assert torch.equal(checkpointed[name], gradient), name
    assert kept_less < 0.6 * kept


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiled_backbone_gives_the_same_gradients(backend: str) -> None:
    torch._dynamo.reset()
    plain, compiled = guided_vit(), guided_vit()
    for model in (plain, compiled):  # compilers draw other numbers for dropout
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    compiled.compile(backend=backend)
    expected, got = gradients(plain)[0], gradients(compiled)[0]
    for name, gradient in expected.items():
        torch.testing.assert_close(got[name], gradient, rtol=1e-9, atol=1e-12, msg=name)


def test_bfloat16_gradients_point_where_those_of_float32_do() -> None:
    directions = []
    for dtype in (torch.float32, torch.bfloat16):
        model, data = segmentor(), images()
        with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
            ready = model.data_preprocessor(data, True)
            losses = model(**ready, mode="loss")
        model.parse_losses(losses)[0].backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        assert {p.dtype for p in trained} == {p.grad.dtype for p in trained} == {torch.float32}
        directions.append(torch.cat([p.grad.flatten() for p in trained]))
    cosine = torch.cosine_similarity(*directions, dim=0)
    assert 0.99 < cosine < 1 - 1e-9  # bfloat16 keeps 8 bits, and was at work
