"""The table of words: what is derived from it agrees with it, and each word does something."""

from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import pytest

from davpt_seg.benchmark.plan.fields import WORDS as PLAN_WORDS
from davpt_seg.commands.train import main_train
from davpt_seg.errors import InputError
from davpt_seg.experiments import classification, detection, methods, parts, segmentation, shares
from davpt_seg.experiments.compose import compose_from_words, config_of
from davpt_seg.experiments.hyperparameters import hyperparameters
from davpt_seg.experiments.values import parse
from davpt_seg.experiments.words import (
    CLASSIFICATION,
    COLUMNS,
    DETECTION,
    PARTS,
    SEGMENTATION,
    TASKS,
    WORDS,
    Word,
    markdown,
    words_of,
)

from ..core.test_imports import PACKAGE, imported
from ..training import CONFIGS

DOCS = Path(__file__).parents[2] / "docs"
NUMBERS = [word for word in WORDS if word.kind is not str]
EVERYTHING = {  # an experiment of each task that has every word
    SEGMENTATION: "head=linear,trunk=vits14,data=camvid_crop112,schedule=adamw_400i,method=e2vpt+guidance+lora+adapter",
    CLASSIFICATION: "trunk=vits14,data=vtab/dtd,method=e2vpt+guidance+lora+adapter",
    DETECTION: "head=fcos_small,trunk=vits14,data=demo_boxes,schedule=adamw_iters,method=e2vpt+guidance+lora+adapter",
}
HOMES = {SEGMENTATION: segmentation, CLASSIFICATION: classification, DETECTION: detection}
BESIDE = {"head_lr": "lr=0.25", "subset_seed": "train_images=4"}  # words that need another
VALUES = {"split": "final", "image_size": "112", "drop_path": "0.5", "samples_per_class": "4"}  # where 33 or 3 is none


def page(name: str) -> str:
    return (DOCS / name).read_text()


def test_the_page_of_words_is_what_its_tool_writes() -> None:
    written = runpy.run_path(str(DOCS.parent / "tools" / "words_page.py"))["page"]
    assert page("words.md") == written(), "run: python tools/words_page.py"


def test_detection_has_the_values_of_segmentation_as_the_page_says() -> None:
    assert markdown(DETECTION) == markdown(SEGMENTATION)


@pytest.mark.parametrize("task", TASKS)
def test_the_page_of_words_has_every_word_and_every_value_of_a_part(task: str) -> None:
    table = markdown(task)
    assert all(f"| `{word.name}` |" in table for word in words_of(task).values() if not word.part)
    parts = (path for path in (CONFIGS / "_base_").rglob("*.py") if path.parent.name in ("methods", "schedules"))
    assert not [path for path in parts if f"| `{path.stem}`" not in page("words.md")]
    assert [word for word in words_of(task).values() if f"`{word.name}`" not in page("words.md")] == []


def test_the_docs_list_the_words_of_plans() -> None:
    listed = " ".join(f"`{name}`" for name in PLAN_WORDS)
    assert f"{listed}." in " ".join(page("words.md").split())


def test_the_docs_have_the_defaults_as_they_are() -> None:
    trunks = ("vitb_augreg_in21k", "vitb_mae", "vitb_mocov3", "custom")
    rows = [hyperparameters("davpt_plus", trunk, "custom") for trunk in trunks]
    rows.append(hyperparameters("custom.py", "custom", "custom"))
    for name in rows[0].values:
        cells = " | ".join("-" if row[name] is None else str(row[name]) for row in rows)
        assert f"| `{name}` | {cells} |" in page("words.md")


def test_the_help_lists_every_word(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main_train(["--help"])
    listed = [line.split()[0] for line in capsys.readouterr().out.partition("words of an experiment")[2].splitlines()]
    assert {word.name for word in WORDS} <= set(listed)


def test_the_table_needs_neither_torch_nor_mmengine() -> None:
    ours = {f"davpt_seg.experiments.{name}" for name in ("words", "values", "hyperparameters")}
    ours |= {"davpt_seg.errors", "davpt_seg.experiments.catalog"}
    for name in ("words", "values", "hyperparameters"):
        source = (PACKAGE / "experiments" / f"{name}.py").read_text()
        foreign = {module for module in imported(source, "experiments") if "." in module or module in ("torch",)}
        assert {module for module in foreign if not module.startswith("collections.")} <= ours


def test_no_name_has_two_meanings_in_a_task() -> None:
    for task in TASKS:
        names = [word.name for word in (*WORDS, *COLUMNS) if task in word.tasks]
        assert len(set(names)) == len(names)


def test_the_functions_that_the_table_names_are_there() -> None:
    for word in (*WORDS, *COLUMNS):
        homes = [HOMES[task] for task in word.tasks]
        name = word.sets.removesuffix("()")
        for home in homes:
            found = [
                dict(inspect.getmembers(module, inspect.isfunction)).get(each)
                for module in (home, methods, parts, shares)
                for each in (name, f"_{name}")
            ]
            assert any(found), (word.name, word.sets)


@pytest.mark.parametrize("word", NUMBERS, ids=lambda word: f"{word.name}-{word.tasks[0]}")
def test_numbers_are_read_up_to_their_bounds_and_no_further(word: Word) -> None:
    assert word.above or parse(word, f"{word.least:g}") == word.least
    outside = [str(word.least - 1), "nan", "inf", "-1", "", "x", "1,5", "٣", "1_0", " 1", "1 ", "9" * 400]
    outside += [f"{word.below:g}"] + ([f"{word.least:g}"] if word.above else [])
    for text in outside:
        with pytest.raises(InputError, match=f"{word.name}=.*: expected {word.values}"):
            parse(word, text)


@pytest.mark.parametrize("task", TASKS)
def test_every_word_changes_the_config_and_its_name(task: str) -> None:
    plain = compose_from_words(EVERYTHING[task])
    for name, word in words_of(task).items():
        if name in PARTS or word.sets == "use_shares()":  # the latter need a file: test_shares.py
            continue
        before = compose_from_words(f"{EVERYTHING[task]},{BESIDE[name]}") if name in BESIDE else plain
        beside = f"{BESIDE[name]}," if name in BESIDE else ""
        value = VALUES.get(name, "33" if word.kind is int else "3")
        changed = compose_from_words(f"{EVERYTHING[task]},{beside}{name}={value}")
        assert changed.to_dict() != before.to_dict(), name
        assert changed.filename != before.filename, name


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("method=davpt trunk=vits14", "without blanks: method=davpt,trunk=vits14"),
        ("method=davpt, trunk=vits14", "without blanks: method=davpt,trunk=vits14"),
        ("method=davpt,trunk=vits14,", "without blanks: method=davpt,trunk=vits14"),
        ("method: davpt", "without blanks: method=davpt"),
        ("--method=davpt,trunk=vits14", "without blanks: method=davpt,trunk=vits14"),
        ("Method=davpt", "small letters: method=davpt"),
        ("method=davpt,data_root=/x", "--cfg-options train_dataloader.dataset.data_root=/x"),
        ("method=davpt,trunk=vitb_in21k", "trunk=vitb_in21k is for image classification: add data=vtab/NAME"),
    ],
)
def test_words_that_are_written_otherwise_are_answered_with_the_right_ones(words: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        config_of(words)
    assert said in str(error.value)
