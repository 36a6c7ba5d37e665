"""The notebooks of the docs run on tiny settings, and what is stored in them can be shown."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .tools.scripts import load_script

pytest.importorskip("nbclient", reason="pip install nbclient ipykernel")
nbformat = pytest.importorskip("nbformat")
ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
MOST_CELLS, MOST_BYTES = 20, 400_000


def outputs(notebook: Any) -> Iterator[Any]:
    """Yield the outputs of all cells."""
    for cell in notebook.cells:
        yield from cell.get("outputs", ())


def images(notebook: Any) -> int:
    """Return the number of figures in the outputs."""
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_code_cell_follows_an_explanation_and_stores_its_output(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    kinds = [cell.cell_type for cell in notebook.cells]
    assert len(kinds) <= MOST_CELLS and kinds[0] == "markdown"
    assert ("code", "code") not in list(zip(kinds, kinds[1:]))
    assert all(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    assert images(notebook) >= 2


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_outputs_are_small_and_without_errors_or_paths_of_a_machine(path: Path) -> None:
    assert path.stat().st_size < MOST_BYTES
    notebook = nbformat.read(path, as_version=4)
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    text = "".join(
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in outputs(notebook)
    )
    assert not [folder for folder in ("/home/", "/work/", "/root/", "/tmp/", "/Users/") if folder in text]


def test_there_are_two_notebooks() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["own_data", "what_prompts_see"]


@pytest.fixture
def quick_commands(forked_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``davpt-seg`` and ``python`` of shells start as forks."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, arguments in {"davpt-seg": "-m davpt_seg ", "python": ""}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.quote(forked_python)} {arguments}"$@"\n')
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.slow
@pytest.mark.usefixtures("quick_commands")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_on_tiny_settings(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work = tmp_path / "work"
    settings = dict(TRUNK="vitti", EPOCHS="1", SCENES="8", WORK=str(work), OMP_NUM_THREADS="1")
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    done = load_script(ROOT / "tools" / "run_notebooks.py").run(path)  # raises where a cell or a command fails
    assert images(done) == images(nbformat.read(path, as_version=4))
    assert list(work.rglob("epoch_1.pth"))
