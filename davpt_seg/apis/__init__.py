"""What the scripts in tools/ call."""

from .launch import test_main, train_main

__all__ = ["test_main", "train_main"]
