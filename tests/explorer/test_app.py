"""Gradio app of the explorer, its server, and the command."""

from __future__ import annotations

import base64
import importlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from davpt_seg.cli import main
from davpt_seg.errors import InputError
from davpt_seg.explorer.collection import Collection

from .fakes import FakeModel
from .images import WRONG, content

pytest.importorskip("gradio", reason="pip install gradio")
server = importlib.import_module("davpt_seg.explorer.server")
HOST, listener = server.HOST, server.listener


@pytest.fixture(scope="module")
def client(two_images: list[Path]) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from davpt_seg.explorer.app import build_app

    app = build_app(Collection([FakeModel(), FakeModel("other")], two_images))
    with TestClient(app, base_url=f"http://{HOST}:7860") as made:
        yield made


def ask(client: Any, name: str, /, **question: Any) -> Any:
    """Ask as Gradio's page does."""
    config = client.get("/config").json()
    (component,) = (each["id"] for each in config["components"] if name in each["props"].get("server_fns", []))
    body = dict(session_hash="test", component_id=component, fn_name=name, data=question)
    response = client.post("/gradio_api/component_server/", json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_served_page_names_no_other_host(client: Any) -> None:
    response = client.get("/", headers={"accept-encoding": "br, gzip"})
    assert "content-encoding" not in response.headers
    hosts = set(re.findall(r"https?://([\w.:-]+)", response.text))
    assert hosts <= {f"{HOST}:7860"}
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert "new Explorer(" in response.text


def test_only_names_of_this_machine_and_its_own_page_are_answered(client: Any) -> None:
    assert client.get("/", headers=dict(host="other.example:7860")).status_code == 400
    assert client.get("/", headers=dict(host="localhost:8000")).status_code == 200  # a forwarded port
    own = client.get("/config", headers=dict(origin="http://localhost:8000", host="localhost:8000"))
    assert own.status_code == 200


@pytest.mark.parametrize("origin", ["http://other.example", "http://127.0.0.1:8888", "null"])
def test_requests_of_other_sites_are_refused(client: Any, origin: str) -> None:
    headers = dict(origin=origin)
    upload = client.post("/gradio_api/upload", files=dict(files=("a.png", b"a")), headers=headers)
    (component,) = (
        each["id"] for each in client.get("/config").json()["components"] if each["props"].get("server_fns")
    )
    body = dict(session_hash="test", component_id=component, fn_name="describe", data={})
    asked = client.post("/gradio_api/component_server/", json=body, headers=headers)
    for response in (upload, asked, client.get("/config", headers=headers)):
        assert response.status_code == 403 and "access-control-allow-origin" not in response.headers


def test_the_theme_has_fonts_of_this_machine(client: Any) -> None:
    assert not re.search(r"https?://|@import", client.get("/theme.css").text.replace("http://www.w3.org/2000/svg", ""))


def test_the_app_answers_every_question_of_the_page(client: Any) -> None:
    assert len(ask(client, "describe")["models"]) == 2
    assert ask(client, "look", model=0, image=1)["width"] == 32
    assert ask(client, "attention", model=1, image=0, block=2)["planes"] == 2
    assert ask(client, "attention", model=1, image=0, block=0) is None
    assert ask(client, "nearest", model=0, image=0, block=2, prompt=1, head=None)["images"] == 2


@pytest.mark.parametrize(("name", "file", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_answered_by_a_paragraph(client: Any, name: str, file: bytes, message: str) -> None:
    answer = ask(client, "add", name=name, content=base64.b64encode(file).decode())
    assert list(answer) == ["problem"] and message in answer["problem"]


def test_a_file_that_arrives_damaged_is_answered_too(client: Any) -> None:
    assert "drop it again" in ask(client, "add", name="a.png", content="#")["problem"]


def test_a_dropped_image_is_the_last(client: Any) -> None:
    answer = ask(client, "add", name="new.png", content=base64.b64encode(content(48, 32, "PNG")).decode())
    assert answer["images"][answer["index"]]["name"] == "new.png" == answer["images"][-1]["name"]


def test_a_port_in_use_is_refused_with_a_free_one() -> None:
    with listener(None) as used:
        assert used.getsockname()[0] == "127.0.0.1"
        port = used.getsockname()[1]
        with pytest.raises(InputError, match=rf"--port {port} cannot be used \(address already in use\); ") as refused:
            listener(port)
    free = int(str(refused.value).rpartition(" ")[2])
    with listener(free) as made:
        assert made.getsockname()[1] == free != port


def test_an_impossible_port_is_refused() -> None:
    with pytest.raises(InputError, match="ports are 0 to 65535"):
        listener(70000)


SERVED = """
import sys
from davpt_seg.explorer.app import build_app
from davpt_seg.explorer.collection import Collection
from davpt_seg.explorer.server import Server, listener
from davpt_seg.terminal.ending import command
from tests.explorer.fakes import FakeModel

@command
def main(argv):
    with listener(None) as made:
        app = build_app(Collection([FakeModel()], []))
        Server(app, made, lambda address: print(address, flush=True)).serve_forever()

main([])
"""


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_one_line() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    address = process.stdout.readline()
    port = int(address.strip().strip("/").rpartition(":")[2])
    with socket.create_connection((HOST, port), timeout=30):
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (130, "", "Interrupted.\n")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["explore", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_wrong_arguments_are_refused_before_anything_is_opened(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    two_images: list[Path],
) -> None:
    image = str(two_images[0])
    assert "no CHECKPOINT among" in refused(capsys, image)
    assert "room for 2 side by side" in refused(capsys, "a.pth", "b.pth", "c.pth")
    assert "a checkpoint contains its config" in refused(capsys, "a.pth", "config.py")
    assert "--blocks chooses what --html writes" in refused(capsys, "a.pth", image, "--blocks", "1")
    assert "omit one of them" in refused(capsys, "a.pth", image, "--html", "a.html", "--port", "7860")
    before = Path(image).read_bytes()
    assert "end it with .html" in refused(capsys, "a.pth", image, "--html", image)
    assert Path(image).read_bytes() == before
    (tmp_path / "last_checkpoint").write_text("work/epoch_3.pth")
    assert "such as work/epoch_3.pth" in refused(capsys, str(tmp_path))


def test_the_help_names_models_before_images(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explore", "--help"])
    assert "CHECKPOINT [CHECKPOINT] [IMAGE ...]" in " ".join(capsys.readouterr().out.split())


def test_wrong_files_are_refused_before_a_page_is_served(
    capsys: pytest.CaptureFixture[str],
    two_images: list[Path],
) -> None:
    assert "missing.pth" in refused(capsys, "missing.pth", str(two_images[0]))
    assert "'missing.jpg' does not exist" in refused(capsys, "missing.pth", "missing.jpg")
