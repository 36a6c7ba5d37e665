# Settings of every mmdet experiment.
custom_imports = dict(imports=["davpt_seg"], allow_failed_imports=False)
default_scope = "mmdet"
env_cfg = dict(
    cudnn_benchmark=False,  # images have many sizes
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)
visualizer = dict(type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")], name="visualizer")
log_level = "INFO"
load_from = None
resume = False
randomness = dict(seed=0)
