"""The report on a hand-made history of three clusterings: its table, its sentences, its picture."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from skimage import color

from davpt_seg.commands.mapping import main_mapping
from davpt_seg.core.guidance.mapping_log import Clustering, MappingLog
from davpt_seg.visualization.class_mapping import mapping_picture

CLASSES = ["cat", "sky", "dog", "cloud", "car"]
HISTORY = [  # (iter, epoch, seconds, moved, prompts of the classes)
    (0, 0, 0.030, 3, [0, 1, 2, 1, 2]),
    (50, 1, 0.010, 1, [0, 1, 0, 1, 2]),
    (100, 2, 0.020, 2, [0, 2, 0, 1, 1]),
]


def history(prompts: int = 4, by_epoch: bool = True) -> list[Clustering]:
    return [
        Clustering(iteration, epoch if by_epoch else None, seconds, moved, prompts, own, CLASSES)
        for iteration, epoch, seconds, moved, own in HISTORY
    ]


def write(folder: Path, clusterings: list[Clustering]) -> None:
    folder.mkdir(exist_ok=True)
    log = MappingLog(folder / "mapping.jsonl", 0)
    for clustering in clusterings:
        log.write(clustering)


def test_the_report_tells_groups_moves_and_cost(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, history())
    main_mapping([str(tmp_path)])
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed.splitlines() if line.startswith("|")]
    assert rows[0] == ["prompt", "before training", "after epoch 2"]
    assert rows[2:] == [
        ["0", "cat", "cat, dog"],
        ["1", "sky, cloud", "cloud, car"],
        ["2", "dog, car", "sky"],
        ["3", "(no class)", "(no class)"],
    ]
    arrow = "\N{RIGHTWARDS ARROW}"
    assert f"Moved since the start: 3 of 5 classes. sky (1 {arrow} 2); dog (2 {arrow} 0); car (2 {arrow} 1)" in printed
    assert "Moved at each of 2 later clusterings: 1 2" in printed
    assert "0.060 s together, 0.0200 s on average, 0.0300 s at most" in printed
    assert (tmp_path / "mapping.png").stat().st_size > 5_000


NAMES = ["a $x^2$ b $\\frac{1", "[red]x[/red] :car:", "<b>x</b> | y", "two\nlines\x1b[31m", "n" * 5000]


def test_markup_in_names_of_classes_is_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [each._replace(classes=NAMES) for each in history()])
    main_mapping([str(tmp_path)])
    printed = capsys.readouterr().out
    for shown in (
        "a $x^2$ b $\\frac{1",
        "[red]x[/red] :car:",
        "<b>x</b> \\| y",
        "two\\nlines\\x1b[31m",
        f"{'n' * 57}...",
    ):
        assert shown in printed
    assert "\x1b" not in printed
    assert "n" * 58 not in printed
    assert (tmp_path / "mapping.png").stat().st_size > 5_000


def test_many_classes_and_clusterings_are_reported_in_seconds(tmp_path: Path) -> None:
    names = [f"class {i}" for i in range(3000)]
    many = [Clustering(t, t, 0.1, 5, 3000, list(range(3000)), names) for t in range(50)]
    write(tmp_path, many)
    start = time.monotonic()
    main_mapping([str(tmp_path)])
    assert time.monotonic() - start < 20


def test_the_picture_shows_the_prompt_of_each_class_and_the_time(tmp_path: Path) -> None:
    strip, cost = mapping_picture(history()).axes
    names = [label.get_text() for label in strip.get_yticklabels()]
    assert names == ["cat", "dog", "cloud", "car", "sky"]  # by their last prompts, then by their first ones
    shown = np.asarray(strip.get_images()[0].get_array())
    for name, row in zip(names, shown):
        assert row.tolist() == [prompts[CLASSES.index(name)] for *_, prompts in HISTORY]
    numbers = {(text.get_position(), text.get_text()) for text in strip.texts}
    at_start = {((0, row), str(shown[row, 0])) for row in range(5)}
    assert numbers == at_start | {((1, names.index("dog")), "0"), ((2, names.index("sky")), "2"), ((2, 3), "1")}
    assert [bar.get_height() for bar in cost.patches] == pytest.approx([30, 10, 20])
    assert [label.get_text() for label in cost.get_xticklabels()] == ["0", "1", "2"]


def colours(prompts: int) -> np.ndarray:
    image = mapping_picture(history(prompts)).axes[0].get_images()[0]
    return image.to_rgba(np.arange(prompts)[None])[0, :, :3]


def test_twenty_prompts_have_colours_that_can_be_told_apart() -> None:
    lab = color.rgb2lab(colours(20)[None])[0]
    distances = color.deltaE_ciede2000(lab[:, None], lab[None])
    assert distances[~np.eye(20, dtype=bool)].min() > 15  # 1 is just noticeable


def test_of_more_prompts_neighbours_differ_and_none_changes_its_colour() -> None:
    many = colours(50)
    assert (np.abs(np.diff(many, axis=0)).max(axis=1) > 0.2).all()
    assert np.array_equal(many[:20], colours(20))


def test_numbers_are_legible_on_every_colour() -> None:
    figure = mapping_picture(
        [each._replace(prompt_of_class=[*range(20)], classes=[*"abcdefghijklmnopqrst"]) for each in history(20)]
    )
    for text in figure.axes[0].texts:
        background = colours(20)[int(text.get_text())]
        assert abs(luminance(background) - luminance(np.array(to_rgb(text.get_color())))) > 0.2


def luminance(rgb: np.ndarray) -> float:
    return float(rgb @ [0.299, 0.587, 0.114])


def test_the_title_says_what_is_drawn() -> None:
    figure = mapping_picture(history())
    assert figure.get_suptitle() == "Which prompt each class uses during training"


def test_iteration_based_training_is_counted_in_iterations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, history(by_epoch=False))
    main_mapping([str(tmp_path), "--out", str(tmp_path / "new" / "own.png")])
    assert "after iteration 100" in capsys.readouterr().out
    assert (tmp_path / "new" / "own.png").is_file()
    cost = mapping_picture(history(by_epoch=False)).axes[1]
    assert [label.get_text() for label in cost.get_xticklabels()] == ["0", "50", "100"]


def test_many_classes_and_clusterings_are_drawn_without_names_and_numbers(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    names = [f"bird {c}" for c in range(555)]
    many = [Clustering(t, t, 0.1, 5, 40, generator.integers(0, 40, 555).tolist(), names) for t in range(100)]
    strip, cost = mapping_picture(many).axes
    assert not strip.texts and not strip.get_yticks().size
    assert len(cost.get_xticks()) == 20


def test_an_unknown_kind_of_picture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, history())
    with pytest.raises(SystemExit, match="2"):
        main_mapping([str(tmp_path), "--out", str(tmp_path / "own.xyz")])
    assert "own.xyz: Format 'xyz' is not supported" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("nowhere", "nowhere is no folder; give the --work-dir of a training"),
        (".", "below it, these have one: .*run"),
        ("empty", "mapping.jsonl does not exist. Classes are clustered if they outnumber the prompts"),
        ("begun", "is empty: classes were not clustered"),
        ("broken", "line 1, is no clustering"),
    ],
)
def test_a_folder_without_clusterings_is_explained(
    folder: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "run", history())
    for name, text in (("empty", None), ("begun", ""), ("broken", "{}\n")):
        (tmp_path / name).mkdir()
        if text is not None:
            (tmp_path / name / "mapping.jsonl").write_text(text)
    with pytest.raises(SystemExit):
        main_mapping([str(tmp_path / folder)])
    printed = " ".join(capsys.readouterr().err.split())
    assert re.search(told, printed), printed
