"""The core stands without OpenMMLab."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import davpt_seg

PACKAGE = Path(davpt_seg.__file__).parent
OPENMMLAB = {"mmengine", "mmcv", "mmseg", "mmpretrain", "mmdet"}


def imported(source: str, folder: str = "core") -> Iterator[str]:
    """Absolute names of everything that source in a folder of davpt_seg imports, wherever in the file it does."""
    parts = ["davpt_seg", *folder.split("/")]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = parts[: max(len(parts) + 1 - node.level, 0)] if node.level else []
            yield ".".join([*package, *([node.module] if node.module else [])])


def outside(source: str, folder: str = "core") -> list[str]:
    """What of that is OpenMMLab's, or a part of davpt_seg that may import it."""
    return [
        name
        for name in imported(source, folder)
        if name.split(".")[0] in OPENMMLAB
        or (
            name.split(".")[0] == "davpt_seg"
            and name.split(".")[1:2]
            not in (["core"], ["errors"], ["lazy"], ["replacing"], ["text_files"], ["packages"])
        )
    ]


def test_the_core_imports_nothing_of_openmmlab() -> None:
    files = sorted((PACKAGE / "core").rglob("*.py"))
    assert len(files) >= 10
    folders = {path: path.parent.relative_to(PACKAGE).as_posix() for path in files}
    assert {path.name: names for path in files if (names := outside(path.read_text(), folders[path]))} == {}


def files_imported(path: Path) -> set[Path]:
    """Files of davpt_seg that a file imports, for types too."""
    parts = ["davpt_seg", *path.parent.relative_to(PACKAGE).parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = PACKAGE.parent.joinpath(*parts[: len(parts) + 1 - node.level], *(node.module or "").split("."))
            for each in (*([folder] if node.module else []), *(folder / alias.name for alias in node.names)):
                found |= {file for file in (each.with_suffix(".py"), each / "__init__.py") if file.is_file()}
    return found - {path}


def test_no_files_of_the_core_import_one_another_in_a_circle() -> None:
    left = {path: files_imported(path) for path in sorted((PACKAGE / "core").rglob("*.py"))}
    assert PACKAGE / "core/attention.py" in left[PACKAGE / "core/vit.py"]
    while leaves := {path for path, others in left.items() if not others & left.keys()}:
        left = {path: others for path, others in left.items() if path not in leaves}
    assert {path.name: sorted(other.name for other in others & left.keys()) for path, others in left.items()} == {}


def test_nothing_of_the_package_imports_peft() -> None:
    """It is the tests' oracle for LoRA, and brings transformers."""
    sources = {path: path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    assert [path for path, source in sources.items() if "peft" in {n.split(".")[0] for n in imported(source)}] == []


def test_the_check_above_knows_subfolders() -> None:
    assert outside("from ..guidance import x\nfrom .base import y", "core/adapters") == []
    assert outside("from ...engine import guided", "core/adapters") == ["davpt_seg.engine"]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import mmengine.hooks", ["mmengine.hooks"]),
        ("def f():\n    from mmseg.registry import MODELS", ["mmseg.registry"]),
        ("from ..engine import guided", ["davpt_seg.engine"]),
        ("from .. import compat", ["davpt_seg"]),
        ("from davpt_seg.models import x", ["davpt_seg.models"]),
        ("from . import vit\nfrom .vit import x\nfrom davpt_seg.core import y\nimport torch", []),
    ],
)
def test_the_check_above_sees_every_kind_of_import(line: str, found: list[str]) -> None:
    assert outside(line) == found


def test_the_core_works_and_warns_without_openmmlab() -> None:
    script = f"""
import sys, warnings
for name in {sorted(OPENMMLAB)}:
    sys.modules[name] = None  # import raises, and find_spec says there is none
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import davpt_seg.core
print([str(w.message) for w in caught if "MMEngine" in str(w.message)])
import torch
model = davpt_seg.core.PromptedViT(
    "vit_tiny_patch16_224",
    prompts=dict(num_prompts=2),
    guidance=dict(num_classes=4),
    timm_kwargs=dict(img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2),
)
losses = model.guidance(model(torch.randn(1, 3, 16, 16)).records, torch.ones(1, 16, 16, dtype=torch.long))
print(sorted(losses))
print(sorted(name for name in sys.modules if name.startswith("davpt_seg.") and ".core" not in name))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, cwd=PACKAGE.parent
    )
    assert result.returncode == 0, result.stderr
    warned, losses, others = result.stdout.splitlines()
    assert "MMEngine is not installed: only davpt_seg.core is usable" in warned
    assert losses == "['loss_metric_cls', 'loss_metric_patch']"
    assert others == "['davpt_seg.errors', 'davpt_seg.lazy', 'davpt_seg.packages', 'davpt_seg.registration']"
