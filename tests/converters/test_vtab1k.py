"""VTAB-1k from small stand-ins of the two libraries, and from the libraries themselves where they are installed."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from davpt_seg.converters.vtab_sources import HuggingFaceSource, TfdsSource
from davpt_seg.converters.vtab_tasks import TASKS, Task, given
from davpt_seg.converters.vtab_writer import image_file, plan, write_task
from davpt_seg.datasets.vtab import VTAB_IMAGES, VTAB_SETS, VTABDataset
from davpt_seg.errors import DataError

from ..tools.scripts import load_script
from .vtab_fakes import CODES, SPLITS, fake_datasets, fake_tfds, features, identity, picture

SCRIPT = Path(__file__).parents[2] / "tools" / "dataset_converters" / "vtab1k.py"
# Sizes of the data sets' splits, as tensorflow-datasets' catalog has them (www.tensorflow.org/datasets/catalog).
CATALOG = {
    "caltech101": {"train": 3059, "test": 6084},
    "cifar100": {"train": 50000, "test": 10000},
    "dtd": {"train": 1880, "validation": 1880, "test": 1880},
    "oxford_flowers102": {"train": 1020, "validation": 1020, "test": 6149},
    "oxford_iiit_pet": {"train": 3680, "test": 3669},
    "svhn_cropped": {"train": 73257, "test": 26032},
    "sun397/tfds": {"train": 76128, "validation": 10875, "test": 21750},
    "patch_camelyon": {"train": 262144, "validation": 32768, "test": 32768},
    "eurosat/rgb": {"train": 27000},
    "resisc45": {"train": 31500},
    "diabetic_retinopathy_detection/btgraham-300": {"train": 35126, "validation": 10906, "test": 42670},
    "clevr": {"train": 70000, "validation": 15000, "test": 15000},
    "dmlab": {"train": 65550, "validation": 22628, "test": 22735},
    "kitti": {"train": 6347, "validation": 423, "test": 711},
    "dsprites": {"train": 737280},
    "smallnorb": {"train": 24300, "test": 24300},
}
SMALL = {"train800": 8, "val200": 2}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script(SCRIPT)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Publish VTAB-1k with 8, 2 and, of splits of ``SPLITS`` images, as many test images as a task then has."""
    for split, count in SMALL.items():
        monkeypatch.setitem(VTAB_IMAGES, split, count)
    for name, task in TASKS.items():
        start, stop = task.parts[2].bounds(SPLITS[task.parts[2].split])
        monkeypatch.setitem(VTAB_SETS, name, replace(VTAB_SETS[name], test_images=stop - start))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, small: None) -> list[str]:
    names: list[str] = []
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", fake_tfds(names))
    return names


@pytest.mark.parametrize("name", TASKS)
def test_published_splits_hold_800_200_and_the_published_test_images_apart(name: str) -> None:
    task = TASKS[name]
    ranges = plan(name, task, SimpleNamespace(title="catalog", splits=CATALOG[task.dataset]), None, False)
    assert [stop - start for _, start, stop in ranges.values()] == [800, 200, VTAB_SETS[name].test_images]
    images = [{(split, i) for i in range(start, stop)} for split, start, stop in ranges.values()]
    assert len(set.union(*images)) == sum(map(len, images))


@pytest.mark.parametrize(
    ("name", "first"),
    [("caltech101", 2753), ("svhn", 65931), ("oxford_iiit_pet", 2944), ("eurosat", 16200), ("dsprites_loc", 589824)],
)
def test_validation_starts_where_vpt_starts_it(name: str, first: int) -> None:
    task = TASKS[name]
    ranges = plan(name, task, SimpleNamespace(title="catalog", splits=CATALOG[task.dataset]), None, False)
    assert ranges["val200"] == ("train", first, first + 200)


