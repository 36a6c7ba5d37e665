"""Conversion of released data sets into lists or masks that our data sets read, for ``tools/dataset_converters``."""
