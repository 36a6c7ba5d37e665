"""Every method in MMEngine's hands: its checkpoints, and training that goes on where it stopped."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any, Optional

import mmengine.runner.runner
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.runner import Runner, load_checkpoint
from torch import Tensor, nn
from torch.utils.data import default_collate

from davpt_seg.core.delta import frozen_names
from davpt_seg.models import PromptedViTBackbone

from ..core.int8 import fake_torchao  # noqa: F401  (a fixture)
from ..core.methods import GUIDED, METHODS
from ..core.tiny import TINY

CASES = {**METHODS, **GUIDED}


class Images(torch.utils.data.Dataset):
    """Six noisy images that are not square, with a label map each."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(index)
        labels = torch.randint(0, 5, (3, 5), generator=generator).repeat_interleave(8, 0).repeat_interleave(8, 1)
        return dict(inputs=torch.randn(3, 24, 37, generator=generator), labels=labels[:, :37])


class Experiment(BaseModel):
    """A backbone with a method, and a linear head that tells an image's commonest class."""

    def __init__(self, name: str, **further: Any) -> None:
        super().__init__()
        arguments = {**CASES[name].arguments, **further}
        self.backbone = PromptedViTBackbone("vit_tiny_patch16_224", timm_kwargs=TINY, norm_maps=True, **arguments)
        self.head = nn.Linear(32, 5)

    def forward(self, inputs: Tensor, labels: Tensor, mode: str = "tensor") -> Any:
        logits = self.head(self.backbone(inputs)[0].mean(dim=(2, 3)))
        if mode != "loss":
            return logits
        losses = dict(loss_ce=F.cross_entropy(logits, labels.flatten(1).mode(dim=1).values))
        if self.backbone.guidance:
            losses.update(self.backbone.guidance(self.backbone.take_records(), labels))
        return losses


@pytest.fixture(autouse=True)
def quick_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Runner that does not ask for the machine's compilers, which takes longer than these trainings."""
    monkeypatch.setattr(mmengine.runner.runner, "collect_env", lambda: {"sys.platform": "not asked"})


COMPLETE = dict(type="CheckpointHook", by_epoch=False, interval=2)
ATOMIC = dict(COMPLETE, type="AtomicCheckpointHook")
WITHOUT_TRUNK = dict(ATOMIC, frozen=False)


def train(
    name: str,
    folder: Path,
    seed: int,
    further: Optional[dict[str, Any]] = None,
    checkpoint: dict[str, Any] = COMPLETE,
    **where_from: Any,
) -> Runner:
    """Train for four iterations, with a checkpoint after two."""
    torch.manual_seed(seed)
    runner = Runner(
        model=Experiment(name, **further or {}),
        work_dir=str(folder),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=Images(),
            sampler=dict(type="InfiniteSampler", shuffle=True, seed=3),
            collate_fn=dict(type="default_collate"),
        ),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=4),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-2, weight_decay=0.1)),
        param_scheduler=dict(type="PolyLR", begin=0, end=4, by_epoch=False),
        default_hooks=dict(checkpoint=checkpoint),
        experiment_name=uuid.uuid4().hex,  # MMEngine's loggers live as long as their name
        log_level="ERROR",
        **where_from,
    )
    runner.train()
    return runner


@pytest.mark.parametrize("name", CASES)
def test_a_resumed_training_ends_as_one_that_never_stopped(name: str, tmp_path: Path) -> None:
    whole = train(name, tmp_path / "whole", seed=0).model.state_dict()
    half = str(tmp_path / "whole" / "iter_2.pth")
    resumed = train(name, tmp_path / "resumed", seed=1, load_from=half, resume=True).model.state_dict()
    assert whole.keys() == resumed.keys()
    assert not [key for key in whole if not torch.equal(whole[key], resumed[key])]

    model = Experiment(name)
    load_checkpoint(model, half, strict=True)
    moved = [key for key, value in model.state_dict().items() if not torch.equal(value, whole[key])]
    learned = {key for key, parameter in model.named_parameters() if parameter.requires_grad}
    never = {key for key in learned if any(part in key for part in CASES[name].never)}
    assert learned - never <= set(moved)  # the second half was training, too


