"""CamVid from small stand-ins of its two releases, in their published layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from davpt_seg.converters.camvid import CLASSES, COLOURS, class_numbers, convert, split_of
from davpt_seg.errors import DataError

from ..tools.scripts import load_script

SCRIPT = Path(__file__).parents[2] / "tools" / "dataset_converters" / "camvid.py"
NAMES = {  # the first and last of each part, as the SegNet tutorial's lists have them
    "train": ("0001TP_006690", "0001TP_008520", "0006R0_f00930", "0016E5_00390", "0016E5_07920", "0016E5_08190"),
    "val": ("0016E5_07959", "0016E5_08159"),
    "test": ("0001TP_008550", "0001TP_010380", "Seq05VD_f00000", "Seq05VD_f05100"),
}
# label_colors.txt of the original release: the 32 classes, and here the class of SegNet's 11 that each becomes.
RELEASE = """\
64 128 64 Animal pedestrian
192 0 128 Archway building
0 128 192 Bicyclist bicyclist
0 128 64 Bridge building
128 0 0 Building building
64 0 128 Car car
64 0 192 CartLuggagePram pedestrian
192 128 64 Child pedestrian
192 192 128 Column_Pole pole
64 64 128 Fence fence
128 0 192 LaneMkgsDriv road
192 0 64 LaneMkgsNonDriv road
128 128 64 Misc_Text sign_symbol
192 0 192 MotorcycleScooter bicyclist
128 64 64 OtherMoving car
64 192 128 ParkingBlock pavement
64 64 0 Pedestrian pedestrian
128 64 128 Road road
128 128 192 RoadShoulder pavement
0 0 192 Sidewalk pavement
192 128 128 SignSymbol sign_symbol
128 128 128 Sky sky
64 128 192 SUVPickupTruck car
0 0 64 TrafficCone pole
0 64 64 TrafficLight sign_symbol
192 64 128 Train car
128 128 0 Tree tree
192 128 192 Truck_Bus car
64 0 64 Tunnel building
192 192 0 VegetationMisc tree
0 0 0 Void void
64 192 0 Wall building
"""


def image_of(name: str, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).integers(0, 256, (*size, 3)).astype(np.uint8)


def labels_of(name: str) -> np.ndarray:
    return np.random.default_rng(list(name.encode())).integers(0, 12, (24, 32)).astype(np.uint8)


def write_segnet(root: Path) -> Path:
    for split, names in NAMES.items():
        for name in names:
            for folder, pixels in ((split, image_of(name)), (f"{split}annot", labels_of(name))):
                (root / folder).mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(root / folder / f"{name}.png")
    return root


def write_original(root: Path) -> Path:
    colours = np.array([own[-1] for own in COLOURS.values()] + [(0, 0, 0)], np.uint8)
    for folder in ("701_StillsRaw_full", "LabeledApproved_full"):
        (root / folder).mkdir(parents=True)
    for name in (each for names in NAMES.values() for each in names):
        Image.fromarray(image_of(name)).save(root / "701_StillsRaw_full" / f"{name}.png")
        Image.fromarray(colours[labels_of(name)]).save(root / "LabeledApproved_full" / f"{name}_L.png")
    return root


@pytest.mark.parametrize("write", [write_segnet, write_original])
@pytest.mark.parametrize("test", [False, True])
def test_both_releases_give_the_same_pixels_labels_and_splits(write, test: bool, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "camvid"
    convert(write(tmp_path / "release"), out, test)
    for split, names in NAMES.items():
        written = sorted(path.stem for path in (out / "images" / split).glob("*.jpg"))
        assert written == (sorted(names) if test or split != "test" else [])
        for name in written:
            np.testing.assert_array_equal(
                np.asarray(Image.open(out / "images" / split / f"{name}.jpg")), image_of(name)
            )
            labels = np.asarray(Image.open(out / "annotations" / split / f"{name}.png"))
            np.testing.assert_array_equal(labels, np.where(labels_of(name) == 11, 255, labels_of(name)))


def test_each_of_the_32_colours_becomes_its_class() -> None:
    for line in RELEASE.splitlines():
        *colour, _, name = line.split()
        (label,) = class_numbers(np.array([[colour]], np.uint8), "x").ravel()
        assert ("void" if label == 255 else CLASSES[label]) == name
    assert len(RELEASE.splitlines()) == 32 and sum(map(len, COLOURS.values())) == 31


def test_frames_are_split_as_the_tutorials_lists_split_them() -> None:
    assert {name: split_of(name) for names in NAMES.values() for name in names} == {
        name: split for split, names in NAMES.items() for name in names
    }


def test_another_size_keeps_class_numbers(tmp_path: Path) -> None:
    convert(write_original(tmp_path / "release"), tmp_path / "out", size=(16, 12))
    labels = np.asarray(Image.open(tmp_path / "out" / "annotations" / "val" / "0016E5_07959.png"))
    assert labels.shape == (12, 16) and set(np.unique(labels)) <= {*range(11), 255}


def test_a_folder_that_is_no_release_or_lacks_masks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        convert(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="neither the SegNet tutorial's copy"):
        convert(tmp_path / "empty", tmp_path / "out")
    release = write_segnet(tmp_path / "release")
    (release / "valannot" / "0016E5_07959.png").unlink()
    with pytest.raises(DataError, match="1 of 12 images have no mask, for instance 0016E5_07959"):
        convert(release, tmp_path / "out")
    Image.fromarray(np.full((24, 32), 12, np.uint8)).save(release / "valannot" / "0016E5_07959.png")
    with pytest.raises(DataError, match="holds 12"):
        convert(release, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_script_makes_a_set_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = load_script(SCRIPT).main
    arguments = [str(write_segnet(tmp_path / "release")), str(tmp_path / "out")]
    main([*arguments, "--dry-run"])
    assert "val: 2 images (published: 101)" in capsys.readouterr().out and not (tmp_path / "out").exists()
    main(arguments)
    assert "Next: CAMVID_ROOT=" in capsys.readouterr().out
    main(arguments)
    assert "exists already; nothing was changed" in capsys.readouterr().out
