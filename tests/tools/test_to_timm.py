"""The converter: what it writes loads as timm's, what it prints tells the format, and what is amiss is said."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
import safetensors
import safetensors.torch
import timm
import torch
from torch import Tensor

from ..core import checkpoint_writers as write

NAME = "vit_tiny_patch16_224"
TINY = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)
MODEL = ["--model-name", NAME, "--timm-kwargs", *(f"{key}={value}" for key, value in TINY.items())]


def load_script() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "model_converters" / "to_timm.py"
    spec = importlib.util.spec_from_file_location("to_timm_script", path)
    assert spec and spec.loader, path
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = load_script()


@pytest.fixture
def state() -> dict[str, Tensor]:
    return write.randomise(timm.create_model(NAME, num_classes=0, **TINY))


def moco(state: dict[str, Tensor], folder: Path) -> str:
    path = folder / "vit.pth.tar"
    torch.save(write.moco_v3(state, {name: value + 1 for name, value in state.items()}), path)
    return str(path)


def test_the_written_file_loads_into_timm_as_it_is(
    tmp_path: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "new" / "vit.safetensors"
    script.main([moco(state, tmp_path), str(target), *MODEL])
    model = timm.create_model(NAME, num_classes=0, checkpoint_path=str(target), **TINY)  # strict
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    with safetensors.safe_open(target, "pt") as file:
        metadata = file.metadata()
    assert len(metadata.pop("checksum")) == 64
    assert metadata == {"format": "pt", "source": "vit.pth.tar", "source_format": "MoCo-v3", "timm_model": NAME}
    assert [path.name for path in target.parent.iterdir()] == ["vit.safetensors"]
    said = capsys.readouterr().out
    assert "vit.pth.tar: format MoCo-v3\nnetwork: state_dict.module.base_encoder\n" in said
    assert "omitted: network which='momentum_encoder', " in said
    numbers = sum(value.numel() for value in state.values())
    assert said.split("\nall ")[1].split("\n")[0].split() == [str(len(state)), f"{numbers:,}"]
    assert f"written: {target}" in said


def test_which_takes_the_other_network(tmp_path: Path, state: dict[str, Tensor]) -> None:
    target = tmp_path / "vit.safetensors"
    script.main([moco(state, tmp_path), str(target), *MODEL, "--which", "momentum_encoder"])
    written = safetensors.torch.load_file(target)
    assert all(torch.equal(value, state[name] + 1) for name, value in written.items())


def test_positions_are_resampled_to_the_models_grid(
    tmp_path: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "vit.safetensors"
    script.main([moco(state, tmp_path), str(target), *MODEL, "img_size=64"])
    assert safetensors.torch.load_file(target)["pos_embed"].shape == (1, 65, 32)
    assert "note: position embeddings resampled from 4x4 to 8x8 patches" in capsys.readouterr().out


def test_a_dry_run_reports_and_writes_nothing(
    tmp_path: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    script.main([moco(state, tmp_path), *MODEL, "--dry-run"])
    said = capsys.readouterr().out
    assert "format MoCo-v3" in said and said.endswith("fits; nothing written (--dry-run)\n")
    assert [path.name for path in tmp_path.iterdir()] == ["vit.pth.tar"]


def test_an_existing_file_is_kept_unless_forced(
    tmp_path: Path, state: dict[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "vit.safetensors"
    target.write_text("precious")
    with pytest.raises(SystemExit) as stopped:
        script.main([moco(state, tmp_path), str(target), *MODEL])
    assert stopped.value.code == 2 and "--force overwrites it" in capsys.readouterr().err
    assert target.read_text() == "precious"
    script.main([moco(state, tmp_path), str(target), *MODEL, "--force"])
    assert safetensors.torch.load_file(target).keys() == state.keys()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{src}", "{dst}", "--model-name", "vit_tinny"], "vit_tinny"),
        (["{src}", "{dst}", "--model-name", NAME], r"does not fit vit_tiny_patch16_224(?s:.*)2 blocks(?s:.*)12 blocks"),
        (["nowhere.pth", "{dst}", *MODEL], r"'nowhere\.pth' does not exist"),
        (["{src}", "{dst}", *MODEL, "--which", "teacher"], "has networks: 'base_encoder', 'momentum_encoder'"),
    ],
    ids=["unknown model", "another model", "no file", "no such network"],
)
def test_what_does_not_fit_ends_with_its_reason_and_writes_nothing(
    tmp_path: Path, state: dict[str, Tensor], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"src": moco(state, tmp_path), "dst": str(tmp_path / "vit.safetensors")}
    with pytest.raises(SystemExit, match="2"):
        script.main([argument.format(**places) for argument in arguments])
    assert re.search(said, capsys.readouterr().err)
    assert [path.name for path in tmp_path.iterdir()] == ["vit.pth.tar"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in.pth", "--model-name", NAME], "DST.safetensors is missing (or add --dry-run)"),
        (["in.pth", "out.pth", "--model-name", NAME], "DST must end in .safetensors, got 'out.pth'"),
        (["in.pth", "out.safetensors"], "--model-name"),
        (["in.pth", "--dry-run", "--model-name", NAME, "--timm-kwargs", "depth"], "'depth' must read KEY=VALUE"),
    ],
)
def test_a_wrong_command_line_is_refused(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    with pytest.raises(SystemExit):
        script.main(arguments)
    assert said in capsys.readouterr().err


def test_help_teaches_formats_and_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        script.main(["--help"])
    said = capsys.readouterr().out
    assert all(f"  {name}" in said for name in ("davpt_seg", "mmseg", "MoCo-v3", "DINOv2", "MAE", "JAX"))
    assert "--which momentum_encoder" in said


def test_the_readers_log_is_as_loud_as_before(tmp_path: Path, state: dict[str, Tensor]) -> None:
    level = script.logging.getLogger("davpt_seg").level
    script.main([moco(state, tmp_path), *MODEL, "--dry-run"])
    assert script.logging.getLogger("davpt_seg").level == level
