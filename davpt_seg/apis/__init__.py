"""What the scripts in tools/ call."""

from .compose import compose
from .launch import main_test, main_train
from .parameters import main_count

__all__ = ["compose", "main_count", "main_test", "main_train"]
