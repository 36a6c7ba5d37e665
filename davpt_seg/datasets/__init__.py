"""What mmseg's data sets and pipelines lack."""

from .check_labels import CheckLabels
from .random_subset import random_subset

__all__ = ["CheckLabels", "random_subset"]
