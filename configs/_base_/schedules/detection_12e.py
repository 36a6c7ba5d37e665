# AdamW for 12 epochs: one of warm-up, at most 500 iterations; a tenth of the rate after 8 epochs and again after 11.
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-4, weight_decay=0.05))
param_scheduler = [
    dict(
        type="WarmUpLR",
        start_factor=0.001,
        begin=0,
        end=1,
        by_epoch=True,
        convert_to_iter_based=True,
        most=500,  # iterations
    ),
    dict(type="MultiStepLR", begin=0, end=12, milestones=[8, 11], gamma=0.1, by_epoch=True),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=12, val_interval=1)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(
    trained_table=dict(type="TrainedTableHook"),
    finite_loss=dict(type="FiniteLossHook"),
    float_heads=dict(type="FloatHeadsHook"),
    exact_resume=dict(type="ExactResumeHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=True),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="AtomicCheckpointHook",
        frozen=False,
        by_epoch=True,
        interval=1,
        max_keep_ckpts=1,
        save_best="coco/bbox_mAP",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="DetVisualizationHook"),
)
log_processor = dict(by_epoch=True)
