"""Kinds of findings in COCO's annotation files: their meaning, and what to do."""

from __future__ import annotations

AS_MEANT = "if they are meant so: data_check.labels=warn in the config"
KINDS = {
    "annotation file": ("annotation file that cannot be used", "give the right file, or export it again as COCO"),
    "form": (
        "entry that lacks a value, or has one of another kind",
        "add or fix it in the annotation file, or export it again as COCO",
    ),
    "id twice": (
        "id of an image, annotation or category that is there twice",
        "number them again: joined files must not share ids",
    ),
    "name twice": (
        "category whose name is there twice",
        "rename it, or take the one without annotations out: mmdet finds categories by their names",
    ),
    "no image": (
        "annotation of an image that is not in the file",
        "restore the image's entry, or take the annotation out: it would be left out without a word",
    ),
    "no category": (
        "annotation of a category that is not in the file",
        "restore the category's entry, or take the annotation out: it would be left out without a word",
    ),
    "class missing": (
        "class of the config that is no category of the file",
        "write metainfo.classes as the categories are named: mmdet drops the others, and labels shift",
    ),
    "class order": (
        "class in another order than the file's categories",
        "write classes and categories in one order, in all files: mmdet numbers labels by the order in the file, so "
        "that names would be wrong",
    ),
    "no annotation": ("file without any annotation that is used", "give the file with the annotations"),
    "normalised": (
        "file whose boxes are all within 0 and 1",
        "multiply them by the image's width and height: COCO's boxes are in pixels",
    ),
    "corners": (
        "file whose boxes are two corners",
        "subtract the first corner from the second: COCO's boxes are [left, top, width, height]",
    ),
    "empty box": (
        "box without width or height of a pixel, or without area",
        "fix it or take the annotation out: training omits it, and a metric with ann_file counts it as an object",
    ),
    "box outside": (
        "box outside its image",
        "fix it or take the annotation out: training omits it, and a metric with ann_file counts it as an object",
    ),
    "ignored": (
        "annotation marked by ignore, which training omits and a metric with ann_file counts as an object to find",
        "write iscrowd=1 in place of ignore=1: COCO's scores read iscrowd only, and then count it neither as found nor "
        "as missed",
    ),
    "box beyond": (
        "box that goes beyond its image's border",
        f"look at some (check-dataset --overlays DIR): the boxes may be [x, y, x, y], centres, or of images of another "
        f"size; {AS_MEANT}",
    ),
    "no mask": (
        "annotation without a mask, where masks are read",
        "add its segmentation, or train a head without masks: head=faster_rcnn",
    ),
    "bad mask": (
        "segmentation that is neither polygons nor a run-length code of its image's size",
        "write polygons of at least three points [x, y, x, y, ...], or size [height, width] and counts",
    ),
    "entry size": (
        "image of another size than its entry in the annotation file",
        "write the image's size into the file, if the boxes were drawn on the image as it is; else scale the boxes",
    ),
    "entry swapped": ("image whose entry has width and height swapped", "swap them in the annotation file"),
    "boxes turned": (
        "image turned by its Exif tag when read, whose boxes were drawn on the pixels as stored",
        "read images as stored: --cfg-options data_check.exif=stored",
    ),
    "boxes not turned": (
        "image read as stored, whose boxes were drawn on the image turned by its Exif tag",
        "read images upright: remove data_check.exif=stored, and color_type of LoadImageFromFile",
    ),
    "boxes turned or not": (
        "image with an Exif tag whose size does not show on which pixels its boxes were drawn",
        "look at both readings, and state which is right: --cfg-options data_check.exif=upright or stored",
    ),
    "same object": (
        "annotation with the image, category and box of another",
        "take one of them out: it would count twice",
    ),
}
#: Kinds that official releases have a few of; more than a thousandth of the boxes is a problem.
FEW = {"empty box": 0.001, "box outside": 0.001, "box beyond": 0.1, "same object": 0.01}
#: Kinds that are no problem.
NOTED = ("ignored",)
#: Kinds that ``data_check.labels=warn`` allows.
MAY_BE_MEANT = ("box beyond", "corners", "same object")
