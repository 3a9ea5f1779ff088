"""Training does what the papers promise. Slow: `pytest -m slow`."""

import sys

import pytest
import torch
from conftest import REPOSITORY

import ganzoo
from ganzoo.__main__ import main
from ganzoo.game import draw_from

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

import ring_modes


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("config, given", [("wgan_gp_ring", ["--trainer.max_steps", "3000"]), ("unrolled_gan_ring", [])])
def test_every_mode_of_the_ring_is_found(config, given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", f"{config}.yaml", *given, "--trainer.accelerator", "cpu"])
    data = ganzoo.Gaussians()
    draw_from(torch.device("cpu"), 0)
    samples = ganzoo.load(f"runs/{config}/version_0/checkpoints/last.ckpt").sample(10_000)
    found, share, _ = ring_modes.modes(samples, data.centres, data.std)
    assert found == 8
    assert share > 0.2
