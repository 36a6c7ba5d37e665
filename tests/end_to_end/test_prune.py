"""Pruning from the command line: one checkpoint, and the whole cycle, stopped and gone on with."""

from __future__ import annotations

import json
import os
import re
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from davpt_seg.apis import prune_stage
from davpt_seg.apis.prune import main_prune
from davpt_seg.apis.prune_arguments import parse
from davpt_seg.benchmark.attempts import identity
from davpt_seg.commands.train import main_train
from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.training.model import build_on_meta, count_parameters
from davpt_seg.trust.config_text import evaluate

from ..recognition import write_vtab
from .test_recognition_training import TINY, WITH_VAL

WORDS = "method=vpt_deep,trunk=vits14,data=vtab/dmlab,epochs=1,image_size=56,batch_size=12,prompts=4,lr=0.02"
OPTIONS = ["--cfg-options", *TINY, *WITH_VAL, "model.backbone.timm_kwargs.depth=2", "model.backbone.out_indices=[1]"]
HALF = 2 * 2 * 8  # numbers left of 4 prompts of 16 in 2 blocks, when half of them and half of each stay
HEAD = 6 * 17


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_vtab(tmp_path / "vtab", "dmlab", train=24, val=12, test=18)
    monkeypatch.setenv("VTAB_ROOT", str(tmp_path / "vtab"))


