"""Configs of correct experiments are read from their checkpoints, on machines that could not train them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from mmengine.config import Config

from davpt_seg.apis.open_trained import test_steps as steps_of
from davpt_seg.apis.predictor import Predictor
from davpt_seg.errors import InputError
from davpt_seg.training.testing import use_tta
from davpt_seg.trust.config_check import check_config, without_sources
from davpt_seg.trust.config_parts import parts_that_predict
from davpt_seg.trust.config_text import evaluate
from davpt_seg.trust.for_mmengine import for_mmengine
from davpt_seg.trust.packages import is_module

from ..checkpoints import Trained
from .attacks import with_config
from .conftest import hide

# What correct experiments say, and a machine that only predicts does not know.
CORRECT = {
    "transform that is not installed": (
        "train_pipeline = [dict(type='Albu', transforms=[dict(type='RandomBrightnessContrast', p=0.2)])]\n"
        "train_dataloader = dict(batch_size=2, dataset=dict(type='MyDataset', pipeline=[dict(type='Albu')]))"
    ),
    "optimizer": "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Lion', lr=1e-4))",
    "optimizer of a package": "optim_wrapper = dict(optimizer=dict(type='bitsandbytes.optim.AdamW8bit'))",
    "strategy": "runner_type = 'FlexibleRunner'\nstrategy = dict(type='DeepSpeedStrategy', fp16=dict(enabled=True))",
    "notes": "notes = dict(type='ablation', by='me', more=[dict(type=3)])",
    "no scope": "default_scope = None",
    "imports": "custom_imports = dict(imports=['mmcv.transforms', 'mmseg.models.backbones'])",
    "hooks": "custom_hooks = [dict(type='my.Hook')]\ndefault_hooks = dict(a=dict(type='MyHook', out_dir='s3://a'))",
    "logs": "visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='MyBackend')])",
    "metric": "val_evaluator = test_evaluator = dict(type='MyMetric')",
    "reserved key": "env_variables = dict(A=dict(b=1))",
    "places": "load_from = 'https://example.org/a.pth'\nwork_dir = '/data/me'\ndata_root = '/data'",
}


@pytest.mark.parametrize("what", CORRECT)
def test_the_config_of_a_correct_experiment_is_used(
    what: str, trained: Trained, content: dict[str, Any], tmp_path: Path
) -> None:
    path, image = str(tmp_path / "foreign.pth"), trained.images[0]
    torch.save(with_config(content, CORRECT[what]), path)
    expected = Predictor(trained.checkpoint, device="cpu")(image)
    assert (Predictor(path, device="cpu")(image) == expected).all()


def test_openmmlabs_inferencers_get_the_parts_that_predict(
    trained: Trained, content: dict[str, Any], tmp_path: Path
) -> None:
    from mmseg.apis import MMSegInferencer

    torch.save(with_config(content, CORRECT["optimizer"] + "\n" + CORRECT["notes"]), tmp_path / "foreign.pth")
    inferencer = MMSegInferencer(None, weights=str(tmp_path / "foreign.pth"), device="cpu")
    assert inferencer(trained.images[0])["predictions"].shape == (48, 64)
    assert "optim_wrapper" not in inferencer.cfg


def test_sizes_of_a_convmixer_are_no_file() -> None:
    check_config(dict(model=dict(backbone=dict(type="mmpretrain.ConvMixer", arch="768/32"))))


EVIL = dict(type="os.system", command="true")


def deep(value: Any) -> list[Any]:
    return [dict(a=[(dict(b=value),)])]


@pytest.mark.parametrize("wrap", [lambda value: value, deep], ids=["top", "deep"])
@pytest.mark.parametrize(
    "place",
    [
        "model",
        "tta_model",
        "tta_pipeline",
        "test_pipeline",
        "data_preprocessor",
        "visualizer",
        "data_check",
        "test",
        "val",
    ],
)
def test_an_unknown_type_in_what_is_kept_is_refused(place: str, wrap: Any) -> None:
    evil = wrap(EVIL)
    config: dict[str, Any] = {place: evil}
    if place in ("test", "val"):
        inner = dict(type="A", dataset=dict(type="B", datasets=[dict(type="C", pipeline=[evil])]))
        config = {f"{place}_dataloader": dict(dataset=inner)}
    with pytest.raises(InputError, match=r"type = 'os\.system' is no class"):
        check_config(parts_that_predict(config))


def test_nothing_of_a_data_set_is_kept_but_its_pipeline() -> None:
    dataset = dict(type="TrainingPart", part="val", dataset=dict(type="A", metainfo=EVIL, pipeline=[1]))
    kept = parts_that_predict(dict(test_dataloader=dict(sampler=EVIL, dataset=dataset), val_dataloader=EVIL))
    assert kept == dict(test_dataloader=dict(dataset=dict(pipeline=[1])))
    assert parts_that_predict(dict(test_dataloader=None, val_dataloader=dict(dataset=dataset))) == kept


def test_what_is_kept_is_a_copy() -> None:
    config = dict(model=dict(type="A", backbone=dict(model_name="hf-hub:timm/resnet18.a1_in1k")))
    assert parts_that_predict(config)["model"]["backbone"]["model_name"] == "resnet18.a1_in1k"
    assert config["model"]["backbone"]["model_name"].startswith("hf-hub:")  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        *((name, True) for name in ("mmcv", "mmcv.transforms", "mmseg.models.backbones", "mmengine.hooks.ema_hook")),
        *((name, True) for name in ("davpt_seg", "davpt_seg.models", "mmpretrain.models.backbones.vision_transformer")),
        *(
            (name, False)
            for name in ("os", "mmcvx", "mmcv.nothing", "mmcv..ops", "mmcv/ops", "mmdet.nothing", ".mmcv", "", 3)
        ),
        *((name, False) for name in ("mmdet.models.language_models", "mmdet.models.task_modules.tracking")),
        *((name, False) for name in ("mmseg.models.backbones.vpd", "mmpretrain.models.multimodal.blip", "timm")),
        *((name, False) for name in ("davpt_seg.__main__", "mmcv.transforms.__init__", "mmengine..mim.x")),
    ],
)
def test_modules_of_the_packages_alone_are_imported(name: Any, known: bool) -> None:
    assert is_module(name) is known


def test_a_module_of_the_working_folder_is_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "mmdet")
    (tmp_path / "mmdet.py").write_text("raise AssertionError")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert not is_module("mmdet")
    for config in (dict(default_scope="mmdet"), dict(model=dict(type="mmdet.ResNet"))):
        with pytest.raises(InputError):
            check_config(config)


def test_a_name_of_timms_own_hub_is_built_without_asking_it(
    trained: Trained, content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asks(*_: Any, **__: Any) -> None:
        raise AssertionError("a hub was asked")

    monkeypatch.setattr("timm.models._factory.load_model_config_from_hf", asks)
    text = content["meta"]["cfg"]
    name = evaluate(text)["model"]["backbone"]["model_name"]
    for start in ("hf-hub:timm/", "hf_hub:timm/"):
        named = {**content, "meta": {**content["meta"], "cfg": text.replace(f"'{name}'", f"'{start}{name}'")}}
        torch.save(named, tmp_path / "hub.pth")
        assert start in named["meta"]["cfg"]
        predicted = Predictor(str(tmp_path / "hub.pth"), device="cpu")(trained.images[0])
        assert (predicted == Predictor(trained.checkpoint, device="cpu")(trained.images[0])).all()
    for other in ("hf-hub:evil/model", "hf-hub:timm/../evil/model", "hf-hub:timm/no_such_model", "local-dir:evil"):
        named["meta"]["cfg"] = text.replace(f"'{name}'", f"'{other}'")
        torch.save(named, tmp_path / "hub.pth")
        with pytest.raises(InputError, match=f"model_name = '{other}' names a file or an address"):
            Predictor(str(tmp_path / "hub.pth"), device="cpu")


def test_the_same_model_is_built_under_its_own_name() -> None:
    """timm's hub names its models as timm does, and has no arguments of its own for these."""
    for name in timm.list_pretrained("vit_small_patch14*"):
        config = dict(model=dict(model_name=f"hf-hub:timm/{name}"))
        assert parts_that_predict(config) == dict(model=dict(model_name=name))


