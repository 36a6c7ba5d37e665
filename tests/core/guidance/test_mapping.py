"""Class means against float64 averages, clusters against scikit-learn, and prompts that keep their classes."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from itertools import permutations
from typing import Any, Optional

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.preprocessing import normalize
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from davpt_seg.core import ClassPromptMapping
from davpt_seg.core.guidance import clustering

D = 16


def average(tokens: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Each class's mean token in float64, zeros where it has none."""
    groups = [tokens[labels == c].double() for c in range(num_classes)]
    return torch.stack([group.mean(0) if len(group) else torch.zeros(tokens.shape[1]).double() for group in groups])


def batch(num_classes: int, size: int = 200, void: bool = True) -> tuple[Tensor, Tensor]:
    labels = torch.randint(num_classes, (size,))
    tokens = torch.randn(size, D) + torch.arange(num_classes)[labels, None]
    return tokens, labels.masked_fill(torch.rand(size) < 0.3, 255) if void else labels


def observe_means(mapping: ClassPromptMapping, means: Tensor, classes: Optional[list[int]] = None) -> None:
    """Show the mapping one token of each class."""
    classes = list(range(len(means))) if classes is None else classes
    mapping.observe(means[classes], torch.tensor(classes))


def clustered(mapping: ClassPromptMapping, means: Tensor, classes: Optional[list[int]] = None) -> list[int]:
    """Observe means, cluster, and return each class's prompt."""
    observe_means(mapping, means, classes)
    mapping.recluster()
    return mapping.prompt_of_class.tolist()


def unit_points(means: Tensor) -> np.ndarray:
    """Directions from the mean of the class means, by numpy and scikit-learn."""
    values = means.double().numpy()
    return normalize(values - values.mean(0))


def rings(num_groups: int, per_group: int, noise: float = 0.05) -> tuple[Tensor, list[int]]:
    """Class means in groups around orthogonal directions, shuffled; returns them and each class's group."""
    groups = torch.arange(num_groups).repeat_interleave(per_group)[torch.randperm(num_groups * per_group)]
    basis = torch.linalg.qr(torch.cat([torch.ones(D, 1), torch.randn(D, num_groups)], dim=1))[0].T[1:]
    return 7 * (basis[groups] + noise * torch.randn(len(groups), D)), groups.tolist()


def partition(labels: list[int]) -> set[frozenset[int]]:
    return {frozenset(i for i, other in enumerate(labels) if other == label) for label in labels}


@pytest.mark.parametrize(("num_classes", "num_prompts"), [(1, 1), (1, 4), (3, 3), (3, 10), (11, 20), (19, 20)])
def test_few_classes_share_the_prompts_evenly(num_classes: int, num_prompts: int) -> None:
    mapping = ClassPromptMapping(num_classes, num_prompts, D)
    speaks_for = mapping.speaks_for()
    assert not mapping.needs_clustering and speaks_for.shape == (num_prompts, num_classes)
    per_class = speaks_for.sum(dim=0)
    assert per_class.min() >= 1 and per_class.max() - per_class.min() <= 1
    assert (speaks_for.sum(dim=1) == 1).all()  # no prompt speaks for two classes, or for none


def test_many_classes_have_one_prompt_each_and_start_at_c_mod_m() -> None:
    mapping = ClassPromptMapping(7, 3, D)
    assert mapping.needs_clustering
    assert mapping.speaks_for().nonzero().tolist() == sorted([c % 3, c] for c in range(7))


def test_means_equal_a_float64_average_over_batches_with_void_and_unequal_sizes() -> None:
    torch.manual_seed(0)
    mapping = ClassPromptMapping(9, 4, D)
    batches = [batch(7, size) for size in (200, 1, 37, 500)]  # classes 7 and 8 never come
    batches[2][1][::5] = -1  # no class either
    for tokens, labels in batches:
        mapping.observe(tokens, labels)
    tokens, labels = (torch.cat(parts) for parts in zip(*batches))
    torch.testing.assert_close(mapping.class_means.double(), average(tokens, labels, 9), rtol=1e-5, atol=1e-5)
    assert mapping.class_counts.tolist() == [(labels == c).sum() for c in range(9)]
    assert mapping.class_counts[7:].tolist() == [0, 0]


