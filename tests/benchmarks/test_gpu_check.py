"""The check for GPUs: its report, and that its lines find what they are for. Its complete form: test_gpu_pack.py."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from .gpu import part

report, scale, schedule = part("gpu.report"), part("gpu.scale"), part("gpu.schedule")
precision, state, kernels, parallel = (part(f"gpu.{name}") for name in ("precision", "state", "kernels", "parallel"))
SMOKE = scale.smoke()


def raising(error: BaseException) -> Callable[[], Any]:
    def check() -> None:
        raise error

    return check


@pytest.fixture
def lines(tmp_path: Path) -> Any:
    return report.Report(tmp_path / "out" / "check.json", dict(device="none"))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore"), "OUT OF MEMORY"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), "OUT OF MEMORY"),
        (RuntimeError("expected all tensors on one device"), "FAILED"),
        (AssertionError(), "FAILED"),
        (report.Skip("no such kernel"), "skipped"),
    ],
)
def test_an_error_becomes_a_line_and_the_next_check_runs(lines: Any, error: Exception, status: str) -> None:
    lines.attempt("correctness", "first", raising(error))
    lines.attempt("correctness", "second", lambda: report.Found("OK", "fine"))
    assert [line.status for line in lines.lines] == [status, "OK"]
    assert [line.name for line in lines.wrong] == ([] if status == "skipped" else ["first"])


def test_a_line_is_in_the_file_before_the_next_check_begins(lines: Any) -> None:
    lines.attempt("speed", "first", lambda: report.Found("measured", "1 ms", dict(seconds=[0.001])))

    def second() -> Any:
        (line,) = json.loads(lines.file.read_text())["lines"]
        return report.Found("OK", line["detail"], line["figures"])

    assert lines.attempt("speed", "second", second).figures == dict(seconds=[0.001])


def test_memory_that_is_missing_in_a_measurement_is_no_error_of_the_package(lines: Any) -> None:
    lines.attempt("speed", "full", raising(torch.OutOfMemoryError("CUDA out of memory")))
    assert lines.wrong == []
    lines.attempt("evidence", "lora", raising(ValueError("no such file")))
    assert [line.name for line in lines.wrong] == ["lora"]


@pytest.mark.parametrize(("value", "fits"), [(0.0, True), (1e-3, True), (2e-3, False), (math.nan, False)])
def test_a_figure_over_its_tolerance_or_not_a_number_differs(value: float, fits: bool) -> None:
    found = report.within({"outputs": (value, 1e-3)})
    assert found.status == ("OK" if fits else "DIFFERS")
    assert ("over" in found.detail) != fits


def test_the_parts_share_the_minutes_and_later_ones_get_what_earlier_ones_leave() -> None:
    for parts in (["correctness", "speed", "evidence"], ["speed"], ["speed", "evidence"]):
        made = schedule.Schedule(10, parts)
        assert made.left(parts[-1]) == pytest.approx(600, abs=1)
        assert sorted(made.deadlines.values()) == list(made.deadlines.values())
    assert schedule.Schedule(1e-9, ["speed"]).left("speed") == 0


def test_a_loss_that_is_not_finite_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    total = precision.total
    monkeypatch.setattr(precision, "total", lambda losses: total(losses) * math.inf)
    found = precision.check("vpt_deep", SMOKE, torch.float16)
    assert found.status == "DIFFERS"
    assert "a loss is not finite" in found.detail
    assert "overflow still at steps" in found.detail  # whatever the scaler does


def test_gradients_that_differ_from_float32_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = precision.gradients

    def wrong(model: Any, batch: Any, factor: float = 1.0) -> dict[str, torch.Tensor]:
        found = gradients(model, batch, factor)
        name = next(name for name in found if name.startswith("vit."))
        return {**found, name: found[name] * (0.5 if torch.is_autocast_enabled("cpu") else 1.0)}

    monkeypatch.setattr(precision, "gradients", wrong)
    found = precision.check("vpt_deep", SMOKE, torch.bfloat16)
    assert found.status == "DIFFERS"
    assert "gradients of the vit" in found.detail


@pytest.mark.parametrize("forgotten", ["optimizer", "scaler", "random"])
def test_a_resume_that_forgets_something_is_found(monkeypatch: pytest.MonkeyPatch, forgotten: str) -> None:
    assert state.check_resume("davpt_plus", SMOKE).status == "OK"
    save = state.save

    def forgetful(model: Any, optimizer: Any, scaler: Any) -> bytes:
        others = state.fresh("davpt_plus", SMOKE, torch.float16, seed=3)
        if forgotten == "random":
            torch.manual_seed(99)
        if forgotten == "scaler":
            others[2].load_state_dict({**scaler.state_dict(), "scale": 2.0**40})  # overflows, so that a step is skipped
        return save(
            model,
            others[1] if forgotten == "optimizer" else optimizer,
            others[2] if forgotten == "scaler" else scaler,
        )

    monkeypatch.setattr(state, "save", forgetful)
    assert state.check_resume("davpt_plus", SMOKE).status == "DIFFERS"


def test_a_fold_that_loses_a_prompt_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    vit = part("davpt_seg.core").PromptedViT
    fold = vit.fold

    def wrong(model: Any) -> Any:
        with torch.no_grad():
            model.prompts.values["0"][0].zero_()
        return fold(model)

    monkeypatch.setattr(vit, "fold", wrong)
    assert state.check_fold("vpt_deep", SMOKE).status == "DIFFERS"


def test_a_kernel_that_ignores_the_extra_keys_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    attend = kernels.attend
    calls: list[int] = []  # the fused kernel's come first, then the plain one's

    def wrong(family: Any, block: Any, tokens: Any, prompts: Any, changes: Any) -> Any:
        calls.append(len(calls))
        return attend(family, block, tokens, prompts if calls[-1] % 2 else 0 * prompts, changes)

    monkeypatch.setattr(kernels, "attend", wrong)
    assert kernels.check_attention("flash", SMOKE).status == "DIFFERS"


def test_a_kernel_that_the_device_does_not_have_is_skipped() -> None:
    with pytest.raises(report.Skip, match="no memory-efficient kernel for this device"):
        kernels.check_attention("memory-efficient", SMOKE)


def test_a_kernel_that_only_refuses_extra_keys_is_an_error_but_for_cudnns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_runs", lambda *args: True)
    with pytest.raises(RuntimeError, match="No viable backend"):
        kernels.check_attention("memory-efficient", SMOKE)
    with pytest.raises(report.Skip, match="another kernel"):
        kernels.check_attention("cuDNN", SMOKE)


def test_a_step_that_differs_under_ddp_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Doubling(torch.nn.parallel.DistributedDataParallel):
        def forward(self, *args: Any) -> Any:
            return {name: 2 * loss for name, loss in super().forward(*args).items()}

    monkeypatch.setattr(parallel, "DistributedDataParallel", Doubling)
    assert parallel.check_ddp("vpt_deep", SMOKE).status == "DIFFERS"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "sped"], "choose some of correctness,speed,evidence"),
        (["--minutes", "0"], "must be above 0"),
        (["--smoke", "--weights", "nowhere.safetensors"], "no such file"),
        ([], "PyTorch finds no CUDA GPU here. --smoke runs everything"),
    ],
)
def test_wrong_options_end_in_one_message(
    options: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit) as ended:
        part("gpu_check").main(options)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", part("gpu.openmmlab").NAMES)
def test_a_configs_training_step_is_split_into_its_parts(name: str) -> None:
    found = part("gpu.openmmlab").line(name, SMOKE)
    assert set(found.figures["seconds"]) == {"data", "trunk", "head", "guidance", "complete step"}
    assert all(len(seconds) == SMOKE.rounds for seconds in found.figures["seconds"].values())
