"""timm's pre-trained weights of a trunk: are they in the Hugging Face cache, or can they be downloaded?"""

from __future__ import annotations

import urllib.request
from typing import Optional

SECONDS = 10  # that the hub may take to answer
FILES = ("model.safetensors", "pytorch_model.bin")  # in the order in which timm looks for them


def hub_problem(model_name: str) -> Optional[str]:
    """Say why a run could not get timm's weights of a model; None if it can, or if they are not on the hub."""
    from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(model_name, allow_unregistered=True)
    if found is None or not found.hf_hub_id:
        return None  # timm itself refuses an unknown name, when the model is built
    files = (found.hf_hub_filename,) if found.hf_hub_filename else FILES
    if any(isinstance(try_to_load_from_cache(found.hf_hub_id, file), str) for file in files):
        return None
    why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else refusal(hf_hub_url(found.hf_hub_id, files[0]))
    if why is None:
        return None
    return (
        f"timm's weights of {model_name!r} are not in the Hugging Face cache ({constants.HF_HUB_CACHE}) and cannot be "
        f"downloaded ({why}). Fill the cache where there is a network (HF_HOME), or name a local file under "
        "cfg_options: model.backbone.pretrained=False model.backbone.weights=PATH"
    )


def refusal(url: str) -> Optional[str]:
    """Ask a server for a file without fetching it; return why it cannot be had, None if it can."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS):
            return None
    except OSError as error:  # no network, no such host, a status of 400 or above, a time-out
        return str(error) or type(error).__name__