def test_nothing_but_void_changes_no_mean() -> None:
    mapping = ClassPromptMapping(9, 4, D)
    mapping.observe(*batch(9))
    before = mapping.class_means.clone()
    mapping.observe(torch.randn(30, D), torch.full((30,), 255))
    assert torch.equal(mapping.class_means, before)


def test_means_stay_close_to_float64_over_thousands_of_updates_with_a_large_offset() -> None:
    torch.manual_seed(0)
    mapping = ClassPromptMapping(3, 2, D)
    sums, counts = torch.zeros(3, D, dtype=torch.float64), torch.zeros(3, 1, dtype=torch.float64)
    for _ in range(3000):
        tokens, labels = 1e3 + torch.randn(48, D), torch.randint(4, (48,))  # 3 is void
        mapping.observe(tokens, labels)
        sums.index_add_(0, labels[labels < 3], tokens[labels < 3].double())
        counts.index_add_(0, labels[labels < 3], torch.ones(48, 1).double()[labels < 3])
    assert (mapping.class_means - sums / counts).abs().max() < 5e-3  # tokens spread by 1; a float32 step at 1e3 is 6e-5


def test_the_mean_of_equal_tokens_is_that_token_however_many_there_are() -> None:
    token = 1000.3 + torch.linspace(0, 1, D)
    mapping = ClassPromptMapping(2, 1, D)
    for _ in range(3000):
        mapping.observe(token.expand(64, D), torch.zeros(64, dtype=torch.long))
    assert (mapping.class_means[0] - token).abs().max() < 3e-3  # a running sum in float32 is off by 3e-2


