"""Walks through latent spaces, grids of truncations and of mixed styles, and `ganzoo sample` that shows them."""

import io
import math
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from conftest import TINY, of_digits
from PIL import Image
from styled import conditional_styled, styled
from test_cli import refused

import ganzoo
from ganzoo.__main__ import main
from ganzoo.duel import truncated
from ganzoo.game import draw_from
from ganzoo.grids import layers, mixing, truncations
from ganzoo.listing import variants
from ganzoo.pictures import to_bytes
from ganzoo.walks import Walk, film, spherical


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dcgan(**arguments) -> ganzoo.DCGAN:
    """Whose samples differ: its generator's weights are larger than they are at first."""
    torch.manual_seed(0)
    game = ganzoo.DCGAN(shape=TINY, latent_dim=6, **arguments)
    with torch.no_grad():
        game.generator.project.weight.mul_(20)
        game.generator.layers[-1].weight.mul_(20)
    return game.eval()


def saved(game: ganzoo.Game, name: str = "game.ckpt") -> str:
    trainer = L.Trainer(max_steps=0, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu")
    trainer.strategy.connect(game)
    trainer.save_checkpoint(name, weights_only=True)
    return name


# --- great circles ---


def test_a_quarter_of_a_circle_by_hand():
    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    third = spherical(a, b, 1 / 3)
    assert torch.allclose(third, torch.tensor([[2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)]]))
    longer = spherical(a, 2 * b, 0.5)  # of norms 2 and 4
    assert torch.allclose(longer, torch.full((1, 2), 3 / math.sqrt(2)))
    assert torch.equal(spherical(a, b, 0), a)
    assert torch.equal(spherical(a, b, 1), b)


def test_the_norm_stays_and_the_angle_grows_evenly():
    a, b = torch.nn.functional.normalize(torch.randn(2, 5, 100), dim=-1)
    whole = torch.acos((a * b).sum(-1))
    for t in (0.1, 0.5, 0.9):
        c = spherical(a, b, t)
        assert torch.allclose(c.norm(dim=-1), torch.ones(5))
        assert torch.allclose(torch.acos((a * c).sum(-1)), t * whole, atol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 100])
def test_equal_and_opposite_noises_are_no_trouble(d):
    a = torch.randn(4, d)
    assert torch.allclose(spherical(a, a, 0.3), a)
    assert torch.allclose(spherical(a, 2 * a, 0.5), 1.5 * a)
    half = spherical(a, -a, 0.5)
    assert half.isfinite().all()
    assert torch.allclose((half * a).sum(-1), torch.zeros(4), atol=1e-5)
    if d > 1:
        assert torch.allclose(half.norm(dim=-1), a.norm(dim=-1))
    assert torch.allclose(spherical(a, -a, 0.999999), -a, atol=1e-3)
    assert spherical(torch.zeros(1, d), a[:1], 0.5).isfinite().all()


# --- walks ---


@pytest.mark.parametrize("make, space", [(dcgan, "z"), (styled, "z"), (styled, "w")])
def test_keys_are_the_samples_and_the_last_frame_is_one_step_from_the_first(make, space):
    game = make()
    walk = Walk(game, keys=3, frames=8, walks=2, space=space, seed=5)
    assert len(walk) == 24
    draw_from(game.device, 5)
    z = game.latent(6).unflatten(0, (2, 3))
    for key in range(3):
        frame = walk[8 * key]
        draw_from(game.device, 5, 1)
        assert torch.equal(frame, game.samples_of(z[:, key]))
    frames = torch.stack(list(walk))
    steps = (frames - frames.roll(-1, 0)).abs().amax((1, 2, 3, 4))
    assert 0 < steps.max() < (frames[0] - frames[8]).abs().max() / 2
    key = walk.keys[:, 0]
    assert torch.allclose(walk.space.between(walk.keys[:, 2], key, 1.0), key)


def test_a_walk_in_w_is_straight_and_by_default_where_there_is_a_w():
    walk = Walk(styled(), keys=2, frames=4)
    assert walk.space.name == "w"
    assert torch.allclose(walk.space.between(walk.keys[:, 0], walk.keys[:, 1], 0.5), walk.keys.mean(1))
    assert Walk(dcgan(), keys=2).space.name == "z"


