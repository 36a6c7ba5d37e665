"""A trained model and what it saw in images: predictions, and the attention of patches to prompts."""
