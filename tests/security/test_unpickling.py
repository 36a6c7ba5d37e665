"""Checkpoints are read without changing what torch allows, and exactly."""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.logging.history_buffer import HistoryBuffer
from mmengine.runner import load_checkpoint

from davpt_seg.core.weights import open_checkpoint
from davpt_seg.core.weights.unpickling import load_as_data
from davpt_seg.errors import InputError
from davpt_seg.trust.checkpoints import read
from davpt_seg.trust.history import from_plain, to_plain

from ..checkpoints import Trained
from .attacks import ARRAYS, Call


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_package_leaves_torchs_safe_globals_as_they_are() -> None:
    python(
        "import torch, mmengine.runner, timm; before = torch.serialization.get_safe_globals()\n"
        "import davpt_seg.apis.predictor, davpt_seg.core; assert torch.serialization.get_safe_globals() == before"
    )


def test_our_checkpoints_are_read_by_torch_alone(trained: Trained) -> None:
    """No class, no numpy: in a process without this package, and without its reader."""
    code = f"import sys, torch; c = torch.load({trained.checkpoint!r}); print(sorted(c), 'mmengine' in sys.modules)"
    printed = python(code)
    assert printed.startswith("['exact_resume', 'message_hub', 'meta', 'optimizer'") and printed.endswith("False")


def hub(name: str) -> MessageHub:
    made = MessageHub.get_instance(name)
    for value in (1.5, 2, 0.1, float("inf")):
        made.update_scalar("train/loss", value)
        made.update_scalar("train/lr", np.float64(value), count=3)
    made.update_info("best_score", np.float32(0.25))
    made.update_info("epoch", 3)
    made.update_info("flags", [np.bool_(True), {"a": np.int64(2)}])
    return made


def same(first: HistoryBuffer, second: HistoryBuffer) -> bool:
    pairs = zip(first.data, second.data)
    return first.max_length == second.max_length and all(a.dtype == b.dtype and (a == b).all() for a, b in pairs)


def test_logged_values_survive_a_checkpoint_exactly(tmp_path: Path) -> None:
    state = hub(tmp_path.name).state_dict()
    torch.save(to_plain(state), tmp_path / "hub.pth")
    restored = from_plain(torch.load(tmp_path / "hub.pth"))
    assert restored["log_scalars"].keys() == state["log_scalars"].keys()
    assert all(same(history, state["log_scalars"][name]) for name, history in restored["log_scalars"].items())
    assert restored["runtime_info"] == state["runtime_info"]
    other = MessageHub.get_instance(f"{tmp_path.name}_other")
    other.load_state_dict(restored)
    assert other.get_scalar("train/loss").mean() == hub(tmp_path.name).get_scalar("train/loss").mean()


def test_checkpoints_of_mmengine_itself_are_read_exactly(tmp_path: Path) -> None:
    state = hub(tmp_path.name).state_dict()
    meta = dict(palette=np.arange(6, dtype=np.uint8).reshape(2, 3), score=np.float64(1.5), flag=np.bool_(True))
    torch.save(dict(message_hub=state, meta=meta, state_dict={"weight": torch.ones(2)}), tmp_path / "old.pth")
    loaded = load_checkpoint(torch.nn.Module(), str(tmp_path / "old.pth"))
    assert all(same(loaded["message_hub"]["log_scalars"][name], old) for name, old in state["log_scalars"].items())
    assert loaded["meta"]["score"] == 1.5 and (loaded["meta"]["palette"] == meta["palette"]).all()
    assert open_trunk_refuses(tmp_path / "old.pth")


def open_trunk_refuses(path: Path) -> bool:
    """Whether the reader of ViT weights gets through such a file to its tensors, which are no ViT's."""
    with pytest.raises(ValueError, match=r"is of no known format"):
        open_checkpoint(path)
    return True


def test_what_a_user_allowed_is_there_again_after_a_read(tmp_path: Path) -> None:
    """Also where it is what MMEngine's fork and many a forum's answer allow: ``getattr`` itself."""
    allowed = [HistoryBuffer, getattr, np.ndarray, (dict.fromkeys, "some.name")]
    torch.save(dict(history=HistoryBuffer([1.0], [1])), tmp_path / "old.pth")
    with torch.serialization.safe_globals(allowed):
        before = set(torch.serialization.get_safe_globals())
        assert type(load_as_data(str(tmp_path / "old.pth"))["history"]).__name__ == "History"
        assert set(torch.serialization.get_safe_globals()) == before
    torch.save(dict(history=[1, 2]), tmp_path / "broken.pth")
    (tmp_path / "broken.pth").write_bytes((tmp_path / "broken.pth").read_bytes()[:200])
    before = set(torch.serialization.get_safe_globals())
    with pytest.raises(RuntimeError):
        load_as_data(str(tmp_path / "broken.pth"))
    assert set(torch.serialization.get_safe_globals()) == before