def test_a_backbone_that_downloads_by_default_does_not() -> None:
    config: dict[str, Any] = dict(model=dict(backbone=dict(type="TIMMBackbone", model_name="resnet18")))
    without_sources(config)
    assert config["model"]["backbone"]["pretrained"] is False


def test_openmmlabs_inferencers_download_nothing(content: dict[str, Any]) -> None:
    statement = "model = dict(type='EncoderDecoder', backbone=dict(type='TIMMBackbone', model_name='resnet18'))"
    found = for_mmengine(with_config(content, statement), "a.pth")
    assert evaluate(found["meta"]["cfg"])["model"]["backbone"]["pretrained"] is False
    same = for_mmengine(with_config(content, "work_dir = 'a'"), "a.pth")["meta"]["cfg"]
    assert same == with_config(content, "work_dir = 'a'")["meta"]["cfg"]


def test_a_classifiers_checkpoint_is_named_as_such_before_its_config_is_checked(
    content: dict[str, Any], tmp_path: Path
) -> None:
    statement = "default_scope = 'mmpretrain'\nmodel = dict(type='NotInstalledHere')"
    torch.save(with_config(content, statement), tmp_path / "classifier.pth")
    with pytest.raises(InputError, match=r"classifier\.pth' is a classifier's, and this labels every pixel"):
        Predictor(str(tmp_path / "classifier.pth"), device="cpu")


