"""Damaged and crafted adapter folders: refused by name, before anything large is allocated; see docs/security.md."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from davpt_seg.core import PromptedViT, load_adapter, save_adapter
from davpt_seg.core.adapter_folder.places import CARD, CONFIG, TENSORS
from davpt_seg.core.weights import with_checksum
from davpt_seg.core.weights.checksum import checksum
from davpt_seg.errors import InputError

from .little_memory import MOST, little_memory
from .test_adapter_folder import on, weights  # noqa: F401  (a fixture)


@pytest.fixture(scope="module")
def warm(weights: str, tmp_path_factory: pytest.TempPathFactory) -> None:  # noqa: F811
    """Import and allocate what an intact folder needs."""
    load_adapter(save_adapter(on(weights), tmp_path_factory.mktemp("warm") / "folder"), trunk=weights)


def config(**changes: Any) -> Callable[[Path], None]:
    """Change entries of the JSON; None removes one."""

    def act(folder: Path) -> None:
        content = {**json.loads((folder / CONFIG).read_text()), **changes}
        (folder / CONFIG).write_text(json.dumps({key: value for key, value in content.items() if value is not None}))

    return act


def backbone(**changes: Any) -> Callable[[Path], None]:
    """Change arguments of the ViT."""

    def act(folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_text())
        content["backbone"].update(changes)
        (folder / CONFIG).write_text(json.dumps(content))

    return act


def timm_kwargs(**changes: Any) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        content = json.loads((folder / CONFIG).read_text())
        content["backbone"]["timm_kwargs"].update(changes)
        (folder / CONFIG).write_text(json.dumps(content))

    return act


def text(content: str) -> Callable[[Path], None]:
    """Replace the JSON."""
    return lambda folder: (folder / CONFIG).write_text(content) and None


def tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Change the tensors, with a checksum that fits."""

    def act(folder: Path) -> None:
        found = load_file(folder / TENSORS)
        change(found)
        save_file(found, folder / TENSORS, with_checksum(found, {}))
        config(checksum=checksum(found))(folder)

    return act


def header(change: Callable[[str], str]) -> Callable[[Path], None]:
    """Change the header's text, and leave the values as they are."""

    def act(folder: Path) -> None:
        content = (folder / TENSORS).read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        changed = change(content[8 : 8 + length].decode()).encode()
        (folder / TENSORS).write_bytes(struct.pack("<Q", len(changed)) + changed + content[8 + length :])

    return act


