"""Weights from files: what fits loads bit for bit, and what does not is refused by name."""

from __future__ import annotations

import argparse
import io
import logging
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.weights import load_weights, open_checkpoint, read_tensors
from davpt_seg.errors import InputError

from . import checkpoint_writers as write

TINY = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)


def vit(num_classes: int = 0, name: str = "vit_tiny_patch16_224", **kwargs: Any) -> VisionTransformer:
    return timm.create_model(name, num_classes=num_classes, **{**TINY, **kwargs})


def save(state: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    elif path.suffix == ".npz":
        np.savez(path, **state)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pt", ".bin", ".pth.tar", ".ckpt"])
def test_weights_come_back_bit_for_bit(tmp_path: Path, ending: str) -> None:
    source, trunk = vit(), vit()
    path = save(source.state_dict(), tmp_path / f"weights{ending}")
    load_weights(trunk, str(path))
    assert trunk.state_dict().keys() == source.state_dict().keys() == read_tensors(path).keys()
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in trunk.state_dict().items())


def test_the_backbone_takes_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = vit()
    path = save(source.state_dict(), tmp_path / "weights.safetensors")
    with caplog.at_level(logging.INFO, logger="davpt_seg"):
        model = PromptedViT("vit_tiny_patch16_224", weights=str(path), timm_kwargs=TINY)
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in model.trunk.state_dict().items())
    assert f"Loaded {len(source.state_dict())} tensors from {path}: format timm" in caplog.text
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
    state["blocks.0.norm1.wieght"] = state["prompts.0"] = torch.zeros(2)
    state["pos_embed"] = torch.zeros(1, 8, 32)
    state["norm.bias"] = torch.zeros(31)
    before = {name: value.clone() for name, value in trunk.state_dict().items()}
    with pytest.raises(
        ValueError, match=r"\(format timm\) does not fit vit_tiny_patch16_224; check model_name"
    ) as error:
        load_weights(trunk, save(state, tmp_path / "odd.pth"))
    file, model, missing, unexpected, shapes = (line.strip() for line in str(error.value).splitlines()[1:])
    assert file == "file:  2 blocks, width 32, patches of 8x8 pixels, 8 positions"
    assert model == "model: 2 blocks, width 32, patches of 8x8 pixels, 17 positions"
    assert missing == "missing (2): cls_token, blocks.0.norm1.weight (nearest in the file: blocks.0.norm1.wieght)"
    assert unexpected == "unexpected (2): blocks.0.norm1.wieght, prompts.0"
    assert shapes == (
        "of another shape (2): pos_embed (1, 8, 32) instead of (1, 17, 32), norm.bias (31,) instead of (32,)"
    )
    assert all(torch.equal(value, before[name]) for name, value in trunk.state_dict().items())


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda state: state.pop("norm.bias"), "missing"),
        (lambda state: state.update(other=torch.zeros(1)), "unexpected"),
        (lambda state: state.update(cls_token=torch.zeros(1, 1, 7)), "of another shape"),
        (lambda state: state.update(pos_embed=torch.zeros(1, 17, 7)), "of another shape"),
        (lambda state: state.update({"patch_embed.proj.bias": torch.zeros(2, 16)}), "of another shape"),
    ],
    ids=["missing", "unexpected", "shape", "positions", "patch bias"],
)
def test_one_key_amiss_is_enough_and_is_the_only_one_listed(tmp_path: Path, change: Any, kind: str) -> None:
    state = dict(vit().state_dict())
    change(state)
    with pytest.raises(ValueError, match="does not fit") as error:
        load_weights(vit(), save(state, tmp_path / "odd.pth"))
    lines = [line for line in str(error.value).splitlines()[3:] if not line.startswith("  hint")]
    assert len(lines) == 1 and lines[0].startswith(f"  {kind} (1): ")


