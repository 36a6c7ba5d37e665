"""Options of other programs: each command answers with one that it has."""

from __future__ import annotations

import re

import pytest

from davpt_seg.cli import COMMANDS, run
from davpt_seg.terminal.elsewhere import BY_COMMAND, BY_CONFIG

WRONG = sorted({*BY_CONFIG, *(name for table in BY_COMMAND.values() for name in table)})
ARGUMENTS = {"train": ["x"], "test": ["x", "y"], "predict": ["x"], "export": ["x"], "check-dataset": [], "count": ["x"]}


def said(capsys: pytest.CaptureFixture[str], command: str, *arguments: str) -> str:
    with pytest.raises(SystemExit):
        run(command, list(arguments))
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize("command", ARGUMENTS)
def test_the_advice_names_only_options_that_the_command_has(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = set(re.findall(r"--[a-z][\w-]*", said(capsys, command, "--help")))
    answered = 0
    for name in WRONG:
        if f"--{name}" in known:
            continue
        answer = said(capsys, command, *ARGUMENTS[command], f"--{name}=3")
        if "unrecognized arguments: " not in answer:  # an abbreviation
            continue
        advice = answer.partition(f"--{name}=3: ")[2].partition(" --help' lists")[0]
        assert not set(re.findall(r"--[a-z][\w-]*", advice)) - known, answer
        answered += "known: " not in advice.lower()
    assert answered > 5


@pytest.mark.parametrize(
    ("command", "option", "advice"),
    [
        ("train", "--gpus", "tools/dist_train.sh CONFIG GPUS"),
        ("train", "--gpu-id", "CUDA_VISIBLE_DEVICES=N"),
        ("train", "--seed", "--cfg-options randomness.seed=N"),
        ("train", "--load-from", "--cfg-options load_from=CHECKPOINT"),
        ("train", "--checkpoint", "--resume CHECKPOINT resumes a training"),
        ("train", "--batch-size", "train_dataloader.batch_size=N"),
        ("train", "--output", "--work-dir DIR"),
        ("test", "--batch-size", "test_dataloader.batch_size=N"),
        ("predict", "--batch-size", "test_dataloader.batch_size=N"),
        ("test", "--checkpoint", "CHECKPOINT is given without an option, after CONFIG"),
        ("test", "--data", "test_dataloader.dataset.data_root=DIR"),
    ],
)
def test_a_common_wrong_option_is_answered_with_the_right_one(
    command: str, option: str, advice: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert advice in said(capsys, command, *ARGUMENTS[command], f"{option}=3")


def test_the_commands_of_the_table_exist() -> None:
    assert set(ARGUMENTS) <= set(COMMANDS)


def test_words_that_are_divided_by_blanks_are_answered_with_commas(capsys: pytest.CaptureFixture[str]) -> None:
    assert "(WORD=VALUE,trunk=vits14)" in said(capsys, "train", "method=davpt", "trunk=vits14")
