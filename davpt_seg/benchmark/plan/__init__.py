"""Plans: a typed schema, and the studies that a plan describes. Nothing here imports torch."""
