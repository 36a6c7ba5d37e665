"""Models that the explorer opens, of every kind, and those that it refuses."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from davpt_seg.apis import Predictor, load_trained, save_adapter
from davpt_seg.core import PromptedViT
from davpt_seg.errors import InputError
from davpt_seg.explorer.mapping_history import mapping_history
from davpt_seg.explorer.opened import Opened

from ..apis.test_adapters import segmentor
from ..checkpoints import Trained
from ..end_to_end.test_recognition_training import train
from ..recognition import write_vtab

SMALL = dict(img_size=56, embed_dim=32, num_heads=2, depth=4)
METHODS: dict[str, tuple[dict[str, Any], str, tuple[int, ...]]] = {
    "vpt_deep": (
        dict(prompts=dict(num_prompts=3, dropout=0.5), guidance=None),
        "VPT-Deep, 3 prompts in blocks 0-3",
        (3, 3, 3, 3),
    ),
    "zero start": (
        dict(prompts=dict(num_prompts=[0, 2, 2, 1], start="offset")),
        "DA-VPT, 2 prompts in blocks 1-2, 1 in block 3, zero start (offset), guidance in block 3",
        (0, 2, 2, 1),
    ),
    "shallow": (
        dict(prompts=dict(num_prompts=3, kind="shallow"), guidance=None),
        "VPT-Shallow, 3 prompts in block 0",
        (3, 3, 3, 3),
    ),
    "persistent": (
        dict(prompts=dict(num_prompts=3, carry=2)),
        "DA-VPT, 3 prompts in blocks 0-3, those of block 2 persistent, guidance in block 3",
        (3, 3, 3, 3),
    ),
    "bfloat16": (
        dict(prompts=dict(num_prompts=3), trunk_dtype="bfloat16"),
        "DA-VPT, 3 prompts in blocks 0-3, guidance in block 3",
        (3, 3, 3, 3),
    ),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trunk's weights file."""
    torch.manual_seed(0)
    model = PromptedViT("vit_small_patch14_dinov2.lvd142m", timm_kwargs=SMALL)
    path = tmp_path_factory.mktemp("trunk") / "vit.pth"
    torch.save(model.trunk.state_dict(), path)
    return str(path)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """RGB pixels."""
    return np.random.default_rng(0).integers(0, 256, (45, 70, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", METHODS)
def test_adapter_folders_of_every_method_are_opened_and_looked_through(
    method: str, weights: str, image: np.ndarray, tmp_path: Path
) -> None:
    backbone, line, prompts = METHODS[method]
    folder = save_adapter(
        segmentor(weights, **{f"model.backbone.{k}": v for k, v in backbone.items()}), tmp_path / "street"
    )
    model = Opened(folder, trunk=weights)
    assert (model.name, model.task, model.method) == ("street", "segmentation", line)
    assert (model.depth, model.heads, model.prompts) == (4, (2, 2, 2, 2), prompts)
    assert model.separate_softmax == (method == "zero start")
    seen = model.look(image)
    assert np.array_equal(seen.labels, Predictor(folder, trunk=weights)(image[..., ::-1]))
    for block, count in enumerate(prompts):
        if not count:
            with pytest.raises(InputError, match=f"block {block} has no prompts"):
                seen.prompt_shares(block, 0, 0)
            continue
        shares, strength = seen.prompt_shares(block, 1, 2), seen.strength(block, 1, 2)
        assert shares.shape == (count,) and shares.dtype == np.float32
        if model.separate_softmax:
            assert shares.sum() == pytest.approx(1, rel=1e-5)
            assert strength > 0
        else:
            assert shares.sum() == pytest.approx(strength, rel=1e-5)
            assert 0 < strength < 1
        assert seen.patch_map(block, 0)[1, 2] == shares[0]


@pytest.mark.parametrize(
    ("method", "line"),
    [
        ("lora and biases", "lora, tuned: blocks.*.attn.value_bias"),
        ("full", "all parameters tuned"),
    ],
)
def test_a_model_without_prompts_predicts_and_has_nothing_else(
    method: str, line: str, weights: str, image: np.ndarray, tmp_path: Path
) -> None:
    model = Opened(save_adapter(segmentor(weights, method=method), tmp_path / "street"), trunk=weights)
    assert (model.method, model.prompts, model.guided) == (line, (0, 0, 0, 0), ())
    assert model.prompt_of_class() is None
    seen = model.look(image)
    assert seen.class_probabilities(0, 0).sum() == pytest.approx(1, abs=1e-5)
    for call in (lambda: seen.prompt_shares(3, 0, 0), lambda: seen.strength(3, 0, 0), lambda: seen.patch_map(3, 0)):
        with pytest.raises(InputError, match="block 3 has no prompts"):
            call()
    with pytest.raises(InputError, match="block 3 has no prompt 0"):
        model.classes_of_prompt(3, 0)


def test_proxies_are_no_prompts(weights: str, tmp_path: Path) -> None:
    backbone = dict(adapters=[dict(type="lora", rank=2)], prompts=None, guidance=dict(num_classes=3, num_prompts=2))
    changes = {f"model.backbone.{name}": value for name, value in backbone.items()}
    model = Opened(save_adapter(segmentor(weights, **changes), tmp_path / "street", mapping=True), trunk=weights)
    assert (model.method, model.guided) == ("guidance in block 3, lora", (3,))
    assert model.prompts == (0, 0, 0, 0) and model.prompt_of_class() is None


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a classifier whose six classes share two prompts, with its data beside it."""
    folder = tmp_path_factory.mktemp("classifier")
    root = write_vtab(folder / "vtab", "dmlab", train=24, val=12, test=18)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VTAB_ROOT", str(root))
        train(folder / "run", "--amp", epochs=1)
    return folder / "run" / "epoch_1.pth"


def test_a_classifier_has_probabilities_of_the_image_and_attention(classifier: Path) -> None:
    model = Opened(classifier)
    assert model.task == "classification"
    assert model.name == "run/epoch_1.pth"
    assert len(model.classes) == 6 and model.palette.shape == (6, 3)
    image = next((classifier.parents[1] / "vtab" / "dmlab" / "images" / "test").iterdir())
    seen = model.look(image)
    assert seen.labels is None
    assert seen.image_probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert np.array_equal(seen.class_probabilities(0, 1), seen.image_probabilities)
    rows, columns = seen.grid
    assert seen.patch_at(*seen.pixels.shape[1::-1]) == (rows - 1, columns - 1)
    block = model.guided[-1]
    assert 0 < seen.strength(block, 0, 0) < 1
    assert np.array_equal(np.asarray(Image.open(image).convert("RGB")).shape, seen.pixels.shape)


def test_the_mapping_and_its_history_are_those_of_the_training(classifier: Path) -> None:
    model = Opened(classifier)
    block = model.guided[-1]
    mapping = model.prompt_of_class()
    groups = [model.classes_of_prompt(block, prompt) for prompt in range(model.prompts[block])]
    assert [sorted(group) for group in groups] == [
        sorted(name for name, own in zip(model.classes, mapping) if own == prompt) for prompt in range(len(groups))
    ]
    assert sum(map(len, groups)) == 6
    history = mapping_history(classifier)
    assert history is not None and len(history[-1].prompt_of_class) == 6
    assert [clustering.epoch for clustering in history] == sorted(clustering.epoch for clustering in history)


def test_prompts_that_outnumber_classes_share_them(trained: Trained) -> None:
    model = Opened(trained.checkpoint)
    assert model.guided == (0, 1)
    assert model.prompt_of_class() == list(range(11))
    assert [model.classes_of_prompt(1, prompt) for prompt in (0, 11)] == [[model.classes[0]]] * 2
    assert mapping_history(trained.checkpoint) is None


def test_an_adapter_folder_answers_as_its_checkpoint(trained: Trained, tmp_path: Path) -> None:
    folder = save_adapter(load_trained(trained.config, trained.checkpoint), tmp_path / "street")
    two = Opened(trained.checkpoint), Opened(folder, trunk=load_trained(trained.config, trained.checkpoint).backbone)
    assert two[0].method == two[1].method
    first, second = (model.look(trained.images[0]) for model in two)
    assert np.array_equal(first.labels, second.labels)
    for block in (0, 1):
        assert np.array_equal(first.patch_map(block, 2, 1), second.patch_map(block, 2, 1))
    assert two[1].prompt_of_class() is None and two[1].classes_of_prompt(1, 0) == []  # saved without its mapping
    assert mapping_history(folder) is None


def test_a_checkpoint_without_its_trunk_is_opened_with_it(slim: Trained, trained: Trained) -> None:
    first = Opened(slim.checkpoint, slim.config).look(trained.images[0])
    second = Opened(trained.checkpoint).look(trained.images[0])
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.patch_map(1, 0), second.patch_map(1, 0))


def test_a_folder_of_several_adapters_is_refused_with_their_names(trained: Trained, tmp_path: Path) -> None:
    folder = save_adapter(load_trained(trained.config, trained.checkpoint), tmp_path / "bank" / "a")
    copytree(folder, tmp_path / "bank" / "b")
    with pytest.raises(InputError, match=r"holds several adapters.*choose one or two of .*bank/a, .*bank/b"):
        Opened(tmp_path / "bank")


@pytest.mark.parametrize("name", ["nothing.pth", "folder", "text.pth"])
def test_what_is_no_model_is_refused_in_one_paragraph(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.pth").write_text("no model")
    with pytest.raises(InputError) as refused:
        Opened(tmp_path / name)
    assert name in str(refused.value) and "\n" not in str(refused.value)
