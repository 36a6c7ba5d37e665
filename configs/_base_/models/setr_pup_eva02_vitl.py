# SETR-PUP on a frozen EVA-02 ViT-L/14 (arXiv 2303.11331), in crops of complete patches: 504 = 36 x 14.
_base_ = "setr_pup_vitl.py"
data_preprocessor = dict(mean=[122.7709, 116.746, 104.0937], std=[68.5005, 66.6322, 70.3232], size=(504, 504))
model = dict(
    data_preprocessor=data_preprocessor,
    backbone=dict(model_name="eva02_large_patch14_448.mim_m38m_ft_in22k_in1k"),
    test_cfg=dict(crop_size=(504, 504), stride=(336, 336)),
)
