"""What a plan lacks is reported before its first run, all of it at once; and no run trains on the CPU unasked."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from PIL import Image

from davpt_seg.benchmark import command, hub, preflight
from davpt_seg.benchmark.command import main_benchmark
from davpt_seg.benchmark.run import devices
from davpt_seg.benchmark.run.devices import check_gpus, gpu_count, gpu_names
from davpt_seg.errors import InputError

from ..recognition import write_vtab
from ..scenes import write_camvid


@pytest.fixture
def vtab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = write_vtab(tmp_path / "vtab", "dmlab")
    monkeypatch.setenv("VTAB_ROOT", str(root))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.chdir(tmp_path)  # where no checkpoints lie
    monkeypatch.setattr(preflight, "hub_problem", lambda name: None)
    return root


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit, match="2"):
        main_benchmark([*arguments, "--work-dir", "w"])
    assert not Path("w").exists()  # nothing was started or written
    return capsys.readouterr().err.partition("error: ")[2]


def what(task: str = "vtab/dmlab", trunk: str = "vitb_in21k", method: str = "linear") -> tuple[str, ...]:
    return ("--tasks", task, "--trunks", trunk, "--methods", method)


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in packages else find(name, *rest)
    )


def fits(*arguments: str) -> bool:
    return main_benchmark([*arguments, "--work-dir", "w", "--dry-run"]) == 0


def test_a_plan_that_lacks_nothing_passes(vtab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fits(*what())
    assert capsys.readouterr().out.endswith(" left\n")


def test_a_check_of_many_runs_composes_each_value_once_and_reads_each_part_once(
    vtab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from davpt_seg.experiments import compose

    composed: list[str] = []
    read: list[str] = []
    of_words, fromfile = compose.compose_from_words, Config.fromfile
    monkeypatch.setattr(compose, "compose_from_words", lambda words: composed.append(words) or of_words(words))
    monkeypatch.setattr(Config, "fromfile", lambda path: read.append(str(path)) or fromfile(path))
    values = ",".join(f"{n}e-4" for n in range(1, 21))
    arguments = (*what(), "bias", "--seeds", "100", "--grid", f"lr={values}", f"weight_decay={values}")
    assert fits(*arguments)  # 1000 runs
    assert len(composed) == len(set(composed)) == 2 * (1 + 19 + 19) + 1  # and a final run of the task
    assert len(read) == len(set(read)) == 4 + 2  # data, trunk, schedule, runtime; methods


@pytest.mark.parametrize("dry", [True, False], ids=["dry", "real"])
def test_all_that_is_missing_is_said_in_one_message(
    dry: bool, vtab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "optuna", "matplotlib")
    monkeypatch.setenv("FGVC_ROOT", "/no/fgvc")
    arguments = ("--tasks", "vtab/dmlab", "fgvc/cub", "--trunks", "vitb_mocov3", "--methods", "lora", "linear")
    tpe = ("--grid", "lr=1e-4:1e-2", "--sampler", "tpe", "--trials", "2")
    told = refusal(capsys, *arguments, *tpe, "--gpus", "7", *(["--dry-run"] if dry else []))
    for part in (
        "problems would stop runs of this plan",
        "package optuna is missing, the search by TPE needs it: pip install 'optuna>=4' 'pydantic>=2'",
        "package matplotlib is missing, tables and figures need it",
        "no data of fgvc/cub (/no/fgvc/CUB_200_2011). Set FGVC_ROOT to their folder",
        "vtab/dmlab/vitb_mocov3/lora and 3 more: model.backbone.weights: file",
        "--gpus 7: torch finds no GPU 7 on this host, and a run would train on the CPU",
    ):
        assert part in told, part
    assert told.count("\n  - ") == 5


@pytest.mark.parametrize("split", ["train800", "val200", "train800val200", "test"])
def test_the_list_of_each_split_is_looked_for_and_its_images_too(
    split: str, vtab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """train800val200 and test are read by final runs alone, after the whole search."""
    listed = (vtab / "dmlab" / f"{split}.txt").read_text()
    (vtab / "dmlab" / f"{split}.txt").unlink()
    assert f"{split}.txt" in refusal(capsys, *what(), "--dry-run")
    (vtab / "dmlab" / f"{split}.txt").write_text("images/none.jpg 0\n" + listed)
    told = refusal(capsys, *what())
    assert "images are missing" in told and "none.jpg" in told and "VTAB_ROOT" in told


def test_segmentation_images_without_masks_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_camvid(tmp_path / "camvid")
    monkeypatch.setenv("CAMVID_ROOT", str(root))
    monkeypatch.chdir(tmp_path)
    arguments = (*what("camvid_crop112", "vits14"), "--set", "head=linear", "--dry-run")
    told = refusal(capsys, *arguments)
    assert "model.backbone.weights" in told and "camvid_crop112/vits14/linear:" in told
    (root / "annotations" / "val" / "0000.png").unlink()  # which final runs alone read
    assert "1 of 2 masks are missing" in refusal(capsys, *arguments)
    for name in ("0000.png", "0001.png"):
        Image.new("L", (64, 48), 255).save(root / "annotations" / "val" / name)
    assert "none of 2 masks holds a class" in refusal(capsys, *arguments)


def test_another_number_of_classes_than_the_data_have_is_named(vtab: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "model.head.num_classes is 7" in refusal(capsys, *what(), "--grid", "model.head.num_classes=6,7")


def test_what_a_plan_says_about_its_data_counts_before_the_first_run_too(
    vtab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = vtab / "dmlab" / "images"
    (folder / ".trash").mkdir()
    lines = (vtab / "dmlab" / "test.txt").read_text().splitlines()
    name = lines[0].split()[0]
    (vtab / "dmlab" / name).rename(folder / ".trash" / "copy.jpg")
    (vtab / "dmlab" / "test.txt").write_text("\n".join(["images/.trash/copy.jpg 0", *lines[1:]]))
    assert "data_check.files=warn" in refusal(capsys, *what())
    plan = dict(tasks=["vtab/dmlab"], trunks=["vitb_in21k"], methods=["linear"])
    for value, passes in (("warn", True), ("no", False)):
        Path("plan.yaml").write_text(yaml.safe_dump({**plan, "cfg_options": [f"data_check.files={value}"]}))
        if passes:
            assert fits("plan.yaml")
        else:
            assert "data_check.files must be one of refuse, warn; got 'no'" in refusal(capsys, "plan.yaml")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((*what(trunk="vitb_mea"),), "did you mean"),
        ((*what(), "--set", "prompts=4"), "method linear on vtab/dmlab with schedule davpt_100e has no prompts"),
        ((*what(), "--grid", "lr=1e-3,1e-2", "model.hed.x=1"), "model has no 'hed'"),
        ((*what(), "--grid", "batch_size=32,64,0"), "batch_size=0"),  # the third trial's
        ((*what(), "--grid", "lr=-1:-0.5", "--sampler", "tpe", "--trials", "2"), "low must be less than high"),
    ],
)
def test_what_cannot_be_composed_is_refused_before_anything_is_started(
    arguments: tuple[str, ...], told: str, vtab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told in refusal(capsys, *arguments)


def test_a_report_says_what_it_needs(
    vtab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hide(monkeypatch, "matplotlib")
    assert "pip install matplotlib" in refusal(capsys, *what(), "--report")


def test_weights_that_cannot_be_downloaded_are_said_once_before_the_first_run(
    vtab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan reaches its second trunk when all runs of the first are over."""
    monkeypatch.setattr(preflight, "hub_problem", hub.hub_problem)
    monkeypatch.setattr(hub, "refusal", lambda url: "no network" if "mae" in url else None)
    arguments = ("--tasks", "vtab/dmlab", "--trunks", "vitb_in21k", "vitb_mae", "--methods", "linear", "bias")
    told = refusal(capsys, *arguments, "--dry-run")
    assert told.startswith("vtab/dmlab/vitb_mae/linear: timm's weights of 'vit_base_patch16_224.mae' are not in the")
    assert "cannot be downloaded (no network)" in told and "model.backbone.weights=PATH" in told


