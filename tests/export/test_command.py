"""davpt-seg export: what it writes of a trained checkpoint, and what it refuses before it starts."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors
import timm
import torch

from davpt_seg import cli
from davpt_seg.apis.predictor import Predictor
from davpt_seg.commands.export import main_export
from davpt_seg.terminal.program import program

from ..checkpoints import Trained
from ..core.methods import adapter, prompts
from ..detectors import tiny_detector
from .models import checkpoint_of, classifier, segmentor


def error_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command line, which must end as wrong input does, and return what it said."""
    with pytest.raises(SystemExit) as ended:
        main_export(arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_a_checkpoint_becomes_onnx_and_a_program_in_one_call(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    files = [tmp_path / "new" / "model.onnx", tmp_path / "new" / "model.pt2"]
    main_export([trained.checkpoint, "--onnx", str(files[0]), "--pt2", str(files[1])])
    said = capsys.readouterr().out
    for file in files:
        assert re.search(
            rf"{file}: 0\.\d MB\. .*labels differ from the model's own test by 0\.0\d* % of the labels", said
        )
    assert "Do first, as the test does: Resize(keep_ratio=False, scale=(224, 168))" in said
    assert said.count("exporting the model for images of any size") == 1
    assert sorted(path.name for path in files[0].parent.iterdir()) == ["model.onnx", "model.pt2"]
    session = runtime.InferenceSession(str(files[0]))
    about = session.get_modelmeta().custom_metadata_map
    predictor = Predictor(trained.checkpoint, device="cpu")
    assert json.loads(about["classes"]) == list(predictor.classes)
    pixels = predictor.pipeline(dict(img=predictor.read(trained.images[0])))["inputs"].flip(0)[None].float()
    (labels,) = session.run(["labels"], {"images": pixels.numpy()})
    program = torch.export.load(str(files[1])).module()
    assert labels.shape == (1, 168, 224)
    assert (program(pixels).numpy() != labels).mean() < 1e-3


def test_a_config_may_come_first_and_a_size_makes_the_program_fixed(trained: Trained, tmp_path: Path) -> None:
    file = tmp_path / "model.pt2"
    main_export([trained.config, trained.checkpoint, "--pt2", str(file), "--size", "42x56", "--classes-out", "logits"])
    run = torch.export.load(str(file)).module()
    assert run(torch.zeros(3, 3, 42, 56)).shape == (3, 11, 42, 56)
    with pytest.raises(AssertionError, match="Guard failed"):
        run(torch.zeros(3, 3, 56, 42))


def test_a_file_whose_outputs_differ_ends_with_status_1(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from davpt_seg.export import outputs

    monkeypatch.setattr(
        outputs, "load_program", lambda path: lambda images: torch.zeros(images.shape[0], 42, 56).long()
    )
    with pytest.raises(SystemExit) as ended:
        main_export([trained.checkpoint, "--pt2", str(tmp_path / "model.pt2"), "--size", "42x56"])
    assert ended.value.code == 1
    assert "model.pt2 is not written: its outputs differ from the model's: " in capsys.readouterr().err
    assert not (tmp_path / "model.pt2").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["x.pth", "--timm", "./vit.safetensors", "--trunk", "vit.safetensors"], "would replace vit.safetensors, or a"),
        (["x.safetensors", "--timm", "x.safetensors"], "would replace x.safetensors, or a file in it"),
        ([".", "--timm", "adapter_model.safetensors"], "would replace ., or a file in it"),
    ],
)
def test_an_output_replaces_nothing_that_is_read(
    options: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    assert message in error_of(options, capsys)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "there is nothing to write; give one or several of --out DIR, --onnx FILE.onnx, --pt2 FILE.pt2"),
        (["--onnx", "model.pt2"], "--onnx model.pt2 must end in .onnx"),
        (["--pt2", "model.pt2", "--size", "512"], "--size 512 must be HEIGHTxWIDTH in pixels"),
        (["--pt2", "model.pt2", "--size", "0x99"], "--size 0x99 must be HEIGHTxWIDTH in pixels"),
        (["--timm", "vit.safetensors", "--half"], "--half needs --onnx or --pt2"),
        (["--timm", "vit.safetensors", "--classes-out", "logits"], "--classes-out needs --onnx or --pt2"),
        (["--pt2", "model.pt2"], "checkpoint 'no_such.pth' does not exist"),
    ],
)
def test_wrong_options_are_named_before_anything_is_read(
    options: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in error_of(["no_such.pth", *options], capsys)
    assert not list(tmp_path.iterdir())


def test_what_the_model_rules_out_is_refused(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slide = ["--cfg-options", "model.test_cfg.mode=slide", "model.test_cfg.crop_size=[56,56]"]
    said = error_of([trained.checkpoint, "--pt2", str(tmp_path / "a.pt2"), *slide], capsys)
    assert "windows that slide over the image" in said and "--mode whole" in said
    said = error_of([trained.checkpoint, "--timm", str(tmp_path / "a.safetensors")], capsys)
    assert "this one has keys and values that attention reads beside the tokens' (prompts" in said
    said = error_of(
        [trained.config, trained.checkpoint, "--onnx", trained.checkpoint + ".onnx", "--mode", "slide"], capsys
    )
    assert "argument --mode: invalid choice: 'slide'" in said
    assert not list(tmp_path.iterdir())


def test_a_detectors_checkpoint_is_exported_as_a_folder_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mmdet")
    checkpoint = tiny_detector(tmp_path, monkeypatch, count=1).checkpoint
    for option, ending in {"--onnx": "onnx", "--pt2": "pt2", "--timm": "safetensors"}.items():
        said = error_of([checkpoint, option, str(tmp_path / f"model.{ending}")], capsys)
        assert f"{option}: {checkpoint} is a detector's" in said and "--out DIR exports a detector" in said
        assert not (tmp_path / f"model.{ending}").exists()
    main_export([checkpoint, "--out", str(tmp_path / "folder")])
    assert "'fcos_small.pth' (format davpt_seg)" in capsys.readouterr().out


def test_a_classifiers_checkpoint_is_exported_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = checkpoint_of(classifier(backbone=prompts(3)), tmp_path / "epoch_1.pth")
    file = str(tmp_path / "model.pt2")
    main_export([checkpoint, "--pt2", file, "--size", "32x40"])
    assert torch.export.load(file).module()(torch.zeros(3, 3, 32, 40)).shape == (3,)
    assert "--mode whole is for segmentors" in error_of([checkpoint, "--pt2", file, "--mode", "whole"], capsys)


def test_a_trunk_that_folds_is_written_for_timm_with_the_call_that_loads_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = segmentor(backbone=adapter(type="lora", rank=2))
    checkpoint, file = checkpoint_of(model, tmp_path / "iter_1.pth"), tmp_path / "vit.safetensors"
    main_export([checkpoint, "--timm", str(file)])
    printed = capsys.readouterr().out
    said = re.search(r"timm\.create_model\((.*)\) loads it; its patch tokens differ from ours by", printed)
    assert said
    vit = eval(f"timm.create_model({said[1]}, checkpoint_path={str(file)!r})", dict(timm=timm))
    assert vit.state_dict().keys() == model.backbone.trunk.state_dict().keys()
    with safetensors.safe_open(file, "pt") as opened:
        assert opened.metadata()["mean"] == "[123.675, 116.28, 103.53]"


def test_a_package_that_is_missing_is_named_in_one_line() -> None:
    code = "import sys; sys.modules['onnxscript'] = None; from davpt_seg.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-W", "ignore", "-c", code, "export", "a.pth", "--onnx", "a.onnx"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "onnxscript" in cli.NEEDED
    assert "this command needs onnxscript, which is not installed" in done.stderr
    assert (
        "pip install 'onnx>=1.16' 'onnxruntime>=1.18' 'onnxscript>=0.7'" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main_export(["--help"])
    said = capsys.readouterr().out
    assert f"{program('export')} epoch_15.pth --onnx model.onnx --pt2 model.pt2 --size 512x512" in said
    assert "RGB in 0..255" in said
