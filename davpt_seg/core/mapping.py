"""Which classes a prompt speaks for: running class means, k-means, and the class-to-prompt mapping.

DA-VPT (arXiv 2505.23694), Sec. 3.4. All state is buffers, so that it is saved, resumed and moved with the model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from torch import Tensor, nn

from .distributed import sum_over_processes

logger = logging.getLogger("davpt_seg")

MAPPINGS = ("dynamic", "static", "random")


class ClassPromptMapping(nn.Module):
    """Map C classes to M prompts.

    With C <= M, prompt m speaks for class m mod C, for good: every class has a prompt of its own and the prompts are
    shared out evenly. With C > M, classes share prompts in one of three ways:

    - ``dynamic``: by k-means over the class means, started from the last centroids, again and again; class c starts
      at prompt c mod M and stays there for as long as it was never seen. A class that is not seen between two
      clusterings keeps its prompt.
    - ``static``: the same, but clustered once only.
    - ``random``: drawn by the seed, for good, as evenly as can be, so that every prompt has a class.

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
        ever_seen: (C,) bool.
        centroids: (M, D), of unit-length class means.
        clustered: scalar bool, whether the centroids are there.
    """

    prompt_of_class: Tensor
    class_means: Tensor
    class_counts: Tensor
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
            raise ValueError(f"mapping must be one of {MAPPINGS}, got {kind!r}")
        self.num_classes, self.num_prompts = num_classes, num_prompts
        self.seed, self.max_iter, self.kind = seed, max_iter, kind
        self.register_buffer("prompt_of_class", self._first_prompts())
        self.register_buffer("class_means", torch.zeros(num_classes, embed_dim))
        self.register_buffer("class_counts", torch.zeros(num_classes, dtype=torch.long))
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
        for buffer in (self.ever_seen, self.centroids, self.clustered):
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
        seen = (labels >= 0) & (labels < self.num_classes) & tokens.isfinite().all(dim=1)
        tokens = tokens.masked_fill(~seen[:, None], 0.0)
        index = labels.masked_fill(~seen, self.num_classes)
        one_hot = F.one_hot(index, self.num_classes + 1)[:, :-1]  # (T, C)
        counts = one_hot.sum(dim=0)
        # A mean moved by a weighted difference loses less in float32 than a sum of millions of tokens.
        with torch.autocast(tokens.device.type, enabled=False):
            sums = one_hot.to(self.class_means.dtype).T @ tokens.to(self.class_means.dtype)
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
        """Start the class means anew; the mapping and the centroids stay."""
        self.class_means.zero_()
        self.class_counts.zero_()

    @torch.no_grad()
    def recluster(self) -> None:
        """Replace the mapping by k-means over the class means gathered since the last call, and forget those."""
        seen = self.class_counts > 0
        self.ever_seen |= seen
        means = F.layer_norm(self.class_means[seen], self.class_means.shape[1:])
        points = F.normalize(means, dim=-1)  # so that Euclidean k-means compares directions
        if not len(points):
            logger.warning("No class was seen since the last clustering: the class-to-prompt mapping stays as it is.")
            return
        if len(points) > self.num_prompts:
            start = self.centroids.cpu().numpy() if self.clustered else "k-means++"
            kmeans = KMeans(self.num_prompts, init=start, n_init=1, max_iter=self.max_iter, random_state=self.seed)
            clusters = torch.from_numpy(kmeans.fit_predict(points.cpu().numpy())).long()
            self.centroids.copy_(torch.from_numpy(kmeans.cluster_centers_))
        elif self.clustered:  # too few classes to move the centroids: each goes to the nearest
            clusters = torch.cdist(points, self.centroids).argmin(dim=1)
        else:  # fewer classes than prompts so far: one prompt each, and every prompt has a centroid
            clusters = torch.arange(len(points))
            self.centroids.copy_(points[torch.arange(self.num_prompts, device=points.device) % len(points)])
        self.prompt_of_class[seen] = clusters.to(self.prompt_of_class.device)
        self.clustered.fill_(True)
        self.forget_means()
        never = (~self.ever_seen).nonzero().flatten().tolist()
        if never:
            logger.warning("Classes %s were never seen; class c goes to prompt c mod %d.", never, self.num_prompts)

    def in_words(self, class_names: Sequence[str]) -> str:
        """Say which classes each prompt speaks for, a line a prompt."""
        lines = []
        for prompt, classes in enumerate(self.speaks_for().cpu()):
            names = ", ".join(class_names[c] for c in classes.nonzero().flatten().tolist())
            lines.append(f"  prompt {prompt:3d}: {names or '(no class)'}")
        return "\n".join(lines)