def replaced(name: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Put something else in the place of a file."""

    def act(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return act


def several(*acts: Callable[[Path], None]) -> Callable[[Path], None]:
    """Do several."""

    def act(folder: Path) -> None:
        for each in acts:
            each(folder)

    return act


def sparse(size: int) -> Callable[[Path], Any]:
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


def cut(share: float) -> Callable[[Path], None]:
    def act(folder: Path) -> None:
        content = (folder / TENSORS).read_bytes()
        (folder / TENSORS).write_bytes(content[: int(share * len(content))])

    return act


def promised(shape: list[int]) -> Callable[[str], str]:
    """Let the first tensor have another shape, and the number of bytes that it needs."""

    def change(found: str) -> str:
        content = json.loads(found)
        name = next(name for name in content if name != "__metadata__")
        size = 4 * int(torch.tensor(shape, dtype=torch.float64).prod())
        content[name].update(shape=shape, data_offsets=[0, size])
        return json.dumps(content)

    return change


PROMPTS = "backbone.prompts.values.0"
ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    # the files
    "no folder": (lambda folder: (folder.rename(folder.with_name("gone")), None)[1], "does not exist"),
    "no JSON": (replaced(CONFIG, lambda path: None), "has no adapter_config.json"),
    "no tensors": (replaced(TENSORS, lambda path: None), "has no adapter_model.safetensors"),
    "an empty file": (replaced(TENSORS, Path.touch), "is empty"),
    "a JSON of 1 TB": (replaced(CONFIG, sparse(2**40)), "1,099,511,627,776 bytes, and at most 1,048,576 are read"),
    "tensors of 1 TB": (replaced(TENSORS, sparse(2**40)), "at most 8,589,934,592 are read"),
    "tensors that are a hole": (replaced(TENSORS, sparse(2**33)), "its header would have 0 bytes"),
    "a link out of the folder": (replaced(TENSORS, lambda path: path.symlink_to("/dev/zero")), "is a link"),
    "a link in the folder": (replaced(CONFIG, lambda path: path.symlink_to(CARD)), "is a link"),
    "a dangling link as card": (replaced(CARD, lambda path: path.symlink_to("nowhere")), "README.md is a link"),
    "a FIFO as card": (replaced(CARD, os.mkfifo), "README.md is no regular file"),
    "a FIFO as JSON": (replaced(CONFIG, os.mkfifo), "is no regular file"),
    "a folder as tensors": (replaced(TENSORS, Path.mkdir), "is no regular file"),
    # the JSON
    "not UTF-8": (lambda folder: (folder / CONFIG).write_bytes(b'{"\xff": 1}') and None, "is not valid JSON"),
    "half of a JSON": (text('{"format": 1, "backbone": {'), "is not valid JSON"),
    "no object": (text("[1]"), "must hold a JSON object, got list"),
    "500,000 brackets": (text("[" * 500_000), "is not valid JSON"),
    "nested dicts": (text('{"a":' * 100_000 + "1" + "}" * 100_000), "is not valid JSON"),
    "33 levels": (text('{"a":' * 34 + "1" + "}" * 34), "nests more than 32 brackets"),
    "a million digits": (text('{"format": ' + "9" * 1_000_000 + "}"), "a number has 1,000,000 digits"),
    "infinity by an exponent": (text('{"format": 1e999}'), "1e999 is no finite number"),
    "NaN": (text('{"format": NaN}'), "NaN is no finite number"),
    "a key twice": (text('{"format": 1, "format": 2}'), "the key 'format' is there twice"),
    "an unknown key": (config(run="rm -rf"), "unknown run"),
    "no fingerprint": (config(trunk={"source": None}), "a dict with a fingerprint is expected"),
    "a source that is a path": (config(trunk=dict(fingerprint="0", source=dict(path="/etc"))), "source must be a dict"),
    "a format that is true": (config(format=True), "has the format True"),
    "a format from the future": (config(format=10**30), "install a newer one"),
    "another task": (config(task="mining"), "task must be one of"),
    # the ViT
    "weights of its own": (backbone(weights=dict(path="x.pth", trust_pickle=True)), "has no argument 'weights'"),
    "pretrained": (backbone(pretrained=True), "has no argument 'pretrained'"),
    "trust_pickle": (backbone(trust_pickle=True), "has no argument 'trust_pickle'"),
    "a model of a hub": (backbone(model_name="hf-hub:evil/vit"), "no address of a hub"),
    "a local folder": (backbone(model_name="local-dir:/tmp"), "no file, and no address"),
    "a name that is a number": (backbone(model_name=3), "model_name '3' is none of timm's own"),
    "another network": (backbone(model_name="resnet50"), "ResNet|no plain timm Vision Transformer"),
    "a weights file for timm": (timm_kwargs(pretrained_cfg=dict(file="x.pth")), "has 'pretrained_cfg', which is no"),
    "a checkpoint for timm": (timm_kwargs(checkpoint_path="x.pth"), "has 'checkpoint_path', which is no"),
    "a million blocks": (timm_kwargs(depth=1_000_000), "depth must be from 1 to 128, got 1000000"),
    "a width of a million": (timm_kwargs(embed_dim=10**6), "at most 100,000,000,000 are built"),
    "a width beyond integers": (timm_kwargs(embed_dim=10**30), "gives no plain timm Vision Transformer"),
    "a width of 16,384": (timm_kwargs(embed_dim=16384), "has room for"),
    "an MLP of 100,000 channels": (timm_kwargs(mlp_ratio=50_000), "has room for"),
    "positions for a gigapixel": (timm_kwargs(img_size=65536), "has room for"),
    "a billion registers": (timm_kwargs(reg_tokens=10**8), "has room for"),
    "positions of BEiT": (
        backbone(model_name="beit_base_patch16_224", timm_kwargs=dict(img_size=65536)),
        "has room for|no plain timm",
    ),
    "rotary positions of EVA": (
        backbone(model_name="eva02_tiny_patch14_224", timm_kwargs=dict(img_size=14 * 2**14)),
        "has room for",
    ),
    "rotary positions of DINOv3": (
        backbone(model_name="vit_small_patch16_dinov3", timm_kwargs=dict(img_size=16 * 2**14)),
        "has room for",
    ),
    "a larger ViT": (backbone(model_name="vit_giant_patch14_reg4_dinov2", timm_kwargs=None), "has room for"),
    "a dict for a number": (timm_kwargs(embed_dim={}), "must be a plain value"),
    "a million prompts": (backbone(prompts=dict(num_prompts=1_000_000)), "the largest is 100,000"),
    "100,000 prompts a block": (backbone(prompts=dict(num_prompts=100_000)), "has the shape"),
    "LoRA of rank 100,000": (backbone(adapters=[dict(type="lora", rank=100_000)]), "lora_A is missing"),
    "a million classes": (
        backbone(guidance=dict(num_classes=1_000_000, blocks=[-1], mapping=dict(kind="random"))),
        "loads",  # without memory: the folder holds no state of it
    ),
    "a million classes with their state": (
        several(backbone(guidance=dict(num_classes=1_000_000, labelling=dict(ignore_index=-1))), config(mapping=True)),
        "guidance.mapping.centroids is missing",
    ),
    "an adapter of another name": (backbone(adapters=[dict(type="os.system")]), "adapters type must be one of"),
    "an argument of another type": (backbone(out_indices="all"), "out_indices must be a list of integers"),
    # the tensors
    "cut off in the header": (cut(0.02), "is cut off in its header"),
    "cut off in the values": (cut(0.9), "is cut off or crafted"),
    "one byte more": (
        lambda folder: (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes() + b"\0") and None,
        "is cut off or crafted",
    ),
    "a header of 2**63 bytes": (
        lambda folder: (folder / TENSORS).write_bytes(struct.pack("<Q", 2**63) + b"{}") and None,
        "its header would have 9,223,372,036,854,775,808 bytes",
    ),
    "a header of 100 MB": (
        several(
            replaced(TENSORS, lambda path: path.write_bytes(struct.pack("<Q", 10**8))),
            lambda folder: os.truncate(folder / TENSORS, 10**8 + 8),
        ),
        "its header would have 100,000,000 bytes",
    ),
    "petabytes": (header(promised([2**25, 2**25])), "has the shape"),
    "petabytes in a shape of ours": (
        header(lambda found: found.replace('"data_offsets":[0,', '"data_offsets":[1125899906842624,')),
        "is cut off or crafted",
    ),
    "tensors that overlap": (
        header(
            lambda found: json.dumps({**json.loads(found), "backbone.prompts.values.1": json.loads(found)[PROMPTS]})
        ),
        "is cut off or crafted",
    ),
    "a header that nests": (header(lambda found: '{"a":' * 1000 + "1" + "}" * 1000), "is not valid JSON"),
    "a name twice": (
        header(lambda found: found.replace("values.1", "values.0")),
        f"the key '{PROMPTS}' is there twice",
    ),
    "an entry with code": (header(lambda found: found.replace('"F32"', '"__import__"')), "which no tensor of ours is"),
    "a negative size": (header(lambda found: found.replace('"shape":[3,', '"shape":[-3,')), "no tensor of ours"),
    "a name that leads elsewhere": (
        tensors(lambda found: found.update({"../../etc/passwd": torch.zeros(1)})),
        "'../../etc/passwd' is of no part of the model",
    ),
    "another method's keys": (
        tensors(lambda found: found.update({"backbone.adapters.lora.layers.x.lora_A": torch.zeros(1)})),
        "lora_A' is of no part of the model",
    ),
    "weights for the frozen trunk": (
        tensors(lambda found: found.update({"backbone.trunk.norm.weight": torch.zeros(32)})),
        "'backbone.trunk.norm.weight' is of no part",
    ),
    "a record of another trunk": (
        tensors(lambda found: found.update({"backbone.frozen_trunk": torch.zeros(3, dtype=torch.uint8)})),
        "is of no part of the model",
    ),
    "a tensor less": (tensors(lambda found: found.pop(PROMPTS)), f"{PROMPTS} is missing"),
    "another shape": (tensors(lambda found: found.update({PROMPTS: found[PROMPTS].T.contiguous()})), "has the shape"),
    "integers": (
        tensors(lambda found: found.update({PROMPTS: found[PROMPTS].long()})),
        "is int64, the model's is float32",
    ),
    "float64": (tensors(lambda found: found.update({PROMPTS: found[PROMPTS].double()})), "is float64, the model's"),
    "a float that is NaN": (tensors(lambda found: found[PROMPTS].fill_(torch.nan)), "has 96 NaN and 0 infinite values"),
    "infinity in a tensor": (tensors(lambda found: found[PROMPTS][0].fill_(torch.inf)), "32 infinite values"),
    "a flipped bit": (
        lambda folder: (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-1] + b"\1") and None,
        "its checksum differs",
    ),
    "a pickle": (
        replaced(TENSORS, lambda path: torch.save({PROMPTS: torch.zeros(3, 32)}, path)),
        "is no safetensors file",
    ),
    "the fingerprint of another trunk": (config(trunk=dict(fingerprint="0" * 64)), "the ViT here is another one"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_crafted_folder_is_refused_by_name_with_little_memory(
    attack: str,
    weights: str,  # noqa: F811
    warm: None,
    tmp_path: Path,
) -> None:
    act, message = ATTACKS[attack]
    folder = save_adapter(on(weights, prompts=dict(num_prompts=3)), tmp_path / "folder")
    act(folder)
    before = sorted(os.listdir(tmp_path))
    with little_memory():
        if message == "loads":
            assert load_adapter(folder, trunk=weights).guidance is None
            return
        with pytest.raises(InputError, match=message) as refused:
            load_adapter(folder, trunk=weights)
    assert str(refused.value).startswith("adapter folder '")
    assert len(str(refused.value)) < 2000
    assert sorted(os.listdir(tmp_path)) == before


def test_the_limit_of_the_tests_above_is_one(warm: None) -> None:
    with little_memory(), pytest.raises(RuntimeError, match="can't allocate memory"):
        torch.ones(2 * MOST // 4)


@pytest.mark.parametrize("attack", ["a width of 16,384", "a million blocks", "100,000 prompts a block"])
def test_a_shared_trunk_is_no_way_around(attack: str, weights: str, warm: None, tmp_path: Path) -> None:  # noqa: F811
    folder = save_adapter(on(weights, prompts=dict(num_prompts=3)), tmp_path / "folder")
    ATTACKS[attack][0](folder)
    trunk = PromptedViT("vit_tiny_patch16_224", weights=weights, timm_kwargs=on(weights).arguments["timm_kwargs"])
    with little_memory(), pytest.raises(InputError, match=r"needs a ViT with timm_kwargs|depth must be|has the shape"):
        load_adapter(folder, trunk=trunk)


def test_a_card_is_written_beside_a_link_and_not_through_it(weights: str, tmp_path: Path) -> None:  # noqa: F811
    folder = save_adapter(on(weights), tmp_path / "folder")
    (tmp_path / "precious").write_text("precious")
    (folder / CARD).unlink()
    (folder / CARD).symlink_to(tmp_path / "precious")
    save_adapter(on(weights), folder)
    assert (tmp_path / "precious").read_text() == "precious" and not (folder / CARD).is_symlink()


def test_half_precision_is_widened_without_loss(weights: str, tmp_path: Path) -> None:  # noqa: F811
    model = on(weights, prompts=dict(num_prompts=3))
    folder = save_adapter(model, tmp_path / "folder")
    tensors(lambda found: found.update({name: value.bfloat16() for name, value in found.items()}))(folder)
    loaded = load_adapter(folder, trunk=weights)
    assert torch.equal(loaded.prompts.values["0"], model.prompts.values["0"].bfloat16().float())  # type: ignore[union-attr]