@pytest.mark.parametrize("name", ["vpt_deep+guidance", "lora"])
@pytest.mark.parametrize(
    "further", [dict(trunk_dtype="bfloat16"), dict(trunk_dtype="float16"), dict(trunk_quantization="int8")]
)
@pytest.mark.usefixtures("fake_torchao")
def test_it_resumes_so_on_a_trunk_of_low_precision_too(name: str, further: dict[str, Any], tmp_path: Path) -> None:
    """From a checkpoint that holds what is frozen as the trunk does; load_from takes one of a float32 trunk, too."""
    torch.manual_seed(0)
    torch.save(Experiment(name).state_dict(), tmp_path / "float32.pth")
    start = dict(further=further, load_from=str(tmp_path / "float32.pth"))
    whole = train(name, tmp_path / "whole", seed=1, **start).model.state_dict()
    half = str(tmp_path / "whole" / "iter_2.pth")
    saved = load_checkpoint(Experiment(name, **further), half, strict=True)["state_dict"]
    assert {key: value.dtype for key, value in saved.items()} == {key: value.dtype for key, value in whole.items()}
    resumed = train(name, tmp_path / "resumed", seed=2, further=further, load_from=half, resume=True).model
    assert not [key for key, value in resumed.state_dict().items() if not torch.equal(whole[key], value)]
    torch.manual_seed(0)
    expected = Experiment(name, **further)
    expected.load_state_dict(torch.load(tmp_path / "float32.pth"))
    frozen = {key: value for key, value in expected.state_dict().items() if "trunk." in key}
    assert frozen and all(torch.equal(whole[key], value) for key, value in frozen.items())


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of a ViT."""
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(PromptedViTBackbone("vit_tiny_patch16_224", timm_kwargs=TINY).trunk.state_dict(), path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "further"),
    [
        *((name, {}) for name in ("vpt_deep+guidance", "lora", "ssf", "e2vpt", "gatevpt", "bias", "zero_gate")),
        ("linear", dict(tuned=["blocks.*.norm1.weight"])),
        ("linear", dict(frozen=False)),
        ("lora", dict(trunk_dtype="bfloat16")),
        ("vpt_deep+guidance", dict(trunk_dtype="float16")),
        ("lora", dict(trunk_quantization="int8")),
    ],
)
@pytest.mark.usefixtures("fake_torchao")
def test_checkpoints_without_the_frozen_trunk_are_as_good(
    name: str, further: dict[str, Any], weights: str, tmp_path: Path
) -> None:
    """They resume bit for bit, among complete ones too, and a new model gives the same outputs."""
    further = dict(further, weights=weights)
    whole = train(name, tmp_path / "whole", seed=0, further=further, checkpoint=WITHOUT_TRUNK)
    held = torch.load(tmp_path / "whole" / "iter_4.pth")["state_dict"]
    frozen = {f"backbone.{each}" for each in frozen_names(whole.model.backbone)}
    assert set(held) - {"backbone.frozen_trunk"} == set(whole.model.state_dict()) - frozen
    model = Experiment(name, **further)
    load_checkpoint(model, str(tmp_path / "whole" / "iter_4.pth"), strict=True)
    images = default_collate([Images()[0]])
    assert torch.equal(model.eval()(**images), whole.model.eval()(**images))
    train(name, tmp_path / "complete", seed=0, further=further, checkpoint=ATOMIC)
    for i, checkpoint in enumerate((ATOMIC, WITHOUT_TRUNK)):
        half = str(tmp_path / ("complete" if i else "whole") / "iter_2.pth")
        train(name, tmp_path / str(i), seed=2, further=further, checkpoint=checkpoint, load_from=half, resume=True)
        expected = torch.load(tmp_path / ("complete" if i else "whole") / "iter_4.pth")["state_dict"]
        found = torch.load(tmp_path / str(i) / "iter_4.pth")["state_dict"]
        assert ("backbone.frozen_trunk" in found) == (i == 1 and bool(frozen))
        shared = expected.keys() & found.keys()
        assert shared and all(torch.equal(expected[key], found[key]) for key in shared)
