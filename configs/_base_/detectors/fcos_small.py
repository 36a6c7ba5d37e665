# A small FCOS for small images and CPUs: three maps of 64 channels, two convolutions in each branch.
_base_ = "fcos.py"
model = dict(
    neck=dict(out_channels=64, scales=(2, 1, 0.5), num_extra=0),
    bbox_head=dict(
        in_channels=64,
        feat_channels=64,
        stacked_convs=2,
        strides=[8, 16, 32],
        regress_ranges=((-1, 48), (48, 96), (96, 1e8)),
    ),
)
