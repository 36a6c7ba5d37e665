# Settings of every mmpretrain experiment.
custom_imports = dict(imports=["davpt_seg"], allow_failed_imports=False)
default_scope = "mmpretrain"
env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
visualizer = dict(type="UniversalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer")
log_level = "INFO"
load_from = None
resume = False
randomness = dict(seed=0)
