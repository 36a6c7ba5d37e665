"""Checks of data sets in COCO's format: annotation file, boxes, masks and images."""