MISFITS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # case: (the file's ViT, the model's, said)
    "width": (dict(embed_dim=64), {}, r"width 64(?s:.*)width 32(?s:.*)blocks.0.attn.qkv.weight \(192, 64\) instead of"),
    "fewer blocks": (dict(depth=1), {}, r"1 blocks(?s:.*)2 blocks(?s:.*)missing \(12\): blocks.1.norm1.weight, "),
    "more blocks": (dict(depth=3), {}, r"3 blocks(?s:.*)2 blocks(?s:.*)unexpected \(12\): .* and 2 more"),
    "patch size": (
        dict(patch_size=16, img_size=64),
        {},
        r"(?s)16x16 pixels.*hint: for other patches: .*resample_patch",
    ),
    "layer scale": (dict(init_values=0.1), {}, r"hint: the file has layer scale: timm_kwargs=dict\(init_values"),
    "no layer scale": ({}, dict(init_values=0.1), r"hint: the file has no layer scale"),
    "no final norm": (dict(final_norm=False), {}, r"hint: the file has no final norm.*final_norm=False"),
    "registers": (dict(reg_tokens=4, no_embed_class=True), {}, r"4 registers(?s:.*)hint: .* a model_name with reg"),
    "no registers": ({}, dict(reg_tokens=4, no_embed_class=True), r"hint: .* a model_name without reg"),
    "class token": ({}, dict(class_token=False, global_pool="avg"), r"hint: the file has a class token"),
    "another grid beside": (
        dict(img_size=64, init_values=0.1),
        {},
        r"file:  .*, 65 positions\n  model: .*, 17 positions",
    ),
    "positions of no square grid": (dict(img_size=(32, 16)), {}, r"pos_embed \(1, 9, 32\) instead of \(1, 17, 32\)"),
}


@pytest.mark.parametrize(("file", "model", "said"), MISFITS.values(), ids=MISFITS)
def test_another_vit_is_refused_with_what_sets_it_apart(
    tmp_path: Path, file: dict[str, Any], model: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        load_weights(vit(**model), save(vit(**file).state_dict(), tmp_path / "other.pth"))


@pytest.mark.parametrize(
    "case", ["width", "fewer blocks", "more blocks", "patch size", "no layer scale", "class token"]
)
def test_another_vit_in_a_jax_file_is_refused_alike(tmp_path: Path, case: str) -> None:
    file, model, said = MISFITS[case]
    path = save(write.jax(dict(vit(**file).state_dict()), 4), tmp_path / "other.npz")
    with pytest.raises(ValueError, match=said):
        load_weights(vit(**model), path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.pth"
    with pytest.raises(InputError, match=rf"{re.escape(str(path))}' does not exist \(seen from /"):
        open_checkpoint(path)


def test_a_folder_is_refused_with_the_files_in_it(tmp_path: Path) -> None:
    for name in ("model.safetensors", "config.json"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"is a folder; give a file in it, of these: model\.safetensors$"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("name", ["weights.onnx", "weights", "weights.safetensors.gz"])
def test_another_ending_is_refused_with_those_that_fit(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\0anything")
    with pytest.raises(ValueError, match=r"must end in one of \.safetensors, \.npz, \.pth, \.pt, \.bin, \.tar, \.ckpt"):
        open_checkpoint(tmp_path / name)


NOT_WEIGHTS = {
    "empty": (b"", "is empty"),
    "web page": (b"<!DOCTYPE html><html><body>403</body></html>", "is a web page"),
    "LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 343\n",
        "is a Git LFS pointer, not the weights; fetch them with: git lfs pull",
    ),
    "json": (b'{"error": "not found"}', "is a JSON text"),
    "zeros": (b"\0" * 500, "is (broken|not an intact)"),
    "text": (b"hello", r"is a text \('hello'\)"),
}


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".npz"])
@pytest.mark.parametrize(("content", "said"), NOT_WEIGHTS.values(), ids=NOT_WEIGHTS)
def test_a_file_that_holds_something_else_is_refused_by_name(
    tmp_path: Path, content: bytes, said: str, ending: str
) -> None:
    path = tmp_path / f"weights{ending}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights file '{re.escape(str(path))}' {said}"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("ending", "share"),
    [
        (".safetensors", 0.1),
        (".safetensors", 0.99),
        (".pth", 0.5),
        (".pth", 0.99),
        (".pth", 0.1),  # torch says so differently of less than 66 KB
        (".npz", 0.5),
        (".npz", 0.99),
    ],
)
def test_a_download_that_broke_off_is_refused_by_name(tmp_path: Path, ending: str, share: float) -> None:
    state: Any = vit().state_dict()
    path = save(write.jax(state, 4) if ending == ".npz" else state, tmp_path / f"weights{ending}")
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=rf"weights file '{re.escape(str(path))}' is (broken|not an intact)"):
        open_checkpoint(path)


