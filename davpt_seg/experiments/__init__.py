"""Experiments: words become a config. ``words`` holds the table of words, ``compose`` makes a config of them."""
