"""What processes bring together is what one process would have had."""

from __future__ import annotations

import multiprocessing
from functools import partial
from pathlib import Path
from typing import Any, Callable

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing
from torch import Tensor

from davpt_seg.core import Guidance, GuidedRecord, Labelling, Metric
from davpt_seg.core.guidance.gather import gather_rows, sum_over_processes

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="forks; hide the GPU with CUDA_VISIBLE_DEVICES=''")

GRIDS = [(1, 4, 4), (2, 2, 4), (1, 2, 2)]  # (images, h, w) of each process: none has what another has


#: What processes that fork from a clean one need not import.
multiprocessing.set_forkserver_preload(
    ["davpt_seg.engine", "davpt_seg.models", "sklearn.cluster", "torch.distributed.checkpoint.state_dict"]
)


def _start(rank: int, work: Callable[[int], Any], folder: str, number: int) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=number)
    torch.save(work(rank), f"{folder}/{rank}.pth")
    dist.destroy_process_group()


def in_processes(
    work: Callable[[int], Any], folder: Path, number: int = len(GRIDS), start_method: str = "fork"
) -> list[Any]:
    """Do the work in several processes under gloo; what each returns.

    They are forks of this process, or, where that has used what survives no fork, of a clean one (``forkserver``).
    """
    torch.multiprocessing.start_processes(_start, (work, str(folder), number), nprocs=number, start_method=start_method)
    return [torch.load(folder / f"{rank}.pth") for rank in range(number)]


def guidance(cls_proxies: str) -> Guidance:
    """Six classes on four prompts, patches of 2 x 2 pixels."""
    return Guidance([0], 4, 8, Labelling((2, 2), 6), metric=Metric(cls_proxies=cls_proxies))


def batch(rank: int) -> tuple[GuidedRecord, Tensor]:
    """The tokens and label maps of one process; a tenth of the pixels are void."""
    generator = torch.Generator().manual_seed(rank)
    images, height, width = GRIDS[rank]
    tokens, class_token = (torch.randn(images, n, 8, generator=generator) for n in (height * width, 1))
    labels = torch.randint(0, 6, (images, height, width), generator=generator)
    labels = labels.repeat_interleave(2, 1).repeat_interleave(2, 2)
    labels[torch.rand(labels.shape, generator=generator) < 0.1] = 255
    prompts = torch.randn(4, 8, generator=torch.Generator().manual_seed(9))
    leaves = (tensor.requires_grad_() for tensor in (prompts, tokens, class_token[:, 0]))
    return GuidedRecord(*leaves, grid=(height, width)), labels


def guided(rank: int, cls_proxies: str) -> dict[str, Any]:
    module = guidance(cls_proxies)
    record, labels = batch(rank)
    losses = module([record], labels)
    sum(losses.values()).backward()
    leaves = (record.prompts, record.tokens, record.image_token)
    return dict(
        losses={name: loss.detach() for name, loss in losses.items()},
        gradients=[leaf.grad for leaf in leaves],
        buffers=module.state_dict(),
    )


@pytest.mark.parametrize("cls_proxies", ["image", "prompt"])
def test_metric_losses_gradients_and_class_means_are_those_of_one_process(tmp_path: Path, cls_proxies: str) -> None:
    """The oracle takes all patches as one row, since images of different sizes make no batch."""
    results = in_processes(partial(guided, cls_proxies=cls_proxies), tmp_path)
    module, each = guidance(cls_proxies), [batch(rank) for rank in range(len(GRIDS))]
    labels, present = zip(*(module.targets([record], maps) for record, maps in each))
    for (record, _), patches in zip(each, labels):
        module.observe([record], patches)
    patches = torch.cat([row.flatten() for row in labels])[None]
    prompts = each[0][0].prompts
    joined = GuidedRecord(
        prompts=prompts,
        tokens=torch.cat([record.tokens.flatten(0, 1) for record, _ in each])[None],
        image_token=torch.cat([record.image_token for record, _ in each]),
        grid=(1, 1),
    )
    losses = dict(
        loss_metric_patch=module.patch_weight * module.patch_loss(joined, patches).total,
        loss_metric_cls=module.cls_weight * module.class_token_loss(joined, torch.cat(present)).total,
    )
    sum(losses.values()).backward()
    for rank, result in enumerate(results):
        for name, loss in losses.items():
            torch.testing.assert_close(result["losses"][name], loss.detach(), msg=name)
        # what DistributedDataParallel makes of it: the mean over processes
        torch.testing.assert_close(result["gradients"][1] / len(GRIDS), each[rank][0].tokens.grad)
        torch.testing.assert_close(result["gradients"][2] / len(GRIDS), each[rank][0].image_token.grad)
        for name, buffer in module.state_dict().items():
            torch.testing.assert_close(result["buffers"][name], buffer, msg=name)
    mean = torch.stack([result["gradients"][0] for result in results]).mean(dim=0)
    torch.testing.assert_close(mean, prompts.grad)


def rows(rank: int) -> list[Tensor]:
    own = torch.full((rank, 2), rank, dtype=torch.bfloat16)  # process 0 has none
    return [gather_rows(own), gather_rows(own > 1), sum_over_processes(torch.tensor(rank + 1))]


def test_rows_of_unequal_numbers_and_of_any_dtype_are_joined_in_order(tmp_path: Path) -> None:
    for gathered, mask, total in in_processes(rows, tmp_path):
        assert torch.equal(gathered, torch.tensor([[1, 1], [2, 2], [2, 2]], dtype=torch.bfloat16))
        assert torch.equal(mask, gathered > 1)
        assert total == 6


def test_one_process_gets_its_own_tensor_back() -> None:
    tensor = torch.ones(2, 3)
    assert gather_rows(tensor) is tensor
    assert sum_over_processes(tensor) is tensor
