"""Adapters on the Hugging Face hub, by its HTTP interface: uploaded, downloaded, and read from the cache."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from davpt_seg.core import save_adapter
from davpt_seg.core.adapter_folder.hub import HubPlace
from davpt_seg.core.adapter_folder.places import CARD, CONFIG, FIGURE, TENSORS
from davpt_seg.errors import InputError

from .hub_server import COMMIT, TOKEN, Hub, running_hub
from .test_adapter_folder import images, on, outputs, weights  # noqa: F401  (a fixture)

pytest.importorskip("huggingface_hub")

PRELUDE = """
import os, sys, torch
torch.set_num_threads(1)
from davpt_seg.core import load_adapter
from davpt_seg.core.adapter_folder.hub import push
from davpt_seg.errors import InputError
folder, weights = sys.argv[1:]
def refusal(act):
    try:
        act()
    except InputError as error:
        return print(str(error).replace(chr(10), ' '))
    print('not refused')
def load(name='hub:ada/street', trunk=weights):
    model = load_adapter(name, trunk=trunk)
    print(float(model(torch.load(os.path.join(os.path.dirname(folder), 'images.pth'))).class_token.double().sum()))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with running_hub() as found:
        yield found


@pytest.fixture(scope="module")
def folder(weights: str, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """An adapter, with a figure beside it."""
    made = save_adapter(on(weights, prompts=dict(num_prompts=3)), tmp_path_factory.mktemp("adapter") / "folder")
    (made / FIGURE).write_bytes(b"\x89PNG")
    torch.save(images(), made.parent / "images.pth")
    return made


def run(hub: Hub, folder: Path, weights: str, code: str, **environment: str) -> list[str]:  # noqa: F811
    """Run code in a process whose hub is the stand-in; return the lines that it printed."""
    home = str(folder.parent / "home")
    own = dict(HF_ENDPOINT=hub.address, HF_HOME=home, HF_TOKEN=TOKEN, HF_HUB_DISABLE_XET="1") | environment
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(folder), weights],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", **own},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_a_folder_is_uploaded_downloaded_and_read_from_the_cache(hub: Hub, folder: Path, weights: str) -> None:  # noqa: F811
    expected = float(outputs(on(weights, prompts=dict(num_prompts=3)))[1].double().sum())
    code = f"""
print(push(folder, 'ada/street'))
load()
load('hub:ada/street@{COMMIT}')
refusal(lambda: load('hub:ada/nothing'))
refusal(lambda: load('hub:ada/street@other'))
refusal(lambda: load(trunk=None))
open(os.path.join(folder, 'secret.txt'), 'w').close()
push(folder, 'ada/other')
"""
    said = run(hub, folder, weights, code)
    assert said[0] == "hub:ada/street"
    assert [float(line) for line in said[1:3]] == [expected, expected]
    assert said[3].startswith("adapter 'hub:ada/nothing': the hub has no adapter_config.json for you:")
    assert said[4].startswith("adapter 'hub:ada/street@other': the hub has no adapter_config.json for you:")
    assert "needs the weights of the file 'vit.pth'" in said[5] and "give trunk=FILE" in said[5]
    for repository in ("ada/street", "ada/other"):
        assert set(hub.files[repository]) == {CONFIG, TENSORS, CARD, FIGURE}
        assert all(hub.files[repository][name] == (folder / name).read_bytes() for name in hub.files[repository])
    read = {path.rpartition("/")[2] for path in hub.asked if path.startswith(("GET", "HEAD"))}
    assert read == {CONFIG, TENSORS}

    hub.sizes[TENSORS] = 2**40
    asked = len(hub.asked)
    said = run(hub, folder, weights, "refusal(load)")
    assert said == [f"adapter 'hub:ada/street': {TENSORS} has {2**40:,} bytes, and at most {2**33:,} are read"]
    assert not any(path.startswith("GET") and TENSORS in path for path in hub.asked[asked:])
    del hub.sizes[TENSORS]

    offline = "load(); refusal(lambda: load('hub:ada/other')); refusal(lambda: push(folder, 'ada/third'))"
    said = run(hub, folder, weights, offline, HF_HUB_OFFLINE="1")
    assert float(said[0]) == expected
    assert "is not in the Hugging Face cache, and the hub cannot be reached" in said[1]
    assert said[2].startswith("adapter 'hub:ada/third': the hub cannot be reached: ")

    at_once = "import time; time.sleep = lambda _: sys.exit('waits'); load(); refusal(lambda: load('hub:ada/new'))"
    said = run(hub, folder, weights, at_once, HF_ENDPOINT="http://127.0.0.1:1")
    assert float(said[0]) == expected
    assert "is not in the Hugging Face cache, and the hub cannot be reached" in said[1]


@pytest.mark.parametrize(
    "name", ["hub:", "hub:street", "hub:a/b/c", "hub:../x", "hub:a/..", "hub:a/b@../c", "hub:a b/c"]
)
def test_what_names_no_repository_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="must be hub:USER/NAME, or hub:USER/NAME@REVISION"):
        HubPlace(name)
