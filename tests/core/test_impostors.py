"""What lies in the place of weights is named by its first bytes, and no weights are taken for it."""

from __future__ import annotations

import io
import pickle
import re
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from davpt_seg.core.weights.impostors import impostor

IMPOSTORS = {
    "page": (b"<!DOCTYPE html><html></html>", "is a web page"),
    "page after blanks": (b"\n\n  <html>", "is a web page"),
    "page after a byte order mark": (b"\xef\xbb\xbf<html>", "is a web page"),
    "error of a storage": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "is a web page"),
    "page with accents cut off": (b"<p>" + "é".encode() * 60, "is a web page"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
    "json": (b'{"error": "not found"}', "is a JSON text"),
    "json on lines": (b"{\n  'error': 1\n}", "is a JSON text"),
    "text": (b"404: Not Found", r"is a text \('404: Not Found'\)"),
    "config": (b"_base_ = ['a.py']\n", "is a text"),
    "gzip": (b"\x1f\x8b\x08\x00", "is compressed by gzip"),
    "image": (b"\x89PNG\r\n\x1a\n", "is an image"),
    "keras": (b"\x89HDF\r\n\x1a\n", "is an HDF5 file"),
}


@pytest.mark.parametrize("kind", IMPOSTORS)
def test_an_impostor_is_named(kind: str, tmp_path: Path) -> None:
    start, said = IMPOSTORS[kind]
    (tmp_path / "file").write_bytes(start)
    opened = io.BytesIO(start)
    assert re.match(said, impostor(tmp_path / "file"))
    assert impostor(opened) == impostor(tmp_path / "file") and opened.tell() == 0


def test_weights_of_any_format_are_none(tmp_path: Path) -> None:
    state = {"weight": torch.ones(3)}
    torch.save(state, tmp_path / "zip.pth")
    torch.save(state, tmp_path / "legacy.pth", _use_new_zipfile_serialization=False)
    np.savez(tmp_path / "weights.npz", weight=np.ones(3))
    np.save(tmp_path / "weights.npy", np.ones(3))
    (tmp_path / "pickle.pth").write_bytes(pickle.dumps({"weight": 1}))
    with tarfile.open(tmp_path / "old.tar", "w") as archive:
        archive.add(tmp_path / "zip.pth", "storages")
    (tmp_path / "empty").touch()
    for path in tmp_path.iterdir():
        assert impostor(path) == "", path.name


def test_no_length_of_a_safetensors_header_makes_a_text_of_it() -> None:
    """The file begins with that length, whose bytes may be those of ``<`` or of a blank."""
    whole = safetensors.torch.save({"a": torch.ones(1)})
    for length in (*range(1, 40_000, 3), 0x3C20, 0x7B3C, 0x2020, 0x3C):
        assert impostor(io.BytesIO(struct.pack("<Q", length) + whole[8:])) == "", length
