"""The class-to-prompt mapping: running class means, clustered by k-means.

DA-VPT (arXiv 2505.23694), Sec. 3.4. All state is buffers, so that it is saved, resumed and moved with the model.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import InputError, some
from ..annotations import OneOf, Seed
from ..arguments import Arguments
from . import clustering
from .gather import sum_over_processes

logger = logging.getLogger("davpt_seg")

MAPPINGS = ("dynamic", "static", "random")
CLASS_MEANS = ("patch", "image", "final")


@dataclass(frozen=True)
class Sharing(Arguments):
    """How classes share prompts where they outnumber them: guidance's ``mapping`` in a config.

    Args:
        kind: ``dynamic``, ``static`` or ``random``, see :class:`ClassPromptMapping`.
        seed: seed of the first clustering or the random mapping.
        class_means: tokens whose means are clustered: ``patch`` tokens, ``image`` tokens (the paper's classification),
            both of the last guided block, or the ``final`` token that a classifier reads, after the last norm (the
            released code).
    """

    what = "guidance mapping"
    kind: Annotated[str, OneOf(MAPPINGS)] = "dynamic"
    seed: Seed = 0
    class_means: Annotated[str, OneOf(CLASS_MEANS)] = "patch"


class ClassPromptMapping(nn.Module):
    """Map C classes to M prompts.

    With C <= M, prompt m is assigned to class m mod C, permanently: every class has its own prompt and the prompts
    are distributed evenly. With C > M, classes share prompts in one of three ways:

    - ``dynamic``: by repeated k-means over the class means, started from the last clusters. Class c starts at prompt
      c mod M and stays there until it is first seen.
    - ``static``: the same, but clustered once only.
    - ``random``: drawn by the seed, permanently, as evenly as possible, so that every prompt has a class.

    A prompt keeps its classes from clustering to clustering unless the classes themselves move. Class means are nearly
    parallel, and all shift when prompts change what the ViT computes, so three things differ from plain k-means with
    the last centroids (the paper's), which permutes or collapses the mapping:

    - Directions are taken from the center of all known classes, after the shift that the seen classes share is removed.
    - New clusters are matched to prompts by the classes they share, an assignment problem.
    - A class that is not seen between two clusterings keeps its prompt, no seen class joins a prompt whose classes are
      all absent, and no other prompt is left without a class while there are classes enough.

    Args:
        num_classes: C.
        num_prompts: M.
        embed_dim: width of the tokens whose class means are clustered.
        seed: of the first k-means, which has no centroids to start from, or of the draw.
        max_iter: rounds of k-means.
        kind: ``dynamic``, ``static`` or ``random``.

    Raises:
        ValueError: another kind.

    Attributes (buffers):
        prompt_of_class: (C,) the cluster of each class; the mapping where C > M.
        class_means: (C, D) mean token of each class since the last clustering.
        class_counts: (C,) how many tokens that mean is of.
        known_means: (C, D) the last class means, moved by every shift since; zeros for a class never seen.
        ever_seen: (C,) bool.
        centroids: (M, D) the center of each cluster's directions.
        clustered: scalar bool, whether the centroids are there.
    """

    prompt_of_class: Tensor
    class_means: Tensor
    class_counts: Tensor
    known_means: Tensor
    ever_seen: Tensor
    centroids: Tensor
    clustered: Tensor

    def __init__(
        self,
        num_classes: int,
        num_prompts: int,
        embed_dim: int,
        seed: int = 0,
        max_iter: int = 20,
        kind: str = "dynamic",
    ) -> None:
        super().__init__()
        if kind not in MAPPINGS:
            raise InputError(f"mapping must be one of {MAPPINGS}, got {kind!r}")
        self.num_classes, self.num_prompts = num_classes, num_prompts
        self.seed, self.max_iter, self.kind = seed, max_iter, kind
        self.register_buffer("prompt_of_class", self._first_prompts())
        self.register_buffer("class_means", torch.zeros(num_classes, embed_dim))
        self.register_buffer("class_counts", torch.zeros(num_classes, dtype=torch.long))
        self.register_buffer("known_means", torch.zeros(num_classes, embed_dim))
        self.register_buffer("ever_seen", torch.zeros(num_classes, dtype=torch.bool))
        self.register_buffer("centroids", torch.zeros(num_prompts, embed_dim))
        self.register_buffer("clustered", torch.tensor(False))

    def _first_prompts(self) -> Tensor:
        if self.kind == "random":
            return torch.from_numpy(np.random.default_rng(self.seed).permutation(self.num_classes)) % self.num_prompts
        return torch.arange(self.num_classes) % self.num_prompts

    @torch.no_grad()
    def reset(self) -> None:
        """Forget everything, as before the first clustering."""
        self.prompt_of_class.copy_(self._first_prompts())
        for buffer in (self.known_means, self.ever_seen, self.centroids, self.clustered):
            buffer.zero_()
        self.forget_means()

    @property
    def shared(self) -> bool:
        """Whether classes outnumber prompts, and so share them."""
        return self.num_classes > self.num_prompts

    @property
    def needs_clustering(self) -> bool:
        """Whether classes are clustered, once at least."""
        return self.shared and self.kind != "random"

    @property
    def needs_reclustering(self) -> bool:
        """Whether classes are clustered again and again, so that training's tokens are to be observed."""
        return self.shared and self.kind == "dynamic"

    def speaks_for(self) -> Tensor:
        """Return whether prompt m speaks for class c, (M, C) bool."""
        prompts = torch.arange(self.num_prompts, device=self.prompt_of_class.device)[:, None]
        if self.shared:
            return prompts == self.prompt_of_class
        return prompts % self.num_classes == torch.arange(self.num_classes, device=prompts.device)

    @torch.no_grad()
    def observe(self, tokens: Tensor, labels: Tensor) -> None:
        """Add tokens (T, D) of labels (T,) to the class means; in training, those of all processes, which go in step.

        Labels that are no class are void, and so are tokens that overflowed (a float16 step that the scaler skips).
        """
        finite = tokens.sum(dim=1, dtype=self.class_means.dtype).isfinite()
        seen = (labels >= 0) & (labels < self.num_classes) & finite
        index = labels.masked_fill(~seen, self.num_classes)
        rows = self.num_classes + 1  # the last one is for void
        counts = self.class_counts.new_zeros(rows).index_add_(0, index, torch.ones_like(index))[:-1]
        # A mean moved by a weighted difference loses less in float32 than a sum of millions of tokens.
        tokens = tokens.to(self.class_means.dtype)
        sums = tokens.new_zeros(rows, tokens.shape[1]).index_add_(0, index, tokens)[:-1]
        if self.training:  # each process keeps the means of all, so that the checkpoint of one loses nothing
            sums, counts = sum_over_processes(sums), sum_over_processes(counts)
        self.class_counts += counts
        total = self.class_counts.clamp(min=1)[:, None]
        self.class_means += (sums - counts[:, None] * self.class_means) / total

    def sums(self) -> Tensor:
        """Return the sum of each class's tokens, (C, D), for adding up what several processes saw."""
        return self.class_means * self.class_counts[:, None]

    @torch.no_grad()
    def set_means(self, sums: Tensor, counts: Tensor) -> None:
        """Replace the class means by sums (C, D) over counts (C,) tokens."""
        self.class_counts.copy_(counts)
        self.class_means.copy_(sums / counts.clamp(min=1)[:, None])

    @torch.no_grad()
    def load_means(self, means: Tensor, counts: Tensor) -> None:
        """Replace the class means by kept ones, (C, D), of counts (C,) tokens."""
        self.class_means.copy_(means)
        self.class_counts.copy_(counts)

    @torch.no_grad()
    def forget_means(self) -> None:
        """Reset the class means; the mapping and the centroids stay."""
        self.class_means.zero_()
        self.class_counts.zero_()

    @torch.no_grad()
    def recluster(self) -> None:
        """Replace the mapping by k-means over the class means gathered since the last call, and forget those."""
        seen = (self.class_counts > 0).cpu().numpy()
        if not seen.any():
            logger.warning("No class was seen since the last clustering: the class-to-prompt mapping stays as it is.")
            return
        before = self.prompt_of_class.cpu().numpy()
        settled = self.ever_seen.cpu().numpy() & bool(self.clustered)  # classes whose prompt is more than c mod M
        self.ever_seen |= self.class_counts > 0
        points = self._directions(seen)
        absent = np.unique(before[settled & ~seen])
        held = before[settled & seen]
        free = np.setdiff1d(np.arange(self.num_prompts), np.setdiff1d(absent, held))  # open to the seen classes
        if len(free):
            self._share(points, seen, before, settled, free)
        self.clustered.fill_(True)
        self.forget_means()
        never = (~self.ever_seen).nonzero().flatten().tolist()
        if never:
            logger.warning(
                "Classes %s were never seen; class c goes to prompt c mod %d.", some(never), self.num_prompts
            )

    def _directions(self, seen: np.ndarray) -> np.ndarray:
        """Take the shift that the seen classes share out of the known means; return the seen ones' directions (n, D).

        Without a class that was seen before, the center is that of the seen classes.
        """
        means, known = self.class_means.cpu().double().numpy(), self.known_means.cpu().double().numpy()
        was_known = known.any(axis=1)
        both = was_known & seen
        if both.any():
            known[was_known] += (means[both] - known[both]).mean(axis=0)
        known[seen] = means[seen]
        self.known_means.copy_(torch.from_numpy(known))
        center = known[known.any(axis=1)].mean(axis=0)
        return clustering.directions(known[seen], center)

    def _share(
        self, points: np.ndarray, seen: np.ndarray, before: np.ndarray, settled: np.ndarray, free: np.ndarray
    ) -> None:
        """Cluster the seen classes and give each cluster the free prompt that holds most of its classes.

        Args:
            points: (n, D) directions of the seen classes.
            seen: (C,) bool.
            before: (C,) the prompts so far.
            settled: (C,) bool, classes that were clustered before.
            free: (m,) prompts that these classes may have.
        """
        number = min(len(free), len(points))
        old = before[seen]  # (n,)
        had = settled[seen]
        held = np.unique(old[had])
        start = None
        if len(held):
            groups = np.searchsorted(held, old)  # of those that had one
            centers = np.stack([points[had & (old == prompt)].mean(axis=0) for prompt in held])
            groups = np.where(had, groups, clustering.nearest(points, centers))
            start = clustering.fill_empty(points, groups, number)
        clusters, centers = clustering.cluster(points, number, start, self.max_iter, self.seed)
        shared = np.stack([[(had & (clusters == k) & (old == prompt)).sum() for prompt in free] for k in range(number)])
        centroids = self.centroids.cpu().double().numpy()
        prompts = free[clustering.match(shared, _cosines(centers, centroids[free]))]
        centroids[prompts] = centers
        self.centroids.copy_(torch.from_numpy(centroids))
        after = torch.from_numpy(before)
        after[torch.from_numpy(seen)] = torch.from_numpy(prompts[clusters])
        self.prompt_of_class.copy_(after)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        """Load a checkpoint; one from before ``known_means`` existed leaves them zero."""
        known = f"{prefix}known_means"
        if f"{prefix}prompt_of_class" in state_dict and known not in state_dict:
            state_dict = {**state_dict, known: torch.zeros_like(self.known_means)}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def in_words(self, class_names: Sequence[str]) -> str:
        """Say which classes each prompt speaks for, a line a prompt."""
        lines = []
        for prompt, classes in enumerate(self.speaks_for().cpu()):
            names = ", ".join(class_names[c] for c in classes.nonzero().flatten().tolist())
            lines.append(f"  prompt {prompt:3d}: {names or '(no class)'}")
        return "\n".join(lines)


def _cosines(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the cosines (k, m) of vectors (k, D) and (m, D); 0 where one of them is zero."""
    some, others = clustering.directions(some, np.zeros(1)), clustering.directions(others, np.zeros(1))
    return some @ others.T
