"""SRGAN: its two phases, its networks, and what its content loss is computed by."""

import warnings
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import TINY, TinyContent, data_for, of_digits, trainer
from PIL import Image
from test_papers import count
from torch import nn

import ganzoo
from ganzoo.data.bicubic import enlarged
from ganzoo.metrics import content
from ganzoo.metrics.fidelity import psnr
from ganzoo.pictures import to_bytes


def srgan(**arguments) -> ganzoo.SRGAN:
    torch.manual_seed(0)
    return of_digits(ganzoo.SRGAN, **arguments)


# --- networks ---


def test_weights():
    """SRResNet x4 as its figure has it: no bias before batch normalisation, one slope in each PReLU."""
    assert count(ganzoo.SRResNet((3, 96, 96), 4)) == 1_547_350
    up = 64 * 256 * 9 + 256 + 1
    assert count(ganzoo.SRResNet((3, 96, 96), 2)) == 1_547_350 - up
    layers = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), (512, 512)]
    convolutions = sum(9 * i * o for i, o in layers) + 64  # only the first has a bias
    norms = sum(2 * o for _, o in layers[1:])
    with torch.device("meta"):
        discriminator = ganzoo.SRGANDiscriminator((3, 96, 96))
    assert count(discriminator) == convolutions + norms + (512 * 6 * 6 * 1024 + 1024) + 1025


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_any_size_is_enlarged(scale):
    network = ganzoo.SRResNet((3, 96, 96), scale, width=4, blocks=1)
    assert network(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_the_discriminator_takes_whole_images_and_its_own_unchanged():
    torch.manual_seed(0)
    network = ganzoo.SRGANDiscriminator((1, 32, 32), width=4).eval()
    assert network(torch.rand(2, 1, 50, 37)).shape == (2,)
    x = torch.rand(2, 1, 32, 32)
    plain = network.last(network.hidden(network.layers(x).flatten(1)))[:, 0]
    assert torch.equal(network(x), plain)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda: ganzoo.SRResNet((3, 96, 96), 5), "scale is 2, 3, 4 or 8, not 5"),
        (lambda: ganzoo.SRGANDiscriminator((3, 8, 8)), "16 pixels a side at least"),
        (lambda: ganzoo.SRGANDiscriminator((2,)), "16 pixels a side at least"),
        (lambda: ganzoo.SRGAN(shape=(1, 18, 18)), "multiples of its scale 4"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        wrong()


# --- losses ---


def test_losses_by_hand():
    """Of a generator that repeats pixels, a D that says 0 of all, and features that are the image itself."""
    game = srgan(content=nn.Identity, adversarial=0.01)
    game.generator.forward = lambda x: F.interpolate(x, scale_factor=2.0)
    game.discriminator.forward = lambda x: x.new_zeros(len(x))
    source, target = torch.zeros(2, 1, 8, 8), torch.full((2, 1, 16, 16), 0.5)
    ln2 = pytest.approx(0.693147, abs=1e-6)
    assert game.pretraining_loss(source, target)["pixels"].item() == 0.25
    assert {name: term.item() for name, term in game.discriminator_loss(source, target).items()} == {"real": ln2, "fake": ln2}
    terms = game.generator_loss(source, target)
    assert terms["content"].item() == 0.25
    assert terms["adversarial"].item() == pytest.approx(0.00693147, abs=1e-8)


def test_two_phases(fit):
    game = srgan(pretrain_steps=2)
    before = {name: weight.clone() for name, weight in game.discriminator.named_parameters()}
    fit(game, max_steps=2)
    assert set(game.terms) == {"generator/pixels", "generator/loss", "generator/gradient_norm"}
    assert all(torch.equal(weight, before[name]) for name, weight in game.discriminator.named_parameters())
    assert game.content.network is None, "nobody has asked for it"
    fit(game, max_steps=3)
    assert {"discriminator/real", "generator/content", "generator/adversarial"} < set(game.terms)
    assert "generator/pixels" not in game.terms, "nothing is logged that is over"


def test_the_watch_does_not_expect_a_discriminator_to_move_before_its_phase(fit, capsys):
    watch = ganzoo.CollapseWatch(every_steps=1, n=4)
    game = srgan(pretrain_steps=3)
    fit(game, max_steps=3, callbacks=[watch])
    assert "generator/moved" in watch.values
    assert "discriminator/moved" not in watch.values
    assert "nothing moves" not in capsys.readouterr().err
    fit(game, max_steps=5, callbacks=[watch])
    assert watch.values["discriminator/moved"] > 0


def test_rates_fall_to_a_tenth_after_the_second_phases_half():
    game = srgan(pretrain_steps=5, drop_steps=3)
    assert [game.rate(step) for step in range(10)] == [1.0] * 8 + [0.1] * 2


def test_resumes_exactly_across_the_phases(fit, tmp_path):
    straight, first, second = (srgan(pretrain_steps=2) for _ in range(3))
    fit(straight, max_steps=4)
    fit(first, max_steps=1).save_checkpoint(tmp_path / "x.ckpt")
    fit(second, max_steps=4, ckpt_path=tmp_path / "x.ckpt")
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in straight.state_dict().items())


