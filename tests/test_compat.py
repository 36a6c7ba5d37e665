"""Each mend of compat.py does its work, and nothing where it is not needed."""

from __future__ import annotations

import importlib.util
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging.history_buffer import HistoryBuffer

from davpt_seg import compat


def test_mmseg_models_import_and_a_compiled_op_raises_by_name() -> None:
    import mmseg.models  # noqa: F401

    if importlib.util.find_spec("mmcv._ext") is not None:
        pytest.skip("full mmcv is installed here")
    from mmcv.ops import RoIAlign

    with pytest.raises(NotImplementedError, match="roi_align"):
        RoIAlign((2, 2))(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))


def test_the_stub_is_taken_out_again() -> None:
    assert "mmcv._ext" not in sys.modules
    assert not compat.stub_compiled_ops()  # mmcv.ops is imported: nothing left to do


def test_mmengine_checkpoints_load_with_weights_only(tmp_path: pytest.TempPathFactory) -> None:
    buffer = HistoryBuffer(np.arange(3.0), np.ones(3, dtype=np.int64))
    checkpoint = dict(history=buffer, value=np.float64(1.5), flag=np.bool_(True), weight=torch.ones(2))
    path = tmp_path / "checkpoint.pth"
    torch.save(checkpoint, path)
    loaded = torch.load(path, weights_only=True)
    np.testing.assert_array_equal(loaded["history"].data[0], np.arange(3.0))
    assert loaded["value"] == 1.5


def test_mixed_stacks_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_installed", lambda name: name in ("mmengine", "onedl-mmengine"))
    with pytest.raises(ImportError, match="mmengine and onedl-mmengine"):
        compat.check_stack()


def test_a_run_without_launcher_is_left_alone() -> None:
    cfg = Config(dict(launcher="none"))
    compat.prepare_cpu_ddp(cfg)
    assert "model_wrapper_cfg" not in cfg
    assert not torch.distributed.is_initialized()
