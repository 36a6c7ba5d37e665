"""Folders of the package have an order, and no files import one another in a circle."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .core.test_imports import PACKAGE, files_imported

# Lowest first: a file imports of its own line's names, and of those above. Two places differ from a reader's guess:
# visualization comes before engine, because hooks draw; compat is low, because models apply it.
LAYERS = (
    ("errors", "replacing", "lazy", "quiet", "long_work", "distributions", "packages"),
    ("text_files", "image_names"),
    ("terminal",),
    ("compat", "compiled_ops"),
    ("core",),
    ("trust",),
    ("datasets",),
    ("models",),
    ("visualization",),
    ("engine",),
    ("audit",),
    ("converters",),
    ("own_data",),
    ("experiments",),
    ("training",),
    ("export",),
    ("apis",),
    ("explorer",),
    ("runs",),
    ("benchmark",),
    ("commands",),
    ("registration",),
    ("__init__",),
    ("cli",),
    ("__main__",),
)
# Folders of a folder, likewise; what lies beside them, such as benchmark/command.py, may import of all.
INSIDE = {
    "benchmark": ("plan", "run", "report"),
    "core": ("blocks", "weights", "prompts", "adapters", "guidance", "adapter_folder", "task_bank"),
}
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """Folder or top-level module of a file."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@pytest.mark.parametrize("name", sorted({part(path) for path in FILES}))
def test_a_folder_imports_nothing_that_comes_after_it(name: str) -> None:
    wrong = {
        f"{path.relative_to(PACKAGE)} imports {other.relative_to(PACKAGE)}"
        for path in FILES
        if part(path) == name
        for other in files_imported(path)
        if part(other) != name and LEVEL[part(other)] >= LEVEL[name]
    }
    assert wrong == set()


@pytest.mark.parametrize(("folder", "order"), INSIDE.items())
def test_folders_inside_of_a_folder_have_an_order_too(folder: str, order: tuple[str, ...]) -> None:
    found = {path.name for path in (PACKAGE / folder).iterdir() if (path / "__init__.py").is_file()}
    assert found == set(order)
    for place, name in enumerate(order):
        later = {PACKAGE / folder / other for other in order[place + 1 :]}
        files = (PACKAGE / folder / name).rglob("*.py")
        wrong = {(path, other) for path in files for other in files_imported(path) if later & set(other.parents)}
        assert wrong == set()


def test_no_files_import_one_another_in_a_circle() -> None:
    left = {path: files_imported(path) for path in FILES}
    while leaves := {path for path, others in left.items() if not others & left.keys()}:
        left = {path: others for path, others in left.items() if path not in leaves}
    circle = {path.relative_to(PACKAGE).as_posix(): others & left.keys() for path, others in left.items()}
    assert {path: sorted(other.name for other in others) for path, others in circle.items()} == {}


def test_the_page_on_the_architecture_has_this_order() -> None:
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    table = page.partition("## Folders")[2].partition("## Beside")[0]
    cells = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    listed = [name for cell in cells for name in re.findall(r"`([\w/]+)`", cell)]
    assert [name for name in listed if "/" not in name] == [n for names in LAYERS for n in names if "__" not in n]
    for folder, order in INSIDE.items():
        assert [name for name in listed if name.startswith(f"{folder}/")] == [f"{folder}/{name}" for name in order]
