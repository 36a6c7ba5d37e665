"""What is imported, and when: light commands stay light, and ``import davpt_seg`` only registers. Nothing is timed."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import davpt_seg
from davpt_seg.cli import COMMANDS
from davpt_seg.commands import info

PACKAGE = Path(davpt_seg.__file__).parent
OPENMMLAB = {"mmengine", "mmcv", "mmseg", "mmpretrain", "mmdet"}
HEAVY = {*OPENMMLAB, "torch", "torchvision", "timm", "scipy", "sklearn", "cv2", "optuna", "peft", "transformers"}
DRAWING = {"matplotlib"}
REGISTERED = ("datasets", "engine", "models", "trust")
CLUSTERING = dict(iter=0, epoch=None, seconds=0.1, moved=0, num_prompts=1, prompt_of_class=[0, 0], classes=["a", "b"])


def run(code: str, *arguments: str) -> str:
    """Run code in a new process and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=300, cwd=PACKAGE.parent
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported_by(code: str, *arguments: str) -> set[str]:
    """Top-level modules that code leaves imported in a new process."""
    report = "\nimport json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    return set(json.loads(run(code + report, *arguments).splitlines()[-1]))


def imported_by_command(*arguments: str, before: str = "") -> set[str]:
    """Top-level modules that a command leaves imported; it must succeed."""
    code = f"""
import contextlib, sys
from davpt_seg.cli import main
{before}
try:
    status = main(sys.argv[1:])
except SystemExit as end:
    status = end.code
assert not status, status
"""
    return imported_by(code, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["configs", "ade20k"],
        ["benchmark", "--list"],
        *([name, "--help"] for name in COMMANDS),
    ],
    ids=" ".join,
)
def test_a_light_command_imports_neither_torch_nor_openmmlab_nor_matplotlib(arguments: list[str]) -> None:
    assert not imported_by_command(*arguments) & (HEAVY | DRAWING)


def test_the_package_runs_as_a_module_without_them() -> None:
    code = f"""
import runpy, sys
sys.argv = ["davpt_seg", "--help"]
try:
    runpy.run_module("davpt_seg", run_name="__main__")
except SystemExit as end:
    assert not end.code
assert not {HEAVY | DRAWING} & set(sys.modules)
"""
    assert run(code).startswith("usage: davpt-seg")


def test_info_asks_torch_only_where_there_may_be_a_gpu() -> None:
    without_gpu = "import davpt_seg.commands.info; davpt_seg.commands.info._may_have_gpu = lambda: False"
    assert not imported_by_command("info", before=without_gpu) & (HEAVY | DRAWING)
    assert info._may_have_gpu() or not torch.cuda.is_available()
    assert info._torch_build()["cuda"] == torch.version.cuda


def test_a_dry_run_lists_runs_before_it_imports_what_its_checks_need(tmp_path: Path) -> None:
    before = "import davpt_seg.benchmark.command as command; command.check_plan = lambda *given, **options: None"
    plan = ["benchmark", "ablations/blocks", "--work-dir", str(tmp_path), "--dry-run"]
    assert not imported_by_command(*plan, before=before) & (HEAVY | DRAWING)


def test_tables_of_a_report_need_no_matplotlib(tmp_path: Path) -> None:
    report = ["benchmark", "ablations/blocks", "--work-dir", str(tmp_path), "--report"]
    assert not imported_by_command(*report) & HEAVY
    assert (tmp_path / "table.md").is_file()
    assert not imported_by("import davpt_seg.benchmark.report.report, davpt_seg.benchmark.report.ablations") & (
        HEAVY | DRAWING
    )


def test_mapping_reads_and_draws_without_torch(tmp_path: Path) -> None:
    (tmp_path / "mapping.jsonl").write_text(json.dumps(CLUSTERING) + "\n")
    assert not imported_by_command("mapping", str(tmp_path)) & HEAVY
    assert (tmp_path / "mapping.png").is_file()


def test_the_core_imports_torch_and_timm_and_no_openmmlab() -> None:
    found = imported_by("from davpt_seg.core import PromptedViT")
    assert {"torch", "timm"} <= found
    assert not found & (OPENMMLAB | DRAWING | {"scipy", "sklearn", "peft", "transformers"})


def test_what_a_python_user_imports_is_imported_on_first_use() -> None:
    assert not imported_by("import davpt_seg.apis") & (HEAVY | DRAWING)
    names = "from davpt_seg.apis import Predictor, compose, load_trained"
    homes = run(f"{names}; print(Predictor.__module__, compose.__module__, load_trained.__module__)").split()
    assert homes == ["davpt_seg.apis.predictor", "davpt_seg.experiments.compose", "davpt_seg.apis.trained"]


def test_modules_are_found_without_an_import_of_their_own() -> None:
    """As before packages imported on first use: an error message names davpt_seg.core.prototypes.prototypes."""
    code = """
import davpt_seg
print(davpt_seg.core.prototypes.prototypes.__name__, davpt_seg.visualization.prompt_maps.__name__)
print(davpt_seg.models.PromptedViTBackbone.__name__)
print([hasattr(davpt_seg, name) for name in ("no_module", "__main__")], hasattr(davpt_seg.core, "no_module"))
"""
    assert run(code).split("\n") == [
        *("prototypes davpt_seg.visualization.prompt_maps", "PromptedViTBackbone", "[False, False] False", "")
    ]


def test_names_that_are_imported_on_first_use_are_there() -> None:
    from davpt_seg import apis, core, visualization

    for package in (apis, core, visualization):
        assert all(callable(getattr(package, name)) for name in package.__all__)
        with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'no_such'"):
            package.no_such  # noqa: B018