def test_what_another_thread_allows_during_a_read_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": 1}, tmp_path / "a.pth")
    real = torch.load

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        thread = threading.Thread(target=torch.serialization.add_safe_globals, args=([dict.fromkeys],))
        thread.start()
        thread.join()
        return real(*args, **kwargs)

    monkeypatch.setattr(torch, "load", meanwhile)
    before = set(torch.serialization.get_safe_globals())
    load_as_data(str(tmp_path / "a.pth"))
    after = set(torch.serialization.get_safe_globals())
    torch.serialization.safe_globals([dict.fromkeys]).__exit__(None, None, None)
    assert after == before | {dict.fromkeys}


def test_bytes_of_a_file_become_no_objects_of_numpy(tmp_path: Path) -> None:
    """In another process, because a reader that makes these arrays dies of them."""
    for name, evil in ARRAYS.items():
        torch.save({"state_dict": {}, "evil": evil}, tmp_path / name)
    code = (
        "from pathlib import Path; from davpt_seg.core.weights.unpickling import MoreThanDataError, load_as_data\n"
        f"for path in Path({str(tmp_path)!r}).iterdir():\n"
        "    try:\n        print(path.name, load_as_data(str(path)), flush=True)\n"
        "    except MoreThanDataError as error:\n        print('refused:', error)"
    )
    lines = python(code).splitlines()
    assert len(lines) == len(ARRAYS) and all(line.startswith("refused: ") for line in lines), lines


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "?", ">f4", ">i8"])
def test_arrays_and_numbers_of_numpy_are_read_exactly(kind: str, tmp_path: Path) -> None:
    array = np.arange(6).reshape(2, 3).astype(kind)
    torch.save({"a": array, "turned": np.asfortranarray(array), "one": array[1, 2]}, tmp_path / "a.pth")
    found = load_as_data(str(tmp_path / "a.pth"))
    assert found["a"].dtype == found["turned"].dtype == array.dtype.newbyteorder("=")  # as NumPy itself reads it
    assert (found["a"] == array).all() and (found["turned"] == array).all() and found["one"] == array[1, 2]


HUBS: dict[str, Any] = {
    "list": [],
    "no histories": {"train/loss": argparse.Namespace(), "log": 1},
    "text as counts": {"train/loss": dict(values=torch.ones(1), counts="1", max_length=3)},
    "other lengths": {"train/loss": dict(values=torch.ones(1), counts=torch.ones(2), max_length=3)},
    "text as length": {"train/loss": dict(values=torch.ones(1), counts=torch.ones(1), max_length="3")},
    "history without values": {"train/loss": Call(HistoryBuffer)},
}


@pytest.mark.parametrize("name", HUBS)
def test_a_message_hub_that_is_none_is_refused_by_name_or_left_out(name: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {}, "message_hub": {"log_scalars": HUBS[name]}}, tmp_path / "hub.pth")
    if name in ("list", "no histories"):
        assert read(str(tmp_path / "hub.pth"))["message_hub"]["log_scalars"] == {}
        return
    with pytest.raises(InputError, match=r"hub\.pth' is broken"):
        read(str(tmp_path / "hub.pth"))


def with_itself() -> dict[str, Any]:
    content: dict[str, Any] = {"weight": torch.ones(2)}
    content["self"] = content
    return content


def nested(depth: int) -> dict[str, Any]:
    content: dict[str, Any] = {"weight": torch.ones(2)}
    for _ in range(depth):
        content = {"a": content}
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (with_itself, "nests more than 50 dicts"),
        (lambda: nested(200), "nests more than 50 dicts"),
        (lambda: {"weight": torch.ones(1).expand(10**5, 10**5)}, r"shape \(100000, 100000\) is larger than"),
        (lambda: {"weight": torch.ones(10**12, device="meta")}, "has no values"),
        (lambda: {"weight": Bytes(10**15)}, "is broken"),
    ],
    ids=["itself", "deep", "expanded", "meta", "bytes"],
)
def test_bombs_are_refused_by_name(content: Any, said: str, tmp_path: Path) -> None:
    torch.save(content(), tmp_path / "bomb.pth")
    with pytest.raises(ValueError, match=rf"bomb\.pth' .*{said}"):
        open_checkpoint(tmp_path / "bomb.pth")


class Bytes:
    """Pickled as a call of ``bytearray``, which torch allows."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __reduce__(self) -> Any:
        return bytearray, (self.size,)
