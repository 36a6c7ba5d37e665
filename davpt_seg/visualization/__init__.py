"""Pictures of what prompts do. ``pictures`` needs matplotlib; training never imports this."""

from .prompt_attention import class_token_prompt_attention, prompt_attention, prompt_contribution, prompt_similarity

__all__ = ["class_token_prompt_attention", "prompt_attention", "prompt_contribution", "prompt_similarity"]
