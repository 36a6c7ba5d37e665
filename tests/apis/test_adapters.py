"""Adapter folders of segmentors and classifiers: they predict as the model did, on the trunk that a colleague has."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config
from PIL import Image
from torch import nn

from davpt_seg.apis import Predictor, load_adapter, save_adapter
from davpt_seg.apis.adapters import OpenedAdapter
from davpt_seg.commands.predict import main_predict
from davpt_seg.core import AdapterSet, PromptedViT
from davpt_seg.core import load_adapter as load_backbone
from davpt_seg.core import trunk as trunks
from davpt_seg.core.adapter_folder.card import trunk_argument
from davpt_seg.core.adapter_folder.places import CARD, CONFIG, TENSORS
from davpt_seg.core.record import Record, Source
from davpt_seg.errors import InputError
from davpt_seg.training.alike import difference
from davpt_seg.training.model import build_model

from ..core.little_memory import little_memory

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = dict(img_size=56, embed_dim=32, num_heads=2, depth=4)
CLASSES = ("sky", "road", "tree")
PALETTE = [[0, 0, 255], [90, 90, 90], [0, 255, 0]]

BACKBONES: dict[str, dict[str, Any]] = {
    "davpt": dict(prompts=dict(num_prompts=3), guidance=dict(num_classes=3)),
    "lora and biases": dict(adapters=[dict(type="lora", rank=2)], tuned=["blocks.*.attn.value_bias"]),
    "full": dict(frozen=False),
}
HEAD = dict(num_classes=3, in_channels=32, channels=32)
SEGMENTORS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("linear_vits14", dict(decode_head=HEAD)),
    "upernet": ("upernet_vits14", dict(neck=dict(in_channels=[32] * 4, out_channels=16))),
    "setr_pup": ("setr_pup_vitl", dict(decode_head=HEAD)),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A trunk's weights file."""
    torch.manual_seed(0)
    model = PromptedViT("vit_small_patch14_dinov2.lvd142m", timm_kwargs=SMALL)
    path = tmp_path_factory.mktemp("trunk") / "vit.pth"
    torch.save(model.trunk.state_dict(), path)
    return str(path)


def segmentor(weights: str, kind: str = "linear", method: str = "davpt", **changes: Any) -> Any:
    """A segmentor with random values, on a trunk."""
    name, model = SEGMENTORS[kind]
    cfg = Config.fromfile(CONFIGS / "_base_" / "models" / f"{name}.py")
    cfg.model.pop("auxiliary_head", None)
    if kind == "upernet":
        head = cfg.model.decode_head
        cfg.model.neck.update(model["neck"])
        head.update(in_channels=[16] * 4, channels=16, num_classes=3)
    else:
        cfg.model.decode_head.update(model["decode_head"])
    indices = (3,) if kind == "linear" else (0, 1, 2, 3)
    backbone = cfg.model.backbone
    backbone.update(model_name="vit_small_patch14_dinov2.lvd142m", weights=weights, pretrained=False)
    backbone.update(timm_kwargs=dict(SMALL), out_indices=indices, **BACKBONES[method])
    cfg.model.test_cfg = dict(mode="whole")
    cfg.merge_from_dict(changes)
    steps = [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(70, 56), keep_ratio=True),
        dict(type="LoadLabelMap"),
        dict(type="PackSegInputs"),
    ]
    cfg.test_dataloader = dict(dataset=dict(type="CamVid", pipeline=steps))
    cfg.default_scope = "mmseg"
    return built(cfg, dict(classes=CLASSES, palette=PALETTE))


def built(cfg: Config, meta: dict[str, Any]) -> Any:
    torch.manual_seed(1)
    model: Any = build_model(cfg)
    model.backbone.init_weights()
    model.dataset_meta = meta
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape))
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
    return model.eval()


def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        images = torch.randn(1, 3, 56, 70, generator=torch.Generator().manual_seed(0))
        return model.decode_head(model.extract_feat(images))


