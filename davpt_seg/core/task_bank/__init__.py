"""Many tasks on one frozen trunk: a batch of images of different tasks in one forward pass."""

from .bank import TaskBank, TaskOutput

__all__ = ["TaskBank", "TaskOutput"]
