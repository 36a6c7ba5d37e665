"""One training as a process: its command, its log, its attempts, and its result in a folder.

Benchmarks run many of these. Nothing here knows of plans, and nothing imports torch or OpenMMLab.
"""
