"""Class-to-prompt mapping: running class means, clustered by k-means.

DA-VPT (arXiv 2505.23694), Sec. 3.4. All state is in buffers, so that it is saved, resumed and moved with the model.
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
    """Sharing of prompts among more classes than prompts: guidance's ``mapping`` in a config.

    Args:
        kind: ``dynamic``, ``static`` or ``random``, see :class:`ClassPromptMapping`.
        seed: seed of the first clustering or the random mapping.
        class_means: tokens whose means are clustered: ``patch`` tokens, ``image`` tokens (the paper's classification),
            both of the last guided block, or the ``final`` token, which a classifier reads, after the last norm (the
            released code).
    """

    what = "guidance mapping"
    kind: Annotated[str, OneOf(MAPPINGS)] = "dynamic"
    seed: Seed = 0
    class_means: Annotated[str, OneOf(CLASS_MEANS)] = "patch"


class ClassPromptMapping(nn.Module):
    """Map C classes to M prompts.

    With C <= M, prompt m is assigned to class m mod C, permanently: every class has its own prompts, and they are
    distributed evenly. With C > M, classes share prompts in one of three ways:

    - ``dynamic``: repeated k-means over the class means, started from the last clusters. Class c starts at prompt
      c mod M and stays there until it is first seen.
    - ``static``: the same, but clustered only once.
    - ``random``: drawn by the seed, permanently, as evenly as possible, so that every prompt has a class.

    A prompt keeps its classes from clustering to clustering unless the classes themselves move. Class means are nearly
    parallel, and all shift when prompts change the ViT's features, so plain k-means from the last centroids (the
    paper's) permutes or collapses the mapping. There are three differences:

    - Directions are taken from the center of all known classes, after the common shift of the seen classes is removed.
    - New clusters are matched to prompts by the classes that they share, an assignment problem.
    - A class that is not seen between two clusterings keeps its prompt, no seen class joins a prompt whose classes are
      all absent, and no other prompt loses all its classes while there are enough classes.

    Args:
        num_classes: number of classes C.
        num_prompts: number of prompts M.
        embed_dim: width of the tokens whose class means are clustered.
        seed: seed of the first k-means, which has no centroids to start from, or of the random mapping.
        max_iter: largest number of k-means iterations.
        kind: ``dynamic``, ``static`` or ``random``.

    Raises:
        ValueError: an unknown kind.

    Attributes (buffers):
        prompt_of_class: cluster of each class, (C,); the mapping if C > M.
        class_means: mean token of each class since the last clustering, (C, D).
        class_counts: number of tokens in each mean, (C,).
        known_means: last class means, moved by every shift since, (C, D); zeros for a class never seen.
        ever_seen: whether a class was seen, (C,) bool.
        centroids: center of each cluster's directions, (M, D).
        clustered: whether there are centroids, scalar bool.
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
        """Reset all state to that before the first clustering."""
        self.prompt_of_class.copy_(self._first_prompts())
        for buffer in (self.known_means, self.ever_seen, self.centroids, self.clustered):
            buffer.zero_()
        self.forget_means()

    @property
    def shared(self) -> bool:
        """Return whether classes outnumber prompts, and so share them."""
        return self.num_classes > self.num_prompts

    @property
    def needs_clustering(self) -> bool:
        """Return whether classes are clustered at least once."""
        return self.shared and self.kind != "random"

    @property
    def needs_reclustering(self) -> bool:
        """Return whether classes are clustered repeatedly, so that the tokens of training must be observed."""
        return self.shared and self.kind == "dynamic"

    def speaks_for(self) -> Tensor:
        """Return whether prompt m is assigned to class c, (M, C) bool."""
        prompts = torch.arange(self.num_prompts, device=self.prompt_of_class.device)[:, None]
        if self.shared:
            return prompts == self.prompt_of_class
        return prompts % self.num_classes == torch.arange(self.num_classes, device=prompts.device)

    @torch.no_grad()
    def observe(self, tokens: Tensor, labels: Tensor) -> None:
        """Add tokens (T, D) with labels (T,) to the class means; in training, those of all processes, in step.

        Labels that are no class, and tokens that overflowed (in a float16 step that the scaler skips), are void.
        """
        finite = tokens.sum(dim=1, dtype=self.class_means.dtype).isfinite()
        seen = (labels >= 0) & (labels < self.num_classes) & finite
        index = labels.masked_fill(~seen, self.num_classes)
        rows = self.num_classes + 1  # the last one is for void
        counts = self.class_counts.new_zeros(rows).index_add_(0, index, torch.ones_like(index))[:-1]
        # A running mean loses less precision in float32 than a sum of millions of tokens.
        tokens = tokens.to(self.class_means.dtype)
        sums = tokens.new_zeros(rows, tokens.shape[1]).index_add_(0, index, tokens)[:-1]
        if self.training:  # each process keeps the means of all, so that one checkpoint is complete
            sums, counts = sum_over_processes(sums), sum_over_processes(counts)
        self.class_counts += counts
        total = self.class_counts.clamp(min=1)[:, None]
        self.class_means += (sums - counts[:, None] * self.class_means) / total

    def sums(self) -> Tensor:
        """Return the sum of each class's tokens, (C, D), to add up over processes."""
        return self.class_means * self.class_counts[:, None]

    @torch.no_grad()
    def set_means(self, sums: Tensor, counts: Tensor) -> None:
        """Set the class means from sums (C, D) and counts (C,)."""
        self.class_counts.copy_(counts)
        self.class_means.copy_(sums / counts.clamp(min=1)[:, None])

    @torch.no_grad()
    def load_means(self, means: Tensor, counts: Tensor) -> None:
        """Set the class means (C, D) and counts (C,)."""
        self.class_means.copy_(means)
        self.class_counts.copy_(counts)

    @torch.no_grad()
    def forget_means(self) -> None:
        """Reset the class means; the mapping and the centroids stay."""
        self.class_means.zero_()
        self.class_counts.zero_()

    @torch.no_grad()
    def recluster(self) -> None:
        """Replace the mapping by k-means over the class means since the last call, and reset the means."""
        seen = (self.class_counts > 0).cpu().numpy()
        if not seen.any():
            logger.warning("No class was seen since the last clustering: the class-to-prompt mapping stays as it is.")
            return
        before = self.prompt_of_class.cpu().numpy()
        placed = self.ever_seen.cpu().numpy() & bool(self.clustered)  # classes whose prompt comes from a clustering
        self.ever_seen |= self.class_counts > 0
        points = self._directions(seen)
        absent = np.unique(before[placed & ~seen])
        held = before[placed & seen]
        free = np.setdiff1d(np.arange(self.num_prompts), np.setdiff1d(absent, held))  # open to the seen classes
        if len(free):
            self._share(points, seen, before, placed, free)
        self.clustered.fill_(True)
        self.forget_means()
        never = (~self.ever_seen).nonzero().flatten().tolist()
        if never:
            logger.warning(
                "Classes %s were never seen; class c stays at prompt c mod %d.", some(never), self.num_prompts
            )

    def _directions(self, seen: np.ndarray) -> np.ndarray:
        """Add the common shift of the seen classes to the known means; return the seen classes' directions (n, D).

        If no class was seen before, the center is that of the seen classes.
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
        self, points: np.ndarray, seen: np.ndarray, before: np.ndarray, placed: np.ndarray, free: np.ndarray
    ) -> None:
        """Cluster the seen classes and give each cluster the free prompt that holds most of its classes.

        Args:
            points: directions of the seen classes, (n, D).
            seen: whether each class is seen, (C,) bool.
            before: prompt of each class so far, (C,).
            placed: whether each class was clustered before, (C,) bool.
            free: prompts that the seen classes may have, (m,).
        """
        number = min(len(free), len(points))
        old = before[seen]  # (n,)
        had = placed[seen]
        held = np.unique(old[had])
        start = None
        if len(held):
            groups = np.searchsorted(held, old)  # of those with one
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
        """Load a checkpoint; an old one without ``known_means`` leaves them zero."""
        known = f"{prefix}known_means"
        if f"{prefix}prompt_of_class" in state_dict and known not in state_dict:
            state_dict = {**state_dict, known: torch.zeros_like(self.known_means)}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def in_words(self, class_names: Sequence[str]) -> str:
        """Describe the classes of each prompt, one line per prompt."""
        lines = []
        for prompt, classes in enumerate(self.speaks_for().cpu()):
            names = ", ".join(class_names[c] for c in classes.nonzero().flatten().tolist())
            lines.append(f"  prompt {prompt:3d}: {names or '(no class)'}")
        return "\n".join(lines)


def _cosines(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the cosines (k, m) of vectors (k, D) and (m, D); 0 for zero vectors."""
    some, others = clustering.directions(some, np.zeros(1)), clustering.directions(others, np.zeros(1))
    return some @ others.T
