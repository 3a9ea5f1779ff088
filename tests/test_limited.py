"""Data of which only a part trains."""

import pytest
import torch

import ganzoo


def rows(data: ganzoo.DataModule) -> tuple[torch.Tensor, torch.Tensor]:
    data.setup()
    return data.train.__getitems__(range(len(data.train)))


def test_a_part_with_its_labels():
    images, labels = rows(ganzoo.Digits())
    few, of_few = rows(ganzoo.Digits(limit=100))
    assert len(few) == len(of_few) == 100
    known = {image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    assert all(known[image.numpy().tobytes()] == label for image, label in zip(few, of_few, strict=True))
    assert len(of_few.unique()) == 10, "drawn, not the first"


def test_the_same_ones_and_fewer_among_more():
    few, more = (rows(ganzoo.Digits(limit=n))[0] for n in (50, 100))
    assert torch.equal(few, rows(ganzoo.Digits(limit=50))[0])
    found = {image.numpy().tobytes() for image in more}
    assert all(image.numpy().tobytes() in found for image in few)


def test_held_out_samples_stay():
    data = ganzoo.Digits(limit=50)
    data.setup()
    assert len(data.held_out) == 297


def test_of_mapped_images(tiny_data):
    data = ganzoo.CelebA(root=str(tiny_data), size=16, cache=str(tiny_data / "cache"), limit=3)
    data.prepare_data()
    data.setup()
    assert data.train.__getitems__(range(3))[0].shape == (3, 3, 16, 16)


def test_beside_few_labels(fit):
    data = ganzoo.Digits(batch_size=8, limit=60, labelled=20)
    real, labelled, label = rows(data)
    assert len(real) == len(labelled) == len(label) == 60
    fit(ganzoo.SemiSupervisedGAN(shape=data.shape, classes=10), data=data)


def test_what_cannot_be_limited_is_refused(tiny_data):
    with pytest.raises(ValueError, match="limit must be at least 1, not 0"):
        ganzoo.Digits(limit=0)
    with pytest.raises(ValueError, match=r"^there are 1,500 training samples: set --data\.limit to fewer, or leave it out$"):
        ganzoo.Digits(limit=1501).setup()
    with pytest.raises(ValueError, match="stored one by one"):
        ganzoo.StackedMNIST(root=str(tiny_data), limit=5).setup()
