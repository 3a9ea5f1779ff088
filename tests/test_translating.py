"""`ganzoo translate`: files of all kinds, tiles, and what it says of what it cannot do."""

import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from conftest import of_digits
from PIL import Image

import ganzoo
from ganzoo.__main__ import main
from ganzoo.data.bicubic import enlarged
from ganzoo.loading import load
from ganzoo.translating import opened, tiled, translated, written_as


def upscaler(channels: int = 3, **arguments) -> ganzoo.SRGAN:
    """x2, with batch statistics of its own."""
    torch.manual_seed(0)
    network = partial(ganzoo.SRResNet, width=4, blocks=2)
    game = ganzoo.SRGAN(shape=(channels, 16, 16), scale=2, generator=network, **arguments)
    game.generator(torch.rand(4, channels, 8, 8))
    return game.eval()


@pytest.fixture
def checkpoint(fit, tmp_path):
    game = of_digits(ganzoo.SRGAN)
    fit(game, max_steps=1).save_checkpoint(tmp_path / "x.ckpt")
    return str(tmp_path / "x.ckpt")


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def of_file(path):
    return opened(path.read_bytes())


# --- tiles ---


@pytest.mark.parametrize("size", [(50, 41), (16, 70), (5, 3)])
def test_tiles_make_what_the_whole_does(size):
    game, source = upscaler().double(), torch.rand(1, 3, *size, dtype=torch.float64) * 2 - 1
    whole = game.translate(source)
    reach = game.generator.reach
    assert reach == 4 + 5 + 1 + 2, "9 x 9, five 3 x 3, one more, and 9 x 9 of the large image"
    pieces = tiled(game, source, 16, reach)
    torch.testing.assert_close(pieces.float(), whole, rtol=0, atol=1e-6)  # the networks' last step is to float32
    if min(size) > 40:
        assert (tiled(game, source, 16, 0) - whole).abs().max() > 1e-3, "which would tell if there were seams"


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_a_network_reaches_as_far_as_it_says(scale):
    torch.manual_seed(0)
    network = ganzoo.SRResNet((1, 64, 64), scale, width=4, blocks=1).eval()
    x = torch.zeros(1, 1, 41, 41, requires_grad=True)
    out = network(x)
    felt = [
        torch.autograd.grad(out[0, 0, i, j], x, retain_graph=True)[0][0, 0]
        for i in (20 * scale, 20 * scale + scale - 1)
        for j in (20 * scale, 20 * scale + scale - 1)
    ]
    far = max(int((place.abs() > 0).nonzero().sub(20).abs().max()) for place in felt)
    assert far <= network.reach <= far + 1


def test_a_game_that_wants_multiples_gets_them():
    seen = []

    class OfMultiples:
        device, shape, multiple = torch.device("cpu"), (3, 16, 16), 8

        def translate(self, source):
            seen.append(tuple(source.shape))
            return source.clone()

    source = torch.rand(1, 3, 13, 21)
    assert torch.equal(tiled(OfMultiples(), source, 0, 0), source)
    assert seen == [(1, 3, 16, 24)]


# --- kinds of images ---


def test_grey_stays_grey_and_colour_colour(tmp_path):
    Image.fromarray(noise(7, 5)).save(tmp_path / "grey.png")
    Image.fromarray(noise(7, 5, 3)).save(tmp_path / "colour.bmp")
    for channels in (1, 3):
        game = upscaler(channels)
        assert translated(game, of_file(tmp_path / "grey.png")).colours.shape == (1, 1, 14, 10)
        made = translated(game, of_file(tmp_path / "colour.bmp"))
        assert made.colours.shape == (1, 3, 14, 10)
        made.save(tmp_path / "out.png")
        assert Image.open(tmp_path / "out.png").mode == "RGB"


def test_alpha_is_enlarged_too(tmp_path):
    pixels = noise(6, 8, 4)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    made = translated(upscaler(), of_file(tmp_path / "x.png"))
    made.save(tmp_path / "out.png")
    image = Image.open(tmp_path / "out.png")
    assert (image.mode, image.size) == ("RGBA", (16, 12))
    expected = enlarged(torch.from_numpy(pixels[:, :, 3]).float()[None, None], 2).round().clamp(0, 255)
    assert np.abs(np.asarray(image)[:, :, 3] - expected[0, 0].numpy()).max() <= 1
    Image.fromarray(pixels[:, :, :2].copy()).save(tmp_path / "la.png")
    translated(upscaler(), of_file(tmp_path / "la.png")).save(tmp_path / "out.png")
    assert Image.open(tmp_path / "out.png").mode == "LA"


