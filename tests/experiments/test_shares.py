"""The words importance=FILE, prompt_share= and segment_share=: what stays, and which files and prompts are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from davpt_seg.core.prompts.importance import Importance, pruned
from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.experiments.shares import check_prunable, prune, read_importance
from davpt_seg.training.model import build_on_meta, count_parameters

TASKS = {
    "segmentation": "method=e2vpt,head=linear,trunk=vits14,data=camvid_crop112,schedule=adamw_iters,prompts=4",
    "classification": "method=e2vpt,trunk=vits14,data=vtab/dtd,prompts=4",
}
WIDTH, DEPTH = 384, 12


@pytest.fixture
def importance() -> Importance:
    torch.manual_seed(0)
    return Importance(torch.rand(4, dtype=torch.float64), torch.rand(4, 16, dtype=torch.float64))


@pytest.fixture
def file(importance: Importance, tmp_path: Path) -> Path:
    return write(
        tmp_path / "importance.json", prompts=importance.prompts.tolist(), segments=importance.segments.tolist()
    )


def write(path: Path, **content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("task", TASKS)
def test_shares_remove_the_least_important_prompts_and_nothing_else(
    task: str, importance: Importance, file: Path
) -> None:
    whole = compose_from_words(TASKS[task])
    cut = compose_from_words(f"{TASKS[task]},importance={file},prompt_share=0.5,segment_share=0.25")
    prompts = cut.model.backbone.prompts
    assert {key: prompts[key] for key in ("num_prompts", "segments")} == pruned(importance, 0.5, 0.25)
    before, after = (count_parameters(build_on_meta(cfg)).backbone_trained for cfg in (whole, cut))
    assert before - after == DEPTH * WIDTH * 4 - DEPTH * WIDTH * 2 * 3 // 4
    for cfg in (whole, cut):
        del cfg.model.backbone["prompts"]
    assert whole.to_dict() == cut.to_dict()
    assert whole.filename != cut.filename and str(file.parent) not in cut.filename


def test_a_share_that_is_not_given_is_0_and_prompts_are_ranked_as_the_words_ask(
    importance: Importance, file: Path
) -> None:
    def prompts(words: str) -> dict[str, Any]:
        found = compose_from_words(f"{TASKS['classification']},importance={file},{words}").model.backbone.prompts
        return {key: found[key] for key in ("num_prompts", "segments")}

    assert prompts("prompt_share=0.5") == pruned(importance, 0.5, 0)
    assert prompts("segment_share=0.75") == pruned(importance, 0, 0.75)
    by_segments = pruned(importance.ranked("segments"), 0.5, 0.5)
    assert prompts("prompt_share=0.5,segment_share=0.5,rank_by=segments") == by_segments
    assert by_segments != pruned(importance, 0.5, 0.5)


def test_blocks_without_prompts_remain_without(importance: Importance) -> None:
    cfg = Config(dict(model=dict(backbone=dict(prompts=dict(num_prompts=[0, 4, 4])))))
    prune(cfg, importance, 0.5, 0, "mine")
    assert cfg.model.backbone.prompts.num_prompts == [0, 2, 2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "prompt_share=0.5",
            r"prompt_share=0.5: add importance=FILE, .*davpt-seg prune CONFIG CHECKPOINT --out FILE.json",
        ),
        ("segment_share=0.5", "segment_share=0.5: add importance=FILE"),
        ("rank_by=segments", "rank_by=segments: add importance=FILE"),
        ("importance=FILE", "importance=.*: add prompt_share=... or segment_share=..."),
        ("importance=FILE,rank_by=masks", "importance=.*: add prompt_share="),
        ("importance=FILE,prompt_share=1", "prompt_share=1: expected a number of at least 0 and below 1"),
        ("importance=FILE,prompt_share=0.95", "prompt_share=0.95 of 4 must be at least 0 and leave one.*0.1 to 0.9"),
        ("importance=FILE,segment_share=0.99", "segment_share=0.99 of 16 must be at least 0 and leave one"),
        ("importance=FILE,prompt_share=0.5,rank_by=size", "rank_by=size: expected one of masks, segments"),
        ("importance=nowhere.json,prompt_share=0.5", "importance=nowhere.json: there is no such file"),
    ],
)
def test_words_that_do_not_go_together_are_refused(words: str, message: str, file: Path) -> None:
    with pytest.raises(InputError, match=message):
        compose_from_words(f"{TASKS['classification']},{words.replace('FILE', str(file))}")


def test_importances_of_other_prompts_are_refused(file: Path) -> None:
    for words, message in (
        ("method=vpt_deep,trunk=vits14,data=vtab/dtd,prompts=5", "importances of 4 prompts, but this .* has 5 in each"),
        ("method=lora,trunk=vits14,data=vtab/dtd", "no prompts to prune; take method=e2vpt"),
    ):
        with pytest.raises(InputError, match=message):
            compose_from_words(f"{words},importance={file},prompt_share=0.5")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a JSON file"),
        ("\x00", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ("[1]", "expected 'prompts', a list of finite numbers"),
        ("{}", "expected 'prompts'"),
        ('{"prompts": [], "segments": []}', "expected 'prompts'"),
        ('{"prompts": [NaN, 1], "segments": [[1], [1]]}', "finite"),
        (f'{{"prompts": [{"9" * 5000}], "segments": [[1]]}}', "finite"),
        ('{"prompts": [true], "segments": [[1]]}', "finite"),
        ('{"prompts": ["1"], "segments": [[1]]}', "finite"),
        ('{"prompts": [1, 2], "segments": [[1], [Infinity]]}', "finite"),
        ('{"prompts": [1, 2], "segments": [[1], [null]]}', "finite"),
        ('{"prompts": [1, 2], "segments": {"0": [1]}}', "finite"),
        ('{"prompts": [1, 2], "segments": [[1]]}', "for each prompt, all equally long"),
        ('{"prompts": [1, 2], "segments": [[1], [1, 2]]}', "for each prompt, all equally long"),
    ],
)
def test_files_of_something_else_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "importance.json"
    path.write_text(text)
    with pytest.raises(InputError, match=f"importance={path}: .*{message}"):
        read_importance(str(path))


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        (None, "has no prompts to prune"),
        (dict(num_prompts=0), "num_prompts is 0 in all blocks"),
        (dict(num_prompts=[0, 0]), "num_prompts is 0 in all blocks"),
        (dict(num_prompts=2, kind="shallow"), "are shallow; pruning is for deep ones"),
        (dict(num_prompts=2, kind="gated"), "are gated; pruning is for deep ones"),
        (dict(num_prompts=1, segments=["10"]), "are pruned already"),
        (dict(num_prompts=2, init="prototypes"), "prototypes start complete prompts"),
        (dict(num_prompts=[3, 2]), r"they have \(3, 2\); train with .*num_prompts=3"),
    ],
)
def test_prompts_that_cannot_be_pruned_are_refused(prompts: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"mine: .*{message}"):
        check_prunable(Config(dict(model=dict(backbone=dict(prompts=prompts)))), "mine")


def test_prompts_that_can_be_pruned_are_counted() -> None:
    for numbers in (3, [0, 3], [3, 3]):
        cfg = Config(dict(model=dict(backbone=dict(prompts=dict(num_prompts=numbers)))))
        assert check_prunable(cfg, "mine") == 3
    cfg.custom_hooks = [dict(type="DataMeanInitHook")]
    with pytest.raises(InputError, match=r"prototypes start complete prompts.* DataMeanInitHook"):
        check_prunable(cfg, "mine")
