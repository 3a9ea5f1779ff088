"""Data of pairs: two folders or pictures side by side, sources derived from any images, and domains that nothing connects."""

from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
from conftest import of_digits, trainer
from PIL import Image

import ganzoo
from ganzoo.__main__ import main
from ganzoo.callbacks.translations import shown, side_by_side
from ganzoo.data.base import Rounds
from ganzoo.data.derived import grey, steps
from ganzoo.data.device import ResidentStream
from ganzoo.data.pairs import crop_alike, cropped, drawn
from ganzoo.evaluation import Evaluator, evaluate, split_of
from ganzoo.game import draw_from
from ganzoo.metrics.features import extractor

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))


def save(path, pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def photo(number: int, height: int = 16, width: int = 16) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folders(tmp_path):
    """Twelve pairs: in two folders, with other endings, and side by side."""
    for i in range(12):
        save(tmp_path / "source" / f"{i}.png", photo(i))
        save(tmp_path / "target" / f"{i}.bmp", photo(100 + i))
        save(tmp_path / "both" / f"{i}.png", np.concatenate([photo(i), photo(100 + i)], axis=1))
    return tmp_path


def ready(data: ganzoo.DataModule) -> ganzoo.DataModule:
    data.prepare_data()
    data.setup()
    return data


def rounds(data: ganzoo.DataModule, n: int, seen: int = 0, training: bool = True) -> list[list[tuple[torch.Tensor, ...]]]:
    """What the first rounds of a game that has seen so many images are given."""
    game = of_digits(ganzoo.Pix2Pix)
    game.seed, game.images_seen = 3, seen
    data.trainer = trainer()
    data.trainer.strategy.connect(game)
    data.trainer.training = training
    loader = data.train_dataloader()
    assert isinstance(loader, Rounds)
    found = []
    for i, batch in enumerate(islice(loader, n)):
        step = seen // data.batch_size + i
        data.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total.completed = step
        assert data.trainer.global_step == step
        found.append(data.on_after_batch_transfer(batch))
    return found


def same(one: list, other: list) -> bool:
    flat = [[part for batches in each for batch in batches for part in batch] for each in (one, other)]
    return all(torch.equal(a, b) for a, b in zip(*flat, strict=True))


# --- folders of pairs


def test_two_folders_and_pictures_side_by_side_are_the_same_pairs(folders):
    two = ready(ganzoo.Paired(source_root=f"{folders}/source", target_root=f"{folders}/target", size=16))
    one = ready(ganzoo.Paired(root=f"{folders}/both", size=16))
    turned = ready(ganzoo.Paired(root=f"{folders}/both", side="right", size=16))
    indices = range(12)
    for a, b in zip(two.train.__getitems__(indices), one.train.__getitems__(indices), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(two.train.__getitems__(indices)[0], turned.train.__getitems__(indices)[1])
    names = sorted(str(i) for i in range(12))
    expected = np.stack([photo(int(name)).transpose(2, 0, 1) for name in names])
    assert np.array_equal(two.train.__getitems__(indices)[0].numpy(), expected)
    assert two.shape == (3, 16, 16)
    assert two.held_out is None
    assert two.classes is None


def test_both_images_are_mirrored_and_cut_alike(folders):
    data = ready(
        ganzoo.Paired(source_root=f"{folders}/source", target_root=f"{folders}/source", size=16, load_size=20, flip=True)
    )
    data.batch_size = 6
    found = rounds(data, 4)
    assert all(torch.equal(source, target) for [(source, target)] in found)
    assert found[0][0][0].shape == (6, 3, 16, 16)
    with_centre = rounds(data, 4, training=False)
    assert not same(found, with_centre), "the squares are drawn"
    assert same(found, rounds(data, 4))
    assert same(found[2:], rounds(data, 2, seen=12)), "a function of the seed and the position"


@pytest.mark.parametrize("noise", [0, 1, 2])
def test_what_data_draw_is_not_the_games_noise(folders, noise):
    data = ready(ganzoo.Paired(root=f"{folders}/both", size=16))
    rounds(data, 1)
    game = data.trainer.lightning_module
    game.noise = noise
    draw_from(CPU, game.seed, data.trainer.global_step, 0, *([noise] if noise else []))  # as a round begins
    assert not torch.equal(torch.randn(9), torch.randn(9, generator=drawn(data, CPU)))


def test_crops_are_those_of_a_loop():
    images = torch.arange(4 * 3 * 7 * 7).view(4, 3, 7, 7)
    top, left = torch.tensor([0, 3, 2, 1]), torch.tensor([3, 0, 1, 1])
    expected = torch.stack([image[:, t : t + 4, x : x + 4] for image, t, x in zip(images, top, left, strict=True)])
    assert torch.equal(cropped(images, top, left, 4), expected)
    label = torch.arange(4)
    rng = torch.Generator().manual_seed(0)
    middle = crop_alike([label, images], 5, False, rng)
    assert torch.equal(middle[0], label)
    assert torch.equal(middle[1], images[:, :, 1:6, 1:6])
    places = {tuple(crop_alike([images], 5, True, rng)[0][:, 0, 0, 0].tolist()) for _ in range(30)}
    assert len({place[0] for place in places}) == 9, "every place, and of each image its own"


def test_scores_are_against_targets(folders):
    paired = ready(ganzoo.Paired(root=f"{folders}/both", size=16, load_size=20, val_root=f"{folders}/both"))
    unpaired = ready(ganzoo.Unpaired(source_root=f"{folders}/source", target_root=f"{folders}/target", size=16))
    derived = ready(ganzoo.Denoising(of=ganzoo.Digits()))
    target = paired.train.__getitems__(range(12))[1][:, :, 2:18, 2:18]
    for images in split_of(paired, "train"):
        assert images.shape == (12, 3, 16, 16)
        assert torch.equal(next(images.batches(12, [0])), target)
    assert torch.equal(paired.real_samples(12), target / 127.5 - 1)
    assert torch.equal(unpaired.real_samples(4), unpaired.train.of[1].__getitems__(range(4))[0] / 127.5 - 1)
    assert split_of(unpaired, "train")[0].shape == (12, 3, 16, 16)
    assert torch.equal(derived.real_samples(4), ready(ganzoo.Digits()).real_samples(4))


def test_an_unreadable_image_takes_its_partner_with_it(folders):
    (folders / "source" / "3.png").write_bytes(b"no image")
    data = ganzoo.Paired(source_root=f"{folders}/source", target_root=f"{folders}/target", size=16, max_unreadable=0.5)
    with pytest.warns(UserWarning, match=r"^skipped: 1 of 12 images .* 3.png \(not an image\)$"):
        data.prepare_data()
    data.setup()
    assert len(data.train) == 11
    targets = data.train.__getitems__(range(11))[1].numpy()
    assert not any(np.array_equal(target, photo(103).transpose(2, 0, 1)) for target in targets)


def test_wrong_folders_are_refused_in_one_line(folders):
    two = partial(ganzoo.Paired, source_root=f"{folders}/source", size=16)
    for arguments in ({}, {"root": f"{folders}/both", "target_root": f"{folders}/target"}):
        with pytest.raises(ValueError, match=r"^give --data.root of pictures side by side, or both"):
            two(**arguments)
    with pytest.raises(ValueError, match=r"--data.val_source_root"):
        two(target_root=f"{folders}/target", val_source_root=f"{folders}/source")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        two(target_root=f"{folders}/nowhere")
    with pytest.raises(ValueError, match="load_size must be at least 16, not 8"):
        two(target_root=f"{folders}/target", load_size=8)
    save(folders / "target" / "extra.png", photo(0))
    with pytest.raises(
        ValueError, match=r"^1 of 13 images in \S+target have no partner .* in \S+source: extra.png is the first$"
    ):
        two(target_root=f"{folders}/target")
    save(folders / "target" / "extra.bmp", photo(0))
    with pytest.raises(ValueError, match="differ in their endings only"):
        two(target_root=f"{folders}/target")
    save(folders / "odd" / "0.png", photo(0, 16, 33))
    with pytest.raises(ValueError, match=r"0.png \(33 pixels wide, which two images side by side cannot be\)"):
        ganzoo.Paired(root=f"{folders}/odd", size=16).prepare_data()


def test_partners_of_other_proportions_are_refused(folders):
    save(folders / "target" / "5.bmp", photo(0, 16, 24))
    data = ganzoo.Paired(source_root=f"{folders}/source", target_root=f"{folders}/target", size=16)
    with pytest.raises(ValueError, match=r"^5.png is 16 x 16 and its partner 5.bmp in \S+target 24 x 16: bring pairs"):
        data.prepare_data()
    save(folders / "target" / "5.bmp", photo(0, 32, 32))  # only larger
    data = ganzoo.Paired(source_root=f"{folders}/source", target_root=f"{folders}/target", size=16)
    data.prepare_data()


@pytest.mark.usefixtures("tiny_extractor")
def test_image_to_image_games_are_measured_on_the_datas_sources(tmp_path):
    data = ready(ganzoo.Denoising(of=ganzoo.Digits(), batch_size=7))
    game = of_digits(ganzoo.Pix2Pix, generator=partial(ganzoo.UNet, width=2, dropout=0.0))
    seen = []
    game.translate = lambda source: (seen.append(source), source)[1]
    real, _ = split_of(data, "held_out")
    judge = Evaluator(["fd"], extractor("tiny"), real, split="held_out", data=data)
    [score] = evaluate(judge, game, 1000, 0, "training", 0)
    assert score.protocol.n_fake == 297, "each source once"
    with data.at_rest():
        batches = data.on_after_batch_transfer(data.held_out.__getitems__(range(297)))
    assert len(torch.cat(seen)) == 297
    clean = torch.cat([target for _, target in batches])
    assert 0.1 < (torch.cat(seen) - clean).abs().mean() < 0.3
    assert not data.still
    seen.clear()
    again = evaluate(judge, game, 1000, 0, "training", 0)[0].value
    assert again == score.value
    without = Evaluator(["fd"], extractor("tiny"), real, split="held_out")
    assert evaluate(without, game, 300, 0, "training", 0)[0].protocol.n_fake == 300, "of what it remembers"


# --- pairs derived from images

DERIVED = {
    "colourisation": ganzoo.Colourisation,
    "edges": ganzoo.EdgesToPhotos,
    "holes": ganzoo.Inpainting,
    "holes_anywhere": partial(ganzoo.Inpainting, anywhere=True, hole=0.4),
    "noise": ganzoo.Denoising,
}


def images_of(folders) -> ganzoo.ImageFolder:
    return ganzoo.ImageFolder(root=f"{folders}/source", size=16, flip=True)


@pytest.mark.parametrize("name", DERIVED)
def test_derived_pairs(name, folders):
    data = ready(DERIVED[name](of=images_of(folders), batch_size=5))
    assert data.flip
    assert data.shape == (3, 16, 16)
    found = rounds(data, 6)
    for [(source, target)] in found:
        assert source.shape == target.shape == (5, 3, 16, 16)
        assert source.dtype == torch.float32
        assert source.abs().max() <= 1
        assert not torch.equal(source, target)
    assert same(found, rounds(data, 6))
    assert same(found[3:], rounds(data, 3, seen=15)), "a function of the seed and the position"


def test_sources_by_hand():
    target = torch.rand(4, 3, 8, 8) * 2 - 1
    rng = torch.Generator().manual_seed(0)
    of = ganzoo.CIFAR10(size=8)
    source = ganzoo.Colourisation(of=of).source_of(target, rng)
    luma = 0.299 * target[:, 0] + 0.587 * target[:, 1] + 0.114 * target[:, 2]
    for channel in source.unbind(1):
        torch.testing.assert_close(channel, luma)
    hole = ganzoo.Inpainting(of=of).source_of(target, rng)
    assert not hole[:, :, 2:6, 2:6].any()
    hole[:, :, 2:6, 2:6] = target[:, :, 2:6, 2:6]
    assert torch.equal(hole, target)
    anywhere = ganzoo.Inpainting(of=of, hole=0.25, anywhere=True)
    found = torch.stack([anywhere.source_of(torch.ones(1, 3, 8, 8), rng)[0, 0] for _ in range(400)])
    assert (found.flatten(1) == 0).sum(1).eq(4).all()
    assert found.eq(0).any(0).all(), "every place"
    noisy = ganzoo.Denoising(of=of, std=0.1).source_of(torch.zeros(50, 3, 8, 8), rng)
    assert noisy.std().item() == pytest.approx(0.1, rel=0.05)


def test_steps_are_sobels():
    image = torch.rand(1, 1, 5, 6, dtype=torch.float32)
    padded = np.pad(image[0, 0].numpy(), 1, "edge")
    for i in range(5):
        for j in range(6):
            p = padded[i : i + 3, j : j + 3]
            across = (p[0, 2] + 2 * p[1, 2] + p[2, 2] - p[0, 0] - 2 * p[1, 0] - p[2, 0]) / 8
            down = (p[2, 0] + 2 * p[2, 1] + p[2, 2] - p[0, 0] - 2 * p[0, 1] - p[0, 2]) / 8
            assert steps(image)[0, 0, i, j].item() == pytest.approx(float(np.hypot(across, down)), abs=1e-6)
    flat = ganzoo.EdgesToPhotos(of=ganzoo.CIFAR10(size=8)).source_of(torch.full((1, 3, 8, 8), 0.3), torch.Generator())
    assert flat.eq(1).all(), "white where nothing changes"
    assert grey(image) is image


def test_derived_data_refuse(folders):
    with pytest.raises(ValueError, match=r"^Colourisation is of colour images"):
        ganzoo.Colourisation(of=ganzoo.Digits())
    with pytest.raises(ValueError, match="not of samples of shape"):
        ganzoo.Denoising(of=ganzoo.Gaussians())
    with pytest.raises(ValueError, match="hole is a share"):
        ganzoo.Inpainting(of=ganzoo.Digits(), hole=0.0)
    with pytest.raises(ValueError, match="std must be"):
        ganzoo.Denoising(of=ganzoo.Digits(), std=-1.0)
    with pytest.raises(ValueError, match="by their index"):
        ganzoo.Denoising(of=ganzoo.Shards(shards=__file__))
    for kind in (ganzoo.Denoising, ganzoo.Inverted):
        with pytest.raises(ValueError, match=r"^\w+ takes single images by their index, which Paired does not give so"):
            kind(of=ganzoo.Paired(root=f"{folders}/both", size=16))
        with pytest.raises(ValueError, match=r"leave out --data.of.labelled$"):
            kind(of=ganzoo.Digits(labelled=50))
    with pytest.raises(ValueError, match=r"^Denoising passes over labels: leave out --data.labelled$"):
        ganzoo.Denoising(of=ganzoo.Digits(), labelled=50)


# --- two domains


def domains(folders, **arguments) -> ganzoo.Unpaired:
    for i in range(5):
        save(folders / "fewer" / f"{i}.png", photo(50 + i))
    return ready(
        ganzoo.Unpaired(
            source_root=f"{folders}/fewer", target_root=f"{folders}/target", size=16, **{"batch_size": 10} | arguments
        )
    )


def test_domains_come_in_orders_of_their_own(folders):
    data = domains(folders)
    assert len(data.train) == 12
    found = rounds(data, 6)
    sources, targets = (torch.cat([batch[i] for [batch] in found]) for i in range(2))
    for images, length in ((sources, 5), (targets, 12)):
        for epoch in images.split(length):
            assert len(torch.unique(epoch.flatten(1), dim=0)) == length, "each once in each epoch of its own"
    assert same(found, rounds(data, 6))
    assert same(found[2:], rounds(data, 4, seen=20)), "a function of the seed and the position"
    in_pairs = {(a.sum().item(), b.sum().item()) for a, b in zip(sources, targets, strict=True)}
    assert len(in_pairs) > 30


def test_domains_on_the_device_are_the_same(folders, monkeypatch):
    data = domains(folders, flip=True)
    place = {"seed": 3, "rank": 1, "world": 2, "minibatches": 2}
    host = data.stream(10, CPU, **place)
    monkeypatch.setattr("ganzoo.data.unpaired.fits", lambda *_: True)
    resident = data.stream(10, CPU, **place)
    assert isinstance(resident.of[0], ResidentStream)
    assert resident.resident
    assert not host.resident
    for position in (0, 7, 40):
        assert all(torch.equal(a, b) for a, b in zip(host.read(position), resident.read(position), strict=True))


def test_paired_samples_on_the_device_are_the_same(folders):
    data = ready(ganzoo.Paired(root=f"{folders}/both", size=16))
    rows = torch.tensor([3, 0, 11])
    assert all(torch.equal(a, b) for a, b in zip(data.train.on(CPU)(rows), data.train.__getitems__(rows.numpy()), strict=True))


def test_crops_of_domains_are_their_own(folders):
    data = ready(ganzoo.Unpaired(source_root=f"{folders}/source", target_root=f"{folders}/source", size=16, load_size=24))
    data.batch_size = 12
    [[(source, target)]] = rounds(data, 1)
    assert source.shape == target.shape == (12, 3, 16, 16)
    assert not any(torch.equal(a, b) for a in source for b in target)


def test_source_labels(folders):
    for i in range(4):
        save(folders / "classes" / str(i % 2) / f"{i}.png", photo(i))
    arguments = {"target_root": f"{folders}/target", "size": 16, "batch_size": 4}
    data = ready(ganzoo.Unpaired(source_root=f"{folders}/classes", source_labels=True, **arguments))
    assert data.classes == 2
    [[(source, label, target)]] = rounds(data, 1)
    of = {tuple(image.flatten().tolist()): i for i, image in enumerate(data.train.of[0].__getitems__(range(4))[0] / 127.5 - 1)}
    assert [of[tuple(image.flatten().tolist())] // 2 for image in source] == label.tolist()
    assert target.shape == source.shape
    without = ready(ganzoo.Unpaired(source_root=f"{folders}/classes", **arguments))
    assert without.classes is None
    assert len(rounds(without, 1)[0][0]) == 2
    with pytest.raises(ValueError, match=r"source_labels are of folders"):
        ganzoo.Unpaired(source_root=f"{folders}/source", source_labels=True, **arguments)
    with pytest.raises(ValueError, match="or neither"):
        ganzoo.Unpaired(source_root=f"{folders}/source", val_source_root=f"{folders}/source", **arguments)


def test_halves_of_one_set():
    digits = ready(ganzoo.Digits())
    inverted = ready(ganzoo.Inverted(of=ganzoo.Digits(), source_labels=True))
    source, label = inverted.train.of[0].__getitems__(range(750))
    assert torch.equal(source, torch.from_numpy(digits.train.data[::2]))
    assert torch.equal(label, digits.train.labels[::2])
    [target] = inverted.train.of[1].__getitems__(range(750))
    assert torch.equal(target, 255 - torch.from_numpy(digits.train.data[1::2]))
    assert len(inverted.held_out) == 149
    assert inverted.classes == 10

    coloured = ready(ganzoo.Coloured(of=ganzoo.Digits()))
    assert coloured.shape == (3, 16, 16)
    assert coloured.classes is None
    source, target = (samples.__getitems__(range(750))[0] for samples in coloured.train.of)
    assert torch.equal(source, torch.from_numpy(digits.train.data[::2]).expand(-1, 3, -1, -1))
    assert torch.equal(target.amax(1), torch.from_numpy(digits.train.data[1::2][:, 0])), "the brightest channel is the digit"
    assert (target.amin((1, 2, 3)) == 0).all()
    assert len(torch.unique(target.flatten(2).amax(2), dim=0)) > 500, "colours of their own"
    greyed = ready(ganzoo.Greyed(of=ganzoo.Digits()))
    source, target = (samples.__getitems__(range(750))[0] for samples in greyed.train.of)
    assert torch.equal(source.amax(1), torch.from_numpy(digits.train.data[::2][:, 0]))
    assert torch.equal(target, torch.from_numpy(digits.train.data[1::2]).expand(-1, 3, -1, -1))
    with pytest.raises(ValueError, match="Coloured is of grey images"):
        ganzoo.Coloured(of=ganzoo.CIFAR10())


# --- games of them


@pytest.mark.parametrize("name", ["Pix2Pix", "CycleGAN", "DTN"])
def test_other_data_is_refused_in_one_line(name, fit):
    with pytest.raises(ValueError, match=r"loss takes \(source, (label, )?target\), and the data gives \(samples, label\)"):
        fit(of_digits(getattr(ganzoo, name)), data=ganzoo.Digits(batch_size=4))


def test_pairs_from_the_command_line(folders, tmp_path, monkeypatch):
    save(folders / "odd.png", photo(0, 19, 21))
    monkeypatch.chdir(tmp_path)
    command = [
        "fit",
        "--model",
        "Pix2Pix",
        "--trainer.accelerator",
        "cpu",
        "--trainer.max_steps",
        "2",
        "--data.batch_size",
        "2",
    ]
    command += ["--model.generator", "UNet", "--model.generator.width", "4", "--samples.n", "4"]
    command += [
        "--data",
        "Inpainting",
        "--data.of",
        "ImageFolder",
        "--data.of.root",
        f"{folders}/source",
        "--data.of.size",
        "16",
    ]
    main([*command, "--evaluation.every_steps", "null"])
    game = ganzoo.load(tmp_path / "runs/pix2pix_inpainting/version_0/checkpoints/last.ckpt")
    source = torch.rand(3, 3, 32, 16) * 2 - 1
    assert game.multiple == 16
    assert game.translate(source).shape == source.shape, "other multiples of the size too"
    main(
        [
            "translate",
            "--checkpoint",
            str(tmp_path / "runs/pix2pix_inpainting/version_0/checkpoints/last.ckpt"),
            str(folders / "odd.png"),
            "out.png",
        ]
    )
    assert Image.open("out.png").size == (21, 19)


def test_pictures_show_the_same_squares_each_time(folders):
    data = ready(ganzoo.Paired(root=f"{folders}/both", size=16, load_size=20))
    game = of_digits(ganzoo.Pix2Pix)
    game.shape = data.shape
    game.translate = lambda source: source
    data.trainer = trainer()
    data.trainer.strategy.connect(game)
    data.trainer.training = True
    first = np.asarray(side_by_side(shown(game, data, 3)))
    data.trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total.completed = 9
    assert np.array_equal(first, np.asarray(side_by_side(shown(game, data, 3))))
    assert not data.still


@pytest.mark.parametrize("variant", [ganzoo.CycleGAN, ganzoo.DTN])
def test_games_of_images_translate(variant):
    game = of_digits(variant)
    source = torch.rand(3, 1, 16, 16) * 2 - 1
    made = game.translate(source)
    assert made.shape == source.shape
    torch.testing.assert_close(made[:1], game.translate(source[:1]))
    assert isinstance(game, ganzoo.Translator)
    larger = torch.rand(1, 1, 20, 32)
    if variant is ganzoo.CycleGAN:
        assert game.translate(larger).shape == larger.shape
        assert game.back(source).shape == source.shape
        assert not torch.equal(game.back(source), made)
    else:
        with pytest.raises(ValueError, match=r"^DTN translates images of \(1, 16, 16\) alone, not of \(1, 20, 32\)$"):
            game.translate(larger)


def test_the_generators_average_is_what_translates(fit):
    game = of_digits(ganzoo.CycleGAN, average_decay=0.99)
    fit(game, max_steps=2)
    source = torch.rand(1, 1, 16, 16)
    assert torch.equal(game.translate(source), game.average["there"](source))
    assert not torch.equal(game.translate(source), game.generator["there"](source))


def test_translations_differ_by_dropout_alone():
    game = of_digits(ganzoo.Pix2Pix)
    source = torch.rand(1, 1, 16, 16) * 2 - 1
    translated = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        translated.append(game.translate(source))
    assert torch.equal(translated[0], translated[1])
    assert not torch.equal(translated[0], translated[2])
    silent = of_digits(ganzoo.Pix2Pix, generator=partial(ganzoo.UNet, width=4, dropout=0.0))
    both = silent.translate(torch.cat([source, -source]))
    torch.testing.assert_close(both[:1], silent.translate(source))  # nor by its neighbours


def test_a_game_remembers_its_sources(fit):
    game = of_digits(ganzoo.Pix2Pix)
    assert game.sources.shape == (256, 1, 16, 16)
    data = ganzoo.Inverted(of=ganzoo.Digits(), batch_size=100)
    fit(game, data=data, max_steps=3)
    there = {tuple(image.flatten().tolist()) for image in torch.from_numpy(data.train.of[0].data)}
    kept = [tuple(image.flatten().tolist()) for image in game.sources]
    assert set(kept) <= there
    assert len(set(kept)) > 200, "of all rounds"
    assert ganzoo.Pix2Pix(shape=(3, 512, 512), generator=partial(ganzoo.UNet, width=1)).sources.shape[0] == 21, "16 MB"
