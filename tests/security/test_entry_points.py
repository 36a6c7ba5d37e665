"""Nothing from a file runs, whichever command or function reads it."""

from __future__ import annotations

import importlib.util
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModule
from mmengine.runner import load_checkpoint

from davpt_seg.apis.predictor import Predictor
from davpt_seg.commands.export import main_export
from davpt_seg.commands.predict import main_predict
from davpt_seg.commands.prune import main_prune
from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train
from davpt_seg.core.weights import open_checkpoint
from davpt_seg.errors import InputError
from davpt_seg.training.tasks import TASKS
from davpt_seg.training.trained_model import TrainedModel
from davpt_seg.trust.config_text import evaluate

from ..checkpoints import Trained
from .attacks import CALLS, CONFIGS, DROPPED, as_extra, as_history, as_weight, creates, with_config

ROOT = Path(__file__).parents[2]


def script(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train(trained: Trained, checkpoint: str, folder: Path, *options: str) -> None:
    main_train(
        [
            *(trained.config, "--work-dir", str(folder / "work")),
            *("--cfg-options", "model.backbone.weights=None", f"experiment_name={folder.name}", *options),
        ]
    )


def resume(trained: Trained, checkpoint: str, folder: Path) -> None:
    main_train(
        [
            *(trained.config, "--work-dir", str(folder / "work"), "--resume", checkpoint),
            *("--cfg-options", "model.backbone.weights=None", f"experiment_name={folder.name}"),
        ]
    )


def inferencer(trained: Trained, checkpoint: str, folder: Path) -> None:
    from mmseg.apis import MMSegInferencer

    MMSegInferencer(trained.config, weights=checkpoint, device="cpu")


def demo_pictures(trained: Trained, checkpoint: str, folder: Path) -> None:
    script("tools/demo_pictures.py").main([trained.config, checkpoint, "--out", str(folder / "out")])


def to_timm(trained: Trained, checkpoint: str, folder: Path) -> None:
    arguments = [checkpoint, str(folder / "out.safetensors"), "--model-name", "vit_small_patch14_dinov2"]
    script("tools/model_converters/to_timm.py").main(arguments)


def prune(trained: Trained, checkpoint: str, folder: Path) -> None:
    options = ["--out", str(folder / "out.py"), "--segments", "4", "--split", "train"]
    main_prune([trained.config, checkpoint, *options, "--dry-run"])


READERS: dict[str, Callable[[Trained, str, Path], Any]] = {
    "predict": lambda trained, checkpoint, folder: main_predict([checkpoint, trained.images[0], "--device", "cpu"]),
    "predict with a config": lambda trained, checkpoint, folder: main_predict(
        [trained.config, checkpoint, trained.images[0], "--device", "cpu"]
    ),
    "Predictor": lambda trained, checkpoint, folder: Predictor(checkpoint, device="cpu"),
    "export": lambda trained, checkpoint, folder: main_export([checkpoint, "--timm", str(folder / "out.safetensors")]),
    "test": lambda trained, checkpoint, folder: main_test(
        [trained.config, checkpoint, "--work-dir", str(folder / "work")]
    ),
    "--resume": resume,
    "load_from": lambda trained, checkpoint, folder: train(trained, checkpoint, folder, f"load_from={checkpoint}"),
    "weights=": lambda trained, checkpoint, folder: open_checkpoint(checkpoint),
    "to_timm": to_timm,
    "prune": prune,
    "demo_pictures": demo_pictures,
    "MMSegInferencer": inferencer,
    "mmengine.load_checkpoint": lambda trained, checkpoint, folder: load_checkpoint(torch.nn.Module(), checkpoint),
    "init_cfg": lambda trained, checkpoint, folder: BaseModule(
        dict(type="Pretrained", checkpoint=checkpoint)
    ).init_weights(),
}


@pytest.mark.parametrize("reader", READERS)
def test_a_call_in_a_checkpoint_is_refused_by_every_reader(
    reader: str,
    trained: Trained,
    content: dict[str, Any],
    trap: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    evil = str(tmp_path / "evil.pth")
    torch.save(as_extra(content, CALLS["getattr chain from HistoryBuffer"](trap)), evil)
    said = refusal(lambda: READERS[reader](trained, evil, tmp_path), capsys)
    assert re.search(r"evil\.pth' (is broken, no checkpoint, or holds|holds) more than", said), said


def refusal(act: Callable[[], Any], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the message with which an act is refused: an error's, or that on the terminal."""
    with pytest.raises((SystemExit, ValueError)) as error:
        act()
    return f"{error.value} {capsys.readouterr().err}"


@pytest.mark.parametrize("place", [as_extra, as_weight, as_history])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("call", CALLS)
def test_no_call_is_made_wherever_it_is(
    call: str, legacy: bool, place: Any, content: dict[str, Any], trap: Path, tmp_path: Path
) -> None:
    evil = tmp_path / "evil.pth"
    torch.save(place(content, CALLS[call](trap)), evil, _use_new_zipfile_serialization=not legacy)
    for read in (lambda: load_checkpoint(torch.nn.Module(), str(evil)), lambda: open_checkpoint(evil)):
        with pytest.raises(ValueError, match=r"evil\.pth' (is broken|holds more than)"):
            read()
    with pytest.raises(Exception, match="Weights only load failed"):  # torch's own reading is as it was
        torch.load(evil)


@pytest.mark.parametrize("attack", CONFIGS)
def test_an_embedded_config_that_reaches_further_is_refused(
    attack: str, trained: Trained, content: dict[str, Any], trap: Path, tmp_path: Path
) -> None:
    evil = str(tmp_path / "evil.pth")
    torch.save(with_config(content, CONFIGS[attack](trap)), evil)
    if "template" in attack:  # text, and nothing else
        assert "{{$NO_SUCH_VARIABLE" in Predictor(evil, device="cpu").model.cfg.x
    else:
        said = r"the config inside checkpoint '.*evil.pth' holds code, or more than"
        if "default_scope = 'mmpretrain'" in CONFIGS[attack](trap):
            said = r"checkpoint '.*evil.pth' is a classifier's"
        of_detector = CONFIGS[attack](trap) == "default_scope = 'mmdet'"
        with pytest.raises(InputError, match=r"evil.pth' is a detector's, and" if of_detector else said):
            Predictor(evil, device="cpu")
        said = "for which mmdet is needed" if of_detector else "holds code, or more than"
        with pytest.raises(InputError, match=said):  # as export reads models of all tasks
            TrainedModel(evil, tasks=TASKS)


@pytest.mark.parametrize("attack", DROPPED)
def test_what_prediction_does_not_build_is_dropped(
    attack: str, trained: Trained, content: dict[str, Any], trap: Path, tmp_path: Path
) -> None:
    from mmseg.apis import MMSegInferencer

    evil = str(tmp_path / "evil.pth")
    torch.save(with_config(content, DROPPED[attack](trap)), evil)
    predictor = Predictor(evil, device="cpu")
    assert predictor(trained.images[0]).shape == (48, 64)
    assert not re.search(
        "os\\.(mkdir|system)|creates_a_file|memcached", re.sub("runner_type.*", "", str(predictor.model.cfg))
    )
    inferencer = MMSegInferencer(None, weights=evil, device="cpu")
    assert inferencer(trained.images[0])["predictions"].shape == (48, 64)


@pytest.mark.parametrize("attack", CONFIGS)
def test_mmengine_does_not_see_a_config_that_it_would_run(
    attack: str,
    trained: Trained,
    content: dict[str, Any],
    trap: Path,
    tmp_path: Path,
) -> None:
    """Its inferencers evaluate the config inside a checkpoint where they are given none."""
    from mmseg.apis import MMSegInferencer

    evil = str(tmp_path / "evil.pth")
    torch.save(with_config(content, CONFIGS[attack](trap)), evil)
    with pytest.raises(ValueError, match="Cannot find the config in the checkpoint"):
        MMSegInferencer(None, weights=evil, device="cpu")


@pytest.mark.parametrize("attack", ["code", "template with octal escapes", "custom import", "dotted type of a hook"])
def test_a_resumed_run_does_not_run_the_config_of_its_checkpoint(
    attack: str, trained: Trained, content: dict[str, Any], trap: Path, tmp_path: Path
) -> None:
    evil = str(tmp_path / "evil.pth")
    torch.save(with_config(content, {**CONFIGS, **DROPPED}[attack](trap)), evil)
    resume(trained, evil, tmp_path)  # complete already: nothing is left to train


def test_keys_that_are_code_stay_text(
    trained: Trained, content: dict[str, Any], trap: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """MMEngine writes keys of configs without quoting them, in its checkpoints and in work dirs."""
    from mmseg.apis import MMSegInferencer

    key = f"a': {creates(trap)}, 'b"
    config = evaluate(content["meta"]["cfg"])
    config["model"]["train_cfg"] = {key: 1}
    evil = str(tmp_path / "evil.pth")
    torch.save(with_config(content, f"model = {config['model']!r}\noptim_wrapper = dict(type='NotHere')"), evil)
    assert MMSegInferencer(None, weights=evil, device="cpu").cfg.model.train_cfg == {key: 1}


@pytest.mark.parametrize("seed", [{"a': 1, 'b": 2}, "0", -1, 2**32, 0.5, True])
def test_a_seed_that_is_none_is_refused_and_written_nowhere(
    seed: Any, trained: Trained, content: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({**content, "meta": {**content["meta"], "seed": seed}}, tmp_path / "evil.pth")
    said = refusal(lambda: resume(trained, str(tmp_path / "evil.pth"), tmp_path), capsys)
    assert "evil.pth': meta.seed must be an integer from 0 to 2**32 - 1, got" in said, said
    assert not any("a': 1" in path.read_text() for path in (tmp_path / "work").rglob("*.py"))


def test_a_config_with_infinity_is_not_given_to_mmengine(content: dict[str, Any], tmp_path: Path) -> None:
    """It would not find the name inf."""
    path = str(tmp_path / "infinite.pth")
    torch.save(with_config(content, "model_notes = [inf]"), path)
    assert "cfg" not in load_checkpoint(torch.nn.Module(), path)["meta"]
    Predictor(path, device="cpu")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("model = 3", "has no model, which must be a dict"),
        ("model = dict(a=1)", "cannot be built (model): KeyError"),
        (
            "model = dict(type='EncoderDecoder', backbone=dict(type='ReLU', nothing=1), decode_head={})",
            "cannot be built (model): TypeError",
        ),
        ("test_dataloader = 3", "has no test pipeline"),
        (
            "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImageFromFile'), dict(type='Resize')]))",
            "built",
        ),
    ],
)
def test_a_config_that_cannot_be_built_is_refused_in_one_message(
    statement: str, said: str, content: dict[str, Any], tmp_path: Path
) -> None:
    torch.save(with_config(content, statement), tmp_path / "broken.pth")
    with pytest.raises(InputError, match=re.escape(said)):
        Predictor(str(tmp_path / "broken.pth"), device="cpu")


def test_mmengine_gets_a_config_of_registered_classes(trained: Trained) -> None:
    from mmseg.apis import MMSegInferencer

    found = MMSegInferencer(None, weights=trained.checkpoint, device="cpu")(trained.images[0])
    assert found["predictions"].shape == (48, 64)


def test_a_trusted_config_may_import(
    trained: Trained, content: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    target = tmp_path / "created"
    (tmp_path / "makes_a_file.py").write_text(f"open({str(target)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.save(with_config(content, "custom_imports = dict(imports=['makes_a_file'])"), tmp_path / "trusted.pth")
    Predictor(str(tmp_path / "trusted.pth"), device="cpu", trust_config=True)
    assert target.exists()


def test_a_file_that_a_checkpoint_names_is_not_deleted(
    content: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """MMEngine removes ``best_ckpt`` and what ``keep_ckpt_ids`` make of file names, once there are better ones."""
    precious = tmp_path / "elsewhere" / "precious.pth"
    hub = content["message_hub"]
    known = dict(best_ckpt=str(precious), best_ckpt_mIoU=3, keep_ckpt_ids=["x/../../elsewhere/precious"], epoch=1)
    evil = str(tmp_path / "evil.pth")
    torch.save({**content, "message_hub": {**hub, "runtime_info": known}}, evil)
    with caplog.at_level(logging.INFO):
        loaded = load_checkpoint(torch.nn.Module(), evil)
    assert loaded["message_hub"]["runtime_info"] == dict(epoch=1)
    beside = dict(best_ckpt=str(tmp_path / "notes.txt"))
    torch.save({**content, "message_hub": {**hub, "runtime_info": beside}}, evil)
    assert load_checkpoint(torch.nn.Module(), evil)["message_hub"]["runtime_info"] == {}
    beside = dict(best_ckpt=str(tmp_path / "best_mIoU_epoch_1.pth"), keep_ckpt_ids=[1, 2], last_ckpt=evil)
    torch.save({**content, "message_hub": {**hub, "runtime_info": beside}}, evil)
    assert load_checkpoint(torch.nn.Module(), evil)["message_hub"]["runtime_info"] == beside


def test_a_copied_work_dir_has_its_own_best_and_last_checkpoint(
    content: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the original is still there or not; a best one that was not copied is forgotten."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    for folder in (original, copy):
        folder.mkdir()
    hub = content["message_hub"]
    known = dict(best_ckpt=str(original / "best_mIoU_epoch_1.pth"), last_ckpt=str(original / "epoch_2.pth"))
    (original / "best_mIoU_epoch_1.pth").touch()
    torch.save({**content, "message_hub": {**hub, "runtime_info": known}}, copy / "epoch_2.pth")

    def read_there() -> dict[str, Any]:
        return load_checkpoint(torch.nn.Module(), str(copy / "epoch_2.pth"))["message_hub"]["runtime_info"]

    with caplog.at_level(logging.INFO):
        assert read_there() == dict(last_ckpt=str(copy / "epoch_2.pth"))
    (copy / "best_mIoU_epoch_1.pth").touch()
    assert read_there() == dict(best_ckpt=str(copy / "best_mIoU_epoch_1.pth"), last_ckpt=str(copy / "epoch_2.pth"))
    (original / "best_mIoU_epoch_1.pth").unlink()
    assert read_there()["best_ckpt"] == str(copy / "best_mIoU_epoch_1.pth")


@pytest.mark.parametrize("reader", READERS)
def test_a_web_page_is_named_by_every_reader(
    reader: str, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "page.pth").write_text("\n<!DOCTYPE html>\n<html><body>404 Not Found</body></html>")
    said = refusal(lambda: READERS[reader](trained, str(tmp_path / "page.pth"), tmp_path), capsys)
    assert "page.pth' is a web page, not weights; open it to see why, and download again" in said, said


def test_predict_takes_any_file_but_a_config_for_the_checkpoint(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("page.html", "model.ckpt", "model.safetensors", "model"):
        (tmp_path / name).write_text("<html></html>")
        said = refusal(lambda name=name: main_predict([str(tmp_path / name), trained.images[0]]), capsys)
        assert f"{name}' is a web page" in said, said
