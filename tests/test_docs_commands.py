"""Each command of README and docs is one that its program takes, and each of its configs composes.

No command runs here: those that can run on this machine do so in other tests (``docs/own_data.md`` word for word in
tests/own_data/test_page.py). Here, a command's own parser reads its arguments, its config is composed with its
``--cfg-options``, and a plan of the benchmark with its methods and settings. What belongs to other programs is listed,
with the reason why it is not run.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import re
import runpy
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Optional
from unittest import mock

import pytest

from davpt_seg import cli
from davpt_seg.benchmark.options import parser as benchmark_parser
from davpt_seg.benchmark.options import plan_asked_for
from davpt_seg.commands.config_argument import read_config
from davpt_seg.terminal.parser import CommandParser

from .docs_commands import PAGES, ROOT, Command, commands

COMMANDS = list(commands())
OURS = (
    "davpt-seg",
    "python",
    "tools/dist_train.sh",
    "tools/dist_test.sh",
    "tools/slurm_train.sh",
    "tools/slurm_test.sh",
)
#: Programs of others, and why no test runs their lines. ``pip install``, ``make`` and ``pytest`` are checked below.
OTHERS = {
    "git": "needs the repository's address, or an old commit",
    "cd": "a folder of the user's",
    "mim": "make test-mim runs these three in an environment of its own",
    ".": "the environment of make test-mim",
    "python3": "the environment of make test-mim",
    "tensorboard": "a server, of what tests/training/test_watching.py reads back",
    "ray": "a cluster; make test-nodes starts one",
    "hf": "an account",
    "gdown": "a download",
    "curl": "a download",
    "unzip": "a download",
    "sha1sum": "a download",
    "mkdir": "a download",
    "tar": "a download",
    "ls": "lists what the lines before it wrote",
    "diff": "two files of configs/, which exist",
}
MODULES = {  # python -m
    "benchmarks.camvid": "of an old commit, which the line before checks out",
    "benchmarks.camvid_report": "of an old commit, which a line before checks out",
    "tests.end_to_end.kills": "a hundred killed trainings; tests/end_to_end/test_kills.py has fewer",
}
#: Configs that are a user's own, as a part of a command, and what tests the same with files.
USERS = {
    "CONFIG": "any config",
    "CHECKPOINT": "a trained model",
    "folder:": "tests/own_data",
    "imagefolder:": "tests/own_data",
    "pets/pets.py": "tests/own_data",
    "~/street.py": "tests/test_compose.py",
    "./my_method.py": "tests/test_compose.py",
    "pruned.py": "tests/end_to_end",
    "importance=": "tests/end_to_end",
}


class Parsed(BaseException):
    """Arguments that a command's parser took, in place of what the command does with them."""

    def __init__(self, options: argparse.Namespace, others: Optional[list[str]] = None) -> None:
        self.options, self.others = options, others


