"""Prompts: learned values, initial values, and importance."""

from typing import TYPE_CHECKING

from ...lazy import on_first_use

if TYPE_CHECKING:
    from .importance import Importance, prompt_importance, pruned
    from .prompts import Prompts

__all__ = ["Importance", "Prompts", "prompt_importance", "pruned"]

__getattr__ = on_first_use(__name__, prompts=("Prompts",), importance=("Importance", "prompt_importance", "pruned"))
