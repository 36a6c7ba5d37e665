"""Masks whose values contradict the config are named before training and by the check, and no others."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.registry import init_default_scope
from PIL import Image

from davpt_seg.audit import label_scan
from davpt_seg.audit.data_check import DataCheck
from davpt_seg.audit.label_advice import advice_on
from davpt_seg.audit.label_patterns import ENOUGH, contradictions, suspicious
from davpt_seg.audit.label_scan import check_labels
from davpt_seg.audit.label_values import VOID, WRONG, Scheme, SeenValues
from davpt_seg.audit.palettes import Palettes
from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.errors import DataError, InputError

from ..recognition import write_vtab
from .mask_sets import blocks, write_config, write_set


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")
    import mmseg.datasets  # noqa: F401


def scheme(classes: int, reduce_zero_label: bool = False) -> Scheme:
    """What mmseg makes of values, by its documentation."""
    labels = np.full(256, WRONG)
    labels[255] = VOID
    first = 1 if reduce_zero_label else 0
    labels[first : first + classes] = np.arange(classes)
    if reduce_zero_label:
        labels[0] = VOID
    return Scheme(labels, tuple(f"c{i}" for i in range(classes)), reduce_zero_label)


CERTAIN = {  # values of train and val, classes, reduce_zero_label, kind, words of the message
    "two classes stored as 0 and 255": (
        [0, 255], [0, 255], 2, False,
        r"train: .* hold only 0 and 255: 255 is void; class 0 \('c0'\) is the only one of 2 that is ever seen.*"
        r"if 255 is class 1 \('c1'\), store it as 1: mask\[mask == 255\] = 1",
    ),
    "one class alone": ([1], [1], 3, False, r"hold only 1: class 1 \('c1'\) is the only one of 3"),
    "one class in training, two in validation": ([1], [0, 1], 2, False, r"train: .*is the only one of 2"),
    "all void": ([255], [255], 3, False, r"train: .* none of 3 masks holds a class: their only values are 255, void"),
    "validation all void": ([0, 1], [255], 2, False, r"val: .*none of 3 masks holds a class"),
    "zeros under reduce_zero_label": (
        [0], [0], 3, True, r"only values are 0, void under this config \(reduce_zero_label makes 0 void\).*are 1 to 3",
    ),
    "reduce_zero_label where 0 is a class": (
        [*range(5)], [*range(5)], 5, True,
        r"Masks hold 0 to 4 and in no split 5, the last class \('c4'\).*set reduce_zero_label=False",
    ),
    "the same, of two classes": ([0, 1], [0, 1], 2, True, r"in no split 2, the last class.*reduce_zero_label=False"),
    "class numbers times 50": ([0, 50, 100], [0, 50], 3, False, r"hold label 50, 100.*numbers times 50: divide them"),
    "three classes stretched to 0 to 255": ([0, 127, 255], [0], 3, False, r"hold label 127.*stretched to 0 to 255"),
    "counted from 1": ([1, 2, 3], [1, 2, 3], 3, False, r"hold label 3.*count from 1: set reduce_zero_label=True"),
    "one class more than named": ([0, 1, 2], [0, 1], 2, False, r"hold label 2.*name one more class, or, if 0 is void"),
    "VOC's palette read as gray": ([0, 38, 75, 113], [0, 38], 21, False, r"gray levels of VOC's colours"),
}  # fmt: skip


@pytest.mark.parametrize("case", CERTAIN)
def test_masks_that_contradict_the_config_stop_training_and_the_check(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train, val, classes, reduce_zero_label, message = CERTAIN[case]
    splits = dict(train=blocks(train), val=blocks(val, seed=1))
    configs = write_set(tmp_path, splits, classes, reduce_zero_label=reduce_zero_label)
    with pytest.raises(DataError, match=f"{message}.*--cfg-options data_check.labels=warn"):
        check_labels(configs)
    check_labels(configs, DataCheck(labels="warn"))
    arguments = ["--workers=1", "--no-classes"]
    assert main_check_dataset([write_config(tmp_path, configs), *arguments]) == 1
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "PROBLEM" in said
    words = message.rpartition(".*")[2]
    assert re.search(words, said), said


FINE = {
    "all classes": ([0, 1, 2], [0, 1, 2], 3, False),
    "all classes and void": ([0, 1, 2, 255], [0, 1], 3, False),
    "binary 0 and 1": ([0, 1], [0, 1], 2, False),
    "a class in validation alone": ([0, 1], [0, 1, 2], 3, False),
    "a class in no split": ([0, 2], [0, 2], 3, False),
    "the last class in no split": ([0, 1], [0, 1], 3, False),
    "only one class in validation": ([0, 1], [1, 255], 2, False),
    "reduce_zero_label as meant": ([0, 1, 2, 3], [1, 2], 3, True),
    "reduce_zero_label without any 0": ([1, 2, 3], [1, 2], 3, True),
    "reduce_zero_label, the last class in validation alone": ([0, 1, 2], [0, 3], 3, True),
    "reduce_zero_label, the last class and another in no split": ([0, 1, 3], [0, 1], 4, True),
    "one class by nature": ([0, 255], [0, 255], 1, False),
}


@pytest.mark.parametrize("case", FINE)
def test_masks_that_do_not_contradict_the_config_pass(case: str, tmp_path: Path) -> None:
    train, val, classes, reduce_zero_label = FINE[case]
    splits = dict(train=blocks(train), val=blocks(val, seed=1))
    configs = write_set(tmp_path, splits, classes, reduce_zero_label=reduce_zero_label)
    check_labels(configs)
    assert main_check_dataset([write_config(tmp_path, configs), "--workers=1", "--no-classes"]) == 0


@pytest.mark.parametrize("seed", range(100))
def test_a_set_that_shows_every_class_is_never_refused(seed: int) -> None:
    """Whatever void it holds, and however classes are spread over the splits, as long as training has two."""
    rng = np.random.default_rng(seed)
    classes, shifts = int(rng.integers(2, 41)), bool(rng.integers(2))
    known = scheme(classes, shifts)
    values = [v for v in range(255) if known.of(v) >= 0]
    train = {*values[:2], *rng.choice(values, rng.integers(classes)).tolist()}
    split = dict(train=train, val={*values} - train or set(values))
    seen = {name: SeenValues(known) for name in split}
    for name, held in split.items():
        for value in held | {void for void in (0, 255) if known.of(void) == VOID and rng.integers(2)}:
            seen[name].add(np.bincount([value], minlength=256))
    assert not [case for case in contradictions(seen) if case.certain]


def test_a_sample_is_read_and_all_masks_only_where_it_is_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_scan, "SAMPLE", 8)
    read: list[str] = []
    original = label_scan.read_values
    monkeypatch.setattr(label_scan, "read_values", lambda path, loader: (read.append(path), original(path, loader))[1])
    masks = blocks([0, 1], 40, side=16)
    check_labels(write_set(tmp_path / "a", dict(train=masks), 2))
    assert len(read) == 8
    assert {Path(path).stem for path in read} >= {"000", "039"}  # evenly spaced, the ends among them
    read.clear()
    with pytest.raises(DataError, match=r"40 masks hold only 0 and 255"):
        check_labels(write_set(tmp_path / "b", dict(train=blocks([0, 255], 40, side=16)), 2))
    assert len(read) == len(set(read)) == 40
    read.clear()
    rare = [np.zeros((16, 16), np.uint8) for _ in range(40)]
    rare[1][0, 0] = 1
    check_labels(write_set(tmp_path / "c", dict(train=rare), 2))  # one pixel of one mask shows the second class
    assert 8 < len(read) <= 40


def test_each_split_of_wrapped_and_joined_data_sets_is_looked_at(tmp_path: Path) -> None:
    good = write_set(tmp_path / "a", dict(train=blocks([0, 1])), 2)["train"]
    bad = write_set(tmp_path / "b", dict(train=blocks([255])), 2)["train"]
    joined = dict(type="RepeatDataset", times=2, dataset=dict(type="ConcatDataset", datasets=[good, bad]))
    with pytest.raises(DataError, match=r"train 2: .*/b'.*none of 3 masks"):
        check_labels(dict(train=joined))
    one = write_set(tmp_path / "c", dict(train=blocks([1])), 2)["train"]
    check_labels(dict(train=dict(type="ConcatDataset", datasets=[good, one])))  # together they have both classes


def test_some_void_masks_are_counted_and_no_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = write_set(tmp_path, dict(train=[*blocks([0, 1]), *blocks([255], 2)]), 2)
    check_labels(configs)
    assert main_check_dataset([write_config(tmp_path, configs), "--workers=1"]) == 0
    assert "note: 2 of 5 masks hold no class, only void" in capsys.readouterr().out


def test_a_likely_contradiction_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    configs = write_set(tmp_path, dict(train=blocks([0, 1, 3])), 4, reduce_zero_label=True)
    with caplog.at_level(logging.WARNING, "davpt_seg"):
        check_labels(configs)
    assert "in no split 4, the last class ('c3')" in caplog.text


def test_a_test_of_some_images_may_hold_one_class(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """tools/test.py sees no training masks, which have the others; beside void the class may be a misread pair."""
    with caplog.at_level(logging.WARNING, "davpt_seg"):
        check_labels(write_set(tmp_path / "a", dict(test=blocks([1])), 3))
    assert "class 1 ('c1') is the only one of 3 that is ever seen" in caplog.text
    with pytest.raises(DataError, match="0 and 255: 255 is void"):
        check_labels(write_set(tmp_path / "b", dict(test=blocks([0, 255])), 2))


def test_a_config_may_say_that_its_data_are_meant_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config(
        tmp_path, write_set(tmp_path, dict(train=blocks([0, 255])), 2), data_check=dict(labels="warn")
    )
    assert main_check_dataset([config, "--workers=1", "--no-classes"]) == 0
    assert "note: 1 x data set with a single class" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(exiv="stored"), "data_check: 'exiv' is not known; did you mean 'exif'?"),
        (dict(exif="upside down"), "data_check.exif must be one of None, stored, upright; got 'upside down'"),
        ("warn", "data_check must be a dict"),
    ],
)
def test_a_misspelled_data_check_is_refused(given: Any, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        DataCheck.from_config(dict(data_check=given))


@pytest.mark.parametrize(("step", "classes"), [(2, 5), (10, 4), (50, 3), (85, 4), (255, 2), (127, 3)])
def test_stretched_class_numbers_are_recognised(step: int, classes: int) -> None:
    held = [min(i * step, 255) for i in range(classes)]
    wrong = [v for v in held if scheme(classes).of(v) == WRONG]
    if wrong:  # 0 and 255 are no wrong values: void
        assert re.search(f"times {step}|stretched", advice_on(wrong, held, scheme(classes)))


# --- Masks that lost their labels ---------------------------------------------------------------------------------


def resized(masks: Sequence[np.ndarray], method: Image.Resampling) -> list[np.ndarray]:
    return [np.array(Image.fromarray(mask).resize((96, 96), method)) for mask in masks]


@pytest.mark.parametrize("values", [[0, 4, 9, 2, 7], [0, 253]])
def test_interpolated_masks_are_named_and_those_of_the_nearest_pixel_are_not(values: list[int], tmp_path: Path) -> None:
    masks = blocks(values, 6, side=64)
    classes = 10 if values[1] < 10 else 254  # the check is about borders, not about labels that no class has
    for method, lossy in (
        (Image.Resampling.NEAREST, False), (Image.Resampling.BILINEAR, True), (Image.Resampling.BICUBIC, True),
    ):  # fmt: skip
        configs = write_set(tmp_path / method.name, dict(train=resized(masks, method)), classes)
        if lossy:
            with pytest.raises(DataError, match=r"of 6 masks that were read.*labels between those.*nearest neighbour"):
                check_labels(configs)
        else:
            check_labels(configs)
        status = main_check_dataset([write_config(tmp_path, configs), "--workers=1", "--no-classes"])
        assert (status == 1) == lossy


def test_a_jpeg_under_a_png_s_name_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = write_set(tmp_path, dict(train=blocks([0, 1])), 2)
    for path in (tmp_path / "masks" / "train").iterdir():
        Image.open(path).save(path, "JPEG", quality=100)
    with pytest.raises(DataError, match=r"3 of 3 masks that were read.*interpolation and JPEG"):
        check_labels(configs)
    assert main_check_dataset([write_config(tmp_path, configs), "--workers=1"]) == 1
    assert "is a JPEG, whatever its name says" in capsys.readouterr().out


def test_noise_and_thin_lines_are_not_taken_for_interpolation(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 10, (64, 64), dtype=np.uint8) for _ in range(4)]
    lines = [np.zeros((64, 64), np.uint8) for _ in range(4)]
    for line in lines:
        line[::8], line[:, 32:] = 5, 9
    check_labels(write_set(tmp_path / "noise", dict(train=noise), 10))
    check_labels(write_set(tmp_path / "lines", dict(train=lines), 10))


def test_outlines_of_one_pixel_are_not_taken_for_interpolation(tmp_path: Path) -> None:
    """Cells as 2 with an outline of 1 on 0, and thin layers: what interpolation of 0 and 2 looks like, too."""
    rows, columns = np.mgrid[:64, :64]
    cells, layers = [], []
    for i in range(4):
        distance = np.hypot(rows - 20 - 5 * i, columns - 30)
        cells.append(((distance < 15).astype(np.uint8) + (distance < 14)).astype(np.uint8))
        layers.append((rows > 20).astype(np.uint8) + (rows > 21 + columns // 40) + (rows > 40).astype(np.uint8))
    check_labels(write_set(tmp_path / "cells", dict(train=cells), 3))
    check_labels(write_set(tmp_path / "layers", dict(train=layers), 4))


def test_values_are_not_judged_where_a_step_of_ours_or_mmseg_s_does_not_read_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def audit(configs: dict[str, Any]) -> str:
        main_check_dataset([write_config(tmp_path, configs), "--workers=1"])
        return capsys.readouterr().out

    configs = write_set(tmp_path, dict(train=blocks([7, 8, 11])), 3)
    configs["train"].pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadIds", ids={7: 0, 8: 1, 11: 2})]
    check_labels(configs)
    said = audit(configs)
    assert "note: 1 x split whose pipeline loads masks by a custom step" in said
    assert "label that is no class" not in said and "never seen" not in said and "c0  " not in said
    (tmp_path / "masks" / "train" / "000.png").write_text("ids in a format of its own")
    assert "complete: every image was read" in audit(configs)
    write_set(tmp_path, dict(train=blocks([7, 8, 11])), 3)
    configs["train"].pipeline[1] = dict(type="LoadLabelMap")
    with pytest.raises(DataError, match="hold label 7, 8, 11"):
        check_labels(configs)
    assert "label that is no class" in audit(configs)


def test_palettes_in_another_order_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What programs write that make a palette for each colour mask: the colours fit, the numbers do not."""
    colours = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0]], np.uint8)
    configs = write_set(tmp_path, dict(train=blocks([0, 1, 2])), 3)
    for i, path in enumerate(sorted((tmp_path / "masks" / "train").iterdir())):
        mask = np.array(Image.open(path))
        order = np.roll(np.arange(3), i == 2)
        indexed = Image.fromarray(order[mask].astype(np.uint8), "P")
        indexed.putpalette(colours[np.argsort(order)].ravel().tolist())
        np.testing.assert_array_equal(np.array(indexed.convert("RGB")), colours[mask])
        indexed.save(path)
    with pytest.raises(DataError, match=r"colour \(128, 0, 0\) is label 0, in .*000\.png it is label 1.*one palette"):
        check_labels(configs)
    assert main_check_dataset([write_config(tmp_path, configs), "--workers=1"]) == 1
    assert "PROBLEM 1 x mask in which a colour has another label than in other masks" in capsys.readouterr().out


