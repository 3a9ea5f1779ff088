"""Checkpoints that are torn, foreign, or cannot be written."""

import errno
import io
import os
import resource
import stat
import subprocess
import time
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from command import TINY, forked, kill_at, run
from conftest import trainer

import ganzoo
from ganzoo.checkpoint_files import CheckpointFiles
from ganzoo.record import Record

RUN = Path("runs/dcgan_digits/version_0")
FIT = ["fit", *TINY, "--trainer.max_steps", "12", "--trainer.log_every_n_steps", "2", "--checkpoints.every_steps", "4"]


def stopped(folder: Path, *more: str) -> Path:
    """A run that was killed in round 11: last.ckpt is of round 8, previous.ckpt of round 4."""
    assert forked(folder, *FIT, *more, sabotage=kill_at("ganzoo.game:learn", 22))[0] == -9
    return folder / RUN / "checkpoints"


def weights(path: Path) -> dict:
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    status, said = forked(folder, *FIT)
    assert status == 0, said
    return weights(folder / RUN / "checkpoints" / "last.ckpt")


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    middle = largest.header_offset + largest.file_size // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize("tear", [half, flipped, lambda _: b"", lambda _: b"<html>404</html>", lambda _: os.urandom(5000)])
def test_a_torn_last_checkpoint_is_told_and_the_one_before_taken(tear, straight, tmp_path):
    folder = stopped(tmp_path)
    (folder / "last.ckpt").write_bytes(tear((folder / "last.ckpt").read_bytes()))
    status, said = forked(tmp_path, *FIT)
    assert status == 0, said
    [line] = [line for line in said.splitlines() if "last.ckpt" in line]
    assert "going on from an earlier one" in line
    assert "goes on after round 4" in said
    assert all(torch.equal(weight, straight[name]) for name, weight in weights(folder / "last.ckpt").items())


def test_with_no_checkpoint_left_it_begins_anew(straight, tmp_path):
    folder = stopped(tmp_path)
    for path in folder.iterdir():
        path.write_bytes(b"")
    status, said = forked(tmp_path, *FIT)
    assert status == 0, said
    assert all(torch.equal(weight, straight[name]) for name, weight in weights(folder / "last.ckpt").items())


@pytest.mark.parametrize("content", [b"", b"<html>", b"PK\x03\x04 torn", None])
def test_a_checkpoint_that_is_asked_for_must_be_one(content, tmp_path):
    path = tmp_path / "x.ckpt"
    if content is not None:
        path.write_bytes(content)
    status, said = forked(tmp_path, *FIT, "--ckpt_path", str(path))
    assert status == 2
    [line] = [line for line in said.splitlines() if line.startswith("ganzoo: ")]
    assert "x.ckpt" in line
    assert "Traceback" not in said


@pytest.mark.slow
def test_killed_during_a_save_the_named_checkpoint_always_loads(tmp_path):
    """Twenty times, at another moment each."""
    for number in range(20):
        where = ["refuse_unreadable", "keep_name", "CheckpointFiles.save_checkpoint"][number % 3]
        folder = tmp_path / str(number)
        folder.mkdir()
        kill = kill_at(f"ganzoo.checkpoint_files:{where}", 2)
        assert forked(folder, *FIT, sabotage=kill)[0] == -9
        assert ganzoo.load(folder / RUN / "checkpoints" / "last.ckpt").images_seen == 8 * (4 if number % 3 != 1 else 8)


def limit_files() -> None:
    """No file may grow beyond a size that some of a checkpoint fits into: as on a full disk, writing fails in the middle."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path):
    folder = stopped(tmp_path)
    before = (folder / "last.ckpt").read_bytes()
    assert len(before) > 60_000
    status, said = forked(tmp_path, *FIT, sabotage=limit_files)
    assert status == 2
    [line] = [line for line in said.splitlines() if line.startswith("ganzoo: ")]
    assert "last.ckpt cannot be written" in line
    assert "File too large" in line
    assert (folder / "last.ckpt").read_bytes() == before
    assert not [path for path in folder.rglob(".*")], "no temporary file is left"
    assert forked(tmp_path, *FIT)[0] == 0, "with room again the same command goes on"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk(small_disk):
    folder = stopped(small_disk)
    before = (folder / "last.ckpt").read_bytes()
    filler = os.open(small_disk / "filler", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError):
        while True:
            os.write(filler, bytes(4096))
    os.close(filler)
    status, said = forked(small_disk, *FIT)
    assert status == 2, said
    [line] = [line for line in said.splitlines() if line.startswith("ganzoo: ")]
    assert "No space left on device" in line
    assert (folder / "last.ckpt").read_bytes() == before
    assert not list(folder.glob(".*"))
    (small_disk / "filler").unlink()
    status, said = forked(small_disk, *FIT)
    assert status == 0, said


def test_a_file_system_that_syncs_no_folders(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_alone(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", files_alone)
    CheckpointFiles().save_checkpoint({"round": 3}, tmp_path / "x.ckpt")
    assert torch.load(tmp_path / "x.ckpt", weights_only=True) == {"round": 3}


def test_a_run_folder_that_cannot_be_written_is_told_before_the_first_round(tmp_path):
    (tmp_path / "runs").write_text("a file where the folder should be")
    status, _, errors = run(tmp_path, *FIT)
    assert status == 2
    assert errors.count("ganzoo: ") == 1
    assert "runs" in errors
    assert "Traceback" not in errors


def test_the_run_folder_may_be_taken_away(tmp_path):
    """What is written afterwards is there."""

    class Thief(ganzoo.Checkpoints):
        def on_train_batch_end(self, trainer, *batch):
            super().on_train_batch_end(trainer, *batch)
            if trainer.global_step == 2:
                subprocess.run(["rm", "-r", tmp_path / "run"], check=True)

    of = trainer(
        max_steps=5,
        logger=Record(tmp_path / "run"),
        log_every_n_steps=1,
        enable_checkpointing=None,
        callbacks=[Thief(every_steps=2)],
    )
    of.fit(ganzoo.GAN(shape=(1, 16, 16)), ganzoo.Digits(batch_size=8))
    assert ganzoo.load(tmp_path / "run" / "checkpoints" / "last.ckpt").images_seen == 40
    assert [row["step"] for row in Record(tmp_path / "run").rows()] == ["3", "4", "5"]


def test_a_record_that_goes_on_keeps_its_columns(tmp_path):
    for step in (1, 2, 3):
        Record(tmp_path).log_metrics({"a": 0.5} | ({"b": 1} if step == 2 else {}), step)
    assert (tmp_path / "metrics.csv").read_text() == "step,a,b\n1,0.5,\n2,0.5,1\n3,0.5,\n"


def test_time_based_checkpoints(tmp_path):
    class Slow(ganzoo.GAN):
        def after_turn(self, player):
            time.sleep(0.02)

    saved = []

    class Counted(CheckpointFiles):
        def save_checkpoint(self, checkpoint, path, storage_options=None):
            saved.append(time.monotonic())
            super().save_checkpoint(checkpoint, path)

    minutes = 0.1 / 60
    of = trainer(
        max_steps=20,
        plugins=[Counted()],
        enable_checkpointing=None,
        callbacks=[ganzoo.Checkpoints(every_minutes=minutes)],
        default_root_dir=tmp_path,
    )
    began = time.monotonic()
    of.fit(Slow(shape=(1, 16, 16)), ganzoo.Digits(batch_size=8))
    moments = [began, *saved]
    assert len(saved) >= 5
    assert max(later - earlier for earlier, later in pairwise(moments)) < 1