class Trainings:
    """Trains in this process, as far as it is let, and remembers what."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.stops_at: Any = None

    def __call__(self, work_dir: Path, arguments: Sequence[str]) -> None:
        if work_dir.name == self.stops_at:
            raise KeyboardInterrupt
        # MMEngine's visualizers live as long as their name, and write where the first of that name did
        main_train([*arguments, "--cfg-options", f"visualizer.name=v{uuid.uuid4().hex}"])
        self.done.append(work_dir.name)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> Trainings:
    own = Trainings()
    monkeypatch.setattr(prune_stage, "run_training", own)
    return own


def experiment() -> Config:
    """What the words and the options stand for."""
    _, args = parse(["config", *OPTIONS])
    cfg = compose_from_words(WORDS)
    cfg.merge_from_dict(args.cfg_options)
    return cfg


def rows(table: str) -> list[list[str]]:
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:]]


def test_a_pruned_config_trains_and_has_the_promised_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    visualizer = f"visualizer.name=v{uuid.uuid4().hex}"
    main_train([WORDS, "--work-dir", str(tmp_path / "whole"), *OPTIONS, visualizer])
    out = tmp_path / "pruned.py"
    pruning = [WORDS, str(tmp_path / "whole" / "epoch_1.pth"), "--out", str(out), "--segments", "8"]
    capsys.readouterr()
    main_prune([*pruning, "--dry-run", *OPTIONS])
    assert not out.exists()
    promised = f"Prompts in each block: 4 -> 2; tuned in the ViT: 128 -> {HALF}, in all: {128 + HEAD} -> {HALF + HEAD}"
    assert promised in capsys.readouterr().out
    main_prune([*pruning, *OPTIONS, visualizer])
    printed = capsys.readouterr().out
    assert promised in printed
    assert f"Measured on 12 images (dmlab val200 {tmp_path / 'vtab'}/) in 1 batches" in printed
    assert "8 of 32 segments" in printed
    assert f"python tools/train.py {out}" in printed
    assert (tmp_path / "pruned.importance.png").stat().st_size > 5_000
    importance = torch.tensor(json.loads((tmp_path / "pruned.importance.json").read_text())["prompts"])
    stays = [int(number) for number in re.findall(r"prompts ([\d, ]+) \(from 0\)", printed)[0].split(",")]
    assert sorted(importance.topk(2).indices.tolist()) == stays

    cfg = Config.fromfile(out)
    assert "model" in evaluate(out.read_text())  # plain values
    assert cfg.model.backbone.prompts.num_prompts == 2
    assert [row.count("1") for row in cfg.model.backbone.prompts.segments] == [4, 4]
    whole = experiment()
    whole.visualizer.name = visualizer.partition("=")[2]
    for each in (cfg, whole):
        each.model.backbone.pop("prompts")
    assert cfg.to_dict() == Config.fromstring(whole.pretty_text, ".py").to_dict()  # otherwise the same experiment

    scores = tmp_path / "scores.json"
    main_train([str(out), "--work-dir", str(tmp_path / "anew"), "--test", str(scores)])
    about = json.loads(scores.read_text())["about"]
    assert (about["trained_in_backbone"], about["trained"]) == (HALF, HALF + HEAD)
    model = build_on_meta(Config.fromfile(out))
    model.load_state_dict(torch.load(tmp_path / "anew" / "epoch_1.pth")["state_dict"], assign=True)
    assert count_parameters(model).backbone_trained == HALF

    for wrong, message in (
        ([], "pruned.py exists already; name another --out"),
        (["--out", "new.py", "--split", "test"], "invalid choice: 'test'"),
        (["--out", "new.py", "--prompt-share", "0.3", "0.5"], "several shares are chosen among by a cycle"),
        (["--out", "new.py", "--amp"], "--amp is for a cycle"),
        (["--out", "new.json"], "needs --out FILE.py"),
        (["--out", "new.py", "--launcher", "pytorch"], "pruning runs in one process"),
    ):
        with pytest.raises(SystemExit):
            main_prune([*pruning, *wrong, *OPTIONS])
        assert message in capsys.readouterr().err
    other = [*OPTIONS, "model.backbone.timm_kwargs.depth=1", "model.backbone.out_indices=[0]"]
    with pytest.raises(SystemExit):
        main_prune([*pruning, "--out", "new.py", *other])
    assert f"is not of {WORDS} with these --cfg-options" in capsys.readouterr().err


def test_a_stopped_cycle_goes_on_and_the_test_is_seen_by_the_chosen_one_alone(
    tmp_path: Path, trainings: Trainings, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cycle"
    half, more = "prompts=0.5,segments=0.5", "prompts=0.75,segments=0.5"
    shares = ["--segments", "8", "--prompt-share", "0.5", "0.75", "--segment-share", "0.5"]
    command = [WORDS, "--work-dir", str(folder), *shares, *OPTIONS]
    trainings.stops_at = more
    with pytest.raises(SystemExit, match="130"):
        main_prune(command)
    assert trainings.done == ["stage1", half]
    importance = (folder / "importance.json").read_text()
    capsys.readouterr()
    main_prune([*command[:3], "--dry-run", *command[3:]])
    table = rows(capsys.readouterr().out)
    assert [row[6] == "to do" for row in table] == [False, False, True]
    assert [row[3:6] for row in table] == [
        ["4", "128", str(128 + HEAD)],
        ["2", str(HALF), str(HALF + HEAD)],
        ["1", str(HALF // 2), str(HALF // 2 + HEAD)],
    ]

    trainings.stops_at = None
    main_prune(command)
    assert trainings.done == ["stage1", half, more]  # stage 1 was not trained again
    assert (folder / "importance.json").read_text() == importance
    scores = {name: json.loads((folder / "stage2" / name / "scores.json").read_text()) for name in (half, more)}
    assert all(each["about"]["split"] == "val200" for each in scores.values())
    chosen = json.loads((folder / "chosen.json").read_text())
    best = max(scores, key=lambda name: (scores[name]["accuracy/top1"], name == more))
    assert chosen["shares"] == best
    assert not (folder / "final").exists()

    main_prune([*command[:3], "--test", *command[3:]])
    assert trainings.done == ["stage1", half, more, "final"]
    about = json.loads((folder / "final" / "scores.json").read_text())["about"]
    assert (about["split"], about["images"]) == ("test", 18)
    final = Config.fromfile(folder / "final.py")
    assert final.train_dataloader.dataset.split == "train800val200"
    assert final.model.backbone.prompts == Config.fromfile(folder / "stage2" / f"{best}.py").model.backbone.prompts
    table = rows((folder / "table.md").read_text())
    assert [row[0].split(" ")[0] for row in table] in (["1", "2", "final", "2"], ["1", "2", "2", "final"])
    assert [bool(row[7]) for row in table] == [row[0] == "final" for row in table]

    main_prune([*command[:3], "--test", *command[3:]])
    assert len(trainings.done) == 4
    for changed, message in (
        (["--prompt-share", "0.25"], "other shares would be chosen on test images"),
        (["--amp"], "holds another cycle: amp was False and is True"),
        (["--rank-by", "segments"], "rank_by was masks and is segments"),
        (["--cfg-options", *OPTIONS[1:], "randomness.seed=1"], "stage1.py is of another experiment"),
    ):
        with pytest.raises(SystemExit):
            main_prune([*command, *changed])
        assert message in capsys.readouterr().err


def test_a_cycle_of_a_file_tests_the_chosen_model_itself(tmp_path: Path, trainings: Trainings) -> None:
    cfg = experiment()
    cfg.test_dataloader = Config(dict(test=cfg.val_dataloader.to_dict())).test
    cfg.test_dataloader.dataset.split = "test"
    cfg.model.backbone.adapters = [dict(type="key_value_prompts", num_prompts=2)]
    cfg.dump(tmp_path / "mine.py")
    folder = tmp_path / "cycle"
    main_prune([str(tmp_path / "mine.py"), "--work-dir", str(folder), "--segments", "8", "--test"])
    assert trainings.done == ["stage1", "prompts=0.5,segments=0.5", "final"]
    splits = [json.loads(path.read_text())["about"]["split"] for path in sorted(folder.rglob("scores.json"))]
    assert sorted(splits) == ["test", "val200", "val200"]
    second = torch.load(folder / "stage2" / "prompts=0.5,segments=0.5" / "epoch_1.pth")["state_dict"]
    assert not list((folder / "final").glob("*.pth"))  # trained no further
    assert "backbone.adapters.adapters.0.values.0" in second or any("adapters" in name for name in second)


def test_words_with_a_split_of_their_own_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main_prune([f"{WORDS},split=final", "--work-dir", str(tmp_path), *OPTIONS])
    assert "leave split= out; the cycle chooses by split=choose" in capsys.readouterr().err


@pytest.mark.parametrize("kept", [True, False])
def test_a_training_goes_on_if_its_checkpoints_let_it(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "stage1.py").write_text(f"default_hooks = dict(checkpoint=dict(save_optimizer={kept}))\n")
    stage, asked = prune_stage.Stage(tmp_path / "stage1.py", "stage 1"), []
    monkeypatch.setattr(prune_stage, "run_training", lambda work_dir, arguments: asked.append(arguments))
    for start, told in ((None, ["--resume"]), ("epoch_4.pth", ["--resume", "epoch_4.pth"])):
        with pytest.raises(InputError, match="stage 1: the training ended without scores"):
            stage.train(amp=True, start=start)
        scores = str(tmp_path / "stage1" / "scores.json")
        assert asked.pop()[3:] == ["--test", scores, "--amp", *(told if kept else [])]


def test_a_training_is_a_process_of_its_own_whose_failure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"  # which remembers its arguments
    program.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\nexit 3\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(InputError, match=r"stage1 failed \(exit status 3, see above\); the same command goes on"):
        prune_stage.run_training(tmp_path / "stage1", ["stage1.py", "--amp"])
    assert (tmp_path / "arguments").read_text() == "-m davpt_seg train stage1.py --amp\n"
    claim = tmp_path / "stage1" / "attempts" / "001.json"
    content = json.loads(claim.read_text())
    assert content["ended"] == "failed"
    claim.write_text(json.dumps({**content, "ended": None, "holders": [identity(os.getpid())]}))  # as if it went on
    with pytest.raises(InputError, match="another command is training there"):
        prune_stage.run_training(tmp_path / "stage1", ["stage1.py", "--amp"])
