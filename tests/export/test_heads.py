"""Exported files are the model: methods, trunks and heads, read by ONNX Runtime and by torch.export."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from davpt_seg.errors import InputError
from davpt_seg.export.job import Choices
from davpt_seg.export.onnx_file import check_bytes
from davpt_seg.export.outputs import write_onnx, write_pt2
from davpt_seg.export.program import load_program

from ..core.methods import adapter, prompts
from .models import classifier, job_of, segmentor

onnx = pytest.mark.skipif(
    not all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime")), reason="needs the extra [export]"
)
DINOV3 = dict(model_name="vit_small_patch16_dinov3", **adapter(type="key_value_prompts", num_prompts=2))
BEIT = dict(model_name="beit_base_patch16_224", **prompts(2))
ZERO_START = prompts(3, start="offset")
LORA = adapter(type="lora", rank=2)
LOGITS = Choices(output="logits")
SLOW: dict[str, tuple[Any, dict[str, Any]]] = {
    "zero-start prompts, UPerNet": (segmentor, dict(head="upernet", backbone=ZERO_START)),
    "LoRA, SETR-PUP": (segmentor, dict(head="setr_pup", backbone=LORA)),
    "E2VPT, DINOv3": (segmentor, dict(backbone=DINOV3)),
}


@onnx
def test_a_classifier_with_prompts_runs_in_onnx_at_any_size(tmp_path: Path) -> None:
    job = job_of(classifier(backbone=prompts(3)), LOGITS)
    assert "In ONNX Runtime, logits differ from the model's own test by " in write_onnx(job, tmp_path / "a.onnx")


@onnx
@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_methods_and_heads_run_in_both_at_any_size(name: str, tmp_path: Path) -> None:
    build, arguments = SLOW[name]
    job = job_of(build(**arguments), LOGITS)
    write_onnx(job, tmp_path / "a.onnx")  # compared with the model
    write_pt2(job, tmp_path / "a.pt2")


def test_a_model_in_float16_is_a_program_for_one_size(tmp_path: Path) -> None:
    job = job_of(segmentor("setr_pup", backbone=LORA), Choices((43, 61), half=True))
    assert "% of the labels" in write_pt2(job, tmp_path / "a.pt2")


def test_a_program_takes_any_number_of_images_of_any_size_and_says_what_it_is(tmp_path: Path) -> None:
    model = segmentor(backbone=DINOV3)
    write_pt2(job_of(model, Choices(uint8=True)), tmp_path / "a.pt2")
    run = load_program(tmp_path / "a.pt2")
    for shape in ((1, 3, 33, 90), (5, 3, 64, 48)):
        labels = run(torch.randint(0, 256, shape, dtype=torch.uint8))
        assert labels.shape == (shape[0], *shape[2:]) and labels.dtype == torch.int64
    extra = {"davpt_seg.json": ""}
    torch.export.load(tmp_path / "a.pt2", extra_files=extra)
    said = json.loads(extra["davpt_seg.json"])
    assert said["classes"] == '["a", "b"]' and said["task"] == "segmentation" and said["source"] == "iter_1.pth"


def test_beit_is_exported_for_one_size(tmp_path: Path) -> None:
    model = segmentor(backbone=BEIT)
    with pytest.raises(InputError, match=r"--size dynamic: BEiT's biases by relative position .*--size HEIGHTxWIDTH"):
        write_pt2(job_of(model), tmp_path / "a.pt2")
    write_pt2(job_of(model, Choices((43, 61))), tmp_path / "a.pt2")


def test_a_head_that_cannot_follow_a_dynamic_size_is_refused_with_the_reason(tmp_path: Path) -> None:
    model = segmentor(decode_head__align_corners=True)  # whose resize makes integers of sizes
    with pytest.raises(InputError, match=r"torch.export cannot follow this model for images of any size; .*--size"):
        write_pt2(job_of(model), tmp_path / "a.pt2")
    assert not list(tmp_path.iterdir())


def test_more_than_a_file_of_onnx_holds_is_refused() -> None:
    program: Any = SimpleNamespace(state_dict=dict(weight=torch.empty(2**29, device="meta")))
    with pytest.raises(InputError, match=r"weights have 2.1 GB, and a file of ONNX holds at most 2.1 GB; --half"):
        check_bytes(program)


def test_a_file_that_is_not_the_model_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from davpt_seg.export import outputs
    from davpt_seg.export.comparison import DiffersError

    monkeypatch.setattr(outputs, "load_program", lambda path: lambda images: 1 + load_program(path)(images))
    (tmp_path / "a.pt2").write_text("an earlier one")
    with pytest.raises(DiffersError, match="its outputs differ from the model's"):
        write_pt2(job_of(segmentor(), Choices((32, 32), "logits")), tmp_path / "a.pt2")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["an earlier one"]
