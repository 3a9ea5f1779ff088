"""What several tests share: tiny data made on the fly, the real data if it is here, and one way to train a little."""

import os
import pickle
import struct
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision
from PIL import Image
from torch import nn
from torchvision.datasets import CIFAR10

import ganzoo
from ganzoo.conditional import ConditionalDuel
from ganzoo.data.bicubic import shrunk
from ganzoo.data.cells import Cells
from ganzoo.game import Game
from ganzoo.metrics import features
from ganzoo.metrics.features import Extractor
from ganzoo.precision import tf32

REPOSITORY = Path(__file__).parent.parent
REAL_DATA = REPOSITORY / os.environ.get("GANZOO_TEST_DATA", "../shared/data")
TINY = (1, 16, 16)  # of ganzoo.Digits

torch.set_num_threads(1)  # pytest-xdist runs one process on each core


def of_digits(variant: type[Game], **arguments) -> Game:
    """The variant's game of digits, or else of `data_for` it: with their classes if it takes any, and other networks if its own
    are of 32."""
    data = data_for(variant)
    if data.kind:
        return variant(shape=data.shape, classes=data.classes, **(small_of(variant) | arguments))
    if issubclass(variant, ConditionalDuel | ganzoo.SemiSupervisedGAN):
        arguments["classes"] = 10
    small: dict = {}
    if issubclass(variant, ganzoo.ProjectionGAN | ganzoo.SNGAN):
        small["generator"] = partial(ganzoo.DCGANGenerator, width=16)
        small["discriminator"] = partial(ganzoo.DCGANDiscriminator, width=16, norm="spectral")
    if issubclass(variant, ganzoo.BigGAN):
        small["generator"] = partial(ganzoo.BigGANGenerator, width=4)
        small["discriminator"] = partial(ganzoo.BigGANDiscriminator, width=4)
    if issubclass(variant, ganzoo.R3GAN):
        small["generator"] = partial(ganzoo.R3GANGenerator, width=8)
        small["discriminator"] = partial(ganzoo.R3GANDiscriminator, width=8)
        small["burn_in_images"] = 100
    if issubclass(variant, ganzoo.ProGAN | ganzoo.StyleGAN):  # a new level with each of the first rounds of 8
        small["generator"] = partial(variant.default_generator, width=16)
        small["discriminator"] = partial(variant.default_discriminator, width=16)
        small |= {"latent_dim": 8, "first_size": 4, "stabilise_kimg": 0.004, "fade_kimg": 0.006}
    if issubclass(variant, ganzoo.Upscaler):
        small["generator"] = partial(variant.default_generator, width=8, blocks=2 if variant is ganzoo.SRGAN else 1)
        small["discriminator"] = partial(ganzoo.SRGANDiscriminator, width=8)
        small |= {"scale": 2, "content": TinyContent, "pretrain_steps": 0}
    if issubclass(variant, ganzoo.StyleGAN2):
        narrow = {"channel_base": 128, "channel_max": 8}
        small["generator"] = partial(ganzoo.StyleGAN2Generator, w_dim=16, mapping_layers=2, **narrow)
        small["discriminator"] = partial(ganzoo.StyleGAN2Discriminator, mapping_layers=2, **narrow)
        small["latent_dim"] = 16
    if issubclass(variant, ganzoo.Pix2Pix):
        small["generator"] = partial(ganzoo.UNet, width=8)
        small["discriminator"] = partial(ganzoo.PatchDiscriminator, width=8)
    if issubclass(variant, ganzoo.DTN):
        small["classifier"] = partial(ganzoo.FeatureClassifier, widths=(4, 8, 8, 8))
        small["generator"] = partial(ganzoo.DCGANGenerator, width=8)
        small["discriminator"] = partial(ganzoo.DCGANDiscriminator, width=8)
        small |= {"classes": 10, "pretrain_steps": 2}
    if issubclass(variant, ganzoo.CycleGAN):
        small["generator"] = partial(ganzoo.TranslationResNet, width=4, blocks=1)
        small["discriminator"] = partial(ganzoo.PatchDiscriminator, width=8, affine=False)
        small["pool"] = 20  # full after two rounds of 8
    arguments = small | arguments
    return variant(shape=TINY, **arguments)


