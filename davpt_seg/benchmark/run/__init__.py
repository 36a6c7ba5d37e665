"""Runs of a plan: their order, and where they train, on this machine or on a Ray cluster."""
