"""tools/dist_*.sh and tools/slurm_*.sh, as a user types them, on two processes that talk by gloo."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
from mmengine.config import Config

from davpt_seg import compat
from davpt_seg.errors import InputError

from ..scenes import write_camvid
from ..training import tiny_camvid
from .test_scripts import run

# Starts as many tasks as it is asked for, and notes what it was told; scontrol is asked for the first node's name.
SRUN = r"""#!/usr/bin/env bash
printf '%s\n' "$@" >"$(dirname "$0")/srun.log"
while [[ $1 == --* ]]; do
    [[ $1 == --ntasks=* ]] && export SLURM_NTASKS=${1#*=}
    shift
done
export SLURM_JOB_NODELIST=nodes SLURM_NODELIST=nodes
for ((task = 0; task < SLURM_NTASKS; task++)); do
    SLURM_PROCID=$task SLURM_LOCALID=$task "$@" &
    tasks+=($!)
done
for task in "${tasks[@]}"; do wait "$task" || status=1; done
exit "${status:-0}"
"""
SCONTROL = "#!/usr/bin/env bash\necho 127.0.0.1\necho another-node\n"


@pytest.fixture(scope="module")
def config(camvid: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny experiment in one file; each process takes one image of six."""
    folder = tmp_path_factory.mktemp("launchers")
    cfg = tiny_camvid(camvid, folder / "work", **{"train_dataloader.batch_size": 1})
    cfg.dump(folder / "tiny.py")
    return folder / "tiny.py"


@pytest.fixture(scope="module")
def trained(config: Path) -> str:
    """What a training on two processes printed."""
    return run("tools/dist_train.sh", str(config), "2", **on_cpu(sys.executable))


@pytest.fixture
def cluster(tmp_path: Path) -> dict[str, str]:
    """The environment of somebody on a slurm cluster."""
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return dict(PATH=f"{tmp_path}:{os.environ['PATH']}")


def on_cpu(python: str) -> dict[str, str]:
    return dict(PYTHON=python, CUDA_VISIBLE_DEVICES="")


def log_in(work_dir: Path) -> str:
    """Return the log file of the only run in a work dir."""
    (file,) = work_dir.rglob("*.log")
    return file.read_text()


def miou(log: str) -> str:
    """The mIoU that a log ends with."""
    return re.findall(r"mIoU: ([\d.]+)", log)[-1]


@pytest.mark.slow
def test_dist_train_shares_an_epoch_among_its_processes(trained: str, config: Path) -> None:
    log = log_in(config.parent / "work")
    assert "Distributed training: True" in log
    assert "GPU number: 2" in log  # MMEngine's word for the number of processes
    assert len(re.findall(r"Epoch\(train\) +\[1\]\[\d/3\]", trained)) == 3  # six images; only one process writes
    assert (config.parent / "work" / "epoch_1.pth").is_file()


@pytest.mark.slow
def test_a_problem_of_the_data_is_said_once_and_ends_both_processes(
    config: Path, tmp_path: Path, forked_python: str
) -> None:
    options = ["--cfg-options", f"train_dataloader.dataset.data_root={write_camvid(tmp_path)}"]
    (tmp_path / "annotations" / "train" / "0003.png").unlink()
    said = run("tools/dist_train.sh", str(config), "2", *options, check=False, **on_cpu(forked_python))
    assert said.count("1 of 6 masks are missing") == 1
    assert said.count("error: train: ") == 1


@pytest.mark.slow
def test_dist_test_and_slurm_test_find_the_same_result(
    trained: str, config: Path, cluster: dict[str, str], tmp_path: Path, forked_python: str
) -> None:
    checkpoint = str(config.parent / "work" / "epoch_1.pth")
    work_dir, slurm_dir = (["--work-dir", str(tmp_path / name)] for name in ("test", "slurm"))
    by_torchrun = run("tools/dist_test.sh", str(config), checkpoint, "2", *work_dir, **on_cpu(forked_python))
    by_slurm = run(
        *("tools/slurm_test.sh", "gpu", "job", str(config), checkpoint, *slurm_dir),
        **dict(cluster, GPUS="1", **on_cpu(forked_python)),
    )
    logs = [log_in(Path(folder)) for _, folder in (work_dir, slurm_dir)]
    assert "GPU number: 2" in logs[0]
    assert "Distributed launcher: slurm" in logs[1]
    assert miou(by_torchrun) == miou(by_slurm)


def test_slurm_train_asks_srun_for_what_the_environment_says(cluster: dict[str, str], tmp_path: Path) -> None:
    wanted = dict(GPUS="2", GPUS_PER_NODE="1", CPUS_PER_TASK="3", SRUN_ARGS="--time=1:00 --gres=none", PORT="29511")
    printed = run("tools/slurm_train.sh", "gpu", "my job", "CONFIG", "--amp", **wanted, **cluster, PYTHON="echo")
    script = str(Path("tools/train.py").resolve())
    assert (tmp_path / "srun.log").read_text().splitlines() == [
        *("--partition=gpu", "--job-name=my job", "--gres=gpu:1", "--ntasks=2", "--ntasks-per-node=1"),
        *("--cpus-per-task=3", "--kill-on-bad-exit=1", "--time=1:00", "--gres=none"),
        *("echo", "-u", script, "CONFIG", "--amp", "--launcher", "slurm"),
    ]
    assert printed.splitlines() == [f"-u {script} CONFIG --amp --launcher slurm"] * 2  # one line a task


def test_a_slurm_task_tells_torch_its_rank_and_the_first_node(
    cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "to be replaced")  # so that it is put back after the test
        monkeypatch.delenv(name)
    task = dict(SLURM_PROCID="5", SLURM_NTASKS="8", SLURM_LOCALID="1", SLURM_JOB_NODELIST="node[1-2]")
    for name, value in {**task, "PATH": cluster["PATH"]}.items():
        monkeypatch.setenv(name, value)
    started = []
    monkeypatch.setattr("torch.distributed.init_process_group", started.append)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    compat.prepare_cpu_ddp(Config(dict(launcher="slurm")))
    assert started == ["gloo"]
    told = {name: os.environ[name] for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")}
    assert told == dict(RANK="5", WORLD_SIZE="8", LOCAL_RANK="1", MASTER_ADDR="127.0.0.1", MASTER_PORT="29500")
    monkeypatch.delenv("SLURM_NTASKS")
    with pytest.raises(InputError, match="launcher 'slurm', but SLURM_NTASKS not set: start by srun"):
        compat.prepare_cpu_ddp(Config(dict(launcher="slurm")))


@pytest.mark.parametrize(
    ("command", "environment", "told"),
    [
        (["dist_train.sh", "CONFIG", "2", "--amp"], {}, "--standalone --nproc-per-node=2 TRAIN CONFIG --amp"),
        (
            ["dist_test.sh", "CONFIG", "CHECKPOINT", "8"],
            dict(NNODES="2", NODE_RANK="1", MASTER_ADDR="10.0.0.1", PORT="29511"),
            "--nnodes=2 --node-rank=1 --master-addr=10.0.0.1 --master-port=29511 --nproc-per-node=8 TEST CONFIG "
            "CHECKPOINT",
        ),
    ],
)
def test_dist_scripts_tell_torchrun_what_the_environment_says(
    command: list[str], environment: dict[str, str], told: str
) -> None:
    printed = run(f"tools/{command[0]}", *command[1:], PYTHON="echo", **environment).strip()
    tools = Path("tools").resolve()
    told = told.replace("TRAIN", str(tools / "train.py")).replace("TEST", str(tools / "test.py"))
    assert printed == f"-m davpt_seg.runs.torchrun {told} --launcher pytorch"


@pytest.mark.parametrize(
    ("command", "environment", "message"),
    [
        (["dist_train.sh", "CONFIG"], {}, "usage: tools/dist_train.sh CONFIG GPUS "),
        (["dist_test.sh", "CONFIG", "2"], {}, "usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS "),
        (["slurm_train.sh", "gpu", "job"], {}, "usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG "),
        (["slurm_test.sh", "gpu", "job", "CONFIG"], {}, "usage: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKP"),
        (["dist_train.sh", "CONFIG", "0"], {}, "GPUS must be an integer of at least 1, got '0'"),
        (["dist_test.sh", "CONFIG", "2", "CHECKPOINT"], {}, "GPUS must be an integer of at least 1, got 'CHECKP"),
        (["dist_train.sh", "CONFIG", "2"], dict(NNODES="2"), "NNODES=2 needs MASTER_ADDR"),
        (["dist_train.sh", "CONFIG", "2"], dict(NNODES="2", MASTER_ADDR="a", NODE_RANK="2"), "needs NODE_RANK, from 0"),
        (
            ["slurm_train.sh", "gpu", "job", "CONFIG"],
            dict(GPUS="all"),
            "GPUS must be an integer of at least 1, got",
        ),
        (["slurm_train.sh", "gpu", "job", "CONFIG"], {}, "srun is not on the path"),
    ],
)
def test_a_wrong_call_starts_nothing_and_says_what_is_wrong(
    command: list[str], environment: dict[str, str], message: str
) -> None:
    printed = run(f"tools/{command[0]}", *command[1:], check=False, PYTHON="false", **environment)
    assert message in printed