def test_labels_that_are_made_equal_vtabs_definitions() -> None:
    def last_below(thresholds: list[float], distance: float) -> int:
        return int(np.flatnonzero(np.array(thresholds) < distance).max())

    for distance in (5.0, 8.0, 8.1, 8.5, 8.75, 9.0, 9.5, 9.6, 10.0, 10.1):
        objects = {"size": [0] * 5, "pixel_coords": np.array([[0, 0, 12.0], [0, 0, distance]], np.float32)}
        label = TASKS["clevr_dist"].label({"objects": objects})
        assert label == last_below([0.0, 8.0, 8.5, 9.0, 9.5, 10.0, 100.0], distance)
        assert TASKS["clevr_count"].label({"objects": objects}) == 2
    for distance, kind in ((1.0, 0), (8.0, 1), (8.5, 2), (20.0, 0), (21.0, 2), (5.0, 3)):
        location = np.array([[0, 0, distance], [0, 0, 2.0]], np.float32)
        label = TASKS["kitti"].label({"objects": {"type": np.array([kind, 4]), "location": location}})
        assert label == (3 if kind == 3 else last_below([-100.0, 8.0, 20.0, 999.0], distance))
    assert TASKS["kitti"].label({"objects": {"type": [], "location": np.zeros((0, 3))}}) == 3
    for name, feature, values in (("dsprites_loc", "label_x_position", 32), ("dsprites_ori", "label_orientation", 40)):
        labels = [TASKS[name].label({feature: np.int64(value)}) for value in range(values)]
        assert labels == [int(np.floor_divide(np.float32(value), values / 16)) for value in range(values)]
        assert set(labels) == set(range(16))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_from_tensorflow_datasets_is_read_by_the_data_set(name: str, tmp_path: Path, opened: list[str]) -> None:
    task = replace(TASKS[name], dataset="dtd") if name == "resisc45" else TASKS[name]
    source = TfdsSource(task)
    counts = write_task(tmp_path, name, task, source)
    ranges = plan(name, task, source, None, False)
    both = ["train800", "val200"]
    for split, parts in {"train800": both[:1], "val200": both[1:], "train800val200": both, "test": ["test"]}.items():
        origin = [(ranges[part][0], i) for part in parts for i in range(*ranges[part][1:])]
        items = VTABDataset(str(tmp_path), name, split, lazy_init=True).load_data_list()
        assert counts[split] == len(items) == len(origin)
        assert [item["gt_label"] for item in items] == [task.label(features(*where, task.binary)) for where in origin]
        if not task.binary:
            assert [identity(item["img_path"]) for item in items] == [(CODES[where], i) for where, i in origin]
    first = np.asarray(
        Image.open(VTABDataset(str(tmp_path), name, "test", lazy_init=True).load_data_list()[1]["img_path"])
    )
    assert (set(np.unique(first)) <= {0, 255}) == task.binary
    assert json.loads((tmp_path / name / "converted_from.json").read_text())["source"].startswith("tensorflow-datasets")


def test_files_keep_their_bytes_unless_readers_would_disagree_about_them() -> None:
    for form, suffix in (("PNG", ".png"), ("JPEG", ".jpg")):
        file = picture("train", 5, form)
        assert image_file(file, binary=False) == (file, suffix)
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    turned = Image.Exif()
    turned[0x0112] = 6
    for save in ({"format": "WEBP", "lossless": True}, {"format": "PNG", "exif": turned}, {"format": "GIF"}):
        stored = io.BytesIO()
        Image.fromarray(pixels).save(stored, **save)
        content, suffix = image_file(stored.getvalue(), binary=False)
        with Image.open(io.BytesIO(content)) as image:
            assert (suffix, image.format, image.size, image.mode) == (".png", "PNG", (3, 2), "RGB")
            assert not image.getexif()
            np.testing.assert_array_equal(np.asarray(image), pixels)
    with pytest.raises(OSError, match="cannot identify"):
        image_file(b"no image", binary=False)


def test_an_interrupted_run_leaves_no_half_set_and_goes_on(
    script: ModuleType, tmp_path: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [str(tmp_path), "--from", "tfds", "--sets", "dtd", "svhn"]
    rows = TfdsSource.rows

    def stopped(self: TfdsSource, split: str, start: int, stop: int) -> Iterator[Any]:
        for index, row in enumerate(rows(self, split, start, stop)):
            if (self.builder.name, split, index) == ("svhn_cropped", "test", 3):
                raise KeyboardInterrupt
            yield row

    with monkeypatch.context() as patch:
        patch.setattr(TfdsSource, "rows", stopped)
        with pytest.raises(SystemExit, match="130"):
            script.main(command)
    assert (tmp_path / "dtd" / "test.txt").is_file()
    assert not (tmp_path / "svhn").exists()
    opened.clear()
    assert script.main(command) == 0
    assert opened == ["svhn_cropped"]  # the finished set is not even opened
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dtd", "svhn"]
    assert len(list((tmp_path / "svhn" / "images" / "test").iterdir())) == SPLITS["test"]


def test_a_set_that_cannot_be_made_does_not_stop_the_others(
    script: ModuleType, tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(tmp_path), "--from", "tfds", "--sets", "resisc45", "cifar"]) == 1
    out = capsys.readouterr().out
    assert "[1/2] resisc45: FAILED. tensorflow-datasets cannot prepare resisc45: Manual directory" in out
    assert "[2/2] cifar: written from tensorflow-datasets cifar100 9.9.9 (VPT: 3.0.2)" in out
    assert (tmp_path / "cifar").is_dir()


