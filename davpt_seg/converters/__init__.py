"""What ``tools/dataset_converters`` call: releases of data sets become lists or masks that our data sets read."""