class Largest(TorchDispatchMode):
    """Keeps the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.elements = max(self.elements, result.numel())
        return result


def test_observing_makes_no_tensor_of_tokens_by_classes() -> None:
    num_classes, size = 5000, 3000
    mapping = ClassPromptMapping(num_classes, 4, D)
    tokens, labels = torch.randn(size, D), torch.randint(num_classes, (size,))
    with Largest() as largest:
        mapping.observe(tokens, labels)
    assert largest.elements <= (num_classes + 1) * D


def test_means_are_gathered_in_full_precision_under_autocast() -> None:
    torch.manual_seed(0)
    plain, mixed = ClassPromptMapping(5, 2, D), ClassPromptMapping(5, 2, D)
    tokens, labels = batch(5)
    plain.observe(tokens, labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed.observe(tokens, labels)
    assert torch.equal(plain.class_means, mixed.class_means)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_first_clustering_is_scikit_learns_from_the_seed(seed: int) -> None:
    torch.manual_seed(1)
    means = torch.randn(40, D) + 3 * torch.randn(1, D)
    mapping = ClassPromptMapping(40, 6, D, seed=seed)
    expected = KMeans(6, n_init=1, max_iter=20, random_state=seed).fit(unit_points(means))
    prompts = clustered(mapping, means)
    assert partition(prompts) == partition(expected.labels_.tolist())
    for c, prompt in enumerate(prompts):
        center = expected.cluster_centers_[expected.labels_[c]]
        np.testing.assert_allclose(mapping.centroids[prompt].numpy(), center, atol=1e-5)
    assert mapping.clustered and mapping.class_counts.sum() == 0 and not mapping.class_means.any()


def test_later_clusterings_start_from_the_last_clusters() -> None:
    torch.manual_seed(2)
    means = torch.randn(40, D)
    mapping = ClassPromptMapping(40, 6, D)
    first = np.array(clustered(mapping, means))
    means = means + 0.6 * torch.randn(40, D)
    points = unit_points(means)
    start = np.stack([points[first == prompt].mean(0) for prompt in range(6)])
    expected = KMeans(6, init=start, n_init=1, max_iter=20).fit(points)
    afresh = KMeans(6, n_init=1, max_iter=20, random_state=0).fit(points)
    second = clustered(mapping, means)
    assert partition(second) == partition(expected.labels_.tolist()) != partition(afresh.labels_.tolist())


def test_prompts_keep_their_classes_while_the_means_barely_move() -> None:
    torch.manual_seed(3)
    means, _ = rings(4, 5)
    mapping = ClassPromptMapping(20, 4, D)
    first = clustered(mapping, means)
    assert all(clustered(mapping, means + 0.01 * torch.randn_like(means)) == first for _ in range(5))


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
@pytest.mark.parametrize("shift", [0.0, 1.0, 100.0])
def test_well_separated_groups_are_found_at_any_common_scale_and_shift(scale: float, shift: float) -> None:
    torch.manual_seed(4)
    means, groups = rings(4, 5)
    mapping = ClassPromptMapping(20, 4, D)
    assert partition(clustered(mapping, scale * (means + shift * torch.randn(1, D)))) == partition(groups)
    assert mapping.speaks_for().any(dim=1).all()


def test_a_class_never_seen_stays_at_c_mod_m_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(5)
    mapping = ClassPromptMapping(12, 3, D)
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        prompts = clustered(mapping, torch.randn(12, D), classes=[c for c in range(12) if c not in (4, 11)])
    assert prompts[4] == 4 % 3 and prompts[11] == 11 % 3
    assert re.search(r"Classes 4, 11 were never seen.*c mod 3", caplog.text)
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        clustered(mapping, torch.randn(12, D))
    assert not caplog.records


def test_an_absent_class_keeps_its_prompt() -> None:
    torch.manual_seed(6)
    mapping = ClassPromptMapping(20, 4, D)
    first = clustered(mapping, torch.randn(20, D))
    absent = [c for c in range(20) if first[c] != c % 4][:3]
    second = clustered(mapping, torch.randn(20, D), classes=[c for c in range(20) if c not in absent])
    assert [second[c] for c in absent] == [first[c] for c in absent]
    assert second != first


@pytest.mark.parametrize("seen", [[7], [2, 9, 5], [1, 3, 5, 7]])
def test_fewer_seen_classes_than_prompts_get_a_prompt_each_at_first(seen: list[int]) -> None:
    torch.manual_seed(7)
    means, _ = rings(4, 3)
    mapping = ClassPromptMapping(12, 4, D)
    prompts = clustered(mapping, means, classes=seen)
    assert len({prompts[c] for c in seen}) == len(seen)
    assert mapping.clustered
    assert len(set(clustered(mapping, means))) == 4  # all 12 can follow


@pytest.mark.parametrize("seen", [[3, 8], [3], list(range(11))])
def test_classes_that_are_not_seen_keep_their_prompts_and_seen_ones_do_not_join_them(seen: list[int]) -> None:
    torch.manual_seed(8)
    means, _ = rings(4, 5)
    mapping = ClassPromptMapping(20, 4, D)
    first = clustered(mapping, means)
    absent_only = set(first) - {first[c] for c in seen}
    second = clustered(mapping, means + 50 * torch.randn(1, D), classes=seen)
    assert second == first
    assert not absent_only & {second[c] for c in seen}


def test_a_class_that_moves_to_another_group_joins_its_prompt() -> None:
    torch.manual_seed(8)
    means, groups = rings(4, 5)
    mapping = ClassPromptMapping(20, 4, D)
    first = clustered(mapping, means)
    moved = means.clone()
    source = next(c for c in range(20) if groups[c] != groups[3])
    moved[3] = means[source]
    second = clustered(mapping, moved)
    assert second[3] == first[source]
    assert [p for c, p in enumerate(second) if c != 3] == [p for c, p in enumerate(first) if c != 3]


# --- A prompt keeps its classes unless the classes move --------------------------------------------------------------


def random_sets(count: int) -> Iterator[tuple[ClassPromptMapping, Tensor, torch.Generator]]:
    """Mappings of nearly parallel class means, as a ViT's are, clustered once."""
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        num_prompts = int(torch.randint(1, 12, (1,), generator=generator))
        num_classes = num_prompts + int(torch.randint(1, 40, (1,), generator=generator))
        means = torch.randn(num_classes, D, generator=generator) + 3 * torch.randn(1, D, generator=generator)
        mapping = ClassPromptMapping(num_classes, num_prompts, D, seed=seed)
        clustered(mapping, means)
        while clustered(mapping, means) != clustered(mapping, means):
            pass  # one call ends after max_iter rounds, perhaps before k-means has converged
        yield mapping, means, generator


@pytest.mark.parametrize("size", [0.1, 1.0, 10.0, 1000.0])
def test_a_common_shift_of_any_size_moves_no_class(size: float) -> None:
    for mapping, means, generator in random_sets(40):
        before = mapping.prompt_of_class.tolist()
        assert clustered(mapping, means + size * torch.randn(1, D, generator=generator)) == before


