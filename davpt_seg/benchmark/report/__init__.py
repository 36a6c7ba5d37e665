"""Tables and figures of the finished runs in a work dir."""
