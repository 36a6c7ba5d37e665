"""One training as a process: its command, its log, its attempts, its result."""
