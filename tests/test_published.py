"""NVIDIA's weights: names and shapes as in their code, written out here; what they make of z, worked out slowly."""

from math import sqrt

import pytest
import torch
import torch.nn.functional as F
from test_stylegan2 import by_its_own_weights, filtered

import ganzoo
from ganzoo.__main__ import main
from ganzoo.published import plain, stylegan2_of

CHANNELS = {4: 8, 8: 8, 16: 4}  # channel_base 64, channel_max 8


def theirs(*, classes: int = 0, residual: bool = True) -> dict[str, dict[str, torch.Tensor]]:
    """State dicts of G and D for 16x16 colour images, w of 6 values, z of 5, two layers in each mapping."""
    torch.manual_seed(0)
    g: dict[str, tuple[int, ...]] = {"mapping.w_avg": (6,)}
    d: dict[str, tuple[int, ...]] = {}
    if classes:
        g |= {"mapping.embed.weight": (6, classes), "mapping.embed.bias": (6,)}
        d |= {"mapping.embed.weight": (8, classes), "mapping.embed.bias": (8,)}
        d |= {f"mapping.fc{i}.{part}": (8,) * n for i in (0, 1) for part, n in (("weight", 2), ("bias", 1))}
    g |= {"mapping.fc0.weight": (6, 5 + (6 if classes else 0)), "mapping.fc0.bias": (6,)}
    g |= {"mapping.fc1.weight": (6, 6), "mapping.fc1.bias": (6,)}
    before = 8
    for size, here in CHANNELS.items():
        b = f"synthesis.b{size}"
        g |= {f"{b}.resample_filter": (4, 4)} | ({f"{b}.const": (8, 4, 4)} if size == 4 else {})
        for conv, inputs in (("conv0", before), ("conv1", here))[size == 4 :]:
            g |= {f"{b}.{conv}.weight": (here, inputs, 3, 3), f"{b}.{conv}.noise_strength": (), f"{b}.{conv}.bias": (here,)}
            g |= {f"{b}.{conv}.resample_filter": (4, 4), f"{b}.{conv}.noise_const": (size, size)}
            g |= {f"{b}.{conv}.affine.weight": (inputs, 6), f"{b}.{conv}.affine.bias": (inputs,)}
        g |= {f"{b}.torgb.weight": (3, here, 1, 1), f"{b}.torgb.bias": (3,)}
        g |= {f"{b}.torgb.affine.weight": (here, 6), f"{b}.torgb.affine.bias": (here,)}
        before = here
    d |= {"b16.fromrgb.weight": (4, 3, 1, 1), "b16.fromrgb.bias": (4,), "b16.fromrgb.resample_filter": (4, 4)}
    for size, here, after in ((16, 4, 8), (8, 8, 8)):
        d |= {f"b{size}.conv0.weight": (here, here, 3, 3), f"b{size}.conv0.bias": (here,)}
        d |= {f"b{size}.conv1.weight": (after, here, 3, 3), f"b{size}.conv1.bias": (after,)}
        d |= {f"b{size}.skip.weight": (after, here, 1, 1)} if residual else {}
        d |= {f"b{size}.resample_filter": (4, 4), f"b{size}.conv0.resample_filter": (4, 4)}
    d |= {"b4.conv.weight": (8, 9, 3, 3), "b4.conv.bias": (8,), "b4.fc.weight": (8, 128), "b4.fc.bias": (8,)}
    d |= {"b4.out.weight": (8 if classes else 1, 8), "b4.out.bias": (8 if classes else 1,)}
    return {name: {key: torch.randn(shape) for key, shape in of.items()} for name, of in (("G_ema", g), ("D", d))}