def test_a_dry_run_opens_and_writes_nothing(
    script: ModuleType, tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert script.main([str(tmp_path / "new"), "--from", "tfds", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert out.count("would be written") == 19
    assert "smallnorb_azi: would be written, of smallnorb: train800 from train 0-100 %, val200 from test 0-50 %" in out
    assert not opened
    assert not (tmp_path / "new").exists()


def test_a_strangers_folder_is_replaced_only_by_force(
    script: ModuleType, tmp_path: Path, opened: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "dtd").mkdir()
    (tmp_path / "dtd" / "mine.txt").touch()
    command = [str(tmp_path), "--from", "tfds", "--sets", "dtd"]
    assert script.main(command) == 1
    assert "exists, but has no train800.txt" in capsys.readouterr().out
    assert (tmp_path / "dtd" / "mine.txt").is_file()
    assert script.main([*command, "--force", "--limit-test", "3"]) == 0
    assert not (tmp_path / "dtd" / "mine.txt").exists()
    assert len((tmp_path / "dtd" / "test.txt").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"parts": (*TASKS["dtd"].parts[:2], TASKS["svhn"].parts[0])}, "test of dtd needs 12"),
        ({"parts": (*TASKS["dtd"].parts[:2], TASKS["dtd"].parts[0]._replace(split="none"))}, "has no split 'none'"),
        ({"label": given("colour")}, "dtd needs another feature (KeyError('colour')); it has image, label"),
        ({"label": lambda features: 47}, "has the label 47; dtd has the classes 0 to 46"),
    ],
)
def test_what_does_not_fit_is_named(change: dict, named: str, tmp_path: Path, opened: list[str]) -> None:
    task = replace(TASKS["dtd"], **change)
    with pytest.raises(DataError) as refused:
        write_task(tmp_path, "dtd", task, TfdsSource(task))
    assert named in str(refused.value)
    assert not (tmp_path / "dtd").exists()


