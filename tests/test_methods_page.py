"""docs/methods.md: its configs are those of the methods, its counts those of the models, its commands can be run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from davpt_seg.experiments.compose import compose, compose_from_words
from davpt_seg.experiments.fitting import CLASSIFICATION_ONLY
from davpt_seg.models import PromptedViTBackbone

ROOT = Path(__file__).parents[1]
METHODS = ROOT / "configs" / "_base_" / "methods"
PAGE = (ROOT / "docs" / "methods.md").read_text()
SNIPPETS = {
    method: code for code, method in re.findall(r"```python\n(backbone = .*?# method=\W*(\w+).*?)```", PAGE, re.S)
}
COUNTS = re.findall(r"^\| `([\w+]+)` \| [^|]+ \| ([\d,]+) \| ([\d,]+) \|$", PAGE, re.M)
COMMANDS = re.findall(r"^python tools/train.py (method=\S+)", PAGE, re.M)


def test_every_method_has_a_snippet_that_is_its_config() -> None:
    files = {path.stem: Config.fromfile(path).to_dict() for path in METHODS.glob("*.py")}
    assert set(files) - set(SNIPPETS) == {"linear", "davpt_plus"}  # nothing, and two others'
    for method, code in SNIPPETS.items():
        found: dict = {}
        exec(code, found)
        assert found["backbone"] == files[method]["model"]["backbone"], method


@pytest.mark.parametrize(("method", "vit_b", "vit_l"), COUNTS, ids=[row[0] for row in COUNTS])
def test_the_counts_of_the_table_are_those_of_the_models(method: str, vit_b: str, vit_l: str) -> None:
    for trunk, expected in (("vitb", vit_b), ("vitl", vit_l)):
        arguments = compose(method=method, trunk=trunk).model.backbone.to_dict()
        for name in ("type", "pretrained"):
            del arguments[name]
        with torch.device("meta"):
            model = PromptedViTBackbone(**arguments)
        assert f"{sum(p.numel() for p in model.parameters() if p.requires_grad):,}" == expected


def test_every_method_is_counted() -> None:
    joining = {"carried", "guidance", "prototypes", "zero_start"}
    counted = {part for method, *_ in COUNTS for part in method.split("+")}
    assert counted == {path.stem for path in METHODS.glob("*.py")} - set(CLASSIFICATION_ONLY)
    assert {method for method, *_ in COUNTS if "+" not in method} == counted - joining


def test_the_commands_name_experiments_for_both_tasks() -> None:
    trained: dict[str, set[str]] = {}
    for words in COMMANDS:
        kind = compose_from_words(words).model.type
        for method in re.findall(r"method=([\w+]+)", words)[0].split("+"):
            trained.setdefault(method, set()).add(kind)
    for method in (*SNIPPETS, "davpt_plus"):
        if method != "davpt":  # whose commands are DA-VPT+'s
            segmentation = set() if method in CLASSIFICATION_ONLY else {"EncoderDecoder"}
            assert trained[method] == segmentation | {"ImageClassifier"}, method
