"""Tables and figures of what has ended in a work dir."""
