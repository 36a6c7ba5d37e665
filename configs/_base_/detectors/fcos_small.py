# A small FCOS for small images and CPUs: one map, of the ViT's own stride, and two convolutions in each branch.
# Boxes start three strides wide: FCOS clamps their sides at 0, where a short training may leave them without gradient.
_base_ = "fcos.py"
model = dict(
    neck=dict(scales=(1,), num_extra=0),
    bbox_head=dict(
        stacked_convs=2,
        strides=[16],
        regress_ranges=((-1, 1e8),),
        init_cfg=dict(
            type="Normal",
            layer="Conv2d",
            std=0.01,
            override=[
                dict(type="Normal", name="conv_cls", std=0.01, bias_prob=0.01),
                dict(type="Normal", name="conv_reg", std=0.01, bias=1.5),
            ],
        ),
    ),
)
