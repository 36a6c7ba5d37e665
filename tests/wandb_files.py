"""Reader of W&B's files of offline runs: records of protobuf in LevelDB's log format."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER, START = 32768, struct.Struct("<IHB"), 7  # crc, length and kind of a fragment; bytes before the first
LAST = (1, 4)  # kinds: complete, or the last of several


def records(file: Path) -> Iterator[Record]:
    """Yield the records of a file."""
    content, place, parts = file.read_bytes(), START, b""
    while place + HEADER.size <= len(content):
        if BLOCK - place % BLOCK < HEADER.size:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = HEADER.unpack_from(content, place)
        place += HEADER.size
        parts += content[place : place + length]
        place += length
        if kind in LAST:
            yield Record.FromString(parts)
            parts = b""


def run_of(file: Path) -> tuple[Any, list[dict[str, Any]]]:
    """Return a run's record (``run_id``, ``display_name``, ``project``) and the rows of its history."""
    found = list(records(file))
    (run,) = (each.run for each in found if each.HasField("run"))
    histories = [each.history for each in found if each.HasField("history")]
    return run, [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in history.item}
        for history in histories
    ]
