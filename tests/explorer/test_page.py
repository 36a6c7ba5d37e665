"""Self-contained page of the explorer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from davpt_seg.errors import InputError
from davpt_seg.explorer.assets import SCRIPTS
from davpt_seg.explorer.collection import Collection
from davpt_seg.explorer.page import write_page

from .fakes import CLASSES, FakeModel

STORED = re.compile(r'<script type="application/json" id="stored">(.*?)</script>', re.DOTALL)


def test_a_page_holds_all_and_names_no_host(tmp_path: Path, two_images: list[Path]) -> None:
    file = tmp_path / "new" / "page.html"
    size = write_page(Collection([FakeModel(), FakeModel("other")], two_images), file)
    text = file.read_text()
    assert size == file.stat().st_size
    assert not re.search(r"https?:|//\w|@import|url\((?!\$)", STORED.sub("", text))
    assert text.count("</script>") == 2  # a class of the fake has this in its name
    (stored,) = (json.loads(found) for found in STORED.findall(text))
    assert stored["models"][0]["classes"] == CLASSES
    assert stored["blocks"] == [1, 2]
    assert [sorted(blocks) for model in stored["attention"] for blocks in model] == [["1", "2"]] * 4
    assert stored["attention"][0][0]["2"]["planes"] == 1


def test_chosen_blocks_are_those_of_the_page(tmp_path: Path, two_images: list[Path]) -> None:
    write_page(Collection([FakeModel()], two_images), tmp_path / "page.html", [1, 0, 1])
    (stored,) = (json.loads(found) for found in STORED.findall((tmp_path / "page.html").read_text()))
    assert stored["blocks"] == [0, 1] and stored["models"][0]["start"] == 1
    assert stored["attention"][0][0]["0"] is None


def test_a_page_of_two_large_photographs_is_below_5_mb(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3), np.uint8)
    for name in ("a.png", "b.png"):
        Image.fromarray(noise).resize((1024, 768), Image.Resampling.BICUBIC).save(tmp_path / name)
    models = [FakeModel(most=518), FakeModel("other", most=518)]
    assert write_page(Collection(models, [tmp_path / "a.png", tmp_path / "b.png"]), tmp_path / "page.html") < 5e6


def test_wrong_choices_write_no_page(tmp_path: Path, two_images: list[Path]) -> None:
    with pytest.raises(InputError, match=r"--blocks 3: the blocks are 0 to 2, those with prompts \[1, 2\]"):
        write_page(Collection([FakeModel()], two_images), tmp_path / "page.html", [3])
    with pytest.raises(InputError, match="needs the images"):
        write_page(Collection([FakeModel()], []), tmp_path / "page.html")
    assert not list(tmp_path.iterdir())


def test_every_script_is_in_the_page() -> None:
    from davpt_seg import explorer

    static = Path(explorer.__file__).parent / "static"
    assert {path.stem for path in static.glob("*.js")} == set(SCRIPTS)
