"""A deployed model as an ``.onnx`` file, and ONNX Runtime as its reader."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.export import ExportedProgram

from ..errors import InputError
from .program import Run

IMAGES = "images"  # name of the input; the output is named labels or logits
AXES = {0: "batch", 2: "height", 3: "width"}
MOST_BYTES = 2**31  # of a file of protocol buffers


def check_bytes(program: ExportedProgram) -> None:
    """Refuse a program that one file cannot hold.

    Raises:
        InputError: such a program.
    """
    size = sum(value.numel() * value.element_size() for value in program.state_dict.values())
    if size >= MOST_BYTES:
        raise InputError(
            f"the weights have {size / 1e9:.1f} GB, and a file of ONNX holds at most {MOST_BYTES / 1e9:.1f} GB; "
            "--half halves them, and --pt2 has no such limit"
        )


def save_onnx(program: ExportedProgram, path: Path, output: str, about: Mapping[str, str]) -> None:
    """Write a program as ONNX.

    Args:
        program: a program with one input and one output.
        path: file to write.
        output: name of the output.
        about: what the file says about itself, in its metadata.

    Raises:
        InputError: ONNX lacks an operation of the model.
    """
    logger = logging.getLogger("onnxscript")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of constants that it does not fold
    try:
        converted = torch.onnx.export(
            program,
            (),
            dynamo=True,
            input_names=[IMAGES],
            output_names=[output],
            dynamic_shapes={IMAGES: AXES},
            verbose=False,
        )
    except RuntimeError as error:  # OnnxExporterError is one
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise InputError(f"ONNX cannot hold this model: {reason}; --pt2 may") from error
    finally:
        logger.setLevel(level)
    assert converted is not None  # it is None without dynamo
    converted.model.metadata_props.update(about)
    converted.save(path, external_data=False)


def load_onnx(path: Path) -> Run:
    """Open a file in ONNX Runtime on the CPU, as a function of images."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> Tensor:
        (found,) = session.run(None, {IMAGES: images.numpy()})
        return torch.from_numpy(found)

    return run
