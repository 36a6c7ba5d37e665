"""Figures of predictions and prompts. ``pictures`` needs matplotlib; training never imports this."""

from typing import TYPE_CHECKING

from ..lazy import on_first_use

if TYPE_CHECKING:
    from .prompt_maps import class_token_prompt_attention, prompt_attention, prompt_contribution, prompt_similarity

__all__ = ["class_token_prompt_attention", "prompt_attention", "prompt_contribution", "prompt_similarity"]

__getattr__ = on_first_use(  # class_mapping needs no torch
    __name__,
    prompt_maps=("class_token_prompt_attention", "prompt_attention", "prompt_contribution", "prompt_similarity"),
)
