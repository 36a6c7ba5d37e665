"""Commands of ``davpt-seg``, each a file: its options and its body."""
