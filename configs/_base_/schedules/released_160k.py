# SGD for segmentation, as far as DA-VPT's authors released it: head at ten times the prompts' rate, no decay.
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=1e-3, momentum=0.9, weight_decay=0.0),
    paramwise_cfg=dict(custom_keys={"_head": dict(lr_mult=10.0), "neck": dict(lr_mult=10.0)}),
)
param_scheduler = [dict(type="PolyLR", eta_min=1e-4, power=0.9, begin=0, end=160000, by_epoch=False)]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=160000, val_interval=16000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(
    trained_table=dict(type="TrainedTableHook"),
    finite_loss=dict(type="FiniteLossHook"),
    exact_resume=dict(type="ExactResumeHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="AtomicCheckpointHook", frozen=False, by_epoch=False, interval=16000, max_keep_ckpts=2, save_best="mIoU"
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
    visualization=dict(type="SegVisualizationHook"),
)
log_processor = dict(by_epoch=False)
