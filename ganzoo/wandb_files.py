"""What W&B has been told of a run, read from the files that it keeps: a run that goes on must not tell it twice."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Told = tuple[float, frozenset[str]]  # images seen, and what was logged then


def id_of(folder: Path) -> str | None:
    """The id of the W&B run whose latest part lies below `folder`."""
    parts = sorted(folder.glob("wandb/*run-*-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    return parts[-1].stem.removeprefix("run-") if parts else None


def told(folder: Path, run: str) -> set[Told]:
    """All rows of the earlier parts of the run with this id."""
    found = set()
    for path in folder.glob(f"wandb/*run-*-{run}/*.wandb"):
        for record in records(path):
            if record.WhichOneof("record_type") == "history":
                row = values(record.history.item)
                names = frozenset(name for name in row if not name.startswith("_") and name != "trainer/global_step")
                if "images_seen" in row:
                    found.add((row["images_seen"], names))
    return found


def records(path: Path) -> Iterator[Any]:
    """A .wandb file is LevelDB's log: blocks of 32 KiB, whose records are whole (1), or begin, go on and end (2, 3, 4). The
    last one may be cut short."""
    from wandb.proto import wandb_internal_pb2  # takes its time: most runs do without

    kind_of: Any = wandb_internal_pb2
    content, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:  # no room for a header
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        if kind == 0 or at + 7 + length > len(content):
            return
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield kind_of.Record.FromString(parts)
            parts = b""


def values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}
