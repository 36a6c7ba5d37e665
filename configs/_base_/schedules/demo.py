# AdamW for about two minutes on two CPU cores; prompts learn at five times the head's rate.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={"backbone.prompts": dict(lr_mult=5.0)}),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type="CosineAnnealingLR", eta_min=1e-6, begin=20, end=150, T_max=130, by_epoch=False),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=150, val_interval=50)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(
    trained_table=dict(type="TrainedTableHook"),
    finite_loss=dict(type="FiniteLossHook"),
    exact_resume=dict(type="ExactResumeHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=10, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="AtomicCheckpointHook", frozen=False, by_epoch=False, interval=50, max_keep_ckpts=1, save_best="mIoU"
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
log_processor = dict(by_epoch=False)
