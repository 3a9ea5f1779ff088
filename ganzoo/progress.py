"""A bar on the terminal for work that takes long."""

from collections.abc import Iterable

from rich.console import Console
from rich.progress import track

from ganzoo.metrics.extract import rank


def progress(console: Console, what: str, blocks: range) -> Iterable[int]:
    """The block numbers, with a bar on the first rank's terminal."""
    return track(blocks, what, console=console, transient=True, disable=rank() > 0 or not console.is_terminal)
