"""``python -m davpt_seg COMMAND ...``, for where the console command is not on the path."""

from .cli import main

main()
