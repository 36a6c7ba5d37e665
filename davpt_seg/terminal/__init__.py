"""What all commands have in common: their parser, how they end, and how they name each other."""
