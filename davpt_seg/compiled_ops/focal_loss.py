"""The sigmoid focal loss with the arguments of mmcv's compiled op, by torchvision."""

from __future__ import annotations

import torch
from torch import Tensor


def focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return the sigmoid focal loss (arXiv 1708.02002, Eq. 5) of each logit, (n, C).

    Args:
        logits: logits (n, C).
        target: a class for each row, (n,); C is background.
        weight: empty.
        gamma: exponent of what is missing to certainty.
        alpha: weight of the target's class; of all others 1 - alpha.

    Raises:
        NotImplementedError: weights of classes.
    """
    from torchvision.ops import sigmoid_focal_loss

    if weight.numel():
        raise NotImplementedError("SigmoidFocalLoss with weights of classes needs mmcv's compiled ops (full mmcv)")
    classes = logits.shape[1]
    wanted = torch.nn.functional.one_hot(target, classes + 1)[:, :classes].to(logits.dtype)
    return sigmoid_focal_loss(logits, wanted, alpha, gamma)


def focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of each logit into ``output`` (n, C); see :func:`focal_loss`."""
    output.copy_(focal_loss(logits, target, weight, gamma, alpha))


def focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each logit's loss into ``grad_input`` (n, C); see :func:`focal_loss`."""
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        total = focal_loss(leaf, target, weight, gamma, alpha).sum()
    grad_input.copy_(torch.autograd.grad(total, leaf)[0])
