"""The runs of a plan: which one is next, and where it trains: on this machine, or on a Ray cluster."""
