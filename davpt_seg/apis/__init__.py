"""What the scripts in tools/ call."""

from .launch import main_test, main_train

__all__ = ["main_test", "main_train"]