def test_normalisation_that_the_config_names_beside_the_model_is_used(
    trained: Trained, content: dict[str, Any], tmp_path: Path
) -> None:
    """MMEngine's Runner, and so the training, takes it from there."""
    statement = f"data_preprocessor = {evaluate(content['meta']['cfg'])['model']['data_preprocessor']!r}"
    changed = with_config(content, statement)
    parts = evaluate(changed["meta"]["cfg"])
    del parts["model"]["data_preprocessor"]
    changed["meta"]["cfg"] = "\n".join(f"{key} = {value!r}" for key, value in parts.items())
    torch.save(changed, tmp_path / "beside.pth")
    image = trained.images[0]
    found = Predictor(str(tmp_path / "beside.pth"), device="cpu")
    expected = Predictor(trained.checkpoint, device="cpu")
    assert np.array_equal(found(image), expected(image))
    assert torch.equal(found.model.data_preprocessor.mean, expected.model.data_preprocessor.mean)


@pytest.mark.parametrize(
    "wrap", [lambda inner: dict(type="TrainingPart", part="val", dataset=inner), lambda inner: inner]
)
def test_a_data_set_inside_another_is_predicted_and_augmented_as_it_is_alone(wrap: Any, trained: Trained) -> None:
    cfg = Config.fromfile(trained.config)
    cfg.test_dataloader.dataset = wrap(cfg.test_dataloader.dataset.to_dict())
    cfg.model.backbone.weights = None
    assert steps_of(cfg) == Config.fromfile(trained.config).test_dataloader.dataset.pipeline
    use_tta(cfg)
    inner = cfg.test_dataloader.dataset.get("dataset", cfg.test_dataloader.dataset)
    assert inner.pipeline == cfg.tta_pipeline == steps_of(cfg)
    assert set(cfg.test_dataloader.dataset) == set(wrap(inner))


def test_a_config_without_a_test_pipeline_is_refused() -> None:
    for loader in (
        None,
        dict(dataset=dict(type="A")),
        *(dict(dataset=dict(pipeline=p)) for p in ([], [1], {"a": 1}, [{}])),
    ):
        with pytest.raises(InputError, match=r"no test pipeline: test_dataloader\.dataset\.pipeline"):
            steps_of(dict(test_dataloader=loader))  # type: ignore[arg-type]


def test_a_package_of_the_working_folder_is_none_of_ours(trap: Path) -> None:
    assert "mmdet" not in sys.modules and not is_module("mmdet")
    for config in (dict(default_scope="mmdet"), dict(model=dict(type="EncoderDecoder", _scope_="mmdet"))):
        with pytest.raises(InputError, match=r"scope_? = 'mmdet' would import that package"):
            check_config(config)
    for kind in ("mmdet.Model", "mmdet.BaseTTAModel"):  # the latter is registered by MMEngine itself
        with pytest.raises(InputError, match=rf"type = '{kind}' is no class"):
            check_config(dict(model=dict(type=kind)))


def detector(nms: str = "nms", roi_layer: str = "RoIAlign", **parts: Any) -> dict[str, Any]:
    """A config of mmdet with the names of two operations, which mmcv looks up outside of its registries."""
    extractor = dict(type="SingleRoIExtractor", roi_layer=dict(type=roi_layer, output_size=7))
    roi_head = dict(type="StandardRoIHead", bbox_roi_extractor=extractor)
    test_cfg = dict(rcnn=dict(score_thr=0.05, nms=dict(type=nms, iou_threshold=0.5)))
    return dict(default_scope="mmdet", model=dict(type="FasterRCNN", roi_head=roi_head, test_cfg=test_cfg), **parts)


@pytest.mark.skipif(importlib.util.find_spec("mmdet") is None, reason="mmdet is not installed")
def test_a_detectors_operations_are_known_names_because_mmcv_evaluates_them_as_python() -> None:
    check_config(detector())
    check_config(detector(nms="soft_nms"))
    for wrong in (detector(nms="__import__('os').system('true')"), detector(nms="exit"), detector(roi_layer="nms")):
        with pytest.raises(InputError, match=r"type = .* is no class that"):
            check_config(wrong)
    for elsewhere in (dict(a=dict(type="nms")), dict(nms=dict(type="RoIAlign")), dict(type="nms")):
        with pytest.raises(InputError, match="is no class that"):
            check_config(dict(default_scope="mmdet", model=elsewhere))


@pytest.mark.skipif(importlib.util.find_spec("mmdet") is None, reason="mmdet is not installed")
@pytest.mark.parametrize(
    "kind", ["KnowledgeDistillationSingleStageDetector", "LAD", "GLIP", "BertModel", "AppearanceFreeLink"]
)
def test_classes_of_mmdet_that_read_files_or_hubs_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match="may read files or run code by its arguments"):
        check_config(dict(default_scope="mmdet", model=dict(type=kind)))
