"""PASCAL Context converted from both releases; the label maps they were made from are the oracle."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import scipy.io
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from davpt_seg.audit.preflight import check_dataset
from davpt_seg.converters.pascal_context import CLASS_IDS, class_table, decode_rle

from ..tools.scripts import load_script
from ..training import CONFIGS
from .pascal_release import SPLITS, encode_rle, label_maps, write_json, write_labels, write_mats, write_voc

SCRIPT = Path(__file__).parents[2] / "tools" / "dataset_converters" / "pascal_context.py"
# The numbers that mmseg's own converter keeps (tools/dataset_converters/pascal_context.py of mmseg 1.2.2).
MMSEG_NUMBERS = [
    0, 2, 259, 260, 415, 324, 9, 258, 144, 18, 19, 22, 23, 397, 25, 284, 158, 159, 416, 33, 162, 420, 454, 295, 296,
    427, 44, 45, 46, 308, 59, 440, 445, 31, 232, 65, 354, 424, 68, 326, 72, 458, 34, 207, 80, 355, 85, 347, 220, 349,
    360, 98, 187, 104, 105, 366, 189, 368, 113, 115,
]  # fmt: skip


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script(SCRIPT)


@pytest.fixture
def voc(tmp_path: Path) -> Path:
    return write_voc(tmp_path / "VOC2010")


@pytest.fixture
def mats(tmp_path: Path) -> Path:
    return write_mats(tmp_path / "release", label_maps())


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    return write_json(tmp_path / "trainval_merged.json", label_maps())


def refusal(script: ModuleType, capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    with pytest.raises(SystemExit) as ended:
        script.main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


def masks_of(voc: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.array(Image.open(path)) for path in sorted((voc / "SegmentationClassContext").glob("*.png"))}


def expected(label_map: np.ndarray) -> np.ndarray:
    """mmseg's converter's way: the place of a number among those it keeps."""
    kept = np.where(np.isin(label_map, MMSEG_NUMBERS), label_map, 0)
    return np.digitize(kept, np.sort(MMSEG_NUMBERS), right=True)


def test_the_59_classes_are_mmsegs_in_mmsegs_order() -> None:
    from mmseg.datasets import PascalContextDataset, PascalContextDataset59  # after davpt_seg's mends

    assert tuple(CLASS_IDS) == PascalContextDataset59.METAINFO["classes"]
    assert ("background", *CLASS_IDS) == PascalContextDataset.METAINFO["classes"]
    assert [0, *CLASS_IDS.values()] == sorted(MMSEG_NUMBERS)


@pytest.mark.parametrize("release", ["mats", "merged"])
def test_masks_and_lists_are_those_that_the_release_was_made_from(
    script: ModuleType, voc: Path, release: str, request: pytest.FixtureRequest
) -> None:
    source = request.getfixturevalue(release)
    script.main([str(voc), "--mat" if release == "mats" else "--json", str(source), "--workers", "2"])
    masks = masks_of(voc)
    assert masks.keys() == label_maps().keys()
    for name, label_map in label_maps().items():
        assert masks[name].dtype == np.uint8
        np.testing.assert_array_equal(masks[name], expected(label_map))
    assert set(np.unique(np.stack(list(masks.values())))) == set(range(60))
    for split, names in SPLITS.items():
        assert (voc / "ImageSets" / "SegmentationContext" / f"{split}.txt").read_text().split() == names
    assert not list(voc.rglob("*.unfinished"))


def test_mmseg_reads_what_was_written_with_60_and_with_59_classes(script: ModuleType, voc: Path, mats: Path) -> None:
    from mmseg.registry import DATASETS

    script.main([str(voc), "--mat", str(mats)])
    for name, shift in (("pascal_context", 0), ("pascal_context_59", 1)):
        cfg = Config.fromfile(CONFIGS / "_base_" / "datasets" / f"{name}.py").val_dataloader.dataset
        init_default_scope("mmseg")
        cfg.data_root = str(voc)
        assert check_dataset(cfg) == 2
        sample = DATASETS.build(cfg)[0]["data_samples"]
        wanted = expected(label_maps()[SPLITS["val"][0]]) - shift
        wanted[wanted < 0] = 255
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), wanted)


def test_a_second_run_writes_nothing_and_an_interrupted_one_goes_on(
    script: ModuleType, voc: Path, mats: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Stopped(Exception):
        pass

    def stop_after_two(name: str, *rest: Any) -> None:
        if len(list((voc / "SegmentationClassContext").glob("*.png"))) >= 2:
            raise Stopped
        whole(name, *rest)

    whole = script.convert
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="1"):
        patch.setattr(script, "convert", stop_after_two)
        script.main([str(voc), "--mat", str(mats), "--workers", "1"])
    assert len(masks_of(voc)) == 2
    assert not (voc / "ImageSets" / "SegmentationContext").exists()  # so that nothing takes it for whole
    script.main([str(voc), "--mat", str(mats)])
    assert len(masks_of(voc)) == 5
    times = {path: path.stat().st_mtime_ns for path in voc.rglob("*.png")}
    script.main([str(voc), "--mat", str(mats)])
    assert times == {path: path.stat().st_mtime_ns for path in voc.rglob("*.png")}


def test_a_dry_run_counts_and_writes_nothing(
    script: ModuleType, voc: Path, mats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main([str(voc), "--mat", str(mats), "--dry-run"])
    said = capsys.readouterr().out
    assert "train: 3 images (published: 4,996 or 4,998)" in said
    assert "0 masks exist, 5 to write" in said
    assert not (voc / "SegmentationClassContext").exists()


def test_masks_of_the_two_releases_are_never_mixed(
    script: ModuleType, voc: Path, mats: Path, merged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script.main([str(voc), "--mat", str(mats)])
    said = refusal(script, capsys, voc, "--json", merged)
    assert "holds masks from LabelMap .mat files, not from trainval_merged.json; replace them with --force" in said
    script.main([str(voc), "--json", str(merged), "--force"])
    marker = voc / "SegmentationClassContext" / "converted_from.json"
    assert json.loads(marker.read_text()) == {"source": "trainval_merged.json"}


def test_images_without_annotation_are_named_and_left_out_only_when_allowed(
    script: ModuleType, voc: Path, mats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = mats / "trainval" / "2008_000003.mat"
    lost.unlink()
    said = refusal(script, capsys, voc, "--mat", mats)
    assert f"1 annotations are missing, for instance {lost}" in said
    script.main([str(voc), "--mat", str(mats), "--allow-missing"])
    assert "2008_000003" not in (voc / "ImageSets" / "SegmentationContext" / "train.txt").read_text()
    assert len(masks_of(voc)) == 4


def test_an_image_without_regions_is_all_background_as_for_mmseg(script: ModuleType, voc: Path, merged: Path) -> None:
    content = json.loads(merged.read_text())
    content["annos_segmentation"] = [r for r in content["annos_segmentation"] if r["image_id"] != 1]
    merged.write_text(json.dumps(content))
    script.main([str(voc), "--json", str(merged)])
    assert not masks_of(voc)["2008_000003"].any()
    assert masks_of(voc)["2008_000002"].any()


def test_a_missing_labels_txt_is_named_and_can_be_elsewhere(
    script: ModuleType, voc: Path, mats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mats / "labels.txt").rename(mats.parent / "elsewhere.txt")
    said = refusal(script, capsys, voc, "--mat", mats)
    assert f"is not at {mats / 'labels.txt'}" in said
    assert "--labels" in said
    script.main([str(voc), "--mat", str(mats), "--labels", str(mats.parent / "elsewhere.txt")])


def test_another_list_of_names_is_refused(
    script: ModuleType, voc: Path, mats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mats / "labels.txt"
    path.write_text(path.read_text().replace(": table\n", ": diningtable\n"))
    said = refusal(script, capsys, voc, "--mat", mats)
    assert "does not name table (but diningtable" in said
    path.write_text("".join(f"{number}: {name}\n" for number, name in enumerate(CLASS_IDS, start=1)))
    assert "ends at number 59" in refusal(script, capsys, voc, "--mat", mats)  # 59_labels.txt: right names, own numbers
    path.write_text("aeroplane\n")
    assert "line 'aeroplane' is not of the form '2: aeroplane'" in refusal(script, capsys, voc, "--mat", mats)


def test_annotations_that_do_not_fit_are_named(
    script: ModuleType, voc: Path, mats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mats / "trainval" / "2008_000007.mat"
    for content, words in (
        ({"LabelMap": np.zeros((30, 45), np.uint16)}, r"is 44 x 30, its annotation 45 x 30"),
        ({"LabelMap": np.full((30, 44), 460, np.uint16)}, f"{path}: holds [460]; PASCAL Context has the numbers 0"),
        ({"GTcls": np.zeros((30, 44))}, f"{path}: has no LabelMap"),
    ):
        scipy.io.savemat(path, content)
        assert words in refusal(script, capsys, voc, "--mat", mats)
    path.write_bytes(path.read_bytes()[:150])
    assert f"{path}: cannot be read" in refusal(script, capsys, voc, "--mat", mats)
    assert not (voc / "SegmentationClassContext" / "2008_000007.png").exists()


def test_a_broken_json_is_named(
    script: ModuleType, voc: Path, merged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads(merged.read_text())
    content["annos_segmentation"][3]["segmentation"]["counts"] = "0"
    broken = merged.parent / "broken.json"
    broken.write_text(json.dumps(content))
    assert "region 3 of 2008_000002 is broken (runs of 0 pixels for 30 x 44)" in refusal(
        script, capsys, voc, "--json", broken
    )
    broken.write_text(merged.read_text()[:1000])
    assert "is not a complete trainval_merged.json" in refusal(script, capsys, voc, "--json", broken)
    assert "no.json: does not exist" in refusal(script, capsys, voc, "--json", merged.parent / "no.json")


def test_missing_images_and_lists_are_named(
    script: ModuleType, voc: Path, mats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (voc / "JPEGImages" / "2008_000007.jpg").unlink()
    assert "1 images are missing, for instance" in refusal(script, capsys, voc, "--mat", mats)
    (voc / "ImageSets" / "Main" / "val.txt").unlink()
    assert "val.txt: does not exist; VOCtrainval" in refusal(script, capsys, voc, "--mat", mats)
    assert "no .mat files here" in refusal(script, capsys, voc, "--mat", voc)


def test_names_in_labels_txt_are_what_counts_not_their_numbers(tmp_path: Path) -> None:
    from davpt_seg.converters.pascal_context import read_labels

    path = write_labels(tmp_path / "labels.txt")
    text = path.read_text().replace("308: pottedplant", "308: sofa").replace("368: sofa", "368: potted plant")
    path.write_text(text)
    table = class_table(read_labels(path))
    names = ["background", *CLASS_IDS]
    assert (names[table[308]], names[table[368]]) == ("sofa", "pottedplant")


# Made by pycocotools 2.0.11's encode, of the masks that `drawn` draws.
PYCOCOTOOLS: list[tuple[tuple[int, int], int, str]] = [
    ((7, 5), 0, "4331NM1221M1"),
    ((12, 16), 1, "447NJ0720002IK370O12LI72000040FM3330O1M"),
    ((3, 4), 2, "0<"),
]


def drawn(shape: tuple[int, int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    blocks = rng.random((-(-shape[0] // 4), -(-shape[1] // 4))) < 0.5
    mask = blocks.repeat(4, 0).repeat(4, 1)[: shape[0], : shape[1]] ^ (rng.random(shape) < 0.05)
    return np.ones_like(mask) if seed == 2 else mask


@pytest.mark.parametrize(("shape", "seed", "counts"), PYCOCOTOOLS, ids=lambda value: str(value)[:10])
def test_run_length_codes_are_those_of_pycocotools(shape: tuple[int, int], seed: int, counts: str) -> None:
    np.testing.assert_array_equal(decode_rle(counts, *shape), drawn(shape, seed))
    assert encode_rle(drawn(shape, seed)) == counts  # so that the fake releases of these tests are true ones
