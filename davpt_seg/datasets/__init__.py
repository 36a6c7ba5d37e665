"""What mmseg's data sets and pipelines lack."""

from .check_labels import CheckLabels

__all__ = ["CheckLabels"]
