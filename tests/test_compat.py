"""Each fix of compat.py does its work, and nothing where it is not needed."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Union

import pytest
import torch
from mmengine.config import Config
from mmengine.config import config as mmengine_config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from yapf.yapflib.yapf_api import FormatCode

from davpt_seg import compat
from davpt_seg.compiled_ops import stub_compiled_ops

from .training import CONFIGS


def test_mmseg_models_import_and_a_compiled_op_raises_by_name() -> None:
    import mmseg.models  # noqa: F401

    if importlib.util.find_spec("mmcv._ext") is not None:
        pytest.skip("full mmcv is installed here")
    from mmcv.ops import soft_nms

    with pytest.raises(NotImplementedError, match="softnms"):
        soft_nms(torch.zeros(1, 4), torch.zeros(1))


def test_the_stub_is_taken_out_again() -> None:
    assert "mmcv._ext" not in sys.modules
    assert not stub_compiled_ops()  # mmcv.ops is imported: nothing left to do


def printed(code: str, *path: Path) -> list[str]:
    """Run code in a new process with folders in front of its path; return the lines that it prints."""
    folders = os.pathsep.join(map(str, (*path, CONFIGS.parent)))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": folders},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


WITHOUT_PKG_RESOURCES = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
PathFinder.find_spec = classmethod(lambda cls, name, *rest: None if name == "pkg_resources" else find(name, *rest))
try:
    import pkg_resources
    raise SystemExit("pkg_resources is not hidden")
except ModuleNotFoundError:
    pass
"""
LOOK_UPS = """
import davpt_seg, mmengine
from mmengine.utils import get_installed_path, is_installed
for name in ("mmsegmentation", "MMEngine", "mmcv_lite", "timm", "scikit-learn", "davpt_seg", "yapf"):
    print(name, is_installed(name))
for name in ("mmsegmentation", "mmengine", "mmpretrain", "timm", "davpt_seg"):
    print(get_installed_path(name))
base = "_base_ = ['mmseg::_base_/models/upernet_vit-b16_ln_mln.py']"
print(is_installed("no_such_package"), mmengine.Config.fromstring(base, ".py").model.type)
"""


def test_mmengine_finds_packages_without_pkg_resources_as_it_does_with_it() -> None:
    found = printed(WITHOUT_PKG_RESOURCES + LOOK_UPS)
    assert found[-1] == "False EncoderDecoder"
    assert "mmsegmentation True" in found
    if importlib.util.find_spec("pkg_resources").origin != compat._PkgResources.find_spec("pkg_resources").origin:
        assert found == printed(LOOK_UPS)


def test_an_installed_pkg_resources_is_used(tmp_path: Path) -> None:
    (tmp_path / "pkg_resources.py").write_text("mark = 'installed'")
    assert printed("import davpt_seg, mmengine, pkg_resources; print(pkg_resources.mark)", tmp_path) == ["installed"]


@pytest.mark.parametrize("first", ["davpt_seg", "mmengine, davpt_seg", "mmpretrain, davpt_seg"])
def test_mmpretrains_models_import_beside_pycocotools_and_a_newer_transformers(tmp_path: Path, first: str) -> None:
    for name in ("pycocotools", "transformers"):
        folder = tmp_path / f"{name}-9.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9\n")
    (tmp_path / "transformers").mkdir()
    for name in ("__init__", "modeling_utils"):
        (tmp_path / "transformers" / f"{name}.py").write_text("")
    code = f"import {first}; import mmpretrain.models; print(mmpretrain.models.MODELS.get('LinearClsHead').__name__)"
    assert printed(code, tmp_path)[-1:] == ["LinearClsHead"]


