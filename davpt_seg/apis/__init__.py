"""What the scripts in tools/ call."""

from ..commands.launch import main_test, main_train
from ..training.parameters import main_count
from .compose import compose

__all__ = ["compose", "main_count", "main_test", "main_train"]
