# AdamW, 400 iterations with 20 of warm-up, cosine. The head learns at lr, the backbone's parameters at
# lr * lr_mult; the rates were searched for on CamVid's validation images, at commit 791ef08.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1.6e-2, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys={"backbone": dict(lr_mult=0.25)}),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type="CosineAnnealingLR", eta_min_ratio=1e-3, begin=20, end=400, T_max=380, by_epoch=False),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=400, val_interval=50, dynamic_intervals=[(101, 100)])
val_cfg = dict(type="ValLoop", fp16=True)  # validates under autocast, as --amp trains
test_cfg = dict(type="TestLoop")
# Without ExactResumeHook, whose random numbers differ from those of that study: start such runs from scratch.
default_hooks = dict(
    trained_table=dict(type="TrainedTableHook"),
    finite_loss=dict(type="FiniteLossHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=10, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="AtomicCheckpointHook", frozen=False, by_epoch=False, interval=100, save_optimizer=False),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
log_processor = dict(by_epoch=False)