@pytest.mark.parametrize(
    ("kind", "method"), [*((kind, "davpt") for kind in SEGMENTORS), *(("linear", m) for m in BACKBONES)]
)
def test_a_segmentor_comes_back_bit_for_bit(kind: str, method: str, weights: str, tmp_path: Path) -> None:
    model = segmentor(weights, kind, method)
    folder = save_adapter(model, tmp_path / "folder")
    loaded: Any = load_adapter(folder, trunk=weights)
    assert torch.equal(logits(loaded), logits(model))
    assert loaded.dataset_meta == dict(classes=CLASSES, palette=PALETTE)
    assert loaded.backbone.guidance is None
    names = {name for name in model.state_dict() if not name.startswith(("backbone.trunk.", "backbone.guidance."))}
    header = json.loads((folder / TENSORS).read_bytes()[8:].partition(b"}}")[0] + b"}}")
    if method != "full":
        assert set(header) - {"__metadata__"} == names
    text = (folder / CONFIG).read_text()
    assert weights not in text and "/" not in json.dumps(json.loads(text)["config"])


def test_a_folder_loads_on_timms_own_weights(weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def create_model(*args: Any, pretrained: bool = False, **kwargs: Any) -> Any:
        """Create a ViT whose weights to download are in the file."""
        model = create(*args, **kwargs)
        if pretrained:
            model.load_state_dict(torch.load(weights))
        return model

    monkeypatch.setattr(timm, "create_model", create_model)
    model = segmentor(weights)
    folder = save_adapter(model, tmp_path / "folder")
    assert torch.equal(logits(load_adapter(folder, trunk="pretrained")), logits(model))


def test_a_second_task_shares_the_trunk_of_the_first(weights: str, tmp_path: Path) -> None:
    first = save_adapter(segmentor(weights), tmp_path / "first")
    model = segmentor(weights, "setr_pup", "lora and biases")
    second = save_adapter(model, tmp_path / "second")
    one: Any = load_adapter(first, trunk=weights)
    two: Any = load_adapter(second, trunk=one)
    assert torch.equal(logits(two), logits(model))
    parameters = dict(one.backbone.trunk.named_parameters())
    assert all(parameters[name].data_ptr() == value.data_ptr() for name, value in two.backbone.trunk.named_parameters())
    assert "given" not in str(two.cfg.model.backbone.get("weights"))
    adapters = AdapterSet(load_backbone(first, trunk=weights), load_adapter)
    adapters.add("second", second)
    assert torch.equal(logits(adapters.model), logits(model))


def test_a_classifier_comes_back_bit_for_bit(weights: str, tmp_path: Path) -> None:
    cfg = Config.fromfile(CONFIGS / "_base_" / "models" / "classifier_vits14.py")
    cfg.model.backbone.update(weights=weights, timm_kwargs=dict(SMALL), out_indices=(3,), **BACKBONES["davpt"])
    cfg.model.head.update(in_channels=32, num_classes=3)
    steps = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=(56, 56)), dict(type="PackInputs")]
    cfg.test_dataloader = dict(dataset=dict(type="VTAB", pipeline=steps))
    cfg.default_scope = "mmpretrain"
    model = built(cfg, dict(classes=CLASSES))
    folder = save_adapter(model, tmp_path / "folder")
    loaded: Any = load_adapter(folder, trunk=weights)
    images = torch.randn(2, 3, 56, 56)
    assert torch.equal(loaded(images), model(images))
    assert difference(model, loaded) == ""  # as davpt-seg test asks
    model.data_preprocessor.mean.add_(50)
    assert "its predictions differ by" in difference(model, loaded)
    from mmpretrain import ImageClassificationInferencer

    (found,) = ImageClassificationInferencer(loaded, device="cpu")(image())
    assert found["pred_class"] in CLASSES
    with pytest.raises(InputError, match=r"folder'? is a classifier's.*load_adapter\(FOLDER, trunk=FILE\)"):
        Predictor(folder, trunk=weights, device="cpu")


