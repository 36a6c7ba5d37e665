# ViT-B/16 pre-trained by MoCo-v3 (arXiv 2104.02057); its class token is classified. timm has no such weights: get
# https://dl.fbaipublicfiles.com/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar to checkpoints/, or set DAVPT_MOCOV3.
_base_ = "classifier_base.py"
model = dict(
    backbone=dict(model_name="vit_base_patch16_224", weights="{{$DAVPT_MOCOV3:checkpoints/vit-b-300ep.pth.tar}}"),
)
