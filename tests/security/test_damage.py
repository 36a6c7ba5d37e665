"""No reader takes a file in which a bit was flipped for an intact one, nor weights that nothing trained."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import timm
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from torch import Tensor

from davpt_seg.apis.predictor import Predictor
from davpt_seg.core.weights import load_weights, read_tensors, with_checksum
from davpt_seg.core.weights.damage import zip_damage
from davpt_seg.core.weights.values import faults
from davpt_seg.errors import InputError
from davpt_seg.trust.checkpoints import read

from ..checkpoints import Trained
from ..training import config_file
from .attacks import Call
from .test_entry_points import READERS, refusal

TINY = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)


def vit() -> timm.models.VisionTransformer:
    return timm.create_model("vit_tiny_patch16_224", num_classes=0, **TINY)


def flip(path: Path, byte: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[byte] ^= 1 << bit
    path.write_bytes(data)


def flip_a_weight(source: str, target: Path) -> None:
    """Flip a high bit of a number in the largest tensor: the file still loads, with another score."""
    content = bytearray(Path(source).read_bytes())
    largest = max(torch.load(source)["state_dict"].values(), key=Tensor.numel)
    at = content.index(largest.numpy().tobytes()) + 3
    content[at] ^= 1 << 5
    target.write_bytes(content)


@pytest.mark.parametrize("reader", READERS)
def test_a_flipped_bit_is_named_by_every_reader(
    reader: str, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "damaged.pth"
    flip_a_weight(trained.checkpoint, damaged)
    torch.load(damaged)  # torch does not see it
    said = refusal(lambda: READERS[reader](trained, str(damaged), tmp_path), capsys)
    assert re.search(r"damaged\.pth' .*is damaged: the checksum of its part '\w+/data/\d+' is wrong", said), said


def test_any_flipped_bit_is_seen_or_changes_nothing(tmp_path: Path) -> None:
    """Over all of a small checkpoint: headers, names, pickle, numbers and padding."""
    path = tmp_path / "small.pth"
    content = {"state_dict": {"a": torch.arange(5.0), "b": torch.ones(3)}, "meta": {"epoch": 3}}
    torch.save(content, path)
    intact = path.read_bytes()
    counts = {"refused": 0, "same": 0}
    for byte in range(0, len(intact), 3):
        path.write_bytes(intact)
        flip(path, byte, byte % 8)
        try:
            found = read(str(path))
        except ValueError:
            counts["refused"] += 1
            continue
        counts["same"] += 1
        assert found["meta"] == content["meta"]
        assert all(torch.equal(found["state_dict"][name], value) for name, value in content["state_dict"].items())
    print(f"{len(intact)} bytes: {counts}")
    assert counts["refused"] > 100


def test_a_file_is_read_once_for_its_checksums_until_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"state_dict": {"a": torch.arange(1000.0)}}, path)
    assert zip_damage(path) == ""
    flip(path, len(path.read_bytes()) // 2)
    assert "is damaged" in zip_damage(path)


@pytest.mark.parametrize("part", ["data.pkl", "data/0", "data/x", "byteorder", ".format_version"])
def test_a_part_that_could_expand_without_limit_is_refused(part: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.arange(1000.0)}}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as intact, zipfile.ZipFile(tmp_path / "packed.pth", "w") as packed:
        for name in intact.namelist():
            folder, own = name.split("/", 1)
            shown = f"{folder}/{part}" if own == "data/0" and part == "data/x" else name
            packed.writestr(shown, intact.read(name), 8 if shown == f"{folder}/{part}" else 0)
    with pytest.raises(InputError, match=rf"packed\.pth' was packed again: its part '\w+/{re.escape(part)}'"):
        read(str(tmp_path / "packed.pth"))


def test_parts_that_share_their_bytes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file whose parts overlap expands to a large one. Python 3.11.7 reads it; torch, too."""
    torch.save({"state_dict": {"a": torch.arange(1000.0), "b": torch.arange(1000.0)}}, tmp_path / "a.pth")
    content = bytearray((tmp_path / "a.pth").read_bytes())
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        first, second = (archive.getinfo(f"a/data/{i}") for i in range(2))
    entry = content.index(b"PK\x01\x02", content.index(b"PK\x01\x02", second.header_offset))
    while content[entry + 46 : entry + 46 + len("a/data/1")] != b"a/data/1":
        entry = content.index(b"PK\x01\x02", entry + 4)
    content[entry + 42 : entry + 46] = (first.header_offset + 100).to_bytes(4, "little")
    (tmp_path / "bomb.pth").write_bytes(content)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("a part was unpacked"))
    with pytest.raises(InputError, match=r"bomb\.pth' is damaged: its part 'a/data/1' overlaps the one before"):
        read(str(tmp_path / "bomb.pth"))


