"""Files that are not what they seem: torn, foreign, or meant to run code."""

import json
import os
import pickle
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from command import TINY, run
from PIL import Image
from safetensors.torch import load_file

import ganzoo
from ganzoo.__main__ import main
from ganzoo.loading import exported, of_safetensors

OVERRIDE = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # torch.load then runs code, where it is not told otherwise


@pytest.fixture(scope="session")
def good(tmp_path_factory) -> Path:
    """A checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    main(["fit", *TINY, "--trainer.max_steps", "2", "--runs", str(folder), "--samples.n", "4"])
    return folder / "dcgan_digits" / "version_0" / "checkpoints" / "last.ckpt"


class Bomb:
    """Pickled, it makes a folder when it is read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def armed(kind: str, good: Path, folder: Path) -> Path:
    """A checkpoint that makes the folder `ran`: a bare pickle, or in a checkpoint's own zip beside all that belongs there."""
    path, bomb = folder / "bomb.ckpt", Bomb(folder / "ran")
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": bomb}))
    elif kind == "old":
        torch.save({"state_dict": bomb}, path, _use_new_zipfile_serialization=False)
    else:
        torch.save(torch.load(good, weights_only=True) | {"callbacks": bomb}, path)
    return path


COMMANDS = {
    "sample": ["sample", "--checkpoint"],
    "export": ["export", "--checkpoint"],
    "evaluate": ["evaluate", "--data", "Digits", "--checkpoint"],
    "fit": ["fit", *TINY, "--trainer.max_steps", "4", "--ckpt_path"],
}


def one_line(errors: str) -> str:
    """Of what a command printed: the line that says what was wrong, which is the only one of its kind."""
    [said] = [line for line in errors.splitlines() if line.startswith("ganzoo: ")]
    assert "Traceback" not in errors
    return said


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """refused(command, path): the one line with which the command turns the file away, with exit status 2."""

    def run(command: str, path: Path) -> str:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as end:
            main([*COMMANDS[command], str(path)])
        assert end.value.code == 2
        return one_line(capsys.readouterr().err)

    return run


@pytest.mark.parametrize("override", [False, True], ids=["plain", "override"])
@pytest.mark.parametrize("command", ["sample", "export", "evaluate", "fit"])
def test_a_pickle_bomb_never_runs(command, override, good, tmp_path, monkeypatch, refused):
    if override:
        monkeypatch.setenv(*OVERRIDE)
    said = refused(command, armed("zip", good, tmp_path))
    assert not (tmp_path / "ran").exists()
    assert "bomb.ckpt holds more than tensors and plain values" in said
    assert "mkdir" in said


def test_nor_in_a_process_of_its_own(good, tmp_path):
    path = armed("zip", good, tmp_path)
    status, output, errors = run(tmp_path, *COMMANDS["sample"], str(path), **dict([OVERRIDE]))
    assert (status, output) == (2, "")
    assert "not opened" in one_line(errors)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["pickle", "old", "zip"])
def test_no_kind_of_pickle_bomb_runs(kind, good, tmp_path, monkeypatch):
    monkeypatch.setenv(*OVERRIDE)
    path = armed(kind, good, tmp_path)
    with pytest.raises(ValueError, match=r"bomb.ckpt (is not a checkpoint, but a pickle|holds more than tensors)"):
        ganzoo.load(path)
    assert not (tmp_path / "ran").exists()
    with suppress(RuntimeError):  # a bare pickle is not torch's, as it finds out afterwards
        torch.load(path)
    assert (tmp_path / "ran").exists(), "the bomb is a real one"


GENERATOR = "ganzoo.networks.dcgan.DCGANGenerator"


def call(folder: Path) -> dict:
    return {"class_path": "subprocess.getoutput", "init_args": {"cmd": f"mkdir {folder / 'ran'}"}}


