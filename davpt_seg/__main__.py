"""``python -m davpt_seg COMMAND ...``, for where the console command is not on the path."""

import sys

from .cli import main

sys.exit(main())