def test_weights_are_looked_for_in_the_cache_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def found(repository: str, file: str) -> str:
        assert repository == "timm/vit_base_patch16_224.mae"
        return "/cache/model.safetensors"

    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", found)
    monkeypatch.setattr(hub, "refusal", lambda url: pytest.fail("asked the network"))
    assert hub.hub_problem("vit_base_patch16_224.mae") is None
    assert hub.hub_problem("vit_no_such_thing") is None  # which timm refuses


class Hub(BaseHTTPRequestHandler):
    """A hub that has one file, for those with a token."""

    def do_HEAD(self) -> None:
        there = self.path == "/there" and self.headers["authorization"] == "Bearer hf_secret"
        self.send_response(200 if there else 404)
        for header, value in dict(ETag='"a"', **{"X-Repo-Commit": "b"}).items() if there else ():
            self.send_header(header, value)
        self.send_header("Content-Length", "5")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_server_is_asked_for_a_file_as_a_download_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    told = hub.refusal("http://127.0.0.1:9/model.safetensors")
    assert told is not None and "refused" in told
    with HTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert hub.refusal(f"{address}/there") is None
        assert "404" in (hub.refusal(f"{address}/nowhere") or "")
        server.shutdown()


def test_weights_in_the_older_file_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repository, file: None)
    monkeypatch.setattr(hub, "refusal", lambda url: None if url.endswith("pytorch_model.bin") else "404")
    assert hub.hub_problem("vit_base_patch16_224.mae") is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="this host has GPUs")