def slow_generator(state: dict[str, torch.Tensor], z: torch.Tensor) -> torch.Tensor:
    """In float64, by the authors' names."""
    s = {name: value.double() for name, value in state.items()}

    def linear(x: torch.Tensor, name: str, rate: float = 1.0) -> torch.Tensor:
        weight = s[f"{name}.weight"]
        return x @ weight.T * rate / sqrt(weight.shape[1]) + rate * s[f"{name}.bias"]

    w = z.double() / (z.double().pow(2).mean(1, keepdim=True) + 1e-8).sqrt()
    for i in (0, 1):
        w = F.leaky_relu(linear(w, f"mapping.fc{i}", 0.01), 0.2) * sqrt(2)

    x, image = s["synthesis.b4.const"].expand(len(z), -1, -1, -1), None
    for size in CHANNELS:
        for conv in ("conv0", "conv1"):
            name = f"synthesis.b{size}.{conv}"
            if f"{name}.weight" in s:
                style = linear(w, f"{name}.affine")
                x = by_its_own_weights(x, s[f"{name}.weight"], style, demodulate=True, up=conv == "conv0")
                x = x + s[f"{name}.noise_strength"] * s[f"{name}.noise_const"] + s[f"{name}.bias"][:, None, None]
                x = F.leaky_relu(x, 0.2) * sqrt(2)
        name = f"synthesis.b{size}.torgb"
        style = linear(w, f"{name}.affine") / sqrt(x.shape[1])
        colour = (
            by_its_own_weights(x, s[f"{name}.weight"], style, demodulate=False, up=False) + s[f"{name}.bias"][:, None, None]
        )
        if image is not None:
            between = torch.zeros(len(z), 3, size, size, dtype=x.dtype)
            between[:, :, ::2, ::2] = image
            colour = colour + 4 * filtered(between, 2, 1)
        image = colour
    return image


def test_a_generator_makes_what_theirs_does():
    state = theirs()["G_ema"]
    game = stylegan2_of(state)
    z = torch.randn(3, 5)
    slow = slow_generator(state, z)
    torch.testing.assert_close(game.samples_of(z), slow.clamp(-1, 1).float(), rtol=1e-4, atol=1e-4)
    generator = game.average.eval()
    generator.training = True  # unclamped, with the noise of evaluation
    styles = game.styles_of(z)
    torch.testing.assert_close(generator.synthesis(styles), slow.float(), rtol=1e-4, atol=1e-3)
    assert torch.equal(generator.mean_w, state["mapping.w_avg"])


@pytest.mark.parametrize(("classes", "residual"), [(0, True), (0, False), (4, True)])
def test_every_weight_finds_its_place(classes, residual, tmp_path, capsys):
    states = theirs(classes=classes, residual=residual)
    torch.save(states, tmp_path / "theirs.pt")
    main(["import", str(tmp_path / "theirs.pt"), "--out", str(tmp_path / "ours.safetensors")])
    assert "StyleGAN2 for 3 x 16 x 16: " in capsys.readouterr().err
    game = ganzoo.load(tmp_path / "ours.safetensors")
    assert game.shape == (3, 16, 16) and game.kinds == classes and game.latent_dim == 5
    kept = {name: [v for n, v in state.items() if not n.endswith("resample_filter")] for name, state in states.items()}
    for network, name in ((game.average, "G_ema"), (game.generator, "G_ema"), (game.discriminator, "D")):
        sums = sorted(float(value.double().sum()) for value in network.state_dict().values())
        assert sums == pytest.approx(sorted(float(value.double().sum()) for value in kept[name]))
    main(["sample", "--checkpoint", str(tmp_path / "ours.safetensors"), "--out", str(tmp_path / "x.png"), "--n", "4"])


def test_a_discriminator_alone_is_not_asked_for(tmp_path, capsys):
    torch.save(theirs()["G_ema"], tmp_path / "g.pt")
    main(["import", str(tmp_path / "g.pt"), "--out", str(tmp_path / "ours.safetensors")])
    assert "without a D, whose weights are new" in capsys.readouterr().err


class Code:
    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize("content", [b"J\x12\x84", b"R\xff\xf4", b"PK\3\4 torn", b""])
def test_what_torch_did_not_save_is_refused(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.pt is no file of torch\.save, or damaged"):
        plain(tmp_path / "x.pt")
    with pytest.raises(FileNotFoundError, match=r"no file of weights at /.*nothing\.pt: ganzoo import --help says how"):
        plain(tmp_path / "nothing.pt")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"G_ema": Code()}, "holds code: ganzoo import --help"),
        ([1, 2], "holds no state dicts"),
        ({"weight": torch.zeros(2)}, "not the weights of NVIDIA's StyleGAN2"),
    ],
)
def test_what_is_no_weights_is_refused(content, says, tmp_path, capsys):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(SystemExit, match="2"):
        main(["import", str(tmp_path / "x.pt"), "--out", str(tmp_path / "y.safetensors")])
    said = capsys.readouterr()
    assert says in said.err and "ran" not in said.out and not (tmp_path / "y.safetensors").exists()
    assert len(said.err.splitlines()) == 1