@pytest.mark.parametrize(
    "arguments",
    [
        lambda folder: {"generator": call(folder)},
        lambda folder: {"generator": json.dumps(call(folder))},
        lambda folder: {"generator": "this.s"},
        lambda folder: {"generator.class_path": "subprocess.getoutput", "generator.init_args": call(folder)["init_args"]},
        lambda folder: {"lr": call(folder)},
        lambda folder: {"generator": {"class_path": "antigravity.webbrowser"}},
        lambda folder: {
            "generator": {"class_path": "ganzoo.networks.dcgan.DCGANGenerator", "init_args": {"norm": call(folder)}}
        },
        lambda folder: {"_class_path": "subprocess.Popen", "args": ["mkdir", str(folder / "ran")]},
        lambda folder: {"_instantiator": "os.system"},
    ],
)
def test_a_recipe_calls_nothing_but_networks(arguments, good, tmp_path):
    checkpoint = torch.load(good, weights_only=True)
    checkpoint["hyper_parameters"] |= arguments(tmp_path)
    torch.save(checkpoint, tmp_path / "x.ckpt")
    try:
        ganzoo.load(tmp_path / "x.ckpt")
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert set(arguments(tmp_path)) == {"_instantiator"}, "which ganzoo leaves aside"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content, says",
    [
        ('data: {class_path: Shards, init_args: {shards: "pipe:mkdir ran"}}', "reads its data by a command"),
        ("data: {class_path: subprocess.getoutput, init_args: {cmd: mkdir ran}}", "not correspond to a subclass of DataModule"),
        ("data: '{class_path: subprocess.getoutput, init_args: {cmd: mkdir ran}}'", "names no data"),
        ("3", "names no data"),
        ("data: [", "names no data"),
    ],
)
def test_a_run_s_folder_runs_nothing_either(content, says, good, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(good, tmp_path / "last.ckpt")
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", "--checkpoint", "last.ckpt"])
    assert says in one_line(capsys.readouterr().err)
    assert not (tmp_path / "ran").exists()


def test_a_planted_image_cache_is_not_unpickled(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    data = ganzoo.ImageFolder(root=str(tmp_path), size=8, cache=str(tmp_path / "cache"))
    data.prepare_data()
    np.save(data.training.pixels, np.array([Bomb(tmp_path / "ran")], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"is damaged .* delete it"):
        ganzoo.ImageFolder(root=str(tmp_path), size=8, cache=str(tmp_path / "cache")).prepare_data()
    assert not (tmp_path / "ran").exists()


# --- damage ---


def torn(good: Path, path: Path, damage: str) -> None:
    content = bytearray(good.read_bytes())
    middle = len(content) // 2
    if zipfile.is_zipfile(good):  # in the middle of a member, not of what lies between two
        with zipfile.ZipFile(good) as archive:
            largest = max(archive.infolist(), key=lambda member: member.file_size)
        middle = largest.header_offset + largest.file_size // 2
    if damage == "flipped":
        content[middle] ^= 1
    elif damage == "zeros":
        content[middle : middle + 4096] = bytes(4096)
    elif damage == "a page":
        content[:] = b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>"
    elif damage == "random":
        content[:] = os.urandom(10_000)
    else:
        del content[int(len(content) * float(damage)) :]
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage, says",
    [
        ("0", "is not a checkpoint, but empty"),
        *((share, "is cut short or damaged") for share in ("0.001", "0.3", "0.5", "0.99", "0.99999")),
        ("flipped", "is damaged: archive/data/"),
        ("zeros", "is damaged: archive/data/"),
        ("random", "is not a checkpoint, but something else"),
        ("a page", "is not a checkpoint, but a web page"),
    ],
)
def test_damage_is_seen_and_named(damage, says, good, tmp_path):
    torn(good, tmp_path / "x.ckpt", damage)
    with pytest.raises(ValueError) as error:
        ganzoo.load(tmp_path / "x.ckpt")
    assert f"x.ckpt {says}" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_wherever_a_byte_changes_the_file_is_refused_or_loads_the_same(good, tmp_path):
    content, weights = good.read_bytes(), ganzoo.load(good).state_dict()
    for i in range(200):
        changed = bytearray(content)
        changed[len(content) * i // 200] ^= 1 << i % 8
        (tmp_path / "x.ckpt").write_bytes(changed)
        try:
            there = ganzoo.load(tmp_path / "x.ckpt").state_dict()
        except ValueError:
            continue
        assert all(torch.equal(weights[name], there[name]) for name in weights), "padding between members means nothing"


def test_what_is_no_checkpoint_is_said(tmp_path):
    torch.save({"state_dict": {}, "pytorch-lightning_version": "2.6.6", "hyper_parameters": {"lr": 1.0}}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"x.ckpt was not written by ganzoo"):
        ganzoo.load(tmp_path / "x.ckpt")
    torch.save([1, 2], tmp_path / "y.ckpt")
    with pytest.raises(ValueError, match=r"y.ckpt was not written by ganzoo"):
        ganzoo.load(tmp_path / "y.ckpt")
    with pytest.raises(ValueError, match="is a folder"):
        ganzoo.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        ganzoo.load(tmp_path / "z.ckpt")


def test_a_compressed_archive_is_not_unpacked(good, tmp_path):
    with zipfile.ZipFile(good) as one, zipfile.ZipFile(tmp_path / "x.ckpt", "w", zipfile.ZIP_DEFLATED) as other:
        for name in one.namelist():
            other.writestr(name, one.read(name) if "data/" not in name else bytes(10 * len(one.read(name))))
    with pytest.raises(ValueError, match="it is compressed"):
        ganzoo.load(tmp_path / "x.ckpt")


@pytest.mark.parametrize("command", ["sample", "evaluate", "export", "fit"])
@pytest.mark.parametrize("damage", ["0", "0.5", "flipped", "random", "a page"])
def test_the_command_line_says_it_in_one_line(command, damage, good, tmp_path, refused):
    torn(good, tmp_path / "x.ckpt", damage)
    assert "x.ckpt is " in refused(command, tmp_path / "x.ckpt")


# --- exported weights ---


@pytest.fixture(scope="session")
def weights(good, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "folder" / "weights.safetensors"
    main(["export", "--checkpoint", str(good), "--out", str(path)])
    return path


def test_exported_weights_are_the_game(good, weights, tmp_path):
    one, other = ganzoo.load(good), ganzoo.load(weights)
    assert other.seed == one.seed
    assert other.images_seen == one.images_seen == 16
    for path in (good, weights):
        main(["sample", "--checkpoint", str(path), "--out", str(tmp_path / f"{path.stem}.png"), "--n", "9"])
    assert (tmp_path / "last.png").read_bytes() == (tmp_path / "weights.png").read_bytes()
    torch.manual_seed(0)
    images = one.sample(8)
    torch.manual_seed(0)
    assert torch.equal(images, other.sample(8))
    assert load_file(weights).keys() == one.state_dict().keys()
    assert weights.stat().st_size < good.stat().st_size / 2
    assert [path.name for path in weights.parent.iterdir()] == ["weights.safetensors"], "nothing else is left there"


@pytest.mark.usefixtures("tiny_extractor")
def test_exported_weights_are_measured_as_their_checkpoint(good, weights, tmp_path, capsys):
    shutil.copy(good, tmp_path / "last.ckpt")
    shutil.copy(weights, tmp_path / "weights.safetensors")
    values = []
    for name in ("last.ckpt", "weights.safetensors"):
        arguments = [
            "evaluate",
            "--checkpoint",
            str(tmp_path / name),
            "--data",
            "Digits",
            "--metrics",
            "kd",
            "--extractor",
            "tiny",
        ]
        main([*arguments, "--n", "64", "--json", "--device", "cpu"])
        values.append(json.loads(capsys.readouterr().out)["value"])
    assert values[0] == values[1]


def test_weights_that_share_memory_or_lie_channels_last_are_exported():
    weight = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    state = {"one": weight, "same": weight, "flat": torch.randn(6).view(2, 3).T, "count": torch.tensor(3)}
    checkpoint = {"state_dict": state, "hyper_parameters": {"_class_path": "x"}, "global_step": 1}
    there = of_safetensors(exported(checkpoint | {"game": {"seed": 0, "images_seen": 8}}))
    assert there["game"] == {"seed": 0, "images_seen": 8, "units": None}
    assert there["state_dict"].keys() == state.keys()
    assert all(torch.equal(weight, there["state_dict"][name]) for name, weight in state.items())


@pytest.mark.parametrize("damage", ["0", "0.5", "0.9999", "flipped", "random"])
def test_damage_of_exported_weights_is_seen(damage, weights, tmp_path):
    torn(weights, tmp_path / "x.safetensors", damage)
    with pytest.raises(ValueError, match=r"x.safetensors is (cut short|damaged|not a checkpoint)"):
        ganzoo.load(tmp_path / "x.safetensors")


def test_a_changed_recipe_is_seen(weights, tmp_path):
    content = weights.read_bytes()
    assert content.count(b'"images_seen":"16"') == 1
    (tmp_path / "x.safetensors").write_bytes(content.replace(b'"images_seen":"16"', b'"images_seen":"99"'))
    with pytest.raises(ValueError, match="does not match its checksum"):
        ganzoo.load(tmp_path / "x.safetensors")


def test_export_refuses(good, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["export", "--checkpoint", str(good), "--out", str(tmp_path / "x.ckpt")])
    assert "does not end in .safetensors" in capsys.readouterr().err