def test_begins_with_a_pretrained_generator(fit, tmp_path):
    fit(srgan(pretrain_steps=2), max_steps=2).save_checkpoint(tmp_path / "srresnet.ckpt")
    game = srgan(init_from=str(tmp_path / "srresnet.ckpt"), lr=0.0)
    fit(game, max_steps=1)
    there = torch.load(tmp_path / "srresnet.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(game.generator.last.weight, there["generator.last.weight"])


def test_data_of_another_scale_are_refused(fit):
    with pytest.raises(ValueError, match=r"\(8, 8\) beside \(16, 16\): set --model.scale and --data.scale to the same"):
        fit(srgan(scale=4))


# --- ESRGAN ---


def test_rrdb_weights():
    """As many as in the authors' released models."""
    with torch.device("meta"):
        assert count(ganzoo.RRDBNet((3, 128, 128), 4)) == 16_697_987


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_rrdb_enlarges_any_size(scale):
    network = ganzoo.RRDBNet((3, 128, 128), scale, width=4, growth=2, blocks=1)
    assert network(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


def test_a_dense_block_is_its_figures():
    """Slowly, in float64: each layer sees the input and all outputs before it, in that order."""
    torch.manual_seed(0)
    block = ganzoo.ResidualDenseBlock(3, 2).double()
    x = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    seen = x
    for i, layer in enumerate(block.layers):
        out = F.conv2d(seen, layer.weight, layer.bias, padding=1)
        seen = torch.cat([seen, torch.where(out > 0, out, 0.2 * out)], 1) if i < 4 else out
    torch.testing.assert_close(block(x), x + 0.2 * seen)
    assert block.layers[0].weight.std().item() == pytest.approx(0.1 * (2 / 27) ** 0.5, rel=0.3), "a tenth of He's"


def test_esrgans_losses_by_hand():
    """D says 2 of all real images and -1 of all fakes; features are the image; errors are 0.5 of a range of 2."""
    torch.manual_seed(0)
    game = of_digits(ganzoo.ESRGAN, content=nn.Identity, adversarial=0.1, pixels=0.01)
    game.generator.forward = lambda x: F.interpolate(x, scale_factor=2.0)
    game.discriminator.forward = lambda x: torch.where(x.mean((1, 2, 3)) > 0.25, 2.0, -1.0)
    source, target = torch.zeros(2, 1, 8, 8), torch.full((2, 1, 16, 16), 0.5)
    assert game.pretraining_loss(source, target)["pixels"].item() == 0.25
    right, wrong = np.log1p(np.exp(-3.0)), np.log1p(np.exp(3.0))  # of D's margin of 3
    terms = {name: term.item() for name, term in game.discriminator_loss(source, target).items()}
    assert terms == pytest.approx({"real": right, "fake": right})
    terms = {name: term.item() for name, term in game.generator_loss(source, target).items()}
    assert terms == pytest.approx({"content": 0.5, "real": 0.1 * wrong, "fake": 0.1 * wrong, "pixels": 0.0025})


def test_esrgans_rates():
    game = of_digits(ganzoo.ESRGAN, pretrain_steps=1_000_000)
    steps = [0, 199_999, 200_000, 999_999, 1_000_000, 1_049_999, 1_050_000, 1_100_000, 1_200_000, 1_300_000]
    assert [game.rate(step) for step in steps] == [2, 2, 1, 2 / 16, 1, 1, 0.5, 0.25, 0.125, 0.0625]


# --- the content loss ---


def test_its_network_is_no_part_of_the_game(fit, tmp_path):
    game = srgan()
    fit(game).save_checkpoint(tmp_path / "x.ckpt")
    assert game.content.network is not None
    assert not any("content" in name for name in game.state_dict())
    checkpoint = torch.load(tmp_path / "x.ckpt", weights_only=True)
    assert checkpoint["game"]["content"].startswith("TinyContent ")
    ganzoo.load(tmp_path / "x.ckpt").translate(torch.zeros(1, 1, 4, 4))

    class Other(TinyContent):
        pass

    with pytest.raises(ValueError, match=r"the run.s content loss is by TinyContent .*, not Other"):
        fit(srgan(content=Other), max_steps=5, ckpt_path=tmp_path / "x.ckpt")


def test_effnet_stands_in_for_vgg_aloud(monkeypatch):
    def gone(*_: object, **__: object) -> None:
        raise ValueError("no weights")

    monkeypatch.setattr(content, "downloaded", gone)
    of = content.Content(None, content.VGG54)
    with pytest.warns(UserWarning, match="EfficientNet-Lite0 instead of the paper's network: VGG19's weights"):
        maps = of(torch.rand(1, 1, 32, 48))
    assert maps.shape == (1, 112, 2, 3)
    assert of.name.startswith("EffNetLite0Maps ")
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    assert torch.autograd.grad(of(x).square().sum(), x)[0].abs().sum() > 0
    with warnings.catch_warnings(), pytest.raises(ValueError, match="VGG19's weights cannot be had: put"):
        content.Content(content.VGG54, content.VGG54)(x)


def test_vgg54_is_torchvisions_up_to_the_sixteenth_convolution(tmp_path):
    from torchvision.models import vgg19

    torch.manual_seed(0)
    whole = vgg19().eval()
    torch.save({name: x for name, x in whole.state_dict().items() if name.startswith("features.")}, tmp_path / "vgg.pth")
    images = torch.rand(1, 3, 32, 32)
    mean, std = (torch.tensor(x)[:, None, None] for x in (content.MEAN, content.STD))
    assert sum(isinstance(layer, nn.Conv2d) for layer in whole.features[:35]) == 16
    expected = whole.features[:35]((images - mean) / std)
    for activated in (True, False):
        got = content.VGG54(activated, str(tmp_path / "vgg.pth"))(images * 2 - 1)
        torch.testing.assert_close(got, expected.relu() / 12.75 if activated else expected, rtol=1e-4, atol=1e-6)
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(ValueError, match="does not hold the weights of torchvision's VGG19"):
        content.VGG54(weights=str(tmp_path / "other.pth"))


# --- what it makes ---


def test_validation_tells_psnr_and_ssim():
    game = srgan()
    game.generator.forward = lambda x: enlarged(x, 2)
    data = data_for(ganzoo.SRGAN)
    [metrics] = trainer(limit_val_batches=1).validate(game, data, verbose=False)
    [(source, target)] = data.on_after_batch_transfer(data.held_out.__getitems__(range(8)))
    assert metrics["val/psnr"] == pytest.approx(psnr(enlarged(source, 2).clamp(-1, 1), target, 2).mean().item(), rel=1e-5)
    assert 0 < metrics["val/ssim"] < 1


def test_samples_are_of_the_latest_small_images(fit):
    game = srgan(lr=0.0)
    fit(game, max_steps=2)
    data = data_for(ganzoo.SRGAN)
    data.setup()
    [(source, _)] = data.on_after_batch_transfer(data.train.__getitems__(data.stream(8, game.device)._plan(8)[0]))
    kept = {image.numpy().tobytes() for image in game.sources}
    assert len(kept) == 16
    assert all(((image + 1) * 127.5).round().to(torch.uint8).numpy().tobytes() in kept for image in source)


def test_grids_show_source_output_and_target(fit, tmp_path):
    game = srgan(lr=0.0)
    game.generator.forward = lambda x: torch.zeros(len(x), 1, 16, 16)
    grid = ganzoo.SampleGrid(every_steps=1, n=16)
    fit(game, callbacks=[grid], default_root_dir=tmp_path)
    shown = np.asarray(Image.open(grid.path))
    data = data_for(ganzoo.SRGAN)
    data.setup()
    [(source, target)] = data.on_after_batch_transfer(data.held_out.__getitems__([0]))
    tiles = [shown[2:66, 2 + 66 * i : 66 + 66 * i, 0] for i in range(3)]
    assert shown.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    assert np.array_equal(tiles[0][::8, ::8], to_bytes(source)[0, 0].numpy())
    assert set(tiles[1].flatten()) == {128}
    assert np.array_equal(tiles[2][::4, ::4], to_bytes(target)[0, 0].numpy())


def test_it_learns_to_enlarge(fit):
    """Nearer to the truth than at first, in seconds."""
    game = srgan(pretrain_steps=100, lr=3e-3)
    fit(game, max_steps=1)
    first = game.measured or {name: float(term) for name, term in game.terms.items()}
    fit(game, max_steps=40)
    assert float(game.terms["generator/pixels"]) < 0.5 * first["generator/pixels"]


def test_networks_can_be_narrower():
    game = ganzoo.SRGAN(shape=(3, 32, 32), scale=2, generator=partial(ganzoo.SRResNet, width=8, blocks=1))
    assert count(game.generator) < 20_000
    assert game.translate(torch.zeros(1, 3, 9, 4)).shape == (1, 3, 18, 8)
    assert isinstance(game, ganzoo.Translator)
    assert game.shape != TINY
