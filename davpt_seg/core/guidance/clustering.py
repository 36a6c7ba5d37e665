"""K-means of class means with persistent clusters: warm start, no empty cluster, matching to old clusters."""

from __future__ import annotations

from typing import Optional

import numpy as np


def directions(means: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return the unit vectors (n, D) from a center (D,) to means (n, D); a mean at the center gives zeros."""
    centered = means - center
    return centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), np.finfo(centered.dtype).tiny)


def cluster(
    points: np.ndarray, num_clusters: int, start: Optional[np.ndarray] = None, max_iter: int = 20, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster points by k-means without empty clusters.

    Args:
        points: vectors (n, D), n >= num_clusters.
        num_clusters: number of clusters k.
        start: initial cluster of each point, (n,), where each of the k clusters has a point; None: k-means++.
        max_iter: largest number of k-means iterations.
        seed: seed of k-means++.

    Returns:
        The cluster of each point, (n,), and the centers of the clusters, (k, D).
    """
    init = "k-means++" if start is None else _centers(points, start, num_clusters)
    if len(np.unique(points, axis=0)) > num_clusters:
        from sklearn.cluster import KMeans  # takes a second or more, and many trainings never cluster

        kmeans = KMeans(num_clusters, init=init, n_init=1, max_iter=max_iter, random_state=seed)
        clusters = kmeans.fit_predict(points)
    else:  # nothing to choose, and k-means would warn: equal points are divided below
        clusters = np.unique(points, axis=0, return_inverse=True)[1].reshape(-1) if start is None else start
    clusters = fill_empty(points, clusters, num_clusters)
    return clusters, _centers(points, clusters, num_clusters)


def fill_empty(points: np.ndarray, clusters: np.ndarray, num_clusters: int) -> np.ndarray:
    """Give each empty cluster the point of a larger cluster that is farthest from its cluster's center.

    Args:
        points: vectors (n, D), n >= num_clusters.
        clusters: cluster of each point, (n,), from 0 to num_clusters - 1.
        num_clusters: number of clusters k.
    """
    clusters = clusters.copy()
    for empty in np.setdiff1d(np.arange(num_clusters), clusters):
        distances = np.linalg.norm(points - _centers(points, clusters, num_clusters)[clusters], axis=1)
        distances[np.bincount(clusters, minlength=num_clusters)[clusters] < 2] = -1
        clusters[distances.argmax()] = empty
    return clusters


def nearest(points: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """Return the index (n,) of the center (k, D) that is nearest to each point (n, D)."""
    return (points @ centers.T - (centers**2).sum(axis=1) / 2).argmax(axis=1)


def match(shared: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Match each new cluster to one old cluster so that most members stay; ties go to the most similar centers.

    Args:
        shared: number of members that a new and an old cluster share, (k, m), k <= m.
        similarity: similarity of their centers, (k, m), from -1 to 1.

    Returns:
        The old cluster of each new cluster, (k,), all different.
    """
    from scipy.optimize import linear_sum_assignment

    tie_break = similarity / (2 * len(shared) + 1)  # in total less than one member
    return linear_sum_assignment(shared + tie_break, maximize=True)[1]


def _centers(points: np.ndarray, clusters: np.ndarray, num_clusters: int) -> np.ndarray:
    """Return the mean of each cluster, (k, D); zeros for an empty one."""
    sums = np.zeros((num_clusters, points.shape[1]), points.dtype)
    np.add.at(sums, clusters, points)
    return sums / np.maximum(np.bincount(clusters, minlength=num_clusters), 1)[:, None]
