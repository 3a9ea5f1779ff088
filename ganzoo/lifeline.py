"""All ranks of a run end together: one that dies or fails takes the others with it within seconds, and is named."""

import os
import re
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch.distributed as dist

GRACE_SECONDS = 5  # for a rank to end by itself, with its own error, before it is ended
WORD_SECONDS = 2  # for news of a death to come after the collective that failed of it
MEET_SECONDS = 20  # for the connections to be made
POLL_SECONDS = 0.2  # between two looks at the parent process

DONE = "done"
WORD_BYTES = 2000  # the longest word


class Lifeline:
    """A connection of every rank with rank 0, which the system closes when a process dies, however it dies.

    The collectives would tell much later: over NCCL the living wait for the dead in the device's queue until a timeout of
    minutes, out of reach of any exception. So a thread listens, which ends its process whatever the others are doing. Over a
    connection goes one word at most: DONE, or what went wrong; a connection closed without it is a death.

    Args:
        rank: of this process.
        parent: the process without which this one has no use, or None if it may live on alone.
    """

    def __init__(self, rank: int, parent: int | None) -> None:
        self.rank, self.parent = rank, parent
        self.children: list[subprocess.Popen[Any]] = []  # those of the next ranks, if this process has started them
        self._ties = selectors.DefaultSelector()
        self._over = False
        self._lost = threading.Event()
        self._line = ""  # what is still to be said
        self._ending = threading.Lock()
        os.register_at_fork(after_in_child=self._let_go)
        self._listener = threading.Thread(target=self._watch, name="lifeline", daemon=True)
        self._listener.start()

    def tie(self, world: int, host: str, agree: Callable[[Any], Any]) -> None:
        """Connect all ranks with rank 0, at `host`. All call it at once; `agree` gives them rank 0's value."""
        server = None
        if self.rank == 0:
            server = socket.create_server(("127.0.0.1" if host == "127.0.0.1" else "", 0), backlog=world)
        port, key = agree(None if server is None else (server.getsockname()[1], secrets.token_hex()))
        try:
            if server is None:
                self._join(socket.create_connection((host, port), MEET_SECONDS), key)
            else:
                with server:
                    self._gather(server, world, key)
        except OSError as error:
            where = f"rank {self.rank} and {host}, port {port}"
            warnings.warn(f"a rank that dies may be noticed late: no connection between {where} ({error})", stacklevel=2)

    def close(self) -> None:
        """The run is over: from here on a rank may end."""
        if self._lost.is_set():
            return
        self._over = True
        self._tell(DONE)
        self._listener.join(MEET_SECONDS)
        self._let_go()

    def failed(self, error: Exception) -> None:
        """An error is about to end this rank: the others must not wait for it, nor it for them."""
        said = " ".join(f"{type(error).__name__}: {error}".split())
        self._lost.set()
        self._tell(f"rank {self.rank} failed ({said[:300]})")
        late = threading.Timer(GRACE_SECONDS + WORD_SECONDS, self.end)  # after the others: they say which rank it was
        late.daemon = True
        late.start()

    def cut(self, error: Exception) -> bool:
        """Whether the error says no more than that another rank was lost."""
        collective = isinstance(error, dist.DistError) or re.search("gloo|NCCL|Connection (closed|reset)", str(error))
        return bool(collective) and self._lost.wait(WORD_SECONDS)

    def end(self) -> None:
        """End this process and its children, without a look back: what they wait for may never come."""
        self._ending.acquire()  # once, and for good
        self._say()
        for child in self.children:
            child.kill()
        sys.stdout.flush()
        os._exit(1)

    def _gather(self, server: socket.socket, world: int, key: str) -> None:
        """Take the other ranks' connections; strangers' are dropped."""
        server.settimeout(MEET_SECONDS)
        missing = set(range(1, world))
        while missing:
            tie, _ = server.accept()
            tie.settimeout(MEET_SECONDS)
            reader = tie.makefile("rb")
            theirs, _, rank = reader.readline(WORD_BYTES).strip().partition(b" ")
            if secrets.compare_digest(theirs, key.encode()):
                missing.discard(int(rank))
                self._hold(tie, reader, int(rank))
            else:
                reader.close()
                tie.close()

    def _join(self, tie: socket.socket, key: str) -> None:
        tie.sendall(f"{key} {self.rank}\n".encode())
        self._hold(tie, tie.makefile("rb"), 0)

    def _hold(self, tie: socket.socket, reader: Any, rank: int) -> None:
        tie.settimeout(None)
        self._ties.register(tie, selectors.EVENT_READ, (rank, reader))

    def _watch(self) -> None:
        while not self._over:
            for key, _ in self._ties.select(POLL_SECONDS):
                self._hear(key.fileobj, *key.data)
            if self.parent is not None and os.getppid() != self.parent and not self._over:
                self._lose(f"the process that started rank {self.rank} is gone", speaks=True)

    def _hear(self, tie: Any, rank: int, reader: Any) -> None:
        """A rank's one word, or its death."""
        try:
            word = reader.readline(WORD_BYTES).decode(errors="replace").strip()
        except OSError:
            word = ""
        if self._over:
            return
        self._ties.unregister(tie)
        if word == DONE:
            return
        why = word or self._death(rank)
        self._lose(why, speaks=self.rank == (1 if why.startswith("rank 0 ") else 0), at_once=not word)

    def _lose(self, why: str, *, speaks: bool, at_once: bool = False) -> None:
        """Tell the others, leave them time to end by themselves, with their own errors, and end. One rank speaks for all."""
        if speaks:
            self._line = f"ganzoo: {why}: the run ends; the same command goes on from its last checkpoint"
        self._tell(why)
        if at_once:  # the dead have no words of their own to wait for
            self._say()
        self._lost.set()
        time.sleep(GRACE_SECONDS)
        self.end()

    def _death(self, rank: int) -> str:
        child = rank - self.rank - 1
        if not 0 <= child < len(self.children):
            return f"rank {rank} is gone (killed, or out of memory)"
        try:
            status = self.children[child].wait(WORD_SECONDS)
        except subprocess.TimeoutExpired:
            return f"rank {rank} is gone"
        if status < 0:
            return f"rank {rank} was killed by signal {-status} ({signal.Signals(-status).name})"
        return f"rank {rank} ended with status {status}"

    def _say(self) -> None:
        line, self._line = self._line, ""
        if line:
            print(line, file=sys.stderr, flush=True)

    def _tell(self, word: str) -> None:
        for key in list(self._ties.get_map().values()):
            try:
                key.fileobj.sendall(f"{word}\n".encode())  # type: ignore[union-attr]
            except OSError:  # it is gone too
                continue

    def _let_go(self) -> None:
        """Close the connections: also in forked processes, such as a loader's workers, which would keep them open."""
        for key in list(self._ties.get_map().values()):
            number = key.fileobj.detach()  # type: ignore[union-attr]
            if number >= 0:
                os.close(number)  # with no lock, which the thread might have held when the process was forked
