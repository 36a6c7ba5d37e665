"""The Python of forked.py is a program as ``sys.executable`` is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

REPORT = """
import os, sys
if __name__ == "__main__":
    print(sys.argv, os.getcwd(), os.environ["WORD"], "PATH" in os.environ, sys.path[0], __file__, sys.stdin.read())
    print("numbers", *os.sched_getaffinity(0), file=sys.stderr)
    sys.exit(int(sys.argv[1]) if sys.argv[1].isdigit() else sys.argv[1])
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    (tmp_path / "report.py").write_text(REPORT)
    return tmp_path / "report.py"


@pytest.mark.parametrize("arguments", [["0"], ["3", "--a b", "ü"], ["in words"]])
@pytest.mark.parametrize("how", [["report.py"], ["-u", "report.py"], ["-m", "report"]])
def test_a_script_and_a_module_run_as_by_python(
    how: list[str], arguments: list[str], script: Path, forked_python: str
) -> None:
    results = [
        subprocess.run(
            [program, *how, *arguments], cwd=script.parent, env=dict(WORD="said"), input=b"typed", capture_output=True
        )
        for program in (sys.executable, forked_python)
    ]
    by_python, by_fork = ((done.returncode, done.stdout, done.stderr) for done in results)
    assert by_fork == by_python


def test_a_child_starts_in_the_same_way_and_code_in_a_new_python(tmp_path: Path, forked_python: str) -> None:
    code = "import subprocess, sys; print(sys.executable, 'torch' in sys.modules); sys.exit(5)"
    (tmp_path / "child.py").write_text(code)
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys\n"
        f"subprocess.run([sys.executable, '-c', {code!r}])\n"
        "sys.exit(subprocess.run([sys.executable, 'child.py']).returncode)"
    )
    done = subprocess.run([forked_python, "parent.py"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (5, "")
    assert done.stdout.splitlines() == [f"{sys.executable} False", f"{forked_python} True"]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_reaches_the_command(sign: signal.Signals, tmp_path: Path, forked_python: str) -> None:
    (tmp_path / "wait.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)")
    with subprocess.Popen(
        [forked_python, tmp_path / "wait.py"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(sign)
    assert process.returncode == -sign
    end = time.monotonic() + 10
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < end:
            os.kill(pid, 0)
            time.sleep(0.01)