def test_a_predictor_takes_a_folder_as_it_takes_a_checkpoint(
    weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = segmentor(weights)
    folder = save_adapter(model, tmp_path / "folder")
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(cfg=model.cfg.pretty_text, dataset_meta=model.dataset_meta)),
        tmp_path / "epoch_1.pth",
    )
    expected = Predictor(tmp_path / "epoch_1.pth", device="cpu")(image())
    assert len(np.unique(expected)) > 1
    predictor = Predictor(folder, trunk=weights, device="cpu")
    assert predictor.classes == CLASSES and np.array_equal(predictor.palette, PALETTE)
    assert np.array_equal(predictor(image()), expected)
    again = Predictor(folder, trunk=predictor.model, device="cpu", mode="slide", options={
        "model.test_cfg.crop_size": (56, 56), "model.test_cfg.stride": (28, 28)
    })  # fmt: skip
    assert again(image()).shape == expected.shape
    Image.fromarray(image()[..., ::-1]).save(tmp_path / "street.png")
    arguments = [str(folder), str(tmp_path / "street.png"), "--out", str(tmp_path / "out"), "--device", "cpu"]
    main_predict([*arguments, "--trunk", weights])
    assert np.array_equal(np.array(Image.open(tmp_path / "out" / "street_labels.png")), expected)
    with pytest.raises(SystemExit):
        main_predict(arguments)
    assert "needs the weights of the file 'vit.pth'" in capsys.readouterr().err
    with pytest.raises(InputError, match="holds its config: omit CONFIG"):
        Predictor(folder, "demo", trunk=weights)


@pytest.mark.slow
def test_a_folder_predicts_in_a_fresh_process(weights: str, tmp_path: Path) -> None:
    model = segmentor(weights)
    folder = save_adapter(model, tmp_path / "folder")
    np.save(tmp_path / "image.npy", image())
    code = (
        "import sys, numpy as np; from davpt_seg.apis import Predictor; folder, trunk, image, out = sys.argv[1:];"
        "np.save(out, Predictor(folder, trunk=trunk, device='cpu')(np.load(image)))"
    )
    arguments = [str(folder), weights, str(tmp_path / "image.npy"), str(tmp_path / "out.npy")]
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, *arguments], check=True, cwd=CONFIGS.parent)
    assert np.array_equal(np.load(tmp_path / "out.npy"), Predictor(folder, trunk=weights, device="cpu")(image()))


def test_the_core_loads_the_backbone_of_a_segmentors_folder(weights: str, tmp_path: Path) -> None:
    model = segmentor(weights)
    backbone = load_backbone(save_adapter(model, tmp_path / "folder"), trunk=weights)
    images = torch.randn(1, 3, 56, 56)
    assert torch.equal(backbone(images).maps[0], model.backbone(images)[0])
    with pytest.raises(InputError, match="holds a backbone without a head"):
        from davpt_seg.core import save_adapter as save_backbone

        load_adapter(save_backbone(backbone, tmp_path / "backbone"), trunk=weights)


def test_the_card_says_what_the_model_knows(weights: str, tmp_path: Path) -> None:
    card = (save_adapter(segmentor(weights), tmp_path / "folder") / CARD).read_text()
    for part in (
        "adapter for segmentation",
        "3 classes: sky, road, tree",
        "`FCNHead`",
        "file 'vit.pth'",
        "num_prompts",
    ):
        assert part in card
    assert "tuned parameters in the ViT: 384" in card  # 4 blocks, 3 prompts, 32 channels
    assert "Scores" not in card and "None" not in card


def changed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    content = json.loads((folder / CONFIG).read_text())
    change(content)
    (folder / CONFIG).write_text(json.dumps(content))


