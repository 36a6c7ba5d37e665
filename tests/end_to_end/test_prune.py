"""Pruning from the command line: one checkpoint, and the whole cycle, killed and resumed."""

from __future__ import annotations

import json
import re
import subprocess
import uuid
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from davpt_seg.commands.prune import main_prune
from davpt_seg.commands.train import main_train
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.experiments.option_values import parsed_options
from davpt_seg.experiments.options import put_options
from davpt_seg.runs.lock import NAME, locked
from davpt_seg.terminal.program import program
from davpt_seg.training.model import build_on_meta, count_parameters
from davpt_seg.trust.config_text import evaluate

from ..benchmark.conftest import wait_until
from ..recognition import write_vtab
from .test_recognition_training import TINY, WITH_VAL

WORDS = "method=vpt_deep,trunk=vits14,data=vtab/dmlab,epochs=1,image_size=56,batch_size=12,prompts=4,lr=0.02"
OPTIONS = ["--cfg-options", *TINY, *WITH_VAL, "model.backbone.timm_kwargs.depth=2", "model.backbone.out_indices=[1]"]
OF_CYCLE = [option for option in OPTIONS if not option.startswith("test_")]  # which a plan must not touch
HALF = 2 * 2 * 8  # numbers left of 4 prompts of 16 in 2 blocks, when half of them and half of each stay
HEAD = 6 * 17


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_vtab(tmp_path / "vtab", "dmlab", train=24, val=12, test=18)
    monkeypatch.setenv("VTAB_ROOT", str(tmp_path / "vtab"))


def experiment() -> Config:
    """What the words and the options stand for."""
    cfg = compose_from_words(WORDS)
    put_options(cfg, parsed_options(OPTIONS[1:]))
    return cfg


def test_a_pruned_config_trains_and_has_the_promised_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    visualizer = f"visualizer.name=v{uuid.uuid4().hex}"
    main_train([WORDS, "--work-dir", str(tmp_path / "whole"), "--importance", *OPTIONS, visualizer])
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
    assert f"{program('train')} {out}" in printed
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

    # The words with the importances stand for the same experiment, and a training measures the same as this command.
    kept = cfg.model.backbone  # without prompts by now
    pruned = Config.fromfile(out).model.backbone.prompts
    main_prune([*pruning[:2], "--out", str(tmp_path / "importance.json"), *OPTIONS, visualizer])
    (words,) = re.findall(r"train (\S+) --cfg-options", capsys.readouterr().out)
    assert words == f"{WORDS},importance={tmp_path}/importance.json,prompt_share=0.5,segment_share=0.5"
    assert "prompts" not in kept and compose_from_words(words).model.backbone.prompts.num_prompts == pruned.num_prompts
    by_training, by_command = (json.loads((tmp_path / name / "importance.json").read_text()) for name in ("whole", ""))
    assert (by_training["prompts"], by_training["segments"]) == (by_command["prompts"], by_command["segments"])
    assert by_training["about"] == {**by_command["about"], "checkpoint": str(tmp_path / "whole" / "epoch_1.pth")}

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
        (["--out", "new.py", "--prompt-share", "0.3", "0.5"], "several shares need a cycle"),
        (["--out", "new.py", "--amp"], "--amp is for a cycle"),
        (["--out", "new.txt"], "needs --out FILE.json"),
        (["--out", "new.py", "--launcher", "pytorch"], "pruning runs in one process"),
    ):
        with pytest.raises(SystemExit):
            main_prune([*pruning, *wrong, *OPTIONS])
        assert message in capsys.readouterr().err
    other = [*OPTIONS, "model.backbone.timm_kwargs.depth=1", "model.backbone.out_indices=[0]"]
    with pytest.raises(SystemExit):
        main_prune([*pruning, "--out", "new.py", *other])
    assert f"is not of {WORDS} with these --cfg-options" in capsys.readouterr().err


def test_a_dry_run_lists_the_trainings_of_a_cycle_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, shares = (
        tmp_path / "cycle",
        ["--prompt-share", "0.5", "0.75", "--segment-share", "0.5", "--rank-by", "segments"],
    )
    assert main_prune([WORDS, "--work-dir", str(folder), *shares, "--dry-run", *OF_CYCLE]) == 0
    listed = [line.split()[2].partition(":")[0] for line in capsys.readouterr().out.splitlines() if "to do  " in line]
    search = [f"search/prompt_share={share},segment_share=0.5" for share in (0.5, 0.75)]
    assert listed == [f"vtab/dmlab/vits14/vpt_deep/{run}" for run in ("whole", *search)]
    assert (
        main_prune([WORDS, "--work-dir", str(folder), *shares, "--dry-run", "--test", "--seeds", "3", *OF_CYCLE]) == 0
    )
    assert "final/seed=2" in capsys.readouterr().out
    assert not folder.exists()


@pytest.mark.slow
def test_a_killed_cycle_resumes_and_the_test_is_seen_by_the_chosen_one_alone(
    tmp_path: Path, forked_python: str
) -> None:
    folder = tmp_path / "cycle"
    shares = ["--prompt-share", "0.5", "0.75", "--segment-share", "0.5"]
    command = [forked_python, "-m", "davpt_seg", "prune", WORDS, "--work-dir", str(folder), *shares]
    study = folder / "vtab/dmlab/vits14/vpt_deep"
    process = subprocess.Popen([*command, *OF_CYCLE])
    wait_until(lambda: any(study.glob("search/*/attempts/001.log")), seconds=300)
    process.kill()
    process.wait()
    wait_until(lambda: not locked(folder / NAME), seconds=300)  # the training that outlived it
    importance = (study / "whole" / "importance.json").read_text()
    subprocess.run([*command, *OF_CYCLE], check=True)
    assert not (study / "final").exists()
    subprocess.run([*command, "--test", *OF_CYCLE], check=True)

    assert len(list(study.glob("whole/attempts/*.json"))) == 1  # trained once
    assert (study / "whole" / "importance.json").read_text() == importance
    results = {path.parent.name: json.loads(path.read_text()) for path in study.glob("*/*/result.json")}
    assert {name: result["tuned"] for name, result in results.items() if "share" in name} == {
        "prompt_share=0.5,segment_share=0.5": HALF,
        "prompt_share=0.75,segment_share=0.5": HALF // 2,
    }
    chosen = json.loads((study / "chosen.json").read_text())["parameters"]
    abouts = {path.parent: json.loads(path.read_text())["about"] for path in study.rglob("scores.json")}
    assert sorted(about["split"] for about in abouts.values()) == ["test", "val200", "val200", "val200"]
    assert abouts[study / "final" / "seed=0"]["split"] == "test"
    assert results["seed=0"]["tuned"] == (HALF if chosen["prompt_share"] == 0.5 else HALF // 2)
    table = (folder / "table.md").read_text()
    assert f"| nothing | 128 | {json.loads((study / 'whole/result.json').read_text())['score']:.2f} |" in table