def test_a_walk_keeps_its_class_and_codes():
    game = of_digits(ganzoo.CGAN, latent_dim=4).eval()
    drawn = Walk(game, keys=3, frames=2, walks=4).beside
    assert drawn.shape == (4,)
    assert torch.equal(Walk(game, keys=3, frames=2, walks=4, label=7).beside, torch.full((4,), 7))
    frame = Walk(game, keys=3, frames=2, label=7)[4]
    draw_from(game.device, 0)
    z = game.latent(3)
    assert torch.allclose(frame, game.samples_of(z, torch.full((3,), 7))[2:], atol=1e-5)

    coded = of_digits(ganzoo.InfoGAN, latent_dim=4).eval()
    walk = Walk(coded, keys=3, frames=2, label=7)
    assert walk.keys.shape == (1, 3, 4)
    assert walk.beside[0, :10].argmax() == 7
    frame = walk[0]
    draw_from(coded.device, 0)
    assert torch.allclose(frame, coded.sample(3, torch.full((3,), 7))[:1], atol=1e-5)

    both = Walk(conditional_styled(), keys=3, frames=2, label=1)
    draw_from(both.space.game.device, 0)
    z = both.space.game.latent(3)
    assert torch.equal(both.keys[0], both.space.game.styles_of(z, torch.ones(3, dtype=torch.int64)))


@pytest.mark.parametrize("kind", ["gif", "webp"])
def test_frames_are_an_animation_without_losses(kind):
    file = io.BytesIO()
    walk = Walk(dcgan(), keys=2, frames=3, walks=2)
    film(walk, file, kind, milliseconds=50)
    image = Image.open(file)
    assert image.n_frames == 6
    assert image.size == (2 * 66 + 2, 66 + 2)
    for i in range(6):
        image.seek(i)
        tile = np.asarray(image.convert("L"))[2:66:4, 2:66:4]
        assert np.array_equal(tile, to_bytes(walk[i])[0, 0].numpy())


@pytest.mark.parametrize("variant", variants(), ids=lambda variant: variant.__name__)
def test_every_variant_of_gaussian_noise_can_be_walked_through(variant):
    game = of_digits(variant).eval()
    if getattr(game, "gaussian", False) and len(game.shape) == 3:
        assert Walk(game, keys=2, frames=1, walks=2)[1].shape == (2, *TINY)


def test_walks_refuse():
    for variant in (ganzoo.BEGAN, ganzoo.BiGAN):
        with pytest.raises(ValueError, match="has no Gaussian noise"):
            Walk(of_digits(variant))
    with pytest.raises(ValueError, match="has no w"):
        Walk(dcgan(), space="w")
    with pytest.raises(ValueError, match="not samples of shape"):
        Walk(ganzoo.GAN(shape=(2,)))
    with pytest.raises(ValueError, match="at least 2 keys"):
        Walk(dcgan(), keys=1)
    with pytest.raises(ValueError, match="0 to 2: 3 is none"):
        Walk(conditional_styled(), label=3)
    with pytest.raises(ValueError, match="not class-conditional"):
        Walk(dcgan(), label=3)
    with pytest.raises(IndexError):
        Walk(dcgan())[-1]


# --- grids ---


def test_rows_of_truncations_are_of_the_same_noise():
    game = dcgan()
    rows = truncations(game, [None, 0.5, 1e-6], n=5, seed=3).unflatten(0, (3, 5))
    draw_from(game.device, 3)
    assert torch.equal(rows[0], game.sample(5))
    spread = rows.std(1).mean((1, 2, 3))
    assert spread[0] > spread[1] > spread[2]
    assert spread[2] < 1e-4
    assert game.truncation is None


def test_w_truncated_by_one_is_w_and_by_nearly_nothing_its_mean():
    game = styled()
    plain, one, none = truncations(game, [None, 1.0, 1e-7], n=4).unflatten(0, (3, 4))
    assert torch.allclose(plain, one, atol=1e-6)
    w = game.generator.mean_w.expand(4, 6, 8)
    draw_from(game.device, 0)
    game.latent(4)
    assert torch.allclose(none, game.images_of(w), atol=1e-5)