def part(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda content: content["config"]["model"]["decode_head"].update(changes)


PIPELINE = [dict(type="LoadImageFromFile")]
ATTACKS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "another head": (part(type="PointHead"), "decode_head.type = 'PointHead' is none of"),
    "a function": (part(type="os.system"), "decode_head.type = 'os.system' is none of"),
    "a head of another scope": (part(type="evil.FCNHead"), "is none of"),
    "a layer that is a function": (part(norm_cfg=dict(type="os.system")), "norm_cfg.type = 'os.system' is none of"),
    "a segmentor that reads": (
        lambda content: content["config"]["model"].update(type="MultimodalEncoderDecoder"),
        "model.type = 'MultimodalEncoderDecoder' is none of",
    ),
    "a data preprocessor": (
        lambda content: content["config"]["model"]["data_preprocessor"].update(type="HFProcessor"),
        "data_preprocessor.type = 'HFProcessor' is none of",
    ),
    "an import": (
        lambda content: content["config"].update(custom_imports=dict(imports=["creates_a_file"])),
        "would import",
    ),
    "a transform that runs code": (
        lambda content: content["config"]["test_dataloader"]["dataset"].update(
            pipeline=[*PIPELINE, dict(type="torchvision/Lambda", lambd="print")]
        ),
        "torchvision/Lambda",
    ),
    "a transform that reads a file": (
        lambda content: content["config"]["test_dataloader"]["dataset"].update(
            pipeline=[dict(type="LoadImageFromFile", backend_args=dict(path="/etc/passwd"))]
        ),
        "/etc/passwd",
    ),
    "an address": (
        part(init_cfg=dict(type="Pretrained", checkpoint="http://evil/x.pth")),
        "init_cfg.type = 'Pretrained' is none of",
    ),
    "a base": (lambda content: content["config"].update(_base_="x.py"), "no more than"),
    "a hook": (lambda content: content["config"].update(custom_hooks=[dict(type="evil.Hook")]), "no more than"),
    "a backbone in the model": (
        lambda content: content["config"]["model"].update(backbone=dict(type="VPD")),
        "model.backbone is described beside it",
    ),
    "a billion convolutions": (part(num_convs=10**9), "num_convs = 1000000000 must be at most 64"),
    "a million channels": (part(channels=10**6), "channels = 1000000 must be at most 16,384"),
    "16,384 channels": (part(channels=16_384, num_convs=9), "is missing|has the shape"),
    "a million classes": (part(num_classes=1_000_000), "has the shape"),
    "an image of a terapixel": (
        lambda content: content["config"]["test_dataloader"]["dataset"]["pipeline"][1].update(scale=[10**6, 10**6]),
        "scale = 1000000 must be at most 16,384",
    ),
    "numbers that enlarge images": (
        lambda content: content["config"]["test_dataloader"]["dataset"]["pipeline"][1].update(scale_factor=[16, 16]),
        r"scale_factor = \[16, 16\] enlarges images by more than 4",
    ),
    "a number that enlarges images": (
        lambda content: content["config"]["test_dataloader"]["dataset"]["pipeline"][1].update(scale=16_384),
        "scale = 16384 enlarges images by more than 4",
    ),
    "a data set that is a number": (
        lambda content: content["config"].update(test_dataloader=dict(dataset=3.5)),
        "the config has no test pipeline",
    ),
    "a million entries": (part(in_index=[0] * 100_000), "in_index has 100,000 entries"),
    "no head": (lambda content: content["config"]["model"].pop("decode_head"), "cannot be built"),
    "an argument of nothing": (part(nothing=1), "cannot be built"),
    "no classes": (lambda content: content.update(classes=None), "names no classes and colours"),
    "classes that are numbers": (lambda content: content.update(classes=[1, 2, 3]), "names no classes and colours"),
    "two tokens": (
        lambda content: content["backbone"].update(outputs=["maps", "class_token"]),
        "outputs must be one of",
    ),
    "a trunk of its own": (lambda content: content["backbone"].update(weights="x.pth"), "has no argument 'weights'"),
    "a million prompts": (
        lambda content: content["backbone"].update(prompts=dict(num_prompts=100_000)),
        "has the shape",
    ),
    "a reserved key": (lambda content: content["config"]["model"].update(_delete_="x"), "cannot be built|reserves"),
}