@pytest.mark.parametrize("own", ["mmengine", "mmdet"])  # mmdet's own mmcv is below 2.2, the fork's above
def test_mixed_stacks_are_refused_by_name(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    monkeypatch.setattr(compat, "_installed", lambda name: name in (own, "onedl-mmengine", "onedl-mmcv"))
    with pytest.raises(ImportError, match=f"{own} of OpenMMLab and onedl-mmengine, onedl-mmcv of its fork"):
        compat.check_stack()


@pytest.mark.parametrize("stack", [compat.STACKS.keys(), compat.STACKS.values()], ids=["openmmlab", "onedl"])
def test_one_complete_stack_is_accepted(monkeypatch: pytest.MonkeyPatch, stack: Collection[str]) -> None:
    monkeypatch.setattr(compat, "_installed", lambda name: name in stack)
    assert compat.check_stack()


def test_a_run_without_launcher_is_left_alone() -> None:
    cfg = Config(dict(launcher="none"))
    compat.prepare_cpu_ddp(cfg)
    assert "model_wrapper_cfg" not in cfg
    assert not torch.distributed.is_initialized()


def test_frozen_parameters_are_counted_in_one_line_and_other_warnings_are_kept(tmp_path: Path) -> None:
    log = MMLogger.get_instance("frozen_parameters", log_file=str(tmp_path / "log"))
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    model[0].requires_grad_(False)
    model[1].weight.requires_grad_(False)
    model[1].bias = model[2].bias
    config = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=0.1, weight_decay=0.1))
    config.update(paramwise_cfg=dict(bias_decay_mult=0.0, bypass_duplicate=True))
    with compat.frozen_parameters_counted():
        wrapper = build_optim_wrapper(model, config)
    log.warning("0.weight is skipped since its requires_grad=False")  # not by the optimizer: nothing is held back
    assert sum(len(group["params"]) for group in wrapper.optimizer.param_groups) == 2
    text = (tmp_path / "log").read_text()
    assert "3 frozen parameters are not in the optimizer." in text
    assert "2 is duplicate" in text
    assert text.count("requires_grad=False") == 1


ODD = dict(a_1=["x\ny", ("=", 'b"c = 1')], b={"no name": [dict(c="# d" * 50)] * 3}, e=None, ä=" \t\nf = 1", g="a\\\nb")


@pytest.mark.parametrize("name", ["davpt/upernet_vitl_ade20k", "davpt/linear_vits14_camvid", ODD, {}])
def test_a_formatted_config_is_mmengines_own_text_and_formatted_once(
    name: Union[str, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    cfg = Config(name) if isinstance(name, dict) else Config.fromfile(CONFIGS / f"{name}.py")
    formatted = []

    def counting(text: str, **options: Any) -> tuple[str, bool]:
        formatted.append(text)
        return FormatCode(text, **options)

    monkeypatch.setattr(mmengine_config, "FormatCode", counting)
    expected = cfg.pretty_text
    formatted.clear()
    for _ in range(2):
        compat.format_assignments_once()
        assert cfg.pretty_text == expected
    assert len(formatted) == len(set(formatted)) == max(len(cfg), 1)
    cfg.another = 1
    assert cfg.pretty_text != expected
    assert formatted[-1] == "another=1"


@pytest.fixture
def logger(monkeypatch: pytest.MonkeyPatch) -> Iterator[logging.Logger]:
    """Our logger as a new process has it."""
    ours = logging.getLogger("davpt_seg")
    level = ours.level
    monkeypatch.setattr(ours, "handlers", [])
    ours.setLevel(logging.NOTSET)
    yield ours
    ours.setLevel(level)


def test_core_logs_through_mmengine_once_and_at_the_level_that_was_set(tmp_path: Path, logger: logging.Logger) -> None:
    MMLogger.get_instance("core_logs", log_file=str(tmp_path / "log"))
    for said in ("first", "second"):
        compat.log_through_mmengine()
        logger.info(said)
    logger.setLevel(logging.ERROR)
    compat.log_through_mmengine()
    logger.warning("third")
    text = (tmp_path / "log").read_text()
    assert [text.count(said) for said in ("first", "second", "third")] == [1, 1, 0]


def test_a_registered_backbone_logs_through_mmengine(logger: logging.Logger) -> None:
    tiny = dict(img_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2)
    MODELS.build(dict(type="PromptedViT", model_name="vit_tiny_patch16_224", timm_kwargs=tiny))
    assert len(logger.handlers) == 1