@pytest.mark.parametrize("styles", ["coarse", "middle", "0-0", "2-4", "0-5"])
def test_mixed_styles(styles):
    game = styled()
    n = 3
    grid = mixing(game, styles, n=n, seed=2).unflatten(0, (n + 1, n + 1))
    assert torch.equal(grid[0, 0], torch.ones(TINY))
    assert torch.equal(grid[0, 1:], grid[1:, 0])
    draw_from(game.device, 2)
    w = game.styles_of(game.latent(n))
    for i in range(n):
        assert torch.equal(grid[i + 1, i + 1], grid[0, i + 1])
        for j in range(n):
            mixed = w[i].clone()
            mixed[layers(styles, 6)] = w[j][layers(styles, 6)]
            draw_from(game.device, 2, 1)
            assert torch.allclose(grid[i + 1, j + 1], game.images_of(mixed.expand(n, -1, -1))[j], atol=1e-6)
    if styles == "0-5":
        assert torch.equal(grid[1:, 1:], grid[:1, 1:].expand(n, -1, -1, -1, -1))
    with truncated(game, 0.5):
        assert not torch.equal(mixing(game, styles, n=n, seed=2)[1], grid[0, 1])


def test_the_papers_styles():
    """Figure 3: 4x4 and 8x8, 16x16 and 32x32, 64x64 to 1024x1024."""
    named = {name: list(range(18))[layers(name, 18)] for name in ("coarse", "middle", "fine")}
    assert named == {"coarse": [0, 1, 2, 3], "middle": [4, 5, 6, 7], "fine": list(range(8, 18))}
    assert layers("middle", 6) == slice(4, 6)


def test_grids_refuse():
    with pytest.raises(ValueError, match="has 6 styles, 0 to 5: --mix fine"):
        mixing(styled(), "fine")
    with pytest.raises(ValueError, match="has 6 styles"):
        mixing(styled(), "4-6")
    with pytest.raises(ValueError, match="coarse, middle, fine, or"):
        mixing(styled(), "rough")
    with pytest.raises(ValueError, match="no styles"):
        mixing(dcgan(), "coarse")


# --- the command ---


def test_sample_a_walk():
    path = saved(dcgan())
    main(["sample", "--checkpoint", path, "--interpolate", "--n", "3", "--frames", "4", "--out", "a/walk.gif"])
    assert Image.open("a/walk.gif").n_frames == 12
    first = Path("a/walk.gif").read_bytes()
    main(["sample", "--checkpoint", path, "--interpolate", "z", "--n", "3", "--frames", "4"])
    assert Path("walk.gif").read_bytes() == first
    main(["sample", "--checkpoint", path, "--interpolate", "--n", "3", "--frames", "4", "--truncation", "0.2"])
    assert Path("walk.gif").read_bytes() != first
    main(["sample", "--checkpoint", path, "--interpolate", "--n", "2", "--frames", "2", "--walks", "4", "--out", "w.webp"])
    assert Image.open("w.webp").size == (2 * 66 + 2, 2 * 66 + 2)


def test_sample_grids():
    path = saved(styled())
    main(["sample", "--checkpoint", path, "--truncation", "0.3", "1", "--n", "5"])
    assert Image.open("samples.png").size == (5 * 66 + 2, 2 * 66 + 2)
    main(["sample", "--checkpoint", path, "--mix", "coarse", "--n", "4", "--truncation", "0.7", "--out", "mix.png"])
    assert Image.open("mix.png").size == (5 * 66 + 2, 5 * 66 + 2)
    main(["sample", "--checkpoint", path, "--interpolate", "w", "--n", "2", "--frames", "2"])
    assert Image.open("walk.gif").n_frames == 4


def test_sample_refuses_what_does_not_go_together(capsys):
    path = saved(dcgan())
    for arguments, line in [
        ("--interpolate --out a.png", "no .gif or .webp"),
        ("--interpolate q", "through z or w, not q"),
        ("--interpolate w", "has no w"),
        ("--interpolate --class 2", "not class-conditional"),
        ("--interpolate --mix fine", "choose one of"),
        ("--truncation 0.3 1 --out folder", "no .png"),
        ("--truncation 0.3 -1", "a number above 0"),
        ("--mix fine", "no styles"),
        ("--frames 3", "are of --interpolate"),
        ("--interpolate --n 1", "at least 2 keys"),
    ]:
        assert line in refused(capsys, "sample", "--checkpoint", path, *arguments.split())
    began = saved(of_digits(ganzoo.BEGAN, latent_dim=4), "began.ckpt")
    assert "no Gaussian noise" in refused(capsys, "sample", "--checkpoint", began, "--interpolate")
