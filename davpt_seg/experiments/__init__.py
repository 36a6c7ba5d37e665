"""Experiments: configs from words. ``words`` holds the table of words, ``compose`` builds a config from them."""
