"""Every public ViT checkpoint format, loaded under timm's names, strictly and with its format named."""

from .checkpoint import Checkpoint, open_checkpoint
from .checksum import with_checksum
from .files import UNREADABLE, read_tensors
from .load import WeightsFile, load_weights
from .table import FORMATS, known_formats

__all__ = [
    "FORMATS",
    "UNREADABLE",
    "Checkpoint",
    "WeightsFile",
    "known_formats",
    "load_weights",
    "open_checkpoint",
    "read_tensors",
    "with_checksum",
]
