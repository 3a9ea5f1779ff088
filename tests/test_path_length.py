"""Perceptual path length: LPIPS, generators whose path lengths are known, and `ganzoo evaluate --metrics ppl`."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import of_digits
from styled import conditional_styled, styled
from test_cli import refused
from test_walks import dcgan, saved
from torch import nn
from torchmetrics.functional.image import lpips as torchmetrics_lpips
from torchvision.models.vgg import cfgs, make_layers

import ganzoo
from ganzoo.__main__ import main
from ganzoo.duel import truncated
from ganzoo.game import draw_from
from ganzoo.metrics import features, path_length
from ganzoo.metrics.features import Extractor
from ganzoo.metrics.lpips import LPIPS, heads
from ganzoo.paths import changes_of, evaluate_paths
from ganzoo.walks import Space


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path, tiny_extractor):
    """An empty folder; an extractor named tiny; no downloads."""
    monkeypatch.chdir(tmp_path)

    def offline(*_, **__):
        raise OSError("no network in tests")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


class Pixels(nn.Module):
    """Grey images as their own features."""

    def forward(self, images):
        return (images[:, 0].flatten(1) / 127.5,)


def pixels() -> Extractor:
    return Extractor("pixels", Pixels(), 256, "none")


class Linear(nn.Module):
    """G(z) = A z, and so it is with w."""

    def __init__(self, latent_dim, shape):
        super().__init__()
        self.styles, self.shape = 1, shape
        self.a = nn.Linear(latent_dim, 256)
        self.register_buffer("mean_w", torch.zeros(latent_dim))

    def mapping(self, z):
        return z

    def synthesis(self, w):
        return self.a(w[:, 0]).unflatten(1, self.shape)

    def forward(self, z):
        return self.a(z).unflatten(1, self.shape)


# --- LPIPS ---


@pytest.fixture(scope="module")
def vgg16() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    layers = make_layers(cfgs["D"])
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return {f"features.{name}": weight for name, weight in layers.state_dict().items()}


def test_lpips_is_torchmetrics(vgg16, monkeypatch):
    layers = make_layers(cfgs["D"])
    layers.load_state_dict({name.removeprefix("features."): weight for name, weight in vgg16.items()})
    monkeypatch.setattr(torchmetrics_lpips, "_get_tv_model_features", lambda *_: layers)
    theirs = torchmetrics_lpips._LPIPS(net="vgg", pnet_rand=True)
    ours = LPIPS(vgg16, heads())
    a, b = torch.rand(2, 3, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        here, there = (ours((images + 1) * 127.5)[0] for images in (a, b))
        assert torch.allclose((here - there).square().sum(1), theirs(a, b).flatten(), rtol=1e-4)
    assert all((head >= 0).all() for head in heads().values()), "or they had no root"


def test_lpips_weights_may_be_given(vgg16, tmp_path):
    torch.save(vgg16 | {"classifier.0.weight": torch.zeros(1)}, tmp_path / "vgg16.pth")
    by = features.extractor("lpips", tmp_path / "vgg16.pth")
    grey = torch.rand(2, 1, 16, 16) * 255
    assert torch.equal(by(grey)[0], by(grey.expand(-1, 3, -1, -1))[0])
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="does not hold the weights of torchvision's VGG16"):
        features.extractor("lpips", tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"vgg16-397923af.pth .* give --weights PATH, or choose --extractor effnet-lite0"):
        features.extractor("lpips")


# --- the measure ---


def test_a_linear_generator_of_w():
    """|A (w1 - w0)|^2, whatever the step."""
    game = styled(generator=Linear)
    found = changes_of(Space(game), pixels(), 20, (3, 0))
    draw_from(game.device, 3, 0)
    start, end = game.latent(40).chunk(2)
    expected = ((end - start) @ game.generator.a.weight.T).square().sum(1)
    assert torch.allclose(found, expected.double(), rtol=2e-3)
    with truncated(game, 0.5):
        halved = changes_of(Space(game), pixels(), 20, (3, 0))
    assert torch.allclose(halved, expected.double() / 4, rtol=2e-3)


def test_a_linear_generator_of_z():
    """|A v|^2 of the velocity v at z0 on the great circle to z1: the angle across, and the norm's growth along."""
    torch.manual_seed(0)
    game = ganzoo.GAN(shape=(1, 16, 16), latent_dim=5, generator=Linear)
    found = changes_of(Space(game), pixels(), 20, (3, 0))
    draw_from(game.device, 3, 0)
    z0, z1 = game.latent(40).double().chunk(2)
    r0, r1 = z0.norm(dim=1, keepdim=True), z1.norm(dim=1, keepdim=True)
    u, v = z0 / r0, z1 / r1
    cos = (u * v).sum(1, keepdim=True)
    velocity = r0 * cos.acos() * (v - cos * u) / (1 - cos**2).sqrt() + (r1 - r0) * u
    expected = (velocity @ game.generator.a.weight.double().T).square().sum(1)
    assert torch.allclose(found, expected, rtol=2e-3)