def small_of(variant: type[Game]) -> dict:
    """Arguments of variants whose samples are no images."""
    if issubclass(variant, ganzoo.GAIN):
        return {"widths": data_for(variant).widths}
    if issubclass(variant, ganzoo.GumbelGAN):
        generator = partial(ganzoo.LSTMStringGenerator, width=8)
        return {"generator": generator, "discriminator": partial(ganzoo.LSTMStringDiscriminator, width=8)}
    if issubclass(variant, ganzoo.TimeGAN):
        return {"hidden": 6, "layers": 2, "embedding_steps": 1, "supervised_steps": 1}
    if issubclass(variant, ganzoo.RCGAN):
        players = {"generator": ganzoo.LSTMGenerator, "discriminator": ganzoo.LSTMDiscriminator}
        return {"discriminator_steps": 2} | {player: partial(network, hidden=6) for player, network in players.items()}
    if issubclass(variant, ganzoo.QuantGAN):
        generator = partial(ganzoo.TCNGenerator, width=6, blocks=2)
        return {"generator": generator, "discriminator": partial(ganzoo.TCNDiscriminator, width=6)}
    return {}


def data_for(variant: type[Game]) -> ganzoo.DataModule:
    """Digits, or what the variant is of, in batches of 8, with the parts that the variant's losses take."""
    if issubclass(variant, ganzoo.GAIN):
        return a_table(batch_size=8)
    if issubclass(variant, ganzoo.GumbelGAN):
        return ganzoo.Expressions(length=5, samples=300, batch_size=8)
    if len(variant.usual_shape) == 2:
        return ganzoo.Sines(length=8, features=2, samples=300, batch_size=8)
    if issubclass(variant, ganzoo.CycleGAN | ganzoo.DTN):
        return ganzoo.Inverted(of=ganzoo.Digits(), source_labels=issubclass(variant, ganzoo.DTN), batch_size=8)
    if issubclass(variant, ganzoo.Pix2Pix):
        return ganzoo.Denoising(of=ganzoo.Digits(), batch_size=8)
    if issubclass(variant, ganzoo.Upscaler):
        return SmallDigits(batch_size=8)
    labelled = 40 if issubclass(variant, ganzoo.SemiSupervisedGAN) else None
    return ganzoo.Digits(batch_size=8, labelled=labelled)


def a_table(**how) -> ganzoo.Incomplete:
    """200 rows of four columns that depend on each other: numbers, whole numbers, two and three categories."""
    rng = np.random.default_rng(0)
    kind, x = rng.integers(3, size=200), rng.random(200)
    columns = {"x": x.round(3), "y": (10 * x + kind).round(), "side": np.where(x > 0.5, "left", "right")}
    cells = {
        name: [str(value) for value in values] for name, values in (columns | {"kind": np.array(list("abc"))[kind]}).items()
    }
    return ganzoo.Incomplete(Cells(cells), "the table", **({"missing": 0.3, "held_out": 0.2} | how))


class SmallDigits(ganzoo.Digits):
    """Digits beside those of half their size."""

    def on_after_batch_transfer(self, batch, dataloader_idx: int = 0):
        return super().on_after_batch_transfer((shrunk(batch[0], 2), batch[0]))


class TinyContent(nn.Module):
    """In place of a pretrained network of a content loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 4, 3, 2)
        nn.init.normal_(self.layer.weight, generator=torch.Generator().manual_seed(0))
        nn.init.zeros_(self.layer.bias)

    def forward(self, images):
        return self.layer(images)


def four_samples(game: Game) -> tuple[torch.Tensor, ...]:
    """A batch for `opinions`."""
    if isinstance(game, ganzoo.Upscaler):
        return torch.rand(4, *game.sources.shape[1:]), torch.rand(4, *game.shape)
    if isinstance(game, ganzoo.GAIN):
        return torch.rand(4, *game.shape), torch.tensor([1.0, 0.0, -1.0, 1.0]).repeat(4, 1)
    labelled = game.classes and not isinstance(game, ganzoo.SemiSupervisedGAN)
    return torch.rand(4, *game.shape), *([torch.arange(4) % game.classes] if labelled else [])


def stages(game: Game) -> list[int]:
    """The first round of each of the game's stages."""
    return sorted({0, getattr(game, "pretrain_steps", 0), *getattr(game, "stages", ())})


