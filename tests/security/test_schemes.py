"""Addresses are read as local files are."""

from __future__ import annotations

import functools
import http.server
import json
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.runner import CheckpointLoader

from davpt_seg.errors import InputError

from .attacks import CALLS


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server of the folder ``published``; downloads go to ``hub``."""
    (tmp_path / "published").mkdir()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setenv("MMENGINE_HOME", str(tmp_path / "mmengine"))

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path / "published"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def name_in_zoo(tmp_path: Path, url: str) -> None:
    (tmp_path / "mmengine").mkdir(exist_ok=True)
    (tmp_path / "mmengine" / "open_mmlab.json").write_text(json.dumps({"mine": url}))


def test_a_download_is_read_and_kept(address: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": torch.ones(2)}}, tmp_path / "published" / "good.pth")
    name_in_zoo(tmp_path, f"{address}/good.pth")
    for path in (f"{address}/good.pth", "open-mmlab://mine"):
        assert CheckpointLoader.load_checkpoint(path, "cpu")["state_dict"]["weight"].tolist() == [1, 1]
    assert (tmp_path / "hub" / "checkpoints" / "good.pth").is_file()


def test_a_machine_without_the_main_process_downloads_for_itself(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"state_dict": {"weight": torch.ones(2)}}, tmp_path / "published" / "good.pth")
    monkeypatch.setattr("mmengine.dist.utils.get_rank", lambda group=None: 8)
    assert CheckpointLoader.load_checkpoint(f"{address}/good.pth", "cpu")["state_dict"]["weight"].tolist() == [1, 1]


def test_a_checkpoint_from_s3_is_checked_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"state_dict": {"weight": torch.full((1000,), 0.5)}}, tmp_path / "good.pth")
    content = bytearray((tmp_path / "good.pth").read_bytes())
    backend = types.SimpleNamespace(get=lambda path: bytes(content))
    monkeypatch.setattr("davpt_seg.trust.schemes.get_file_backend", lambda *args, **kwargs: backend)
    assert CheckpointLoader.load_checkpoint("s3://bucket/good.pth", "cpu")["state_dict"]["weight"].sum() == 500
    content[content.index(torch.full((2,), 0.5).numpy().tobytes()) + 3] ^= 1
    with pytest.raises(InputError, match=r"s3://bucket/good\.pth' is damaged"):
        CheckpointLoader.load_checkpoint("s3://bucket/good.pth", "cpu")


@pytest.mark.parametrize("call", ["os.system", "getattr chain from HistoryBuffer"])
def test_a_download_runs_no_code(call: str, address: str, tmp_path: Path) -> None:
    """MMEngine's own loaders download with ``weights_only=False``."""
    target = tmp_path / "created"
    torch.save({"state_dict": {}, "evil": CALLS[call](target)}, tmp_path / "published" / "evil.pth")
    name_in_zoo(tmp_path, f"{address}/evil.pth")
    for path in (f"{address}/evil.pth", "open-mmlab://mine", "openmmlab://mine"):
        with pytest.raises(InputError, match=r"evil\.pth' .*more than data"):
            CheckpointLoader.load_checkpoint(path, "cpu")
    assert not target.exists()


@pytest.mark.parametrize("path", ["torchvision://none", "openmmlab://none", "mmcls://none"])
def test_an_unknown_name_of_a_model_zoo_is_named(path: str) -> None:
    with pytest.raises(InputError, match="publishes no 'none'"):
        CheckpointLoader.load_checkpoint(path, "cpu")


def test_an_address_whose_files_would_run_is_refused() -> None:
    with pytest.raises(InputError, match="pavi:// is not read"):
        CheckpointLoader.load_checkpoint("pavi://model", "cpu")


def test_every_loader_of_mmengine_is_ours() -> None:
    loaders = {loader.__module__ for loader in CheckpointLoader._schemes.values()}
    assert loaders == {"davpt_seg.trust.schemes"}
