# MMSegmentation's 160k schedule: SGD 1e-2, decay 5e-4, polynomial to 1e-4.
_base_ = "released_160k.py"
optim_wrapper = dict(
    optimizer=dict(lr=1e-2, weight_decay=5e-4),
    # Parameters of the trunk learn at 1e-3, as in the released schedule: 1e-2 is for new layers.
    paramwise_cfg=dict(_delete_=True, custom_keys={"backbone.trunk": dict(lr_mult=0.1)}),
)
