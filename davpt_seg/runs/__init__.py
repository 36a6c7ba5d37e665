"""Training as a process: its command, its log, its attempts, and its result in a folder.

Benchmarks run many of these. Nothing here depends on plans or imports torch or OpenMMLab.
"""
