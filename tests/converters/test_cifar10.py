"""CIFAR-10's files of both versions, read without running pickle, and 1,000 of its images."""

from __future__ import annotations

import collections
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from davpt_seg.converters.cifar10 import BATCHES, CLASSES, read_batch, read_release, write_1k
from davpt_seg.datasets.vtab import VTABDataset
from davpt_seg.errors import DataError

from ..tools.scripts import load_script

SCRIPT = Path(__file__).parents[2] / "tools" / "dataset_converters" / "cifar10_1k.py"
PER_BATCH = 1100  # images; more than a thousand, after which pickle begins another group of labels


def batch(name: str) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(list(name.encode()))
    return rng.integers(0, 256, (PER_BATCH, 3072)).astype(np.uint8), (np.arange(PER_BATCH) % 10).tolist()


def python_2(pixels: np.ndarray, labels: list[int]) -> bytes:
    """Return a batch as Python 2 pickled it: texts are bytes, and the array is built of one."""
    text = pixels.tobytes()
    group = b"".join(b"K" + bytes([label]) for label in labels[:1000])
    rest = b"".join(b"K" + bytes([label]) for label in labels[1000:])
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + b"J" + len(labels).to_bytes(4, "little") + b"M\x00\x0c\x86"
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN"
        + b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + len(text).to_bytes(4, "little") + text + b"tb"
    )  # fmt: skip
    return (
        b"\x80\x02}(U\x0bbatch_labelU\x15training batch 1 of 5U\x06labels]q\x02(" + group + b"e(" + rest + b"e"
        b"U\x04data" + array + b"u."
    )


def contents(version: str) -> dict[str, bytes]:
    found = {}
    for name in BATCHES:
        pixels, labels = batch(name)
        if version == "binary":
            found[f"{name}.bin"] = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], 1).tobytes()
        elif version == "python 2":
            found[name] = python_2(pixels, labels)
        else:
            found[name] = pickle.dumps(
                {b"labels": labels, b"data": pixels, b"filenames": [b"x.png"] * PER_BATCH}, protocol=2
            )
    return found


@pytest.mark.parametrize("version", ["binary", "python 2", "python 3"])
@pytest.mark.parametrize("packed", [False, True])
def test_each_version_gives_its_pixels_and_labels(version: str, packed: bool, tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches"
    folder.mkdir()
    for name, content in contents(version).items():
        (folder / name).write_bytes(content)
    source = folder
    if packed:
        source = tmp_path / "cifar.tar.gz"
        with tarfile.open(source, "w:gz", compresslevel=1) as archive:
            archive.add(folder, folder.name)
    (train, labels), (test, _) = read_release(source)
    expected = np.concatenate([batch(name)[0] for name in BATCHES[:-1]])
    np.testing.assert_array_equal(train.transpose(0, 3, 1, 2).reshape(-1, 3072), expected)
    np.testing.assert_array_equal(labels, np.arange(5 * PER_BATCH) % 10)
    np.testing.assert_array_equal(test.transpose(0, 3, 1, 2).reshape(-1, 3072), batch("test_batch")[0])


def test_python_3_files_hold_what_pickle_reads() -> None:
    content = contents("python 2")["data_batch_1"]
    assert pickle.loads(content, encoding="latin1")["labels"] == batch("data_batch_1")[1]  # our stand-in is a pickle


def test_nothing_in_a_batch_is_run(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    pixels, labels = batch("data_batch_1")
    content = pickle.dumps({"attack": Attack(), "labels": labels, "data": pixels.tobytes()})
    np.testing.assert_array_equal(read_batch(content, "x")[1], labels)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps({"labels": [1]}), bytes([200]) * 3073])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="data_batch_1"):
        read_batch(content, "data_batch_1")


def test_the_set_is_balanced_drawn_once_and_read_by_its_reader(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "release"
    folder.mkdir()
    for name, content in contents("binary").items():
        (folder / name).write_bytes(content)
    main = load_script(SCRIPT).main
    main([str(folder), str(tmp_path / "vtab")])
    known = {pixels.tobytes(): label for name in BATCHES for pixels, label in zip(*batch(name))}
    seen: set[str] = set()
    for split, count in (("train800", 80), ("val200", 20), ("test", 100)):
        items = VTABDataset(str(tmp_path / "vtab"), "cifar10_1k", split).load_data_list()
        assert collections.Counter(item["gt_label"] for item in items) == dict.fromkeys(range(10), count)
        assert not seen & {item["img_path"] for item in items}
        seen |= {item["img_path"] for item in items}
        for item in items[:20]:
            pixels = np.asarray(Image.open(item["img_path"])).transpose(2, 0, 1).tobytes()
            assert known[pixels] == item["gt_label"]
    assert (tmp_path / "vtab/cifar10_1k/classes.txt").read_text().split() == list(CLASSES)
    main([str(folder), str(tmp_path / "vtab")])
    assert "nothing was changed" in capsys.readouterr().out
    write_1k(folder, tmp_path / "again")
    assert (tmp_path / "again/test.txt").read_text() == (tmp_path / "vtab/cifar10_1k/test.txt").read_text()
    with pytest.raises(DataError, match="has no data_batch_1"):
        write_1k(tmp_path / "vtab", tmp_path / "other")