def test_sixteen_bits_stay_sixteen(tmp_path):
    levels = np.linspace(0, 65535, 48).astype(np.uint16).reshape(6, 8)
    Image.fromarray(levels).save(tmp_path / "deep.png")
    picture = of_file(tmp_path / "deep.png")
    np.testing.assert_allclose((picture.colours[0, 0].numpy() + 1) * 32767.5, levels, atol=0.01)
    game = upscaler(1)
    game.generator.forward = lambda x: torch.nn.functional.interpolate(x, scale_factor=2.0)
    translated(game, picture).save(tmp_path / "out.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out.png"))[::2, ::2], levels)


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "LAB", "PA"])
def test_other_kinds_are_read(mode, tmp_path):
    name = tmp_path / ("x.png" if mode in ("1", "P") else "x.tif")
    image = Image.fromarray(noise(6, 4, 3)).convert("P" if mode == "PA" else mode if mode != "LAB" else "RGB")
    (image if mode != "PA" else image.convert("PA")).save(name)
    assert translated(upscaler(), of_file(name)).colours.shape[2:] == (12, 8)


# --- the command ---


def test_a_file(checkpoint, tmp_path, capsys):
    Image.fromarray(noise(9, 5)).save(tmp_path / "in.png")
    main(["translate", "--checkpoint", checkpoint, str(tmp_path / "in.png"), str(tmp_path / "deep" / "out.png")])
    assert "5 x 9 became 10 x 18" in capsys.readouterr().err
    made = np.asarray(Image.open(tmp_path / "deep" / "out.png"))
    source = torch.from_numpy(noise(9, 5)).float()[None, None] / 127.5 - 1
    expected = (load(checkpoint).translate(source)[0, 0] + 1) * 127.5
    assert np.abs(made - expected.numpy()).max() <= 0.51
    main(["translate", "--checkpoint", checkpoint, str(tmp_path / "in.png"), str(tmp_path / "folder"), "--tile", "4"])
    assert np.abs(np.asarray(Image.open(tmp_path / "folder" / "in.png")).astype(int) - made).max() <= 1


def test_a_folder_with_a_corrupt_file_in_it(checkpoint, tmp_path, capsys):
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "b").mkdir()
    for name in ("a/1.png", "b/2.jpg", "b/2.png"):
        Image.fromarray(noise(5, 6)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "a" / "bad.png").write_bytes((tmp_path / "in" / "a" / "1.png").read_bytes()[:60])
    (tmp_path / "in" / "worse.jpg").write_text("no image")
    main(["translate", "--checkpoint", checkpoint, str(tmp_path / "in"), str(tmp_path / "out")])
    said = capsys.readouterr().err
    assert "worse.jpg cannot be read (not an image): skipped" in said
    assert "a/bad.png cannot be read" in said
    assert "3 images translated, 2 skipped" in said
    assert "Traceback" not in said
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png"))
    assert made == ["a/1.png", "b/2.jpg.png", "b/2.png.png"]


def test_a_zip(checkpoint, tmp_path):
    Image.fromarray(noise(5, 6)).save(tmp_path / "1.png")
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        archive.write(tmp_path / "1.png", "1.png")
    main(["translate", "--checkpoint", checkpoint, str(tmp_path / "in.zip"), str(tmp_path / "out")])
    assert Image.open(tmp_path / "out" / "1.png").size == (12, 10)


def test_mistakes_are_one_line(checkpoint, fit, tmp_path, capsys):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_text("no image")
    Image.fromarray(noise(5, 6)).save(tmp_path / "1.png")
    fit(ganzoo.DCGAN(shape=(1, 16, 16)), max_steps=1).save_checkpoint(tmp_path / "dcgan.ckpt")

    def refused(*arguments: str) -> str:
        with pytest.raises(SystemExit) as end:
            main(["translate", *arguments])
        assert end.value.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    good = ("--checkpoint", checkpoint)
    bad, image, out = str(tmp_path / "bad"), str(tmp_path / "1.png"), str(tmp_path / "out")
    assert "DCGAN makes images of noise" in refused("--checkpoint", str(tmp_path / "dcgan.ckpt"), image, out)
    assert "cannot be read (not an image)" in refused(*good, f"{bad}/x.png", out)
    assert "none of the 1 images" in refused(*good, bad, out)
    assert "does not exist" in refused(*good, str(tmp_path / "nothing"), out)
    assert "is no .png" in refused(*good, image, "x.jpg")
    assert "written over what it is made of" in refused(*good, image, image)
    assert "is no folder" in refused(*good, bad, image)
    assert "would be written over by what is made of them" in refused(*good, str(tmp_path), str(tmp_path))
    assert "--device gpu cannot be used (" in refused(*good, image, out, "--device", "gpu")
    assert "--tile is" in refused(*good, image, out, "--tile", "-1")
    assert "--seed must be" in refused(*good, image, out, "--seed", "-1")


def test_names_keep_their_ending_where_they_must():
    names = ["a.jpg", "a.png", "b.tif", "c/a.png"]
    assert list(written_as(names).values()) == ["a.jpg.png", "a.png.png", "b.png", "c/a.png"]
