"""Every public ViT checkpoint format, loaded under timm's names, strictly and with its format named."""

from .checkpoint import Checkpoint, open_checkpoint
from .files import UNREADABLE, read_tensors
from .formats import FORMATS
from .load import WeightsFile, load_weights

__all__ = ["FORMATS", "UNREADABLE", "Checkpoint", "WeightsFile", "load_weights", "open_checkpoint", "read_tensors"]