def trainer(**arguments) -> L.Trainer:
    """A Lightning trainer that writes nothing and says nothing."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(
        **(
            quiet
            | {"accelerator": "cpu", "max_steps": 3, "use_distributed_sampler": False, "num_sanity_val_steps": 0}
            | arguments
        )
    )


def fp16() -> dict[str, list[MixedPrecision]]:
    """Trainer arguments: fp16 on the CPU too, where Lightning takes 16-mixed for bf16-mixed."""
    return {"plugins": [MixedPrecision("16-mixed", "cpu")]}


@pytest.fixture
def fit() -> Callable[..., L.Trainer]:
    """fit(game, **trainer arguments): train on `data_for` its variant, or other data, seed 0."""

    def run(game: Game, ckpt_path: Path | None = None, data: ganzoo.DataModule | None = None, **arguments) -> L.Trainer:
        torch.manual_seed(0)
        of = trainer(**arguments)
        of.fit(game, data or data_for(type(game)), ckpt_path=ckpt_path, weights_only=True)
        return of

    return run


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """A root with a few random images in the layouts of MNIST, FashionMNIST, CIFAR-10 and CelebA."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name in ("MNIST", "FashionMNIST"):
        raw = root / name / "raw"
        raw.mkdir(parents=True)
        for part in ("train", "t10k"):
            images, labels = rng.integers(0, 256, (40, 28, 28), np.uint8), np.arange(40, dtype=np.uint8) % 10
            (raw / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, 40, 28, 28) + images.tobytes())
            (raw / f"{part}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 40) + labels.tobytes())
    batches = root / CIFAR10.base_folder
    batches.mkdir()
    for name in [name for name, _ in CIFAR10.train_list + CIFAR10.test_list]:
        content = {"data": rng.integers(0, 256, (20, 3072), np.uint8), "labels": [i % 10 for i in range(20)]}
        (batches / name).write_bytes(pickle.dumps(content))
    (batches / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))
    faces = root / "celeba" / "img_align_celeba"
    faces.mkdir(parents=True)
    names = [f"{i:06d}.jpg" for i in range(1, 13)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (218, 178, 3), np.uint8)).save(faces / name)
    lines = [f"{name} {0 if i < 8 else 1 if i < 10 else 2}" for i, name in enumerate(names)]
    (root / "celeba" / "list_eval_partition.txt").write_text("\n".join(lines))
    return root


@pytest.fixture
def cifar10_without_checksums(monkeypatch) -> None:
    """The tiny CIFAR-10 is not the one whose MD5 torchvision knows."""
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(CIFAR10, "_load_meta", lambda self: None)


class TinyExtractor(nn.Module):
    """Eight features and four logits that depend on every pixel, in place of a pretrained network."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classes = nn.Linear(8, 4)

    def forward(self, images):
        pooled = self.layers(images / 127.5 - 1)
        return pooled, self.classes(pooled)


@pytest.fixture
def tiny_extractor(monkeypatch, tmp_path) -> None:
    """An extractor named tiny; a cache of its own."""
    monkeypatch.setitem(features.EXTRACTORS, "tiny", lambda weights: Extractor("tiny", TinyExtractor(), 8, "none"))
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def no_tf32(monkeypatch) -> None:
    """CUDA multiplies float32 in rounds as exactly as a CPU: of TF32 compiled moves may make another use than eager ones."""
    monkeypatch.setattr("ganzoo.game.tf32", lambda allowed: tf32(False))


@pytest.fixture
def aot_eager(monkeypatch) -> None:
    """Games compile by a backend that traces as inductor does but generates no code: seconds instead of minutes."""
    torch._dynamo.reset()
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda move, *, options, **how: compile(move, backend="aot_eager", **how))