class Trap:
    """Leaves a folder behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


PICKLES: dict[str, tuple[Callable[[Any, Path], Any], str]] = {
    "torch": (torch.save, r"posix\.mkdir"),
    "torch before 1.6": (
        lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
        r"posix\.mkdir",
    ),
    "plain": (lambda state, path: path.write_bytes(pickle.dumps(state)), "a pickle that was not written by torch.save"),
}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(("dump", "refused"), PICKLES.values(), ids=PICKLES)
def test_a_file_that_would_run_code_is_refused_before_it_does(
    tmp_path: Path, dump: Callable[[Any, Path], Any], refused: str
) -> None:
    path, sprung = tmp_path / "weights.pth", tmp_path / "sprung"
    dump({**vit().state_dict(), "trap": Trap(sprung)}, path)
    with pytest.raises(ValueError, match=rf"could run code; refused: {refused}.*weights=dict\(.*trust_pickle=True\)"):
        open_checkpoint(path)
    assert not sprung.exists()


def test_a_trusted_pickle_is_read_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, sprung, source = tmp_path / "weights.pth", tmp_path / "sprung", vit()
    torch.save({"model": source.state_dict(), "trap": Trap(sprung)}, path)
    weights = dict(path=str(path), trust_pickle=True)
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        model = PromptedViT("vit_tiny_patch16_224", weights=weights, timm_kwargs=TINY)
    assert torch.equal(model.trunk.pos_embed, source.pos_embed)
    assert sprung.exists()  # the trap was set
    assert f"Reading {path} with trust_pickle" in caplog.text


def test_a_pickled_module_needs_trust_and_gives_its_tensors(tmp_path: Path) -> None:
    source = vit()
    path = save({"model": source}, tmp_path / "module.pth")
    with pytest.raises(ValueError, match=r"refused: timm\.layers\.attention\.Attention, .* and \d+ more"):
        open_checkpoint(path)
    trunk = vit()
    load_weights(trunk, dict(path=path, trust_pickle=True))
    assert torch.equal(trunk.pos_embed, source.pos_embed)


class Holder(torch.nn.Module):
    """What TorchScript takes: OpenAI publishes CLIP so."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.visual = torch.nn.Module()
        self.visual.trunk = vit()
        self.visual.trunk.load_state_dict(state)

    def forward(self, images: Tensor) -> Tensor:
        return images


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_torchscript_archive_needs_trust_and_gives_its_tensors(tmp_path: Path) -> None:
    state = write.randomise(vit())
    path = tmp_path / "scripted.pt"
    torch.jit.trace(Holder(state), torch.zeros(1), check_trace=False).save(path)
    with pytest.raises(ValueError, match=r"refused: a TorchScript archive.*trust_pickle=True"):
        open_checkpoint(path)
    trunk = vit()
    assert load_weights(trunk, dict(path=path, trust_pickle=True)).format == "CLIP"
    assert all(torch.equal(value, state[name]) for name, value in trunk.state_dict().items())


def test_the_state_of_training_is_left_out(tmp_path: Path) -> None:
    state = write.randomise(vit())
    moments = {"optimizer": {"state": {name: {"exp_avg": value} for name, value in state.items()}}}
    trunk = vit()
    checkpoint = load_weights(trunk, save({"model": state, **moments}, tmp_path / "fsdp.pth"))
    assert torch.equal(trunk.pos_embed, state["pos_embed"])
    assert len(checkpoint.left_out["training state"]) == len(state)