def test_weights_that_were_saved_in_a_ddp_model_are_read_the_same_way_by_all(
    trained: Trained, content: dict[str, Any], tmp_path: Path
) -> None:
    wrapped = {f"module.{name}": value for name, value in content["state_dict"].items()}
    torch.save({**content, "state_dict": wrapped}, tmp_path / "ddp.pth")
    plain, ddp = (Predictor(path, device="cpu") for path in (trained.checkpoint, str(tmp_path / "ddp.pth")))
    assert (plain(trained.images[0]) == ddp(trained.images[0])).all()
    for reader in ("test", "--resume", "load_from", "prune"):
        READERS[reader](trained, str(tmp_path / "ddp.pth"), tmp_path / reader.strip("-"))
    torch.save({**content, "state_dict": {**content["state_dict"], **wrapped}}, tmp_path / "twice.pth")
    with pytest.raises(InputError, match=r"holds weights twice, with and without 'module\.': .* and \d+ more"):
        read(str(tmp_path / "twice.pth"))
    torch.save(wrapped, tmp_path / "bare.pth")
    assert set(read(str(tmp_path / "bare.pth"))) == set(content["state_dict"])


def test_an_optimizer_that_diverged_is_not_resumed_from(
    trained: Trained, content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optimizer = content["optimizer"]
    states = {index: {**state, "exp_avg_sq": nan(state["exp_avg_sq"])} for index, state in optimizer["state"].items()}
    torch.save({**content, "optimizer": {**optimizer, "state": states}}, tmp_path / "diverged.pth")
    said = refusal(lambda: READERS["--resume"](trained, str(tmp_path / "diverged.pth"), tmp_path), capsys)
    assert re.search(r"an optimizer's state with NaN or infinite values: state\.\d+\.exp_avg_sq, .* and \d+ more", said)
    Predictor(str(tmp_path / "diverged.pth"), device="cpu")  # which reads no optimizer


def test_averaged_weights_are_checked_where_they_are_used(
    trained: Trained, content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "decode_head.conv_seg.weight"
    averaged = {f"module.{key}": value for key, value in content["state_dict"].items()}
    averaged.update({"steps": torch.tensor(3), f"module.{name}": nan(averaged[f"module.{name}"])})
    path = str(tmp_path / "averaged.pth")
    torch.save({**content, "ema_state_dict": averaged}, path)
    Predictor(path, device="cpu")
    READERS["test"](trained, path, tmp_path)
    cfg = Config.fromfile(trained.config)
    cfg.custom_hooks.append(dict(type="EMAHook"))
    averaging = trained._replace(config=config_file(cfg, tmp_path / "averaging.py"))
    for reader in ("test", "--resume"):
        said = refusal(lambda name=reader: READERS[name](averaging, path, tmp_path / name.strip("-")), capsys)
        assert f"holds weights in ema_state_dict, for EMAHook, that no training leaves: module.{name} has 1 NaN" in said


def test_our_safetensors_files_carry_a_checksum_that_is_compared(tmp_path: Path) -> None:
    state, path = dict(vit().state_dict()), tmp_path / "vit.safetensors"
    safetensors.torch.save_file(state, path, with_checksum(state, {"format": "pt"}))
    assert read_tensors(path).keys() == state.keys()
    flip(path, path.stat().st_size - 100)
    with pytest.raises(ValueError, match=r"vit\.safetensors' is damaged: its checksum is wrong"):
        read_tensors(path)
    safetensors.torch.save_file(state, path, {"format": "pt"})  # a stranger's has none
    assert read_tensors(path).keys() == state.keys()


def nan(value: Tensor) -> Tensor:
    value = value.clone()
    value.view(-1)[0] = float("nan")
    return value


def infinite(value: Tensor) -> Tensor:
    value = value.clone()
    value.view(-1)[-1] = -float("inf")
    return value


WRONG: list[tuple[str, Callable[[Tensor], Tensor], str]] = [
    ("blocks.0.attn.qkv.weight", nan, "has 1 NaN and 0 infinite values of 3,072"),
    ("norm.bias", infinite, "has 0 NaN and 1 infinite values of 32"),
    ("pos_embed", nan, "has 1 NaN"),
    ("blocks.1.mlp.fc1.weight", torch.zeros_like, "is zero everywhere"),
    ("patch_embed.proj.weight", torch.zeros_like, "is zero everywhere"),
    ("cls_token", lambda value: value.to(torch.int32), "is int32, not floating-point"),
    ("blocks.0.attn.qkv.weight", lambda value: value.to(torch.complex64), "is complex"),
    ("blocks.0.norm1.weight", lambda value: value > 0, "is bool, not floating-point"),
]


@pytest.mark.parametrize(("name", "spoil", "said"), WRONG)
def test_weights_that_no_trained_vit_has_are_refused_by_name(
    name: str, spoil: Callable[[Tensor], Tensor], said: str, tmp_path: Path
) -> None:
    state = dict(vit().state_dict())
    state[name] = spoil(state[name])
    trunk = vit()
    before = {key: value.clone() for key, value in trunk.state_dict().items()}
    for path in (tmp_path / "vit.pth", tmp_path / "vit.safetensors"):
        if path.suffix == ".pth":
            torch.save(state, path)
        else:
            safetensors.torch.save_file(state, path)
        with pytest.raises(ValueError, match=rf"no trained ViT has: {re.escape(name)} {said}"):
            load_weights(trunk, path)
    assert all(torch.equal(value, before[key]) for key, value in trunk.state_dict().items())


@pytest.mark.parametrize(("name", "spoil", "said"), WRONG)
def test_checkpoints_with_such_weights_are_refused_by_name(
    name: str, spoil: Callable[[Tensor], Tensor], said: str, tmp_path: Path
) -> None:
    state = {f"backbone.trunk.{key}": value for key, value in vit().state_dict().items()}
    state[f"backbone.trunk.{name}"] = spoil(state[f"backbone.trunk.{name}"])
    torch.save({"state_dict": state}, tmp_path / "spoilt.pth")
    with pytest.raises(ValueError, match=rf"spoilt\.pth' holds weights .*: backbone\.trunk\.{re.escape(name)} {said}"):
        load_checkpoint(torch.nn.Module(), str(tmp_path / "spoilt.pth"))


def test_weights_of_zeros_alone_are_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a.weight": torch.zeros(2, 2), "b.weight": torch.zeros(3, 2)}}, tmp_path / "zeros.pth")
    with pytest.raises(ValueError, match=r"zeros\.pth' .*all 2 matrices are zero"):
        read(str(tmp_path / "zeros.pth"))


@pytest.mark.parametrize(
    "tensors",
    [
        {"norm.bias": torch.zeros(3), "a.weight": torch.ones(2, 2)},
        {"blocks.0.ls1.gamma": torch.zeros(3), "a.weight": torch.ones(2, 2)},
        {"adapters.lora.up.weight": torch.zeros(3, 2), "a.weight": torch.ones(2, 2)},  # as they start
        {"backbone.prompts.values.0": torch.zeros(3, 2), "a.weight": torch.ones(2, 2)},
        {"attention_mask": torch.tensor([[0.0, -torch.inf], [0.0, 0.0]]), "a.weight": torch.ones(2, 2)},
        {"bn.num_batches_tracked": torch.tensor(0), "a.weight": torch.ones(2, 2)},
        {"mapping.class_counts": torch.zeros(3, dtype=torch.long), "a.weight": torch.ones(2, 2)},
        {"half.weight": torch.ones(2, 2, dtype=torch.bfloat16)},
        {"tiny.weight": torch.ones(2, 2).to(torch.float8_e4m3fn)},
        {
            "sparse.weight": torch.eye(3).to_sparse(),
            "nested": torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]),
        },
        {"empty.weight": torch.ones(0, 2), "a.weight": torch.ones(2, 2)},
        {},
    ],
)
def test_what_may_be_zero_infinite_or_integer_is_no_fault(tensors: dict[str, Tensor]) -> None:
    assert faults(tensors) == []


def test_integers_for_a_models_own_floating_point_numbers_are_refused(
    trained: Trained, content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """torch would convert them without a word."""
    state = dict(content["state_dict"])
    state["backbone.prompts.values.0"] = state["backbone.prompts.values.0"].to(torch.int32)
    torch.save({**content, "state_dict": state}, tmp_path / "integers.pth")
    for reader in ("Predictor", "test", "prune", "--resume", "load_from"):
        said = refusal(lambda name=reader: READERS[name](trained, str(tmp_path / "integers.pth"), tmp_path), capsys)
        assert "backbone.prompts.values.0 is int32, the model's is float32" in said, (reader, said)


def test_a_refused_checkpoint_is_named_without_torchs_advice_to_read_it_unsafely(tmp_path: Path) -> None:
    torch.save(dict(state_dict={}, extra=Call(os.system, "true")), tmp_path / "evil.pth")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    for name, refused in (("evil.pth", "posix.system"), ("module.pth", "torch.nn.modules.linear.Linear")):
        with pytest.raises(InputError, match=re.escape(refused)) as caught:
            read(str(tmp_path / name))
        assert not re.search("weights_only|safe_globals", str(caught.value))
