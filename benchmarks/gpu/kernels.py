"""Fused attention with extra keys against the plain form, and compiled models against eager ones."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from davpt_seg.core.attention import Changes, attend
from davpt_seg.core.blocks import family_of
from davpt_seg.core.prompts.zero_start import Beside

from .report import Found, Skip, within
from .scale import Scale
from .task import build, draw, error, gradients

KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION,
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
}
OPTIONAL = "cuDNN"
EXTRA_KEYS = (1, 7, 20, 100)  # numbers of prompts; 197 tokens and these are mostly no multiples of eight
HEADS, HEAD_DIM = 3, 64
#: Most relative error in units of the type's rounding, for outputs, and for gradients of tokens and prompts.
OUTPUTS, GRADIENTS = 4, 8
# What PyTorch raises where none of the kernels that it may use takes the tensors, on CUDA and on a CPU.
NONE_FITS = ("No available kernel", "No viable backend")


def check_attention(kernel: str, scale: Scale) -> Found:
    """Compare one fused kernel with the plain one, on tokens with extra keys.

    Raises:
        Skip: PyTorch has no such kernel for this device, even without extra keys.
        RuntimeError: it has one, but not for tokens with extra keys. Only cuDNN's may refuse those: PyTorch seldom
            takes it.
    """
    dtypes = (torch.float16, torch.bfloat16) if scale.cuda else (torch.float32,)
    dtypes = tuple(dtype for dtype in dtypes if _runs(kernel, dtype, scale))
    if not dtypes:
        raise Skip(f"PyTorch has no {kernel} kernel for this device")
    limits = {}
    for dtype in dtypes:
        unit = torch.finfo(dtype).eps
        try:
            errors = [attention_errors(kernel, num, dtype, scale, zero) for num in EXTRA_KEYS for zero in (False, True)]
        except RuntimeError as reason:
            if kernel != OPTIONAL:
                raise
            raise Skip(f"PyTorch takes another kernel for these tokens: {str(reason).splitlines()[0]}") from reason
        name = str(dtype).removeprefix("torch.")
        slack = 8 if dtype is torch.float32 else 1  # sums of hundreds of terms, whose rounding 16 bits would hide
        for what, units in (("outputs", OUTPUTS), ("gradients", GRADIENTS)):
            limits[f"{name} {what}"] = (max(one[what] for one in errors), slack * units * unit)
    return within(limits, dict(extra_keys=EXTRA_KEYS))


def _runs(kernel: str, dtype: torch.dtype, scale: Scale) -> bool:
    """Return whether a kernel runs on plain tokens, with one key for each query, forward and backward."""
    query = torch.randn(2, HEADS, 64, HEAD_DIM, dtype=dtype, device=scale.device, requires_grad=True)
    try:
        with sdpa_kernel(KERNELS[kernel]):
            F.scaled_dot_product_attention(query, query, query).sum().backward()
    except RuntimeError as reason:
        if any(text in str(reason) for text in NONE_FITS):
            return False
        raise
    return True


def attention_errors(
    kernel: str, num_prompts: int, dtype: torch.dtype, scale: Scale, zero_start: bool
) -> dict[str, float]:
    """Return the relative errors of outputs and gradients to those of PyTorch's plain kernel in the same type.

    Prompts join the tokens' softmax, or have one beside it (``zero_start``).
    """
    torch.manual_seed(num_prompts)
    width = HEADS * HEAD_DIM
    block = Block(width, num_heads=HEADS, qkv_bias=True).to(scale.device, dtype)
    tokens = torch.randn(4, 197, width, device=scale.device, dtype=dtype, requires_grad=True)
    prompts = torch.randn(num_prompts, width, device=scale.device, dtype=dtype, requires_grad=True)
    upstream = torch.randn_like(tokens)
    changes = Changes(beside=Beside(torch.randn_like(prompts)) if zero_start else None)

    def run(backend: Any) -> dict[str, dict[str, Tensor]]:
        with sdpa_kernel(backend):
            heads = attend(family_of(block), block, tokens, prompts, changes).output
            found = torch.autograd.grad((heads * upstream).sum(), (tokens, prompts))
        return {"outputs": {"heads": heads.detach().float()}, "gradients": dict(zip("tp", map(Tensor.float, found)))}

    fused, plain = run(KERNELS[kernel]), run(SDPBackend.MATH)
    return {what: error(fused[what], plain[what]) for what in plain}


def check_model(method: str, scale: Scale) -> Found:
    """Compare a model under the kernels that PyTorch chooses with one under the plain kernel, gradients in 16 bits."""
    model, batch = build(method, scale), draw(scale)
    dtype = scale.half

    def run() -> dict[str, Tensor]:
        with torch.autocast(scale.device.type, dtype):
            return gradients(model, batch)

    fused = run()
    with sdpa_kernel(SDPBackend.MATH):
        plain = run()
    name = str(dtype).removeprefix("torch.")
    return within({f"{name} gradients": (error(fused, plain), GRADIENTS * torch.finfo(dtype).eps)})


def check_compiled(method: str, scale: Scale) -> Found:
    """Compare a compiled ViT with the eager one in float32: logits, losses, gradients, and logits in eval mode."""
    model, batch = build(method, scale, depth=2), draw(scale)
    backend = "aot_eager" if scale.smoke else "inductor"  # inductor needs minutes and a C++ compiler on a CPU

    def run() -> dict[str, dict[str, Tensor]]:
        losses = {name: loss.detach() for name, loss in model.train()(*batch).items()}
        found = gradients(model, batch)
        with torch.no_grad():
            logits = model.eval()(batch[0])
        return {"logits": {"logits": logits}, "losses": losses, "gradients": found}

    eager = run()
    torch._dynamo.reset()
    model.vit.compile(backend=backend)
    compiled = run()
    torch._dynamo.reset()
    limits = {what: (error(compiled[what], eager[what]), 1e-3 if what == "gradients" else 1e-4) for what in eager}
    found = within(limits, dict(backend=backend))
    found.detail += f" ({backend})" if scale.smoke else ""
    return found


def checks(scale: Scale) -> dict[str, Any]:
    """Return the checks of this file by name."""
    compiled = ("davpt_plus", "vpt_deep+zero_start", "lora")[: 2 if scale.smoke else None]
    return {
        **{f"{kernel} SDPA, extra keys": partial(check_attention, kernel, scale) for kernel in KERNELS},
        **{
            f"default SDPA, complete model: {method}": partial(check_model, method, scale)
            for method in ("vpt_deep", "vpt_deep+zero_start")
        },
        **{f"torch.compile: {method}": partial(check_compiled, method, scale) for method in compiled},
    }
