"""The forms of export: a function each, which writes a file of a job, compares it with the model and returns a line.

A file takes its place only after it was found to be the model.
"""

from __future__ import annotations

from pathlib import Path

import torch

from ..errors import InputError
from ..replacing import replacing
from .comparison import DiffersError, difference, require_equal
from .exportable import prompted_vit
from .job import ExportJob, reported
from .onnx_file import check_bytes, load_onnx, save_onnx
from .program import Run, load_program, save_program
from .timm_vit import TOLERANCE, plain_vit, save_plain_vit, token_difference


def write_onnx(job: ExportJob, path: Path) -> str:
    """Write the deployed model as ONNX.

    Raises:
        InputError: a model that torch.export or ONNX cannot hold.
        DiffersError: the file's outputs are not the model's.
    """
    check_bytes(job.program)
    with replacing(path) as part:
        with reported("converting it to ONNX"):
            save_onnx(job.program, part, job.choices.output, job.about)
        return f"In ONNX Runtime, {_compared(job, load_onnx(part))}"


def write_pt2(job: ExportJob, path: Path) -> str:
    """Write the deployed model as a program of ``torch.export``.

    Raises:
        InputError: a model that torch.export cannot hold.
        DiffersError: the file's outputs are not the model's.
    """
    program = job.program
    with replacing(path) as part:
        save_program(program, part, job.about)
        return f"As a program, {_compared(job, load_program(part))}"


def write_timm(job: ExportJob, path: Path) -> str:
    """Write the tuned trunk as a plain timm ViT.

    Raises:
        InputError: folding leaves no plain ViT.
        DiffersError: timm's model with the file computes something else.
    """
    vit, config = prompted_vit(job.model), job.trained.cfg.model.get("backbone")
    if vit is None:
        raise InputError(f"--timm writes the trunk of a PromptedViT; this model's backbone is {config.get('type')!r}")
    plain = plain_vit(vit, config.model_name, config.get("timm_kwargs") or {})
    about = {**job.about, **_normalisation(job)}
    with replacing(path) as part:
        save_plain_vit(plain, part, about)
        with reported("comparing timm's model with ours"):
            gap, scale = token_difference(plain, part, vit)
        if not gap <= TOLERANCE * scale:
            raise DiffersError(f"the patch tokens of timm's model differ from ours by {gap:.1e}, of up to {scale:.3g}")
    return f"{plain.call} loads it; its patch tokens differ from ours by {gap:.1e}, of up to {scale:.3g}"


def _normalisation(job: ExportJob) -> dict[str, str]:
    """Return mean and standard deviation that the trunk's images have, of values in 0..255."""
    preprocessor = job.model.data_preprocessor
    return {
        name: str([round(value, 4) for value in getattr(preprocessor, name).flatten().tolist()])
        for name in ("mean", "std")
        if isinstance(getattr(preprocessor, name, None), torch.Tensor)
    }


def _compared(job: ExportJob, run: Run) -> str:
    made = job.cases
    with reported("comparing the file with the model"):
        found = difference(run, made, job.choices.output, job.threshold)
    require_equal(found, job.deployed.dtype)
    return f"{job.choices.output} differ from the model's own test by {found}"