def test_the_noise_of_layers_is_the_same_at_both_ends_and_so_is_the_class():
    game = styled()
    values = changes_of(Space(game), pixels(), 8, (0, 0))
    assert values.max() < 1e4  # other noise: 256 * 0.01 / 1e-8
    labelled = conditional_styled()
    with torch.no_grad():
        labelled.generator.f[0].weight[:, :8] = 0  # only the class is heard
    assert torch.equal(changes_of(Space(labelled), pixels(), 8, (0, 0)), torch.zeros(8, dtype=torch.float64))


def test_the_largest_and_the_least_are_left_out():
    values = torch.randn(1000).exp()
    low, high = np.percentile(values, 1, method="lower"), np.percentile(values, 99, method="higher")
    kept = values[(values >= low) & (values <= high)]
    score = path_length.path_length(values)
    assert len(kept) == 982
    assert score.value == pytest.approx(kept.mean().item())
    assert score.error == pytest.approx((kept.std(correction=0) / len(kept) ** 0.5).item(), rel=1e-5)
    assert path_length.path_length(torch.tensor([3.0])).value == 3


def test_large_images_are_averaged_down():
    assert path_length.seen(torch.full((1, 1, 1024, 1024), -1.0)).shape == (1, 1, 256, 256)
    assert torch.equal(path_length.seen(torch.ones(1, 1, 300, 300)), torch.full((1, 1, 300, 300), 255.0))


def test_blocks_do_not_depend_on_how_many_there_are():
    game, by = dcgan(), features.extractor("tiny")
    few = changes_of(Space(game), by, 32, (0, 1))
    assert torch.equal(few, changes_of(Space(game), by, 32, (0, 1)))
    assert not torch.equal(few, changes_of(Space(game), by, 32, (0, 0)))
    score = evaluate_paths(by, game, 64, 0, "training", 0)
    assert score.value == evaluate_paths(by, game, 64, 0, "training", 0).value
    assert score.protocol == replace(score.protocol, metric="ppl_z_tiny", n_fake=64, n_real=0, precision="float32")


# --- the command ---


def rows(capsys, *arguments: str) -> list[dict]:
    capsys.readouterr()
    main(["evaluate", *arguments, "--json", "--device", "cpu"])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_evaluate_without_data(capsys, tmp_path):
    path = saved(styled())
    ppl = ["--checkpoint", path, "--metrics", "ppl", "--n", "40"]
    [row] = rows(capsys, *ppl, "--extractor", "tiny")
    assert (row["metric"], row["n_fake"], row["n_real"], row["extractor"]) == ("ppl_w_tiny", 40, 0, "tiny")
    assert row["value"] > 0
    assert row["error"] > 0
    assert rows(capsys, *ppl, "--extractor", "tiny")[0]["value"] == row["value"]
    assert rows(capsys, *ppl, "--extractor", "tiny", "--truncation", "0.5")[0]["value"] < row["value"]
    assert (tmp_path / "scores.jsonl").read_text().count("\n") == 3
    main(["evaluate", *ppl, "--extractor", "tiny"])
    table = capsys.readouterr().out
    assert "ppl_w_tiny" in table
    assert "real" not in table


def test_ppl_alone_is_lpips(capsys, vgg16, tmp_path):
    torch.save(vgg16, tmp_path / "vgg16.pth")
    path = saved(dcgan())
    [row] = rows(capsys, "--checkpoint", path, "--metrics", "ppl", "--n", "4", "--weights", "vgg16.pth")
    assert (row["metric"], row["extractor"]) == ("ppl_z_lpips", "lpips")
    line = refused(capsys, "evaluate", "--checkpoint", path, "--metrics", "ppl", "--device", "cpu")
    assert "vgg16-397923af.pth" in line
    assert "--weights" in line


def test_ppl_beside_other_scores(capsys):
    scored = rows(
        capsys, "--checkpoint", saved(dcgan()), "--metrics", "ppl,fd", "--extractor", "tiny", "--n", "40", "--data", "Digits"
    )
    assert [row["metric"] for row in scored] == ["fd_tiny", "ppl_z_tiny"]


def test_what_cannot_be_measured_is_refused_in_a_line(capsys):
    path, began = saved(dcgan()), saved(of_digits(ganzoo.BEGAN, latent_dim=4), "began.ckpt")
    points = saved(ganzoo.GAN(shape=(2,)), "points.ckpt")
    for arguments, line in [
        (f"--checkpoint {began} --metrics ppl", "no Gaussian noise"),
        (f"--checkpoint {points} --metrics ppl", "only grey and colour images"),
        (f"--checkpoint {path} --metrics fid,ppl", "ask for ppl alone"),
        (f"--checkpoint {path} --metrics fd,ppl --extractor lpips", "lpips measures ppl alone"),
        (f"--checkpoint {path} --metrics ppl --precision tf32", "too little for tf32"),
        ("a b --metrics ppl", "of a generator"),
    ]:
        assert line in refused(capsys, "evaluate", *arguments.split())
    with pytest.raises(ValueError, match="of a generator"):
        ganzoo.Evaluation(every_steps=1, metrics=["ppl"], extractor="tiny")


def test_a_generator_that_has_diverged():
    game = dcgan()
    with torch.no_grad():
        game.generator.project.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="NaN or infinity"):
        evaluate_paths(features.extractor("tiny"), game, 4, 0, "training", 0)
