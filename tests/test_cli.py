"""The command line: what it does, what it says when something is wrong, and how soon."""

import logging
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import ganzoo
from ganzoo.__main__ import main
from ganzoo.game import draw_from

DIGITS = [
    *("fit", "--config", "dcgan_digits.yaml", "--trainer.accelerator", "cpu", "--data.batch_size", "4"),
    *("--evaluation.every_steps", "null"),
]
SMALL = [
    *("--model.generator", "DCGANGenerator", "--model.generator.width", "4"),
    *("--model.discriminator", "DCGANDiscriminator", "--model.discriminator.width", "4"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every command runs in an empty folder: nothing is found by accident."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def checkpoint(tmp_path):
    main([*DIGITS, *SMALL, "--trainer.max_steps", "2"])
    return tmp_path / "runs/dcgan_digits/version_0/checkpoints/last.ckpt"


def refused(capsys, *arguments: str) -> str:
    """The one line with which a command is refused."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert end.value.code == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("ganzoo: ")]
    assert len(lines) == 1
    assert "Traceback" not in captured.err + captured.out
    return lines[0]


def test_help_is_there_before_torch():
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-X", "importtime", "-m", "ganzoo", "--help"], capture_output=True, text=True)
    assert time.perf_counter() - started < 2  # 0.03 s when the machine is idle
    assert done.returncode == 0
    assert done.stdout.startswith("usage: ganzoo")
    assert "torch" not in done.stderr
    assert "lightning" not in done.stderr


def test_what_lightning_advises_and_ganzoo_does_is_not_said(capsys, recwarn):
    main([*DIGITS, *SMALL, "--trainer.max_steps", "1", "--trainer.precision", "bf16-mixed"])
    assert not [warning for warning in recwarn if "model summary" in str(warning.message)]
    said = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    for message, heard in (("a CUDA device that has Tensor Cores. To properly utilize them,", False), ("a GPU", True)):
        assert bool(said.filter(logging.makeLogRecord({"msg": message}))) is heard


def test_fit_leaves_a_run_folder(tmp_path, capsys):
    for version in (0, 1):
        main([*DIGITS, *SMALL, "--trainer.max_steps", "4", "--samples.every_steps", "2", "--trainer.log_every_n_steps", "2"])
        folder = tmp_path / "runs" / "dcgan_digits" / f"version_{version}"
        files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        pictures = {"samples/step-00000002.png", "samples/step-00000004.png"}
        assert files == pictures | {"config.yaml", "metrics.csv", "cost.json", "checkpoints/last.ckpt"}
        assert (folder / "metrics.csv").read_text().count("\n") == 3
    assert f"run folder: {folder.relative_to(tmp_path)}" in capsys.readouterr().err


def test_no_checkpoints_on_request(tmp_path):
    main([*DIGITS, *SMALL, "--trainer.max_steps", "1", "--trainer.enable_checkpointing", "false"])
    assert not list(tmp_path.rglob("*.ckpt"))


def test_fast_dev_run(tmp_path):
    main([*DIGITS, *SMALL, "--trainer.fast_dev_run", "true"])
    assert not (tmp_path / "runs").exists()


def test_a_runs_config_runs_again_and_validates(tmp_path, checkpoint):
    config = checkpoint.parent.parent / "config.yaml"
    main(["fit", "--config", str(config)])
    again = tmp_path / "runs/config/version_0/checkpoints/last.ckpt"
    first, second = (torch.load(path, weights_only=True)["state_dict"] for path in (checkpoint, again))
    assert all(torch.equal(weight, second[name]) for name, weight in first.items()), "the same run, bit for bit"
    main(["validate", "--config", str(config), "--ckpt_path", str(checkpoint), "--trainer.limit_val_batches", "1"])
    main(["test", "--config", str(config), "--ckpt_path", str(checkpoint), "--trainer.limit_test_batches", "1"])


def test_the_command_line_wins_over_config_and_checkpoint(tmp_path, checkpoint):
    more = [*DIGITS, *SMALL, "--trainer.max_steps", "3", "--ckpt_path", str(checkpoint), "--model.lr", "0.5"]
    main(more)
    config = yaml.safe_load((tmp_path / "runs/dcgan_digits/version_1/config.yaml").read_text())
    assert config["model"]["init_args"]["lr"] == 0.5
    saved = torch.load(tmp_path / "runs/dcgan_digits/version_1/checkpoints/last.ckpt", weights_only=True)
    assert saved["global_step"] == 3
    assert saved["hyper_parameters"]["lr"] == 0.5
    assert saved["optimizer_states"][0]["generator"]["param_groups"][0]["lr"] == 0.5


def test_two_devices(tmp_path):
    """Nothing that only one rank does may wait for the other."""
    more = [
        "--trainer.devices",
        "2",
        "--trainer.strategy",
        "ddp",
        "--trainer.log_every_n_steps",
        "1",
        "--samples.every_steps",
        "1",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "ganzoo", *DIGITS, *SMALL, *more, "--trainer.max_steps", "3", "--checkpoints.every_steps", "2"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    [folder] = (tmp_path / "runs" / "dcgan_digits").iterdir()
    assert len(list((folder / "samples").iterdir())) == 3
    saved = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert (saved["global_step"], saved["game"]["images_seen"]) == (3, 3 * 2 * 4)
    assert (folder / "metrics.csv").read_text().count("\n") == 4


def test_a_config_is_found_by_path_first(tmp_path):
    (tmp_path / "dcgan_digits.yaml").write_text("model: {class_path: GAN}\ndata: {class_path: Digits}\ntrainer: {max_steps: 1}")
    main(["fit", "--config=dcgan_digits.yaml", "--trainer.accelerator", "cpu"])
    config = yaml.safe_load((tmp_path / "runs/dcgan_digits/version_0/config.yaml").read_text())
    assert config["model"]["class_path"] == "ganzoo.GAN"


def test_a_run_without_a_config_is_named_after_its_parts(tmp_path):
    main(["fit", "--model", "GAN", "--data", "Digits", "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"])
    assert (tmp_path / "runs/gan_digits/version_0/config.yaml").is_file()


def test_sample_a_grid(tmp_path, checkpoint):
    main(["sample", "--checkpoint", str(checkpoint), "--n", "6", "--out", "a/grid.png"])
    first = np.asarray(Image.open("a/grid.png"))
    assert first.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    main(["sample", "--checkpoint", str(checkpoint), "--n", "6", "--out", "again.png"])
    assert np.array_equal(first, np.asarray(Image.open("again.png")))
    main(["sample", "--checkpoint", str(checkpoint), "--n", "6", "--seed", "1", "--out", "other.png"])
    assert not np.array_equal(first, np.asarray(Image.open("other.png")))


def test_sample_a_folder(tmp_path, checkpoint):
    main(["sample", "--checkpoint", str(checkpoint), "--n", "3", "--out", "pngs"])
    assert sorted(path.name for path in (tmp_path / "pngs").iterdir()) == ["000000.png", "000001.png", "000002.png"]
    image = Image.open("pngs/000000.png")
    assert image.size == (16, 16)
    assert image.mode == "L"
    game = ganzoo.load(checkpoint)
    draw_from(game.device, 0)
    sample = game.sample(3)[0, 0]
    assert np.array_equal(np.asarray(image), ((sample + 1) * 127.5).round().to(torch.uint8).numpy())


def test_sample_of_truncated_noise(checkpoint):
    """The lower the threshold, the more alike the samples; without one they are as they were."""
    spread = []
    for threshold in ([], ["--truncation", "0.5"], ["--truncation", "1e-6"]):
        main(["sample", "--checkpoint", str(checkpoint), "--n", "4", "--out", f"pngs{len(spread)}", *threshold])
        images = np.stack([np.asarray(Image.open(f"pngs{len(spread)}/{i:06d}.png")) for i in range(4)]).astype(float)
        spread.append(images.std(0).mean())
    assert spread[0] > spread[1] > spread[2] == 0


def test_sample_refuses(checkpoint, capsys):
    assert "a number above 0" in refused(capsys, "sample", "--checkpoint", str(checkpoint), "--truncation", "0")
    assert "not class-conditional" in refused(capsys, "sample", "--checkpoint", str(checkpoint), "--class", "3")
    assert "no checkpoint at /" in refused(capsys, "sample", "--checkpoint", "nope.ckpt")
    assert "neither a .png" in refused(capsys, "sample", "--checkpoint", str(checkpoint), "--out", "x.jpg")
    assert "at least 1" in refused(capsys, "sample", "--checkpoint", str(checkpoint), "--n", "0")


def test_list_names_every_variant(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    main(["list"])
    out = capsys.readouterr().out
    assert "https://arxiv.org/abs/1511.06434" in out
    assert "D 2.8 M, G 3.6 M" in out
    assert "dcgan_mnist" in out
    for name in ("GAN", "DCGAN", "LSGAN", "WGAN", "WGANGP"):
        assert f"\n{name} " in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fti"], "no command fti; did you mean fit?"),
        (["fit", "--config", "dcgan_digit.yaml"], "did you mean dcgan_digits.yaml?"),
        (["fit", "--model", "WGANN", "--data", "Digits"], "no class WGANN; did you mean WGAN?"),
        (["fit", "--data", "Digits"], "no model was given"),
        ([*DIGITS, "--model.latent_dimm", "3"], "DCGAN has no option latent_dimm; did you mean latent_dim?"),
        ([*DIGITS, "--trainer.max_stps", "3"], "did you mean trainer.max_steps?"),
        ([*DIGITS, "--trainer.max_step", "3"], "did you mean trainer.max_steps?"),
        ([*DIGITS, "--model.lr", "fast"], "--model.lr must be float, not fast"),
        ([*DIGITS, "--model.compile", "maybe"], "--model.compile must be bool, 'auto', 'graphs', not maybe"),
        ([*DIGITS, "--model.generator_cost", "minmax"], "must be 'minimax', 'non_saturating', 'maximum_likelihood'"),
        ([*DIGITS, "--model", "WGAN", "--model.betas", "[0, 1]"], "WGAN has no option betas"),
        ([*DIGITS, "--data.size", "30"], "cannot do 30 x 30 images: set --data.size to 28 or 32"),
        ([*DIGITS, "--trainer.max_epochs", "3"], "rounds, not epochs: give --trainer.max_steps"),
        ([*DIGITS, "--trainer.log_every_n_steps", "0"], "give --trainer.log_every_n_steps 1 or more"),
        ([*DIGITS, "--model.discriminator_steps", "0"], "discriminator_steps must be at least 1, not 0"),
        ([*DIGITS, "--ckpt_path", "nope.ckpt"], "nope.ckpt"),
        (["fit", "--model", "DCGAN", "--data", "MNIST", "--data.root", "no", "--data.download", "false"], "no/MNIST/raw"),
        (["fit", "--config", "wgan_celeba.yaml", "--data.root", "no"], "no"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_mistakes_end_in_one_line(capsys, arguments, said):
    assert said in refused(capsys, *arguments)


def test_few_labels(tmp_path, capsys):
    fit = [
        "fit",
        "--model",
        "SemiSupervisedGAN",
        "--data",
        "Digits",
        "--trainer.max_steps",
        "2",
        "--trainer.accelerator",
        "cpu",
    ]
    assert "set or leave out --data.labelled" in refused(capsys, *fit)
    assert "from 10 (classes) to 1500 (training samples), not 5" in refused(capsys, *fit, "--data.labelled", "5")
    main([*fit, "--data.labelled", "40", "--data.label_seed", "3"])
    run = max((tmp_path / "runs/semisupervisedgan_digits").iterdir())
    main(["validate", "--config", str(run / "config.yaml"), "--ckpt_path", str(run / "checkpoints/last.ckpt")])
    assert "val/error" in capsys.readouterr().out


def test_a_run_stays_among_the_runs(tmp_path, capsys):
    (tmp_path / "...yaml").write_text("model: {class_path: GAN}\ndata: {class_path: Digits}\ntrainer: {max_steps: 1}")
    assert "a run cannot be called '..'" in refused(capsys, "fit", "--config", "...yaml")
    assert not (tmp_path / "runs").exists()


def test_a_misspelt_key_in_a_config(tmp_path, capsys):
    (tmp_path / "x.yaml").write_text("model: {class_path: DCGAN, init_args: {latent_dims: 3}}\ndata: {class_path: Digits}")
    assert "DCGAN has no option latent_dims; did you mean latent_dim?" in refused(capsys, "fit", "--config", "x.yaml")
    (tmp_path / "x.yaml").write_text("model: {class_path: DCGAN}\ndata: {class_path: Digits}\ntrainer: {max_stps: 3}")
    assert "did you mean trainer.max_steps?" in refused(capsys, "fit", "--config", "x.yaml")


@pytest.mark.parametrize(
    "wrong, right",
    [
        ("modle: {class_path: DCGAN}", "model"),
        ("seed_everythin: 3", "seed_everything"),
        ("checkpoints: {evry_steps: 3}", "checkpoints.every_steps"),
        ("evaluation: {every_step: 3}", "evaluation.every_steps"),
        ("watch: {every_stes: 8}", "watch.every_steps"),
        ("samples: {every_stps: 3}", "samples.every_steps"),
        ("budget: {minuts: 3}", "budget.minutes"),
        ("data: {class_path: Digits, init_args: {batch_sise: 3}}", "batch_size"),
        ("trainer: {logger: {class_path: Wandb, init_args: {projct: x}}}", "project"),
        ("model: {class_path: GAN, init_args: {generator: {class_path: MLPGenerator, init_args: {widht: 3}}}}", "width"),
    ],
)
def test_a_misspelt_key_anywhere_in_a_config(wrong, right, tmp_path, capsys):
    others = {"model": "{class_path: DCGAN}", "data": "{class_path: Digits}"}
    lines = [f"{key}: {value}" for key, value in others.items() if key != wrong.partition(":")[0]]
    (tmp_path / "x.yaml").write_text("\n".join([*lines, wrong]))
    assert f"did you mean {right}?" in refused(capsys, "fit", "--config", "x.yaml")


def test_a_checkpoint_of_another_variant(checkpoint, capsys):
    said = refused(capsys, *DIGITS, "--model", "LSGAN", "--ckpt_path", str(checkpoint))
    assert "the checkpoint holds a DCGAN, not a LSGAN" in said


def test_traceback_on_request(monkeypatch):
    with pytest.raises(FileNotFoundError):
        main(["sample", "--checkpoint", "nope.ckpt", "--traceback"])
    monkeypatch.setenv("GANZOO_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        main(["sample", "--checkpoint", "nope.ckpt"])


def test_a_reader_that_has_gone_is_no_error():
    command = f"{sys.executable} -m ganzoo list | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_workers_broken_pipe_is_an_error(monkeypatch, capfd):
    def run(*_: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("ganzoo.cli.run", run)
    monkeypatch.setattr("sys.stdout", sys.__stdout__)
    with pytest.raises(SystemExit):
        main(["list"])
    assert "Broken pipe" in capfd.readouterr().err
