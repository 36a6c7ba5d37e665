"""What a file may hold before it is used: config texts, checkpoints, list files. See docs/security.md."""
