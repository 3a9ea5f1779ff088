"""A run that ends with the process that began it, however that ended: its standard input is then closed."""

import os
import sys
from threading import Thread

from ganzoo.__main__ import main


def end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # unbuffered: a thread inside sys.stdin would hold its lock at the end
    os._exit(1)


if __name__ == "__main__":
    Thread(target=end_with_parent, daemon=True).start()
    main()
