"""A training or a test of a config: its checks, how it is built, started and resumed, and what it gave."""
