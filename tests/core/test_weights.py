"""Weights from files: what fits loads bit for bit, and what does not is refused by name."""

from __future__ import annotations

import logging
import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.weights import load_weights, read_state_dict

TINY = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)


def vit(num_classes: int = 0, name: str = "vit_tiny_patch16_224", **kwargs: Any) -> VisionTransformer:
    return timm.create_model(name, num_classes=num_classes, **{**TINY, **kwargs})


def save(state: dict[str, Tensor], path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pt", ".bin"])
def test_weights_come_back_bit_for_bit(tmp_path: Path, ending: str) -> None:
    source, trunk = vit(), vit()
    path = save(source.state_dict(), tmp_path / f"weights{ending}")
    load_weights(trunk, str(path))
    assert trunk.state_dict().keys() == source.state_dict().keys() == read_state_dict(path).keys()
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in trunk.state_dict().items())


def test_the_backbone_takes_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = vit()
    path = save(source.state_dict(), tmp_path / "weights.safetensors")
    with caplog.at_level(logging.INFO, logger="davpt_seg"):
        model = PromptedViT("vit_tiny_patch16_224", weights=str(path), timm_kwargs=TINY)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.trunk.state_dict().items())
    assert f"Loaded {len(source.state_dict())} tensors from {path}" in caplog.text
    assert "random weights" not in caplog.text


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_the_classifier_of_the_file_is_left_out(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    source, trunk = vit(num_classes=10, name=name), vit(name=name)
    heads = source.state_dict().keys() - trunk.state_dict().keys()
    assert {"head.weight", "head.bias"} <= heads
    with caplog.at_level(logging.INFO, logger="davpt_seg"):
        load_weights(trunk, save(source.state_dict(), tmp_path / "weights.pth"))
    assert all(torch.equal(value, source.state_dict()[key]) for key, value in trunk.state_dict().items())
    assert all(head in caplog.text for head in heads)


def test_everything_that_does_not_fit_is_listed_and_nothing_is_loaded(tmp_path: Path) -> None:
    source, trunk = vit(num_classes=10), vit()
    state = dict(source.state_dict())
    del state["blocks.0.norm1.weight"], state["cls_token"]
    state["blocks.1.extra.weight"] = state["prompts.0"] = torch.zeros(2)
    state["pos_embed"] = torch.zeros(1, 197, 32)
    state["norm.bias"] = torch.zeros(31)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    with pytest.raises(ValueError, match=r"does not fit vit_tiny_patch16_224; check model_name") as error:
        load_weights(trunk, save(state, tmp_path / "odd.pth"))
    missing, unexpected, shapes = str(error.value).splitlines()[1:]
    assert missing.strip() == "missing (2): blocks.0.norm1.weight, cls_token"
    assert unexpected.strip() == "unexpected (2): blocks.1.extra.weight, prompts.0"
    assert shapes.strip().startswith("of another shape (2): ")
    assert "pos_embed (1, 197, 32) instead of (1, 17, 32)" in shapes and "norm.bias (31,) instead of (32,)" in shapes
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda state: state.pop("norm.weight"), "missing"),
        (lambda state: state.update(other=torch.zeros(1)), "unexpected"),
        (lambda state: state.update(cls_token=torch.zeros(1, 1, 7)), "of another shape"),
    ],
    ids=["missing", "unexpected", "shape"],
)
def test_one_key_amiss_is_enough_and_is_the_only_one_listed(tmp_path: Path, change: Any, kind: str) -> None:
    state = dict(vit().state_dict())
    change(state)
    with pytest.raises(ValueError, match="does not fit") as error:
        load_weights(vit(), save(state, tmp_path / "odd.pth"))
    (line,) = str(error.value).splitlines()[1:]
    assert line.startswith(f"  {kind} (1): ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(FileNotFoundError, match=rf"{re.escape(str(path))}' does not exist"):
            read_state_dict(path)


@pytest.mark.parametrize("name", ["weights.npz", "weights", "weights.safetensors.gz"])
def test_another_ending_is_refused_with_those_that_fit(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(ValueError, match=r"must end in \.safetensors, \.pth, \.pt or \.bin"):
        read_state_dict(tmp_path / name)


NOT_WEIGHTS = {
    "empty": b"",
    "web page": b"<!DOCTYPE html><html><body>403</body></html>",
    "LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 343\n",
    "zeros": b"\0" * 500,
}


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("content", NOT_WEIGHTS.values(), ids=NOT_WEIGHTS)
def test_a_file_that_holds_something_else_is_refused_by_name(tmp_path: Path, content: bytes, ending: str) -> None:
    path = tmp_path / f"weights{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights file '{re.escape(str(path))}' is (broken|not a whole)"):
        read_state_dict(path)


def test_a_text_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"hello")
    with pytest.raises(ValueError, match="weights file"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("ending", "share"),
    [
        (".safetensors", 0.1),
        (".safetensors", 0.99),
        (".pth", 0.5),
        (".pth", 0.99),
        (".pth", 0.1),  # torch says so differently of less than 66 KB
    ],
)
def test_a_download_that_broke_off_is_refused_by_name(tmp_path: Path, ending: str, share: float) -> None:
    path = save(vit().state_dict(), tmp_path / f"weights{ending}")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"weights file '{re.escape(str(path))}' is (broken|not a whole)"):
        read_state_dict(path)


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("plain_pickle", [False, True])
def test_a_file_that_would_run_code_is_refused_before_it_does(tmp_path: Path, plain_pickle: bool) -> None:
    path, sprung = tmp_path / "weights.pth", tmp_path / "sprung"
    state = {"cls_token": torch.zeros(1), "trap": Trap(sprung)}
    if plain_pickle:
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save(state, path)
    with pytest.raises(ValueError, match="holds more than plain tensors"):
        read_state_dict(path)
    assert not sprung.exists()
    if not plain_pickle:
        torch.load(path, weights_only=False)
        assert sprung.exists()  # the trap was set


@pytest.mark.parametrize(
    ("content", "held"),
    [
        ({"state_dict": {"cls_token": torch.zeros(1)}, "epoch": 3}, r"\['state_dict', 'epoch'\]"),
        ({"model": {"cls_token": torch.zeros(1)}}, r"\['model'\]"),
        ([torch.zeros(1)], "list"),
    ],
    ids=["state_dict", "model", "list"],
)
def test_a_nested_checkpoint_says_what_it_holds_and_what_to_do(tmp_path: Path, content: Any, held: str) -> None:
    torch.save(content, tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match=rf"must hold a flat dict.*but holds {held}; save the inner state dict alone"):
        read_state_dict(tmp_path / "checkpoint.pth")
