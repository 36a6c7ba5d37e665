"""Two processes train a guided classifier as one does on the same global batches."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from mmengine.config import Config
from mmengine.registry import DATA_SAMPLERS

from davpt_seg.compat import prepare_cpu_ddp
from davpt_seg.datasets import PKSampler
from davpt_seg.experiments.compose import compose_from_words

from ..recognition import write_vtab
from .test_exactness import run


@DATA_SAMPLERS.register_module()
class TwoAtOnce(PKSampler):
    """For a loader of eight: two batches of four, which two processes would have got one each."""


def classifier(root: Path, work_dir: Path, processes: int, method: str) -> Config:
    """Three epochs on six classes that share two prompts, PKSampler's batches of 4 images on each of two processes."""
    os.environ["VTAB_ROOT"] = str(root)
    words = "trunk=vits14,data=vtab/dmlab,split=final,epochs=3,image_size=56,batch_size=4,prompts=2,guided_prompts=2"
    cfg = compose_from_words(f"method={method},{words}")
    timm_kwargs = dict(img_size=16, patch_size=8, embed_dim=16, num_heads=2, depth=2)
    cfg.merge_from_dict(
        {
            "model.backbone.model_name": "vit_tiny_patch16_224",
            "model.backbone.weights": None,
            "model.backbone.timm_kwargs": timm_kwargs,
            "model.backbone.out_indices": (1,),
            "model.backbone.prompts.num_prompts": 2,
            "model.backbone.guidance.blocks": [0, 1],
            "model.head.in_channels": 16,
            "train_dataloader.num_workers": 0,
            "train_dataloader.persistent_workers": False,
            "optim_wrapper.optimizer": dict(type="SGD", lr=0.1, _delete_=True),
            "default_hooks.checkpoint.interval": 3,
        }
    )
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    if processes == 1:
        cfg.train_dataloader.batch_size = 8
        cfg.train_dataloader.sampler.update(type="TwoAtOnce")
    cfg.train_dataloader.sampler.seed = 3
    cfg.update(work_dir=str(work_dir), launcher="none", experiment_name=uuid.uuid4().hex)
    cfg.visualizer.pop("name")
    return cfg


def one_of_two(rank: int, root: Path, folder: Path, method: str) -> None:
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2")
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    cfg = classifier(root, folder / "two", 2, method)
    cfg.update(launcher="pytorch", experiment_name="two")
    prepare_cpu_ddp(cfg)
    torch.save(run(cfg), folder / f"{rank}.pth")
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="forks; hide the GPU with CUDA_VISIBLE_DEVICES=''")
@pytest.mark.parametrize("method", ["davpt", "davpt_release"])
def test_two_processes_have_the_losses_and_weights_of_one_on_the_same_pk_batches(method: str, tmp_path: Path) -> None:
    root = write_vtab(tmp_path / "vtab", "dmlab", train=16, val=8)
    arguments = (root, tmp_path, method)
    torch.multiprocessing.start_processes(one_of_two, arguments, nprocs=2, start_method="fork")
    pair = [torch.load(tmp_path / f"{rank}.pth") for rank in range(2)]
    one = run(classifier(root, tmp_path / "one", 1, method))
    assert len(one["losses"]) == len(pair[0]["losses"]) == 9
    for expected, first, second in zip(one["losses"], pair[0]["losses"], pair[1]["losses"]):
        assert expected.keys() == {"loss", "loss_metric_patch", "loss_metric_cls"}
        for name, value in expected.items():
            assert (first[name] + second[name]) / 2 == pytest.approx(value, rel=1e-5), name
            if "metric" in name:  # each process computes that of all
                assert first[name] == pytest.approx(second[name], rel=1e-6)
    assert sorted(one["weights"]["backbone.guidance.mapping.prompt_of_class"].unique().tolist()) == [0, 1]
    for name, tensor in one["weights"].items():
        assert torch.equal(pair[0]["weights"][name], pair[1]["weights"][name]), name
        torch.testing.assert_close(pair[0]["weights"][name], tensor, rtol=1e-5, atol=1e-5, msg=name)
