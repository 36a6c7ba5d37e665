"""Benchmarks: hyper-parameters chosen on validation images, final runs tested once, one table of all.

A :class:`~davpt_seg.benchmark.plan.plan.Plan` is a list of studies (a task, a trunk, a method); each study searches its
hyper-parameters, writes down what it chose, and then trains once per seed. Every run is a process of its own, on this
machine or on a Ray cluster. Nothing here imports torch or OpenMMLab.
"""
