"""What ``davpt-seg check-dataset`` reads and reports, and the quicker check before a training."""
