"""Pictures of what prompts do. ``pictures`` needs matplotlib; training never imports this."""

from .prompt_attention import prompt_attention, prompt_similarity

__all__ = ["prompt_attention", "prompt_similarity"]
