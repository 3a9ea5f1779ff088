"""Data of which few labels are used: which ones, that it is read as any data is, and what is refused."""

import pickle
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import trainer

import ganzoo
from ganzoo.data.device import ResidentStream
from ganzoo.data.labelled import partly_labelled
from ganzoo.data.native import SplitSamples
from ganzoo.data.stream import Samples, Stream

CPU = torch.device("cpu")


def digits(**arguments) -> ganzoo.Digits:
    data = ganzoo.Digits(**({"labelled": 50} | arguments))
    data.setup()
    return data


def everything(samples: Samples) -> tuple[torch.Tensor, ...]:
    return samples.__getitems__(range(len(samples)))


def of_classes(counts: list[int]) -> Samples:
    label = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    pixels = np.random.default_rng(0).integers(0, 256, (len(label), 1, 2, 2), np.uint8)
    return Samples(pixels, label)


def test_few_labels_are_used_as_many_of_each_class():
    data = digits()
    real, labelled, label = everything(data.train)
    whole, labels = everything(digits(labelled=None).train)
    assert torch.equal(real, whole), "every image is there, without its label"
    used = np.unique(data.train.beside)
    assert len(used) == 50
    assert labels[used].bincount().tolist() == [5] * 10
    assert torch.equal(labelled, whole[data.train.beside]) and torch.equal(label, labels[data.train.beside])
    assert set(np.bincount(data.train.beside)[used]) == {30}, "1,500 rows, dealt evenly"
    assert len({tuple(data.train.beside[i : i + 50]) for i in range(0, 1500, 50)}) == 30, "and not in turn"


def test_the_draw_is_fixed_by_its_own_seed():
    torch.manual_seed(1)
    one = digits().train.beside
    torch.manual_seed(2)
    assert np.array_equal(one, digits().train.beside)
    assert not np.array_equal(np.unique(one), np.unique(digits(label_seed=1).train.beside))


@pytest.mark.parametrize("labelled, counts", [(3, [1, 1, 1]), (7, [2, 2, 3]), (12, [2, 5, 5]), (22, [2, 10, 10])])
def test_classes_share_the_labels_as_evenly_as_they_can(labelled, counts):
    samples = of_classes([2, 10, 10])
    used = np.unique(partly_labelled(samples, labelled, 0).beside)
    assert sorted(samples.labels[used].bincount().tolist()) == counts
    assert samples.labels[used].bincount()[0] <= 2


def test_all_labels_can_be_used():
    samples = of_classes([4, 4])
    assert sorted(partly_labelled(samples, 8, 0).beside) == list(range(8))


def test_held_out_images_lie_beside_themselves():
    real, labelled, label = everything(digits().held_out)
    plain = everything(digits(labelled=None).held_out)
    assert torch.equal(real, plain[0]) and torch.equal(labelled, plain[0]) and torch.equal(label, plain[1])


@pytest.mark.usefixtures("cifar10_without_checksums")
@pytest.mark.parametrize("kind", [ganzoo.MNIST, ganzoo.FashionMNIST, ganzoo.CIFAR10])
def test_of_any_labelled_images(kind, tiny_data):
    data = kind(root=str(tiny_data), labelled=20, batch_size=6)
    data.setup()
    [(real, labelled, label), second] = data.on_after_batch_transfer(data.train.__getitems__(range(12)))
    assert real.shape == labelled.shape == (6, *data.shape)
    assert real.dtype == labelled.dtype == torch.float32 and label.dtype == torch.int64
    for images in (real, labelled):
        assert images.min() < -0.9 and images.max() > 0.9, "both are normalised"
        assert images.is_contiguous(memory_format=torch.channels_last)
    assert len(second[0]) == 6
    assert data.real_samples(5).shape == (5, *data.shape)


def test_of_stacked_digits(tiny_data):
    data = ganzoo.StackedMNIST(root=str(tiny_data), samples=100, labelled=100)
    data.setup()
    real, labelled, label = everything(data.train)
    assert torch.equal(real[data.train.beside], labelled) and torch.equal(data.train.labels[data.train.beside], label)