BUILD = """
from mmengine.registry import HOOKS
from mmseg.registry import MODELS
tiny = dict(img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)
model = MODELS.build(dict(type="PromptedViT", model_name="vit_tiny_patch16_224", timm_kwargs=tiny))
assert type(model).__module__ == "davpt_seg.models.prompted_vit"
assert HOOKS.get("MetricLossHook") is not None
from mmengine.runner.checkpoint import CheckpointLoader
assert CheckpointLoader._schemes[""].__module__ == "davpt_seg.trust.schemes"
"""


@pytest.mark.parametrize(
    "first",
    ["import davpt_seg", pytest.param("from davpt_seg.models import PromptedViTBackbone", marks=pytest.mark.slow)],
)
def test_names_are_registered_where_openmmlab_is_imported_later(first: str) -> None:
    run(f"{first}\n{BUILD}")


def test_importing_the_package_after_openmmlab_registers_and_changes_nothing_else_in_it() -> None:
    code = f"""
import sys
import mmcv, mmengine, mmpretrain, mmseg, torch
import mmcv.transforms, mmengine.dist, mmengine.fileio, mmengine.hooks, mmengine.model, mmengine.optim, mmengine.runner
import mmpretrain.registry, mmseg.registry, mmseg.structures

def attributes():
    for name, module in list(sys.modules.items()):
        if module is not None and name.partition(".")[0] in {sorted(OPENMMLAB | {"torch"})}:
            for key, value in list(vars(module).items()):
                yield (name, key), value
                if isinstance(value, type):
                    yield from (((name, key, attribute), own) for attribute, own in list(vars(value).items()))

before = dict(attributes())
import davpt_seg
after = dict(attributes())
print(sorted({{place[1:] for place, value in before.items() if after.get(place) is not value}}))
print(len(before) > 10_000)
{BUILD}
"""
    changed, enough = run(code).splitlines()[:2]
    # MMEngine's registry of readers of checkpoints, and with pycocotools installed, mmpretrain's switch for models that
    # cannot be imported (compat.omit_broken_multimodal).
    assert changed.replace(", ('WITH_MULTIMODAL',)", "") == "[('CheckpointLoader', '_schemes')]"
    assert enough == "True"


def test_a_registered_module_can_be_the_first_that_is_imported() -> None:
    """Its package imports MMEngine, and by that all registered modules, before any of its own; none asks a package."""
    for name in REGISTERED:
        imports = [
            node
            for node in ast.parse((PACKAGE / name / "__init__.py").read_text()).body
            if isinstance(node, (ast.Import, ast.ImportFrom))
        ]
        assert isinstance(imports[0], ast.Import)
        assert imports[0].names[0].name == "mmengine", name
        for file in (PACKAGE / name).glob("*.py"):
            asked = {
                node.module
                for node in ast.walk(ast.parse(file.read_text()))
                if isinstance(node, ast.ImportFrom) and node.level == 2
            }
            assert not asked & set(REGISTERED), file


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages: outer_fake imports inner_fake half way, broken_fake fails."""
    (tmp_path / "outer_fake.py").write_text("import inner_fake\ncomplete = True\n")
    (tmp_path / "inner_fake.py").write_text("complete = True\n")
    (tmp_path / "broken_fake.py").write_text("import inner_fake, no_such_module_at_all\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    for name in ("outer_fake", "inner_fake", "broken_fake"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_the_function_is_called_once_when_the_outermost_package_is_complete(packages: Path) -> None:
    from importlib.util import find_spec

    from davpt_seg.registration import AfterImport

    calls = []
    sys.meta_path.insert(
        0, AfterImport(("outer_fake", "inner_fake"), lambda: calls.append(sys.modules["outer_fake"].complete))
    )
    before = len(sys.meta_path)
    assert find_spec("outer_fake") is not None
    assert find_spec("no_such_module_at_all") is None
    assert calls == []  # found, but not imported
    import outer_fake

    assert calls == [True]
    assert len(sys.meta_path) == before - 1
    assert "exec_module" not in vars(outer_fake.__loader__)


def test_after_a_failed_import_the_function_waits_for_the_next(packages: Path) -> None:
    from davpt_seg.registration import AfterImport

    calls = []
    sys.meta_path.insert(0, AfterImport(("broken_fake", "outer_fake"), lambda: calls.append(1)))
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        import broken_fake  # noqa: F401
    assert calls == []
    import outer_fake  # noqa: F401

    assert calls == [1]


def test_what_the_function_raises_the_import_raises(packages: Path) -> None:
    from davpt_seg.registration import AfterImport

    def refuse() -> None:
        raise ImportError("installed side by side")

    sys.meta_path.insert(0, AfterImport(("outer_fake",), refuse))
    with pytest.raises(ImportError, match="installed side by side"):
        import outer_fake
    assert "outer_fake" not in sys.modules
    with pytest.raises(ImportError, match="installed side by side"):
        import outer_fake  # noqa: F401


def test_what_was_found_before_the_import_can_be_run_after_it(packages: Path) -> None:
    from importlib.util import find_spec, module_from_spec

    from davpt_seg.registration import AfterImport

    calls = []
    sys.meta_path.insert(0, AfterImport(("outer_fake",), lambda: calls.append(1)))
    found = find_spec("outer_fake")
    import outer_fake  # noqa: F401

    found.loader.exec_module(module_from_spec(found))
    assert calls == [1]
