"""Check that timm's pre-trained weights are in the Hugging Face cache or can be downloaded."""

from __future__ import annotations

from typing import Optional

SECONDS = 10  # limit for the hub's answer
FILES = ("model.safetensors", "pytorch_model.bin")  # in timm's order


def hub_problem(model_name: str) -> Optional[str]:
    """Describe why a run cannot get timm's weights of a model; None if it can, or if they are not on the hub."""
    from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
    from timm.models import get_pretrained_cfg

    found = get_pretrained_cfg(model_name, allow_unregistered=True)
    if found is None or not found.hf_hub_id:
        return None  # timm itself refuses an unknown name, when the model is built
    files = (found.hf_hub_filename,) if found.hf_hub_filename else FILES
    if any(isinstance(try_to_load_from_cache(found.hf_hub_id, file), str) for file in files):
        return None
    reasons: list[str] = []
    for file in files:
        why = refusal(hf_hub_url(found.hf_hub_id, file))
        if why is None:
            return None
        reasons.append(why)
    return (
        f"timm's weights of {model_name!r} are not in the Hugging Face cache ({constants.HF_HUB_CACHE}) and cannot be "
        f"downloaded ({reasons[0]}). Fill the cache where there is a network (HF_HOME), or name a local file under "
        "cfg_options: model.backbone.pretrained=False model.backbone.weights=PATH"
    )


def refusal(url: str) -> Optional[str]:
    """Request a file from a hub without fetching it; return why it is unavailable, or None.

    The request is that of a download: ``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_HUB_OFFLINE`` and proxies apply.
    """
    from huggingface_hub import get_hf_file_metadata
    from huggingface_hub.errors import HfHubHTTPError

    try:
        get_hf_file_metadata(url, timeout=SECONDS)
    except (OSError, *HfHubHTTPError.__bases__) as error:  # type: ignore[misc]  # for any HTTP library of the hub
        return (str(error) or type(error).__name__).splitlines()[0]
    return None