def voc_palette(labels: int = 256) -> list[int]:
    """VOC's colours, by the bits of a label (its development kit's colour map)."""
    colours = []
    for label in range(labels):
        channels = [sum(((label >> (3 * bit + i)) & 1) << (7 - bit) for bit in range(3)) for i in range(3)]
        colours += channels
    return colours


GRAY = [value for value in range(256) for _ in range(3)]
ONE_COLOUR = [0] * 768
PALETTES = {  # of the masks, in turn
    "VOC's": ([voc_palette()], False),
    "one with colours for its own labels alone": ([voc_palette(), voc_palette(3)], False),
    "VOC's and gray levels": ([voc_palette(), GRAY], True),
    "one colour for all labels": ([ONE_COLOUR], False),
    "some without": ([voc_palette(), None], False),
}


@pytest.mark.parametrize("case", PALETTES)
def test_masks_with_palettes_whose_numbers_are_the_classes_are_trained_on(
    case: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    palettes, warns = PALETTES[case]
    configs = write_set(tmp_path, dict(train=blocks([0, 1, 2])), 3)
    for i, path in enumerate(sorted((tmp_path / "masks" / "train").iterdir())):
        palette = palettes[i % len(palettes)]
        if palette is not None:
            mask = Image.open(path)
            mask.putpalette(palette)
            mask.save(path)
    with caplog.at_level(logging.WARNING, "davpt_seg"):
        check_labels(configs)
    assert ("training reads the numbers, not the colours" in caplog.text) == warns
    assert main_check_dataset([write_config(tmp_path, configs), "--workers=1"]) == 0
    assert ("another colour than in other masks" in capsys.readouterr().out) == warns


@pytest.mark.parametrize("seed", range(30))
def test_one_palette_for_all_masks_is_never_named_and_shuffled_ones_always_are(seed: int) -> None:
    """Whatever labels a mask holds, as long as it shares two colours with the one before."""
    rng = np.random.default_rng(seed)
    palette = rng.permutation(256)[:, None].repeat(3, 1).astype(np.uint8)
    one, shuffled = Palettes(), Palettes()
    order = rng.permutation(256)
    while (order[:2] == [0, 1]).any():
        order = rng.permutation(256)
    for i in range(5):
        held = np.bincount([0, 1, *rng.integers(0, 256, 5)], minlength=65537)
        assert one.compare(str(i), palette, held) == []
    everything = np.ones(256, int)
    assert shuffled.compare("a", palette, everything) == []
    assert [case.kind for case in shuffled.compare("b", palette[order], everything)] == ["palettes"]


def test_a_long_list_of_classes_is_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configs = write_set(tmp_path, dict(train=blocks([0, 1])), 150)
    main_check_dataset([write_config(tmp_path, configs), "--workers=1", "--no-classes", "--show=3"])
    assert "note: 148 of 150 classes are never seen: c2, c3, c4 and 145 more\n" in capsys.readouterr().out


def test_a_split_without_some_classes_is_not_read_to_its_end() -> None:
    classes = tuple("abcde")
    labels = np.array([VOID, 0, 1, 2, 3, 4, *[VOID] * 250])
    seen = SeenValues(Scheme(labels, classes, reduce_zero_label=True))
    for _ in range(ENOUGH):
        seen.add(np.bincount([0, 1, 2], minlength=256))
    assert suspicious({"train": seen}) == set()
    seen.add(np.bincount([0, 1, 2, 3, 4], minlength=256))  # all that 0 to 4 could be: only the complete split tells
    assert suspicious({"train": seen}) == {"train"}


def test_images_with_one_label_each_have_no_masks_to_report_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = dict(type="VTABDataset", dataset="mine", split="val200", data_root=str(write_vtab(tmp_path, "mine")))
    with caplog.at_level(logging.INFO, "davpt_seg"):
        check_labels({"val": dict(data, pipeline=[dict(type="LoadImageFromFile")])})
    assert not caplog.records
