"""The console command and the names of the configs that come with us."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from davpt_seg import __version__, cli, compat
from davpt_seg.commands.configs import main_configs
from davpt_seg.errors import InputError
from davpt_seg.experiments.catalog import config_names, config_root, find_config
from davpt_seg.experiments.compose import compose_from_words

ADE = "davpt/upernet_vitl_ade20k"


@pytest.fixture(autouse=True)
def _typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own name, which the command lends to its subcommands."""
    monkeypatch.setattr(sys, "argv", ["davpt-seg"])


@pytest.mark.parametrize("given", [ADE, f"{ADE}.py", f"configs/{ADE}.py"])
def test_a_config_is_found_by_name_from_anywhere(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_config(given) == str(config_root() / f"{ADE}.py")


def test_a_file_goes_before_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path(f"{ADE}.py")
    own.parent.mkdir()
    own.touch()
    assert find_config(str(own)) == str(own)
    assert find_config(ADE) != str(own)


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("davpt/upernet_vitl_ade2k", f"did you mean {ADE!r}"),
        ("upernet_vitl_ade20k", ADE),  # the method left out
        ("_base_/models/upernet_vitl", "did you mean"),  # no experiment, so no config to train
        ("xyz", "'davpt-seg configs' lists those of this package"),
    ],
)
def test_a_wrong_config_name_gets_the_closest_ones(typed: str, told: str) -> None:
    with pytest.raises(InputError, match=r"config '.*' does not exist") as error:
        find_config(typed)
    assert told in str(error.value)


def test_an_installation_without_configs_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("davpt_seg.experiments.catalog.PACKAGE", tmp_path / "davpt_seg")
    with pytest.raises(InputError, match=r"no configs next to the package.*pip install"):
        find_config(ADE)
    with pytest.raises(SystemExit, match="2"):
        main_configs([])
    assert "no configs next to the package" in capsys.readouterr().err.splitlines()[-1]


def test_configs_are_listed_by_part_and_by_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    main_configs(["ade20k"])
    listed = capsys.readouterr().out.split()
    assert ADE in listed
    assert listed == [name for name in config_names() if "ade20k" in name]
    main_configs(["davpt/*"])
    assert capsys.readouterr().out.split() == [name for name in config_names() if name.startswith("davpt/")]
    main_configs(["--path", ADE])
    assert capsys.readouterr().out == f"{config_root() / ADE}.py\n"
    for wrong in (["davtp/*"], ["--path", "no_such"]):
        with pytest.raises(SystemExit, match="2"):
            main_configs(wrong)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("baselines/lora/upernet_vitl_ade20k", "method=lora,head=upernet,trunk=vitl,data=ade20k"),
        (
            "configs/combinations/davpt+carried/setr_pup_vitl_pascal_context_59.py",
            "method=davpt+carried,head=setr_pup,trunk=vitl,data=pascal_context_59",
        ),
        (
            "baselines/ssf/linear_vits14_camvid_400i",
            "method=ssf,head=linear,trunk=vits14_slide112,data=camvid_crop112,schedule=adamw_400i",
        ),
        ("davpt/setr_pup_vitl14_reg_ade20k_plus", "method=davpt_plus,head=setr_pup,trunk=vitl14_reg,data=ade20k"),
        ("work_dirs/bias/upernet_vitb_ade20k_mmseg_160k", "method=bias,head=upernet,trunk=vitb,data=ade20k,schedule="),
    ],
)
def test_a_name_that_words_compose_is_answered_with_them(name: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"does not exist; these words compose it: {words}")) as found:
        find_config(name)
    composed = compose_from_words(str(found.value).rpartition(" ")[2])
    stem = Path(name).stem
    assert Path(composed.filename).stem == stem.removesuffix("_plus") or "camvid" in stem


@pytest.mark.parametrize(
    "name", ["baselines/lor/upernet_vitl_ade20k", "davpt/upernet_vitg_ade20k", "upernet_vitl_ade20k"]
)
def test_a_name_that_no_words_compose_is_answered_with_near_ones(name: str) -> None:
    with pytest.raises(InputError, match=r"did you mean '.*upernet_vitl_ade20k'"):
        find_config(name)


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and command.help in text for name, command in cli.COMMANDS.items())


@pytest.mark.parametrize("name", sorted({*cli.COMMANDS} - {"info"}))
def test_help_has_examples_before_the_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    text = capsys.readouterr().out.lower()
    assert 0 < text.find("examples:") < text.find("positional arguments:")


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_tells_its_arguments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    assert capsys.readouterr().out.startswith(f"usage: davpt-seg {name} ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a command is missing: train, test, "),
        (["trian"], "'trian' is not a command; did you mean 'train'"),
        (["xyz"], "known: train, test"),
    ],
)
def test_a_missing_or_unknown_command_is_one_line_with_the_closest_one(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    printed = capsys.readouterr()
    assert message in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)


def test_a_wrong_config_ends_the_command_with_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["train", "davpt/upernet_vitl_ade2k"])
    error = capsys.readouterr().err
    assert "davpt-seg train: error: config 'davpt/upernet_vitl_ade2k' does not exist; did you mean" in error


def test_a_commands_exit_status_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "load", lambda command: lambda arguments: 3 + len(arguments))
    assert cli.main(["info", "--loud"]) == 4


def test_the_package_runs_as_a_module(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["davpt_seg", "--version"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("davpt_seg", run_name="__main__")
    assert capsys.readouterr().out == f"davpt-seg {__version__}\n"


def test_info_names_the_stack_and_its_versions(capsys: pytest.CaptureFixture[str]) -> None:
    import mmengine
    import mmseg
    import torch

    cli.main(["info"])
    text = capsys.readouterr().out
    assert f"\ntorch {torch.__version__.partition('+')[0]}" in text
    fork = compat._installed("onedl-mmengine")
    assert f"stack: {'the maintained fork' if fork else 'OpenMMLab'}" in text
    for name, module in (("mmengine", mmengine), ("mmsegmentation", mmseg)):
        assert f"{'onedl-' if fork else ''}{name} {module.__version__}\n" in text
    assert f"configs: {config_root()}" in text


def test_without_openmmlab_info_tells_what_is_missing_and_train_how_to_get_it() -> None:
    code = """
import sys
sys.modules["mmengine"] = None  # as if it were not installed
from davpt_seg.cli import main
from davpt_seg.errors import InputError
main(["info"])
main(["train", "x"])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    assert "stack: MISSING, pip install" in done.stdout
    assert done.returncode == 1
    assert done.stderr.startswith("davpt-seg: this command needs mmengine, which is not installed.")


@pytest.mark.parametrize(
    ("script", "package", "extra"),
    [("train.py", "mmengine", "'.[openmmlab]'"), ("run_benchmark.py", "pydantic 2", "'optuna>=4' 'pydantic>=2'")],
)
def test_a_script_of_tools_names_the_package_that_it_lacks(script: str, package: str, extra: str) -> None:
    run = f"runpy.run_path('tools/{script}', run_name='__main__')"
    code = f"import runpy, sys; sys.modules[{package.split()[0]!r}] = None; {run}"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code, "x"], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"this command needs {package}, which is not installed" in done.stderr
    assert f"pip install {extra}" in done.stderr
    assert "Traceback" not in done.stderr