@pytest.mark.parametrize("size", [0.0, 10.0])
def test_absent_classes_and_a_common_shift_move_no_class(size: float) -> None:
    moved, number = 0, 0
    for mapping, means, generator in random_sets(40):
        before = mapping.prompt_of_class.tolist()
        seen = (torch.rand(len(means), generator=generator) < 0.6).nonzero().flatten().tolist() or [0]
        after = clustered(mapping, means + size * torch.randn(1, D, generator=generator), classes=seen)
        absent = set(range(len(means))) - set(seen)
        assert all(after[c] == before[c] for c in absent)
        held_by_absent = {before[c] for c in absent} - {before[c] for c in seen}
        assert all(after[c] not in held_by_absent for c in seen)
        moved, number = moved + sum(after[c] != before[c] for c in seen), number + len(seen)
    assert moved <= 0.01 * number  # these means have no groups, so that a part of a cluster may have another neighbour


def test_no_prompt_is_left_without_a_class_when_enough_were_seen() -> None:
    for mapping, means, generator in random_sets(60):
        noise = 3 * torch.randn(means.shape, generator=generator)
        assert set(clustered(mapping, means + noise)) == set(range(mapping.num_prompts))
    equal = ClassPromptMapping(9, 4, D)
    assert set(clustered(equal, torch.ones(9, D))) == set(range(4))  # even of equal means


def test_relabelled_clusters_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = clustering.cluster

    def relabelled(points: np.ndarray, number: int, *args: Any) -> tuple[np.ndarray, np.ndarray]:
        clusters, centers = real(points, number, *args)
        new = np.random.default_rng(number).permutation(number)
        return new[clusters], centers[np.argsort(new)]

    for mapping, means, generator in random_sets(20):
        twin = ClassPromptMapping(mapping.num_classes, mapping.num_prompts, D)
        twin.load_state_dict(mapping.state_dict())
        moved = means + 0.5 * torch.randn(means.shape, generator=generator)
        expected = clustered(mapping, moved)
        with monkeypatch.context() as patched:
            patched.setattr(clustering, "cluster", relabelled)
            assert clustered(twin, moved) == expected
        torch.testing.assert_close(twin.centroids, mapping.centroids)


def test_matching_keeps_most_classes_like_the_best_of_all_permutations() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        shared = rng.integers(0, 4, (4, 5))
        similarity = rng.uniform(-1, 1, shared.shape)
        best = max(
            permutations(range(5), 4),
            key=lambda p: (sum(shared[i, j] for i, j in enumerate(p)), sum(similarity[i, j] for i, j in enumerate(p))),
        )
        assert clustering.match(shared, similarity).tolist() == list(best)


def test_a_checkpoint_without_known_means_keeps_its_mapping_and_can_cluster_again() -> None:
    torch.manual_seed(12)
    means, _ = rings(4, 5)
    mapping, restored = ClassPromptMapping(20, 4, D), ClassPromptMapping(20, 4, D)
    first = clustered(mapping, means)
    state = mapping.state_dict()
    del state["known_means"]
    restored.load_state_dict(state)
    assert restored.prompt_of_class.tolist() == first
    assert clustered(restored, means + torch.randn(1, D)) == first


@pytest.mark.parametrize("before", ["never clustered", "clustered"])
def test_a_clustering_with_nothing_seen_changes_nothing(before: str) -> None:
    mapping = ClassPromptMapping(12, 3, D)
    if before == "clustered":
        clustered(mapping, torch.randn(12, D))
    state = {name: value.clone() for name, value in mapping.state_dict().items()}
    mapping.recluster()
    assert all(torch.equal(value, state[name]) for name, value in mapping.state_dict().items())


@pytest.mark.parametrize(
    "before",
    [
        "never clustered",
        "clustered",
    ],
)
def test_a_clustering_with_nothing_seen_is_logged(before: str, caplog: pytest.LogCaptureFixture) -> None:
    mapping = ClassPromptMapping(12, 3, D)
    if before == "clustered":
        clustered(mapping, torch.randn(12, D))
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        mapping.recluster()
    assert "No class was seen since the last clustering" in caplog.text


def test_the_state_survives_a_round_trip() -> None:
    torch.manual_seed(9)
    mapping, restored = ClassPromptMapping(20, 4, D), ClassPromptMapping(20, 4, D, seed=99)
    clustered(mapping, torch.randn(20, D), classes=list(range(15)))
    mapping.observe(*batch(20))
    restored.load_state_dict(mapping.state_dict())
    assert torch.equal(restored.speaks_for(), mapping.speaks_for())
    mapping.observe(tokens := torch.randn(40, D), labels := torch.randint(20, (40,)))
    restored.observe(tokens, labels)
    for each in (mapping, restored):  # the next clustering starts from the centroids, so the seed is out of play
        each.recluster()
    for name, value in mapping.state_dict().items():
        assert torch.equal(value, restored.state_dict()[name]), name