@pytest.mark.parametrize("flip", [False, True])
def test_streams_on_host_and_device_agree(flip):
    samples = partly_labelled(of_classes([7, 9]), 5, 0)
    place = {"flip": flip, "seed": 3, "start": 7}
    streams = Stream(samples, 5, **place), ResidentStream(samples, 5, device=CPU, **place)
    flipped = set()
    for host, device in islice(zip(*streams, strict=True), 12):
        assert all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(host, device, strict=True))
        known = {image.tobytes() for image in samples.of.data[samples.beside]}
        flipped |= {image.numpy().tobytes() not in known for image in host[1]}
    assert flipped == ({False, True} if flip else {False})


def test_workers_change_nothing(fit):
    class Record(ganzoo.SemiSupervisedGAN):
        def turns(self, step, batches):
            seen.append([part.detach().clone() for part in batches[0]])
            return super().turns(step, batches)

    fed = []
    for workers in (0, 2):
        seen: list[list[torch.Tensor]] = []
        fit(Record(shape=(1, 16, 16), classes=10), data=ganzoo.Digits(batch_size=8, labelled=30, workers=workers))
        fed.append(seen)
    for one, other in zip(*fed, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_spawned_worker_gets_the_same_samples():
    train = digits().train
    again = pickle.loads(pickle.dumps(train))
    assert all(torch.equal(a, b) for a, b in zip(everything(again), everything(train), strict=True))
    assert all(torch.equal(a, b[7]) for a, b in zip(train[7], everything(train), strict=True))


def test_evaluation_sees_the_same_real_images():
    one, other = (SplitSamples(digits(labelled=labelled).train, 300) for labelled in (50, None))
    assert one.content() == other.content()


# --- what is refused, in one line


@pytest.mark.parametrize("labelled", [9, 0, -1, 1501])
def test_a_number_that_makes_no_sense(labelled):
    with pytest.raises(ValueError, match=rf"labelled is a number from 10 .*to 1500 .*, not {labelled}$"):
        digits(labelled=labelled)


def test_data_without_labels():
    data = ganzoo.Gaussians(labelled=10, samples=100)
    with pytest.raises(ValueError, match="this data has none"):
        data.setup()
    with pytest.raises(ValueError, match="or only as it is read"):
        partly_labelled(SimpleNamespace(), 10, 0)  # as shards, whose labels are in their files


@pytest.mark.parametrize(
    "variant, data, line",
    [
        (
            ganzoo.SemiSupervisedGAN,
            {},
            r"^SemiSupervisedGAN's discriminator_loss takes \(real, labelled, label\)",
        ),
        (
            ganzoo.GAN,
            {"labelled": 50},
            r"takes \(real, label\), .* gives \(samples, samples, label\): .* leave out --data.labelled",
        ),
        (ganzoo.ACGAN, {"labelled": 50}, r"ACGAN's discriminator_loss takes \(real, label\)"),
    ],
)
def test_batches_of_other_parts(fit, variant, data, line):
    def game():
        return variant(shape=(1, 16, 16), classes=10)

    with pytest.raises(ValueError, match=line) as refusal:
        fit(game(), data=ganzoo.Digits(**data))
    assert "\n" not in str(refusal.value)
    with pytest.raises(ValueError, match=line):
        trainer().validate(game(), ganzoo.Digits(**data), verbose=False)


def test_other_data_is_refused_in_a_second_fit_too(fit):
    game = ganzoo.GAN(shape=(1, 16, 16))
    fit(game)
    with pytest.raises(ValueError, match=r"leave out --data\.labelled"):
        fit(game, data=ganzoo.Digits(labelled=50))


def test_a_label_is_told_from_samples(fit):
    """Two parts are not enough: photographs and drawings are another game's."""

    class Pairs(ganzoo.Gaussians):
        def splits(self):
            train, _ = super().splits()
            train.labels = torch.zeros(len(train), 2)
            return train, None

    with pytest.raises(ValueError, match=r"gives \(samples, samples\): choose other data"):
        fit(ganzoo.GAN(shape=(2,)), data=Pairs(samples=100))