def test_runs_that_no_option_gives_a_gpu_train_on_the_cpu_and_the_command_says_so(
    vtab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_run", lambda *arguments: 0)
    assert main_benchmark([*what(), "--work-dir", "w"]) == 0
    assert capsys.readouterr().out == "torch finds no GPU on this host: runs train on the CPU.\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this host has GPUs")
def test_a_run_is_not_moved_to_the_cpu_without_a_word(
    vtab: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gpu_count(["0"]) == 0
    told = refusal(capsys, *what(), "--gpus", "0,1")
    assert told.startswith("--gpus 0,1: torch finds no GPU 0 on this host, and a run would train on the CPU")
    assert "use --jobs" in told
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")  # as slurm sets it
    assert "CUDA_VISIBLE_DEVICES 0: torch finds no GPU 0" in refusal(capsys, *what())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert fits(*what())


@pytest.mark.parametrize(
    ("names", "visible", "there", "told"),
    [
        (["0", "1"], None, ["0", "1"], ""),
        (["0", "0", "1", "1"], None, ["0", "1"], ""),
        (["0", "1"], None, ["0"], "--gpus 0,1: torch finds no GPU 1"),
        (["4"], "4,5", ["4", "5"], ""),
        (["0"], "4,5", ["0", "4", "5"], "CUDA_VISIBLE_DEVICES='4,5' hides GPU 0"),
        (["0"], "", ["0"], "CUDA_VISIBLE_DEVICES='' hides GPU 0"),
        ([], "4,5", ["4", "5"], ""),
        ([], "4,5", ["4"], "CUDA_VISIBLE_DEVICES 4,5: torch finds no GPU 5"),
        ([], "", [], ""),
        ([], None, [], ""),
    ],
)
def test_gpus_are_those_of_the_host_that_this_process_may_see(
    names: list[str], visible: str, there: list[str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def count(asked: Sequence[str]) -> int:
        assert len(set(asked)) == len(asked)  # CUDA sees none of GPUs named twice
        return next((i for i, name in enumerate(asked) if name not in there), len(asked))

    monkeypatch.setattr(devices, "gpu_count", count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if told:
        with pytest.raises(InputError, match=told):
            check_gpus(names)
    else:
        check_gpus(names)


@pytest.mark.parametrize("gpus", ["", "0,", "-1", "cuda:0", "a", "0;1", "²", "1.0"])
def test_what_names_no_gpu_is_refused(gpus: str) -> None:
    with pytest.raises(InputError, match="--gpus"):
        gpu_names(gpus)


def test_gpus_may_have_names() -> None:
    assert gpu_names("0, 03,GPU-8932f937,MIG-1/2") == ["0", "3", "GPU-8932f937", "MIG-1/2"]
