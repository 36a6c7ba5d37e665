"""What pip installs: the package, the console command, and configs, tools and model index where mim looks for them."""

from __future__ import annotations

import ast
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from davpt_seg.experiments import catalog

ROOT = Path(__file__).parents[1]
MIM = "davpt_seg/.mim"


def build(kind: str, source: Path, out: Path) -> Path:
    """Have setuptools build an sdist or a wheel, as pip would without build isolation."""
    code = f"from setuptools import build_meta; print('built', build_meta.build_{kind}({str(out)!r}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return out / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the sdist that is built from the checkout, with an old build's leavings around."""
    folder = tmp_path_factory.mktemp("packaging")
    not_ours = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "data", "checkpoints", "work_dirs")
    shutil.copytree(ROOT, folder / "checkout", ignore=not_ours)
    with tarfile.open(build("sdist", folder / "checkout", folder)) as sdist:
        sdist.extractall(folder / "unpacked")
    (source,) = (folder / "unpacked").iterdir()
    stale = source / "build" / "lib" / MIM / "configs" / "renamed_since.py"
    stale.parent.mkdir(parents=True)
    stale.touch()
    return build("wheel", source, folder)


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The folder of the installed package."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent / "site-packages")
    return wheel.parent / "site-packages" / "davpt_seg"


def files_under(folder: Path) -> dict[str, bytes]:
    """Contents by relative path, byte code left out."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("folder", ["configs", "tools"])
def test_mim_finds_what_the_checkout_has(installed: Path, folder: str) -> None:
    assert files_under(installed / ".mim" / folder) == files_under(ROOT / folder)


def test_the_model_index_is_packaged(installed: Path) -> None:
    assert (installed / ".mim" / "model-index.yml").read_bytes() == (ROOT / "model-index.yml").read_bytes()


def test_the_model_index_is_what_make_model_index_writes() -> None:
    index = runpy.run_path(str(ROOT / ".ci" / "model_index.py"))["index"]
    assert (ROOT / "model-index.yml").read_text() == index(), "run: make model-index"


def test_the_package_is_whole(installed: Path) -> None:
    packaged = {name: text for name, text in files_under(installed).items() if not name.startswith(".mim/")}
    assert packaged == files_under(ROOT / "davpt_seg")


def test_launch_scripts_stay_executable(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        modes = {Path(info.filename).name: info.external_attr >> 16 for info in archive.infolist()}
    assert all(modes[f"{launcher}_{job}.sh"] & 0o111 for launcher in ("dist", "slurm") for job in ("train", "test"))


def test_nothing_else_gets_a_name_at_the_top(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        assert {name.split("/")[0].split("-")[0] for name in archive.namelist()} == {"davpt_seg"}


def test_the_console_command_is_there(installed: Path) -> None:
    (info,) = installed.parent.glob("*.dist-info")
    script = (info / "entry_points.txt").read_text()
    assert script.split() == ["[console_scripts]", "davpt-seg", "=", "davpt_seg.cli:main"]
    assert callable(import_module("davpt_seg.cli").main)


def test_every_packaged_config_is_found_by_name_and_reads(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_checkout = catalog.config_names()
    monkeypatch.setattr(catalog, "PACKAGE", installed)
    assert catalog.config_names() == in_checkout
    for name in in_checkout:
        path = catalog.find_config(name)
        assert path.startswith(str(installed / ".mim"))
        assert "model" in Config.fromfile(path)


def test_the_declared_pythons_are_those_that_ci_runs_and_those_between() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    declared = re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', project)
    assert declared == ["10", "11", "12", "13"]
    assert f'requires-python = ">=3.{declared[0]}"' in project
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]
    assert jobs["short"]["strategy"]["matrix"]["python"] == [f"3.{declared[0]}", f"3.{declared[-1]}"]
    commands = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert commands == [".ci/run", ".ci/short"]
    assert all((ROOT / command).stat().st_mode & 0o111 for command in commands)


def test_every_source_has_the_syntax_of_the_oldest_declared_python() -> None:
    for folder in ("benchmarks", "configs", "davpt_seg", "tests", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            ast.parse(path.read_text(), str(path), feature_version=(3, 10))


def test_nothing_caps_setuptools() -> None:
    for name in ("pyproject.toml", "requirements.txt"):
        assert not re.search(r"setuptools[^\"\n]*<", (ROOT / name).read_text())


def locked(stack: str) -> dict[str, str]:
    """Versions by name of a lock file."""
    lock = (ROOT / "requirements" / f"lock-{stack}.txt").read_text()
    return {canonicalize_name(name): version for name, version in re.findall(r"^(\S+)==(\S+)$", lock, re.M)}


def test_the_lock_files_are_of_versions_that_we_allow_and_of_one_stack_each() -> None:
    lines = [line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    fork = re.findall(r'"(onedl-[^"]+)"', (ROOT / "pyproject.toml").read_text())
    for stack, allowed in (("openmmlab", lines), ("onedl", fork)):
        versions = locked(stack)
        for requirement in (Requirement(line) for line in allowed if line and "mmdetection" not in line):  # an extra
            assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), str(requirement)
        assert ("mmengine" in versions, "onedl-mmengine" in versions) == (stack == "openmmlab", stack == "onedl")
