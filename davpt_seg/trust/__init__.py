"""What a file may hold before it is used: config texts, checkpoints, list files. See docs/security.md."""

import mmengine  # noqa: F401  (first, so that registration finds no half-imported module of ours)
