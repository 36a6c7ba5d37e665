"""Benchmarks: hyper-parameters chosen on validation images, final runs tested once, one table of all.

A :class:`~davpt_seg.benchmark.plan.plan.Plan` is a list of studies (a task, a trunk, a method). Each study searches its
hyper-parameters, records its choice, and then trains once per seed. Every run is a separate process, on this machine or
on a Ray cluster. Nothing here imports torch or OpenMMLab.
"""
