# A small FCOS for small images and CPUs: one map, of the ViT's own stride, and two convolutions in each branch.
_base_ = "fcos.py"
model = dict(
    neck=dict(scales=(1,), num_extra=0),
    bbox_head=dict(stacked_convs=2, strides=[16], regress_ranges=((-1, 1e8),)),
)
