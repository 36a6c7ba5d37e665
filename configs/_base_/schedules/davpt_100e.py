# DA-VPT's released recipe for image classification (arXiv 2505.23694): AdamW, 100 epochs with 10 of warm-up, cosine to
# 1e-9, values clipped at 10, batches of 16 classes x 2 images. Rates and decays come from _base_/hyperparameters.csv.
train_dataloader = dict(
    batch_size=32, sampler=dict(_delete_=True, type="PKSampler", batch_size=32, classes_per_batch=16)
)
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=1e-2),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0),
    clip_grad=dict(type="value", clip_value=10.0),
)
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, begin=0, end=10, by_epoch=True, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", T_max=90, eta_min=1e-9, begin=10, end=100, convert_to_iter_based=True),
]
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=100, val_interval=10)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")
default_hooks = dict(
    trained_table=dict(type="TrainedTableHook"),
    finite_loss=dict(type="FiniteLossHook"),
    exact_resume=dict(type="ExactResumeHook"),
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=10),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="AtomicCheckpointHook", frozen=False, interval=10, max_keep_ckpts=1),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
log_processor = dict(by_epoch=True)