@contextmanager
def parsers_only() -> Iterator[None]:
    """Let the parsers raise what they have read, once it is complete."""
    depth = 0

    def raising(original: Any) -> Any:
        def parse(self: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
            nonlocal depth
            depth += 1
            try:
                found = original(self, *args, **kwargs)
            finally:
                depth -= 1
            if not depth:
                raise Parsed(*found) if isinstance(found, tuple) else Parsed(found)
            return found

        return parse

    with ExitStack() as patches:
        for kind in (argparse.ArgumentParser, CommandParser):
            for name in ("parse_args", "parse_intermixed_args", "parse_known_args"):
                if name in vars(kind):
                    patches.enter_context(mock.patch.object(kind, name, raising(vars(kind)[name])))
        yield


def parsed(command: Command) -> Parsed:
    """Return what the parser of one of our commands reads from its arguments."""
    program, *arguments = as_python(command)
    argv, path = [program, *arguments], [*sys.path]
    with mock.patch.object(sys, "argv", argv), mock.patch.object(sys, "path", path), parsers_only():
        try:
            if program == "davpt-seg":
                cli.main(arguments)
            else:
                sys.path[:0] = [str((ROOT / program).parent), str(ROOT)]
                runpy.run_path(str(ROOT / program), run_name="__main__")
        except Parsed as found:
            return found
    raise AssertionError(f"{command.line}: nothing was parsed")


def as_python(command: Command) -> list[str]:
    """Return the script and arguments that a command runs; those of several processes are that of one."""
    program, *arguments = command.words
    if program == "python":
        return arguments
    if not program.endswith(".sh"):
        return [*command.words]
    if "slurm" in program:
        arguments = arguments[2:]  # PARTITION JOB_NAME
    else:
        del arguments[1 if "train" in program else 2]  # GPUS
    return ["tools/train.py" if "train" in program else "tools/test.py", *arguments]


def is_checked(command: Command) -> bool:
    return command.words[0] in OURS and command.words[1:2] not in (("-m",), ("--help",))


CHECKED = [command for command in COMMANDS if is_checked(command)]


@pytest.mark.parametrize("command", CHECKED, ids=[f"{each.page}: {each.line}"[:90] for each in CHECKED])
def test_a_command_is_taken_and_its_config_composes(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    (tmp_path / "cifar10_1k").mkdir()  # a task of a plan, where its folder is there
    monkeypatch.setenv("VTAB_ROOT", str(tmp_path))
    found = parsed(command)
    kind = kind_of(command)
    if kind == "benchmark":
        plan_asked_for(found.options, None)
    elif kind == "prune" and not found.options.checkpoint:
        benchmark_parser().parse_args(found.others)
    for config in configs(found.options) if kind in ("train", "test", "count", "prune", "check-dataset") else ():
        if not any(own in config for own in USERS):
            read_config(config, getattr(found.options, "cfg_options", None))


def kind_of(command: Command) -> str:
    """Return the subcommand that a line runs."""
    program, first, *_ = [*as_python(command), ""]
    scripts = {"run_benchmark": "benchmark", "count_parameters": "count", "check_dataset": "check-dataset"}
    return first if program == "davpt-seg" else scripts.get(Path(program).stem, Path(program).stem)


def configs(args: argparse.Namespace) -> list[str]:
    found = getattr(args, "config", None) or getattr(args, "configs", None) or []
    return [found] if isinstance(found, str) else list(found)


def test_lines_of_other_programs_are_listed_and_no_list_is_longer_than_it_must() -> None:
    programs = {command.words[0] for command in COMMANDS}
    assert programs - {*OURS, *OTHERS, "pip", "make", "pytest"} == set()
    assert set(OTHERS) - programs == set()
    modules = {command.words[2] for command in COMMANDS if command.words[:2] == ("python", "-m")}
    assert modules == set(MODULES)
    assert [own for own in USERS if not any(own in command.line for command in COMMANDS)] == []


def test_lines_of_commands_are_in_blocks_that_are_read() -> None:
    missed = []
    for page in PAGES:
        text = re.sub(r"^ *```\w+\n.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
        bare = re.findall(r"^ *```\n(.*?)^ *```", text, re.M | re.S)
        lines = [*re.findall(r"^ {4}.*$", text, re.M), *"".join(bare).splitlines()]
        missed += [line for line in lines if re.match(r"\s*(davpt-seg|python3?|pip|pytest|make|tools/\S+\.sh) ", line)]
    assert missed == []


def test_extras_and_targets_that_the_pages_name_exist() -> None:
    _, _, declared = (ROOT / "pyproject.toml").read_text().partition("[project.optional-dependencies]")
    extras = re.findall(r"^([\w-]+) = \[", declared.partition("\n[")[0], flags=re.M)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.M)
    for command in COMMANDS:
        if command.words[0] == "pip":
            named = {name for found in re.findall(r"\.\[([\w,-]+)\]", command.line) for name in found.split(",")}
            assert named <= set(extras), command.line
        if command.words[0] == "make":
            assert set(command.words[1:]) <= set(targets), command.line
        if command.words[0] == "pytest":
            assert all((ROOT / word).exists() for word in command.words if word.endswith(".py")), command.line


PYTHON = [
    (page, block) for page in PAGES for block in re.findall(r"^ *```python\n(.*?)^ *```", page.read_text(), re.S | re.M)
]


@pytest.mark.parametrize(
    ("page", "block"), PYTHON, ids=[f"{page.name}-{number}" for number, (page, _) in enumerate(PYTHON)]
)
def test_python_of_the_pages_compiles_and_its_imports_exist(page: Path, block: str) -> None:
    for node in ast.walk(ast.parse(block.replace("...,", "*(),"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            module = importlib.import_module(node.module)
            assert [name.name for name in node.names if not hasattr(module, name.name)] == [], node.module
        elif isinstance(node, ast.Import):
            for name in node.names:
                importlib.import_module(name.name)