def test_two_halves_merged_by_their_sums_equal_the_whole() -> None:
    torch.manual_seed(10)
    whole, *halves = (ClassPromptMapping(9, 4, D) for _ in range(3))
    for i in range(6):
        tokens, labels = batch(7 if i % 2 else 5)
        whole.observe(tokens, labels)
        halves[i % 2].observe(tokens, labels)
    merged = ClassPromptMapping(9, 4, D)
    merged.set_means(sum(half.sums() for half in halves), sum(half.class_counts for half in halves))
    assert torch.equal(merged.class_counts, whole.class_counts) and whole.class_counts[8] == 0
    torch.testing.assert_close(merged.class_means, whole.class_means, rtol=1e-5, atol=1e-5)


def test_forgetting_the_means_keeps_the_mapping() -> None:
    mapping = ClassPromptMapping(20, 4, D)
    prompts, centroids = clustered(mapping, torch.randn(20, D)), mapping.centroids.clone()
    mapping.observe(*batch(20))
    mapping.forget_means()
    assert mapping.class_counts.sum() == 0 and not mapping.class_means.any()
    assert mapping.prompt_of_class.tolist() == prompts and torch.equal(mapping.centroids, centroids)


def test_the_mapping_in_words_names_every_class_at_its_prompt() -> None:
    mapping = ClassPromptMapping(4, 3, D)
    mapping.prompt_of_class.copy_(torch.tensor([2, 0, 2, 0]))
    lines = mapping.in_words(["wall", "sky", "tree", "road"]).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["sky, road", "(no class)", "wall, tree"]
    assert [int(re.search(r"\d+", line)[0]) for line in lines] == [0, 1, 2]


def test_tokens_that_overflowed_are_left_out() -> None:
    torch.manual_seed(0)
    tokens, labels = torch.randn(20, D), torch.arange(20) % 12
    mapping, finite = ClassPromptMapping(12, 3, D), ClassPromptMapping(12, 3, D)
    finite.observe(tokens[2:], labels[2:])
    tokens[0, 0], tokens[1] = float("inf"), float("nan")
    mapping.observe(tokens, labels)
    for name, buffer in finite.state_dict().items():
        torch.testing.assert_close(mapping.state_dict()[name], buffer, msg=name)


@pytest.mark.parametrize(("num_classes", "num_prompts"), [(12, 3), (11, 4), (150, 10)])
def test_a_random_mapping_is_even_and_of_its_seed_alone(num_classes: int, num_prompts: int) -> None:
    def prompts(seed: int) -> list[int]:
        return ClassPromptMapping(num_classes, num_prompts, D, seed=seed, kind="random").prompt_of_class.tolist()

    torch.manual_seed(0)
    first = prompts(3)
    torch.manual_seed(1)
    assert prompts(3) == first != prompts(4)
    sizes = [first.count(prompt) for prompt in range(num_prompts)]
    assert len(first) == num_classes and max(sizes) - min(sizes) <= 1
    mapping = ClassPromptMapping(num_classes, num_prompts, D, seed=3, kind="random")
    assert mapping.shared and not mapping.needs_clustering and not mapping.needs_reclustering
    assert mapping.speaks_for().nonzero().tolist() == sorted([prompt, c] for c, prompt in enumerate(first))
    mapping.prompt_of_class.zero_()
    mapping.reset()
    assert mapping.prompt_of_class.tolist() == first


@pytest.mark.parametrize("kind", ["dynamic", "static", "random"])
def test_with_prompts_enough_each_class_has_its_own_however_they_are_mapped(kind: str) -> None:
    mapping = ClassPromptMapping(3, 5, D, kind=kind)
    assert torch.equal(mapping.speaks_for(), ClassPromptMapping(3, 5, D).speaks_for())
    assert not mapping.shared and not mapping.needs_clustering and not mapping.needs_reclustering


def test_a_static_mapping_is_clustered_but_not_again() -> None:
    mapping = ClassPromptMapping(12, 3, D, kind="static")
    assert mapping.needs_clustering and not mapping.needs_reclustering