@pytest.fixture(scope="module")
def intact(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder."""
    return save_adapter(segmentor(weights), tmp_path_factory.mktemp("intact") / "folder")


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_crafted_description_is_refused_by_name(attack: str, intact: Path, weights: str, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (CONFIG, TENSORS):
        (folder / name).write_bytes((intact / name).read_bytes())
    act, message = ATTACKS[attack]
    changed(folder, act)
    with little_memory(), pytest.raises(InputError, match=message) as refused:
        (Predictor if "no test pipeline" in message else load_adapter)(folder, trunk=weights)
    assert str(refused.value).startswith("adapter folder '") or re.search("names no classes|no test", message)


FAILS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no mode": lambda content: content["config"]["model"].update(test_cfg=True),
    "a map that is not there": part(in_index=16),
    "text for a flag": part(align_corners="x"),
    "an image of no pixels": lambda content: content["config"]["test_dataloader"]["dataset"]["pipeline"][1].update(
        scale=[1e-300, 1], keep_ratio=False
    ),
}


@pytest.mark.parametrize("act", FAILS.values(), ids=FAILS)
def test_a_description_with_which_no_image_is_predicted_is_refused_by_name(
    act: Callable[[dict[str, Any]], Any], intact: Path, weights: str, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in (CONFIG, TENSORS):
        (folder / name).write_bytes((intact / name).read_bytes())
    changed(folder, act)
    with pytest.raises(InputError, match=r"adapter folder '.*folder'"):
        Predictor(folder, trunk=weights, device="cpu")(image())


def test_a_trusted_folder_may_name_any_registered_head(intact: Path, weights: str, tmp_path: Path) -> None:
    model = segmentor(
        weights, **{"model.decode_head.type": "DepthwiseSeparableFCNHead", "model.decode_head.num_convs": 1}
    )
    folder = save_adapter(model, tmp_path / "folder")
    with pytest.raises(InputError, match=r"'DepthwiseSeparableFCNHead' is none of .*--trust-config, trust_config=True"):
        OpenedAdapter(folder)
    assert torch.equal(logits(load_adapter(folder, trunk=weights, trust_config=True)), logits(model))


@pytest.mark.parametrize("load", [load_adapter, load_backbone])
def test_pretrained_asks_timm_alone_for_the_weights(
    load: Any, intact: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, asked = trunks.timm.create_model, []

    def without_network(*args: Any, pretrained: bool, **kwargs: Any) -> Any:
        asked.append(pretrained)
        return create(*args, pretrained=False, **kwargs)

    monkeypatch.setattr(trunks.timm, "create_model", without_network)
    monkeypatch.setattr("davpt_seg.core.adapter_folder.backbone.MOST_LARGER", 10)
    with pytest.raises(InputError, match="the ViT here is another one, with the weights timm's own of"):
        load(intact, trunk="pretrained")
    assert asked.count(True) == 1


def test_a_name_in_the_card_is_text_and_no_code() -> None:
    record = Record("ab", Source("vit", 'x"); print("run'))
    assert ast.literal_eval(trunk_argument(record)) == 'x"); print("run'


def test_what_is_no_such_model_is_refused(weights: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="takes a segmentor, classifier or detector with the backbone PromptedViT, got a Linear"
    ):
        save_adapter(nn.Linear(2, 2), tmp_path / "folder")
    model = segmentor(weights)
    model.dataset_meta = None
    with pytest.raises(InputError, match="names no classes and colours"):
        save_adapter(model, tmp_path / "folder")
    model.cfg = None
    with pytest.raises(InputError, match="the model has no config"):
        save_adapter(model, tmp_path / "folder")
