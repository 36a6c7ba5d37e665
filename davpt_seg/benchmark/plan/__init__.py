"""Plans: a typed schema of what they may say, and the studies that they mean. Nothing here imports torch."""
