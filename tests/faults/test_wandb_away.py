"""Weights & Biases without a key, unreachable, silent, or gone in the middle: the run goes on, and its data stay on disk."""

import csv
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from command import TINY, ended, run, started

ROUNDS = 200
FIT = ["fit", *TINY, "--trainer.max_steps", str(ROUNDS), "--trainer.log_every_n_steps", "10", "--trainer.logger", "Wandb"]
FIT += ["--samples.n", "4", "--watch.n", "8", "--checkpoints.every_steps", "100"]
KEY = "0" * 40
DELAY = 30  # seconds, at most


class Server(BaseHTTPRequestHandler):
    """As much of W&B's as a run needs. Silent, it takes all requests and answers none."""

    protocol_version = "HTTP/1.1"
    silent = threading.Event()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.silent.is_set():
            time.sleep(300)
        answer = json.dumps({"data": self.data(json.loads(body))} if self.path == "/graphql" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_POST

    def data(self, asked: dict) -> dict:
        given = asked.get("variables", {})
        project = {"id": "p", "name": "ganzoo", "entity": {"id": "e", "name": "me"}}
        run = {
            "id": "b",
            "name": given.get("name"),
            "displayName": "x",
            "config": "{}",
            "historyLineCount": 0,
            "project": project,
        }
        place = f"http://127.0.0.1:{self.server.server_port}/"
        files = [{"name": name, "uploadUrl": place + name} for name in given.get("files", [])]
        return {
            "viewer": {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}},
            "serverInfo": {"features": []},
            "upsertBucket": {"bucket": run, "inserted": True},
            "createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files},
            "project": None,
            "entity": None,
        }

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Server.silent.clear()
    here = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    here.daemon_threads, here.block_on_close = True, False
    here.handle_error = lambda *_: None  # of connections that are cut off
    threading.Thread(target=here.serve_forever, daemon=True).start()
    yield here
    here.shutdown()
    here.server_close()


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory) -> float:
    """Seconds that the run takes offline."""
    folder = tmp_path_factory.mktemp("undisturbed")
    since = time.perf_counter()
    status, _, errors = run(folder, *FIT, WANDB_MODE="offline", HOME=str(folder))
    assert status == 0, errors
    return time.perf_counter() - since


def environment(folder: Path, port: int, key: str = KEY) -> dict[str, str]:
    """Nobody is logged in but by the key."""
    there = {"WANDB_BASE_URL": f"http://127.0.0.1:{port}", "WANDB_API_KEY": key}
    return there | {"HOME": str(folder), "WANDB_MODE": "online"}


def survived(folder: Path, status: int, errors: str, seconds: float, undisturbed: float, of: str) -> str:
    """The line that says where the data are; all that must hold is asserted."""
    assert status == 0, errors
    assert "Traceback" not in errors
    assert seconds - undisturbed < DELAY
    [log] = folder.glob("runs/*/version_0")
    with (log / "metrics.csv").open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["generator/loss"]]
    assert steps == list(range(10, ROUNDS + 1, 10)), "the local record is complete"
    assert (log / "checkpoints" / "last.ckpt").is_file()
    [line] = [line for line in errors.splitlines() if line.startswith("W&B is away")]
    kept = Path(re.search(r"wandb sync (\S+)$", line)[1])
    assert folder / kept.parent == log / "wandb"
    assert kept.name.startswith(of)
    [record] = (folder / kept).glob("*.wandb")
    assert record.stat().st_size > 10_000, "and so is W&B's"
    assert record.read_bytes().count(b"generator/loss") >= ROUNDS // 10
    return line


@pytest.fixture
def nobody() -> Iterator[tuple[int, int]]:
    """Ports of a server that refuses connections, and of one that takes them and never answers."""
    with socket.socket() as closed, socket.socket() as silent:
        closed.bind(("127.0.0.1", 0))  # bound, and not listening
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        yield closed.getsockname()[1], silent.getsockname()[1]


@pytest.mark.parametrize("away, says", [("no key", "no API key"), ("refuses", "refused"), ("silent", "not answer|timed out")])
def test_away_from_the_start(away, says, server, nobody, undisturbed, tmp_path):
    port = {"no key": server.server_port, "refuses": nobody[0], "silent": nobody[1]}[away]
    since = time.perf_counter()
    status, _, errors = run(tmp_path, *FIT, **environment(tmp_path, port, key="" if away == "no key" else KEY))
    line = survived(tmp_path, status, errors, time.perf_counter() - since, undisturbed, "offline-run-")
    assert re.search(says, line)


@pytest.mark.parametrize("how", ["gone", "silent"])
def test_gone_in_the_middle(how, server, undisturbed, tmp_path):
    since = time.perf_counter()
    process = started(tmp_path, *FIT, **environment(tmp_path, server.server_port))
    while process.poll() is None:
        with suppress(ValueError):
            [record] = tmp_path.glob("runs/*/version_0/metrics.csv")
            if len(record.read_text().splitlines()) > 4:
                break
        time.sleep(0.02)
    Server.silent.set()
    if how == "gone":
        server.shutdown()
        server.server_close()
    status, _, errors = ended(process)
    assert "Syncing run" in errors, "it was there"
    survived(tmp_path, status, errors, time.perf_counter() - since, undisturbed, "run-")


def test_what_w_and_b_refuses_is_said(server, tmp_path):
    arguments = ["--trainer.logger.id", "a/b"]
    status, _, errors = run(tmp_path, *FIT, *arguments, **environment(tmp_path, server.server_port))
    assert status == 2
    assert [line for line in errors.splitlines() if line.startswith("ganzoo: W&B")]
