"""Wrong methods and values of words; ``wrong_inputs`` has the other inputs."""

from __future__ import annotations

from davpt_seg.commands.train import main_train

from .wrong_case import wrong

SMALL = "head=linear,trunk=vits14,data=camvid_crop112,schedule=adamw_iters"


def train(words: str) -> None:
    """Run tools/train.py in this process until its error."""
    main_train([words, "--dry-run"])


def case(does: str, words: str, *says: str) -> None:
    """Add a case of wrong words in place of a config."""
    wrong("Words, lists and converters", f"`{words}`: {does}", *says)(lambda folder: train(words))


case("guidance without trained parameters", "method=guidance", "join it to one, lora+guidance")
case("no prompts to make persistent", "method=lora+carried", "carried changes prompts", "vpt_deep+carried")
case("no prompts to start at zero", "method=zero_start", "zero_start changes prompts", "vpt_deep+zero_start")
case("no prompts to start at zero", "method=lora+zero_start", "zero_start changes prompts", "vpt_deep+zero_start")
case("no prompts to start", "method=ssf+prototypes", "prototypes changes prompts", "vpt_deep+prototypes")
case("prompts in the sequence", "method=vpt_deep+carried+zero_start", "start='offset' and carry=-4 exclude each other")
case("prompts in the sequence", "method=vpt_shallow+zero_start", "start='offset' and kind='shallow' exclude each other")
case("prompts in the sequence", "method=gatevpt+zero_start", "start='offset' and kind='gated' exclude each other")
case("two sets of prompts", "method=vpt_deep+gatevpt", "vpt_deep and gatevpt both set prompts")
case("a method twice", "method=lora+lora", "names a method twice")
case("two methods in one place", "method=lora+ssf", "both change the linear layers", "choose one")
case("two methods in one place", "method=adapter+adaptformer", "both change the FFN's output", "choose one")
case("a size that the method does not have", "method=lora,width=8", "has no width", "rank")
case("no rank at all", "method=lora,rank=0", "rank=0: expected an integer of at least 1")
case("an unknown part of a method", "method=lorra+guidance", "no 'lorra' in", "did you mean 'lora'?")
case("the head's rate without the backbone's", "method=lora,head_lr=0.1", "add lr=..., the rate of the backbone")
case("a schedule that counts epochs", "method=lora,schedule=adamw_15e,iters=50", "has no iters")
case("shorter than its warm-up", f"method=lora,{SMALL},iters=10", "20 iterations of warm-up")
case("the split is chosen by purpose", f"method=lora,{SMALL},split=test", "split=test", "choose, final")