def test_a_namespace_of_plain_values_needs_no_trust(tmp_path: Path) -> None:
    state = {"model": vit().state_dict(), "args": argparse.Namespace(lr=0.1, data="imagenet")}
    assert open_checkpoint(save(state, tmp_path / "args.pth")).format == "timm"


def test_a_trusted_pickle_of_a_package_that_is_not_here_says_so(tmp_path: Path) -> None:
    path = tmp_path / "foreign.pth"
    torch.save({"model": Trap(tmp_path / "sprung")}, path, _use_new_zipfile_serialization=False)  # without checksums
    path.write_bytes(path.read_bytes().replace(b"posix", b"nopix"))
    with pytest.raises(ValueError, match=r"holds objects of a package that is not here \(No module named 'nopix'\)"):
        open_checkpoint(path, trust_pickle=True)


@pytest.mark.parametrize(
    ("content", "first"),
    [
        (
            {"model": {"conv1.weight": torch.zeros(1), "fc.weight": torch.zeros(1)}},
            r"\(2\) are: model\.conv1\.weight, model\.fc",
        ),
        ([torch.zeros(1)], r"\(0\) are: none"),
        ({"epoch": 3}, r"\(0\) are: none"),
        ({"foo.bar.patch_embed.proj.weight": torch.zeros(1)}, r"\(1\) are: foo\.bar\.patch_embed\.proj\.weight"),
    ],
    ids=["ResNet", "list", "no tensors", "unknown prefix"],
)
def test_an_unknown_format_is_shown_by_its_first_keys_beside_the_known_ones(
    tmp_path: Path, content: Any, first: str
) -> None:
    path = save(content, tmp_path / "checkpoint.pth")
    with pytest.raises(
        ValueError, match=rf"is of no known format, or holds no plain ViT. The first of its tensors {first}"
    ) as error:
        open_checkpoint(path)
    known = set(str(error.value).partition("Known formats (docs/weights.md): ")[2].split(", "))
    formats = "davpt_seg mmseg mmpretrain transformers MoCo-v3 DINOv3 DINOv2 DINO EVA-02 MAE CLIP timm JAX"
    assert known == {*formats.split(), "Perception Encoder"}
    assert "\n" not in str(error.value)


def test_tensors_beside_the_vit_that_nothing_explains_are_unexpected(tmp_path: Path) -> None:
    content = write.moco_v3(dict(vit().state_dict()), dict(vit().state_dict()))
    content["state_dict"]["module.queue"] = torch.zeros(3)
    with pytest.raises(ValueError, match=r"\(format MoCo-v3\).*(?s:.*)unexpected \(1\): state_dict\.module\.queue"):
        load_weights(vit(), save(content, tmp_path / "moco.pth"))


@pytest.mark.parametrize("byte", [-30, 700, 5000])
def test_a_jax_file_with_another_packing_or_size_than_it_says_is_refused(tmp_path: Path, byte: int) -> None:
    path = tmp_path / "jax.npz"
    np.savez_compressed(path, **arrays(lambda a: None))
    content = bytearray(path.read_bytes())
    content[byte : byte + 20] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"jax\.npz'"):
        load_weights(vit(), path)


def test_a_jax_file_that_says_it_is_larger_than_memory_is_refused(tmp_path: Path) -> None:
    path, header = tmp_path / "jax.npz", io.BytesIO()
    np.lib.format.write_array_header_1_0(header, dict(descr="<f4", fortran_order=False, shape=(8, 8, 3, 2**50)))
    np.savez(path, **arrays(lambda a: a.pop("embedding/kernel")))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("embedding/kernel.npy", header.getvalue())
    with pytest.raises(ValueError, match=r"jax\.npz' is not an intact JAX"):
        load_weights(vit(), path)


def arrays(change: Callable[[dict[str, np.ndarray]], Any]) -> dict[str, np.ndarray]:
    content = write.jax(dict(vit().state_dict()), 4)
    change(content)
    return content


