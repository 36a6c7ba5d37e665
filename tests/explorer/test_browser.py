"""The explorer in a browser: Debian's chromium, driven by playwright."""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from davpt_seg.core.guidance.mapping_log import FILE_NAME
from davpt_seg.explorer.collection import Collection
from davpt_seg.explorer.page import write_page

from .fakes import CLASSES, FakeModel
from .images import WRONG, content

playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is missing: apt-get install chromium"),
]
NO_NETWORK = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
OPTIONS = ["--no-sandbox", "--disable-gpu", *NO_NETWORK]
expect = playwright.expect
PATIENCE = 20_000  # milliseconds; the machine may be busy
expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=str(CHROMIUM), args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that asks no other host than this one, and writes no error."""
    context = browser.new_context(viewport=dict(width=1280, height=800))
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    errors: list[str] = []
    context.route("**/*", lambda route: (asked.append(route.request.url), route.continue_())[1])
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []
    assert [url for url in asked if not url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:"))] == []


@contextmanager
def served(models: list[FakeModel], files: list[Path]) -> Iterator[str]:
    """Serve models and images in a thread, and yield the address."""
    pytest.importorskip("gradio", reason="pip install gradio")
    from davpt_seg.explorer.app import build_app
    from davpt_seg.explorer.server import Server, listener

    ready: queue.Queue[str] = queue.Queue()
    server = Server(build_app(Collection(models, files)), listener(None), ready.put)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield ready.get(timeout=60)
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def one(two_images: list[Path]) -> Iterator[str]:
    with served([FakeModel()], two_images) as address:
        yield address


@pytest.fixture(scope="module")
def two(two_images: list[Path]) -> Iterator[str]:
    with served([FakeModel("guided"), FakeModel("plain", guided=False)], two_images) as address:
        yield address


def patch(page: Any, row: int, column: int, panel: int = 0) -> None:
    """Click a patch of the first image, which has 3 x 4 of them."""
    stage = page.locator(".stage").nth(panel)
    expect(stage).to_be_visible()
    box = stage.bounding_box()
    stage.click(position=dict(x=box["width"] * (column + 0.5) / 4, y=box["height"] * (row + 0.5) / 3))


def drop(page: Any, name: str, file: bytes) -> None:
    page.locator("input[type=file]").set_input_files(dict(name=name, mimeType="image/jpeg", buffer=file))


def test_the_first_state_has_an_image_a_guided_block_and_a_patch(page: Any, one: str) -> None:
    page.goto(one)
    expect(page.locator(".card h3").first).to_have_text("Patch: row 1, column 2")
    expect(page.locator("output")).to_have_text("2 of 0 to 2, guided")
    expect(page.locator(".choice[aria-pressed=true]")).to_have_text("one.jpg")
    expect(page.get_by_label("Prediction")).to_be_checked()
    expect(page.locator(".seen .entry")).to_have_text([f"{name} 33.3 %" for name in CLASSES])
    expect(page.locator(".hint")).to_contain_text("Click a patch of the image")
    assert page.evaluate("document.documentElement.scrollWidth <= 1280 && document.documentElement.scrollHeight <= 800")


def test_a_clicked_patch_shows_its_prompts_and_classes(page: Any, one: str) -> None:
    page.goto(one)
    patch(page, 0, 3)  # of block 2: heads 0 and 1 attend to prompts 5 % 4 and 6 % 4 with 0.5 each
    card = page.get_by_role("region", name="selected patch")
    expect(card.locator("h3")).to_have_text("Patch: row 0, column 3")
    expect(card.locator("button.bar")).to_have_text(["prompt 126 %", "prompt 226 %", "prompt 02.5 %", "prompt 32.5 %"])
    expect(card.locator("div.bar").first).to_contain_text("sky80 %")
    page.get_by_role("combobox", name="Head", exact=True).select_option("1")
    expect(card.locator("button.bar").first).to_have_text("prompt 250 %")


def test_a_clicked_prompt_shows_its_patches_and_classes(page: Any, one: str) -> None:
    page.goto(one)
    page.locator(".cell").nth(2).click()
    card = page.get_by_role("region", name="selected prompt")
    expect(card).to_contain_text("Prompt 2")
    expect(card.locator(".entry")).to_have_text(CLASSES[2])
    expect(card).to_contain_text("Nearest patches in 2 images")
    expect(card.locator(".thumb")).to_have_count(8)
    expect(page.locator(".stage")).to_have_attribute("data-view", "attention")
    expect(page.locator(".hint")).to_contain_text("Esc returns to the prediction")
    bright = page.evaluate("""() => {
        const { width, height } = document.querySelector("canvas");
        const { data } = document.querySelector("canvas").getContext("2d").getImageData(0, 0, width, height);
        return Array.from({ length: width * height }, (_, i) => data[4 * i] > 128);
    }""")
    assert bright == [(row + column) % 4 in (0, 3) for row in range(3) for column in range(4)]
    card.locator(".thumb[aria-label^=two]").first.click()
    expect(page.locator(".choice[aria-pressed=true]")).to_have_text("two.png")
    page.keyboard.press("Escape")
    expect(page.locator(".stage")).to_have_attribute("data-view", "prediction")


def test_the_slider_moves_over_blocks_and_names_those_with_prompts(page: Any, one: str) -> None:
    page.goto(one)
    slider = page.get_by_role("slider", name="Block", exact=True)
    expect(slider).to_be_enabled()
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("output")).to_have_text("1 of 0 to 2")
    expect(page.locator(".cell")).to_have_count(4)
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("region", name="selected patch")).to_contain_text(
        "Block 0 of this model has no prompts; blocks with prompts: 1, 2."
    )
    expect(page.locator(".cell:visible")).to_have_count(0)


def test_the_slider_returns_if_a_block_has_a_problem(page: Any, one: str) -> None:
    page.goto(one)
    slider = page.get_by_role("slider", name="Block", exact=True)
    expect(slider).to_be_enabled()
    page.route("**/component_server/**", lambda route: route.fulfill(json=dict(problem="too little memory")))
    slider.focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("alert")).to_have_text("too little memory")
    expect(page.locator("output")).to_have_text("2 of 0 to 2, guided")
    expect(slider).to_have_value("2")


def test_escape_closes_the_history_and_keeps_the_prompt(page: Any, two_images: list[Path], tmp_path: Path) -> None:
    model = FakeModel()
    model.checkpoint = str(tmp_path / "epoch_1.pth")
    clustering = dict(epoch=1, iter=9, seconds=0.1, moved=0, num_prompts=3, prompt_of_class=[2, 0, 1], classes=CLASSES)
    (tmp_path / FILE_NAME).write_text(json.dumps(clustering) + "\n")
    write_page(Collection([model], two_images), tmp_path / "page.html")
    page.goto((tmp_path / "page.html").as_uri())
    page.locator(".cell").nth(2).click()
    page.get_by_role("button", name="Classes of prompts over training").click()
    expect(page.locator("dialog td")).to_have_text(["2", "0", "1"])
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".stage")).to_have_attribute("data-view", "attention")


def test_all_is_reached_by_the_keyboard(page: Any, one: str) -> None:
    page.goto(one)
    expect(page.locator(".stage")).to_be_visible()
    page.locator(".stage").focus()
    for key in ("ArrowUp", "ArrowUp", "ArrowLeft"):  # the image has no row above the first
        page.keyboard.press(key)
    expect(page.locator(".card h3").first).to_have_text("Patch: row 0, column 1")
    page.keyboard.press("Tab")
    expect(page.locator(".cell").first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".cell").nth(1)).to_be_focused()
    expect(page.get_by_role("region", name="selected prompt")).to_contain_text("Prompt 1")
    page.keyboard.press("Tab")
    expect(page.get_by_role("region", name="selected patch").locator(".term").first).to_be_focused()


@pytest.mark.parametrize(("name", "file", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_answered_in_the_page(page: Any, one: str, name: str, file: bytes, message: str) -> None:
    page.goto(one)
    expect(page.locator(".cell")).to_have_count(4)
    drop(page, name, file)
    expect(page.get_by_role("alert")).to_contain_text(message)
    patch(page, 2, 0)
    expect(page.locator(".card h3").first).to_have_text("Patch: row 2, column 0")


def test_a_large_image_does_not_freeze_the_page(page: Any, two_images: list[Path]) -> None:
    model = FakeModel()
    with served([model], two_images) as address:
        page.goto(address)
        expect(page.locator(".cell")).to_have_count(4)
        model.gate.clear()  # the model does not end before the next click is answered
        drop(page, "large.jpg", content(4000, 3000))
        expect(page.locator(".hint")).to_have_text("Reading large.jpg ...")
        patch(page, 2, 1)
        expect(page.locator(".card h3").first).to_have_text("Patch: row 2, column 1")
        expect(page.locator(".choice")).to_have_count(2)
        model.gate.set()
        expect(page.locator(".choice[aria-pressed=true]")).to_have_text("large.jpg")
        patch(page, 1, 1)  # of 48 x 64 patches now
        expect(page.locator(".card h3").first).to_have_text(re.compile(r"Patch: row 2[34], column 2[34]"))


def test_two_models_show_the_same_patch_of_the_same_block(page: Any, two: str) -> None:
    page.goto(two)
    patch(page, 0, 1, panel=1)
    expect(page.locator(".patch h3")).to_have_text(["Patch: row 0, column 1"] * 2)
    page.locator(".panel").nth(1).locator(".cell").nth(2).click()
    expect(page.locator(".cell[aria-pressed=true]")).to_have_text(["0", "2"])  # the other model's strongest
    expect(page.get_by_role("region", name="selected prompt").nth(0)).to_contain_text("Assigned classes")
    expect(page.get_by_role("region", name="selected prompt").nth(1)).not_to_contain_text("Assigned classes")


def test_a_page_without_images_says_what_to_do(page: Any) -> None:
    with served([FakeModel()], []) as address:
        page.goto(address)
        expect(page.locator(".hint")).to_have_text("Open an image, or drop one on the page.")
        drop(page, "first.png", content(64, 48, "PNG"))
        expect(page.locator(".cell")).to_have_count(4)


def test_a_written_page_works_without_a_server(page: Any, tmp_path: Path, two_images: list[Path]) -> None:
    write_page(Collection([FakeModel("guided"), FakeModel("plain", guided=False)], two_images), tmp_path / "page.html")
    page.context.set_offline(True)
    page.goto((tmp_path / "page.html").as_uri())
    patch(page, 0, 3)
    expect(page.locator(".patch h3")).to_have_text(["Patch: row 0, column 3"] * 2)
    page.locator(".cell").nth(1).click()
    card = page.get_by_role("region", name="selected prompt").first
    expect(card).to_contain_text("Nearest patches in 2 images")
    expect(card.locator(".thumb")).to_have_count(8)
    expect(page.locator("label", has_text="Head")).to_be_hidden()
    expect(page.locator(".drop")).to_have_count(0)


def test_a_classifier_and_a_model_without_prompts_have_a_page(
    page: Any, tmp_path: Path, two_images: list[Path]
) -> None:
    bare = FakeModel("bare", guided=False)
    bare.prompts = (0, 0, 0)
    models = [FakeModel("classifier", task="classification"), bare]
    write_page(Collection(models, two_images), tmp_path / "page.html")
    page.goto((tmp_path / "page.html").as_uri())
    classifier, other = (page.locator(".patch").nth(i) for i in range(2))
    expect(classifier).to_contain_text("Classes of the image")
    expect(classifier.locator("div.bar")).to_have_text(["road70 %", "</script><b>tree20 %", "sky10 %"])
    expect(other).to_contain_text("Block 2 of this model has no prompts, and no other block has any.")
    page.locator(".cell").nth(2).click()
    expect(page.locator(".stage").nth(0)).to_have_attribute("data-view", "attention")
    expect(page.locator(".stage").nth(1)).to_have_attribute("data-view", "image")