@pytest.mark.parametrize(
    ("arguments", "module", "command"),
    [
        (["--from", "tfds"], "tensorflow_datasets", "pip install tensorflow-datasets"),
        (["--from", "huggingface", "--repo", "r"], "datasets", "pip install datasets"),
    ],
)
def test_a_missing_library_is_named_with_its_installation(
    arguments: list[str], module: str, command: str, script: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    assert script.main([str(tmp_path), "--sets", "dtd", *arguments]) == 1
    out = capsys.readouterr().out
    assert f"cannot import {module}" in out
    assert command in out


@pytest.mark.parametrize(
    ("repo", "asked_for"), [("lab/vtab", ("lab/vtab", "dtd")), ("lab/vtab-{set}", ("lab/vtab-dtd",))]
)
def test_a_copy_with_vtabs_splits_is_taken_as_it_is(
    repo: str, asked_for: tuple, script: ModuleType, tmp_path: Path, small: None, monkeypatch: Any, capsys: Any
) -> None:
    asked: list[tuple] = []
    splits = {"train800": ("train", 8), "val200": ("validation", 2), "test": ("test", 12)}
    monkeypatch.setitem(sys.modules, "datasets", fake_datasets(splits, asked))
    assert script.main([str(tmp_path), "--from", "huggingface", "--repo", repo, "--sets", "dtd"]) == 0
    assert asked == [asked_for]
    assert "are taken" not in capsys.readouterr().err
    for split, (origin, count) in splits.items():
        items = VTABDataset(str(tmp_path), "dtd", split, lazy_init=True).load_data_list()
        assert [identity(item["img_path"]) for item in items] == [(CODES[origin], i) for i in range(count)]
        assert [item["gt_label"] for item in items] == [i % 2 for i in range(count)]


def test_a_copy_in_an_order_of_its_own_is_converted_with_a_warning(
    script: ModuleType, tmp_path: Path, small: None, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", fake_datasets({split: (split, n) for split, n in SPLITS.items()}, []))
    assert script.main([str(tmp_path), "--from", "huggingface", "--repo", "lab/all", "--sets", "svhn"]) == 0
    assert "not VTAB-1k's: do not compare" in capsys.readouterr().err
    items = VTABDataset(str(tmp_path), "svhn", "val200", lazy_init=True).load_data_list()
    assert [identity(item["img_path"]) for item in items] == [(CODES["train"], 45), (CODES["train"], 46)]
    assert script.main([str(tmp_path), "--from", "huggingface", "--repo", "nowhere", "--sets", "dtd"]) == 1
    assert "datasets cannot load dtd of nowhere: Dataset 'nowhere' doesn't exist" in capsys.readouterr().out


@pytest.mark.parametrize("saved", [True, False], ids=["save_to_disk", "parquet"])
def test_hugging_faces_own_library_is_read(saved: bool, tmp_path: Path, small: None) -> None:
    datasets = pytest.importorskip("datasets")
    kinds = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=[f"texture {i}" for i in range(47)])}
    )
    sizes = {"train800": ("train", 8), "val200": ("validation", 2), "test": ("test", 12)}
    copy = datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {"image": [{"bytes": picture(origin, i), "path": None} for i in range(n)], "label": list(range(n))},
                features=kinds,
            )
            for split, (origin, n) in sizes.items()
        }
    )
    folder = tmp_path / "copy" / "dtd"
    if saved:
        copy.save_to_disk(str(folder))
    else:
        folder.mkdir(parents=True)
        for split, table in copy.items():
            table.to_parquet(str(folder / f"{split}-00000-of-00001.parquet"))
    write_task(tmp_path, "dtd", TASKS["dtd"], HuggingFaceSource(str(tmp_path / "copy"), "dtd"))
    for split, (origin, n) in sizes.items():
        dataset = VTABDataset(str(tmp_path), "dtd", split, lazy_init=True)
        items = dataset.load_data_list()
        assert [identity(item["img_path"]) for item in items] == [(CODES[origin], i) for i in range(n)]
        assert [item["gt_label"] for item in items] == list(range(n))
        assert dataset.metainfo["classes"][46] == "texture 46"


def test_tensorflow_datasets_itself_is_read(tmp_path: Path, small: None) -> None:
    tfds = pytest.importorskip("tensorflow_datasets")

    class SmallScenes(tfds.core.GeneratorBasedBuilder):
        """Objects like CLEVR's."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self) -> Any:
            sizes = tfds.features.ClassLabel(names=["large", "small"])
            place = tfds.features.Tensor(shape=(3,), dtype=np.float32)
            objects = tfds.features.Sequence({"size": sizes, "pixel_coords": place})
            kinds = {"image": tfds.features.Image(encoding_format="png"), "objects": objects}
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(kinds))

        def _split_generators(self, dl_manager: Any) -> dict:
            return {split: self._generate_examples(split) for split in SPLITS}

        def _generate_examples(self, split: str) -> Iterator[tuple[str, dict]]:
            for i in range(SPLITS[split]):
                pixels = np.full((4, 4, 3), 7, np.uint8)
                pixels[0, :2, 0], pixels[0, :2, 1] = (CODES[split], i), (CODES[split], i)
                pixels[0, :2, 2] = CODES[split], i
                objects = [{"size": 0, "pixel_coords": (0.0, 0.0, 9.25)}] * (3 + i % 8)
                yield str(i), {"image": pixels, "objects": objects}

    task = replace(TASKS["clevr_count"], dataset="small_scenes", version="1.0.0")
    source = TfdsSource(task, tmp_path / "tfds")
    assert source.splits == SPLITS
    write_task(tmp_path, "clevr_count", task, source)
    seen = set()
    for split in ("train800", "val200", "test"):
        for item in VTABDataset(str(tmp_path), "clevr_count", split, lazy_init=True).load_data_list():
            code, index = identity(item["img_path"])
            assert item["gt_label"] == index % 8
            assert code == CODES["validation" if split == "test" else "train"]
            seen.add((code, index))
    assert len(seen) == sum(SMALL.values()) + SPLITS["validation"]
    distances = Task("small_scenes", "1.0.0", task.parts, TASKS["clevr_dist"].label)
    write_task(tmp_path, "clevr_dist", distances, source)
    assert {
        item["gt_label"] for item in VTABDataset(str(tmp_path), "clevr_dist", "test", lazy_init=True).load_data_list()
    } == {3}