def test_a_jax_file_that_expands_without_limit_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, **arrays(lambda a: a.update({"bomb": np.zeros(30 * 2**20, np.uint8)})))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("a part was unpacked"))
    with pytest.raises(ValueError, match=r"bomb\.npz' .*its [\d,]+ bytes expand to [\d,]+, and no weights shrink more"):
        load_weights(vit(), path)


def test_a_jax_file_that_was_compressed_is_read(tmp_path: Path) -> None:
    content = arrays(lambda a: None)
    np.savez_compressed(tmp_path / "jax.npz", **content)
    trunk = vit()
    load_weights(trunk, tmp_path / "jax.npz")
    np.savez(tmp_path / "plain.npz", **content)
    other = vit()
    load_weights(other, tmp_path / "plain.npz")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in trunk.state_dict().items())


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("embedding/kernel", (1, 1, 1, 200_000), "a ViT of its parts' shapes has [0-9,]+ parameters"),
        ("Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel", (0, 10**12), "Dense_0/kernel is empty"),
        ("Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel", (1, 10**6), "a ViT of its parts' shapes has"),
    ],
    ids=["width", "nothing", "hidden width"],
)
def test_shapes_that_no_file_of_its_size_fills_build_no_vit(
    tmp_path: Path, name: str, shape: tuple[int, ...], said: str
) -> None:
    """A few bytes would make timm allocate terabytes."""
    with pytest.raises(ValueError, match=rf"jax\.npz' is not an intact JAX .*{said}"):
        load_weights(vit(), save(arrays(lambda a: a.update({name: np.ones(shape, np.int8)})), tmp_path / "jax.npz"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.pop("Transformer/encoder_norm/bias"), r"lacks a part of a ViT.*Transformer/encoder_norm/bias"),
        (lambda a: a.pop("Transformer/encoderblock_1/LayerNorm_2/scale"), r"lacks.*encoderblock_1/LayerNorm_2/scale"),
        (lambda a: a.pop("embedding/kernel"), "has no ViT's embedding/kernel, but cls"),
        (lambda a: [a.pop(key) for key in list(a) if "encoderblock" in key], "has no Transformer/encoderblock"),
        (
            lambda a: a.update({"conv_root/kernel": np.ones(1)}),
            r"does not fit(?s:.*)unexpected \(1\): conv_root/kernel",
        ),
        (lambda a: a.update({"embedding/bias": np.ones(5, np.float32)}), "is not an intact JAX .npz"),
        (lambda a: a.update({"embedding/kernel": np.ones((8, 8, 3, 30), np.float32)}), "is not an intact JAX .npz"),
        (lambda a: a.update({"embedding/kernel": np.ones((8, 8, 3, 0), np.float32)}), "is not an intact JAX .npz"),
    ],
    ids=["norm", "block", "kernel", "blocks", "hybrid", "shape", "heads", "no width"],
)
def test_a_jax_file_is_as_strict(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load_weights(vit(), save(arrays(change), tmp_path / "jax.npz"))


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (dict(path="x.pth", wich="student"), r"must be a path, or a dict of path and any of \['which', 'trust_pickle'"),
        (dict(which="student"), "must be a path, or a dict of path"),
    ],
)
def test_an_option_that_does_not_exist_is_refused_with_those_that_do(weights: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PromptedViT("vit_tiny_patch16_224", weights=weights, timm_kwargs=TINY)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("plain.pth", lambda state: state, "has networks: one only, so leave which out"),
        ("wrapped.pth", lambda state: {"model": state}, "has networks: 'model'"),
        ("jax.npz", lambda state: write.jax(state, 4), "holds one ViT; leave it out"),
    ],
)
def test_which_of_a_file_with_one_network_is_refused(
    tmp_path: Path, name: str, content: Callable[[dict[str, Tensor]], Any], said: str
) -> None:
    path = save(content(dict(vit().state_dict())), tmp_path / name)
    with pytest.raises(ValueError, match=rf"which='teacher'.*{said}"):
        open_checkpoint(path, which="teacher")
