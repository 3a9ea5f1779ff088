"""Photographs of any size as a stream of squares, and their small versions."""

import pickle
import zipfile
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import ganzoo
from ganzoo.data.bicubic import shrunk
from ganzoo.data.photographs import CropStream, Photographs
from ganzoo.data.super_resolution import rows_alike
from ganzoo.evaluation import split_of

SIZES = [(40, 52), (33, 33), (64, 35), (32, 41), (50, 50)]  # height, width


@pytest.fixture
def photographs(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "high").mkdir()
    for i, (height, width) in enumerate(SIZES):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(tmp_path / "high" / f"{i}.png")
    return tmp_path / "high"


def data_of(root, tmp_path, **arguments) -> ganzoo.SuperResolution:
    of = ganzoo.SuperResolution(
        **({"root": str(root), "scale": 4, "crop": 16, "batch_size": 3, "cache": str(tmp_path / "cache")} | arguments)
    )
    of.prepare_data()
    of.setup()
    return of


def pixels(root, i: int) -> torch.Tensor:
    return torch.from_numpy(np.array(Image.open(root / f"{i}.png"))).permute(2, 0, 1)


def found_in(square: torch.Tensor, image: torch.Tensor) -> bool:
    """Whether the square, in one of its eight positions, is a piece of the image."""
    side = square.shape[-1]
    pieces = image.unfold(1, side, 1).unfold(2, side, 1)  # [C, y, x, side, side]
    for turned in (square, square.transpose(-1, -2)):
        for flipped in (turned, turned.flip(-1), turned.flip(-2), turned.flip(-1, -2)):
            if (pieces == flipped[:, None, None]).all(-1).all(-1).all(0).any():
                return True
    return False


def test_an_epoch_has_one_square_of_each_photograph(photographs, tmp_path):
    stream = data_of(photographs, tmp_path).stream(5, torch.device("cpu"))
    for epoch in range(2):
        (squares,) = stream.read(5 * epoch)
        assert squares.shape == (5, 3, 16, 16) and squares.dtype == torch.uint8
        for place, row in enumerate(stream._order):
            assert found_in(squares[place], pixels(photographs, row))


def test_squares_depend_on_seed_and_position_alone(photographs, tmp_path):
    data = data_of(photographs, tmp_path)

    def squares(position: int, **arguments) -> torch.Tensor:
        return data.stream(3, torch.device("cpu"), **arguments).read(position)[0]

    assert torch.equal(squares(7), squares(7))
    assert not torch.equal(squares(7), squares(7, seed=1))
    long = data.stream(9, torch.device("cpu"))
    assert torch.equal(long.read(0)[0][3:6], squares(3)), "batches run across the ends of epochs"
    ranks = [next(iter(data.stream(3, torch.device("cpu"), rank=rank, world=2)))[0] for rank in (0, 1)]
    assert torch.equal(torch.cat(ranks), data.stream(6, torch.device("cpu")).read(0)[0])
    again = pickle.loads(pickle.dumps(data.train))
    assert torch.equal(CropStream(again, 3, flip=True, turn=True).read(7)[0], squares(7))


def test_a_device_cuts_the_same_squares(photographs, tmp_path):
    data = data_of(photographs, tmp_path)
    host, there = (CropStream(data.train, 4, flip=True, turn=True, device=device) for device in (None, torch.device("cpu")))
    assert there.resident and not host.resident
    assert all(torch.equal(host.read(at)[0], there.read(at)[0]) for at in (0, 4, 8))


def test_squares_lie_everywhere_and_in_all_eight_ways(tmp_path):
    image = np.arange(3 * 20 * 20, dtype=np.uint8).reshape(3, 20, 20) // 3
    samples = Photographs(image.ravel(), np.array([[20, 20]]), np.array([0]), 3, 16)
    corners = {tuple(samples.corners(np.array([0]), np.random.default_rng(i).random((1, 2)))[0]) for i in range(400)}
    assert corners == {(y, x) for y in range(5) for x in range(5)}
    whole = Photographs(image.ravel(), np.array([[20, 20]]), np.array([0]), 3, 20)
    stream = CropStream(whole, 1, flip=True, turn=True)
    assert len({stream.read(at)[0].numpy().tobytes() for at in range(100)}) == 8
    mirrored = CropStream(whole, 1, flip=True)
    assert len({mirrored.read(at)[0].numpy().tobytes() for at in range(30)}) == 2


def test_a_batch_is_source_and_target(photographs, tmp_path):
    data = data_of(photographs, tmp_path)
    (squares,) = data.stream(6, torch.device("cpu")).read(0)
    batches = data.on_after_batch_transfer((squares,))
    assert [tuple(part.shape for part in batch) for batch in batches] == [((3, 3, 4, 4), (3, 3, 16, 16))] * 2
    source = torch.cat([batch[0] for batch in batches])
    assert torch.equal(source, shrunk(squares, 4).float() / 127.5 - 1)
    assert data.shape == (3, 16, 16)


def test_within_its_edge_a_squares_source_is_a_piece_of_the_wholes():
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    piece = shrunk(image[..., 16:48, 16:48], 4)
    assert torch.equal(piece[..., 2:-2, 2:-2], shrunk(image, 4)[..., 6:10, 6:10])
    assert not torch.equal(piece, shrunk(image, 4)[..., 4:12, 4:12])


def test_held_out_photographs_are_whole_and_come_one_by_one(photographs, tmp_path):
    data = data_of(photographs, tmp_path, val_root=str(photographs))
    batches = [data.on_after_batch_transfer(batch) for batch in data.val_dataloader()]
    shapes = [tuple(part.shape for part in batch) for [batch] in batches]
    assert shapes[:2] == [((1, 3, 10, 13), (1, 3, 40, 52)), ((1, 3, 8, 8), (1, 3, 32, 32))]
    middle = data_of(photographs, tmp_path, val_root=str(photographs), val_crop=24)
    low, high = middle.held_out[0]
    assert low.shape == (3, 6, 6) and torch.equal(high, pixels(photographs, 0)[:, 8:32, 12:36])


def test_evaluation_sees_squares_of_one_size(photographs, tmp_path):
    data = data_of(photographs, tmp_path, val_root=str(photographs), crop=36)
    train, held_out = split_of(data, "train")
    assert train.shape == (2, 3, 36, 36)
    assert held_out.shape == (2, 3, 36, 36)
    [middles] = held_out.batches(10, range(1))
    assert torch.equal(middles[0], pixels(photographs, 0)[:, 2:38, 8:44])
    small = data_of(photographs, tmp_path, val_root=str(photographs), val_crop=20)
    assert small.real_samples(3).shape == (3, 3, 16, 16)
    with pytest.raises(ValueError, match="no held-out photograph has 32 pixels a side"):
        split_of(data_of(photographs, tmp_path, val_root=str(photographs), val_crop=20, crop=32), "train")


def test_workers_change_nothing(photographs, tmp_path):
    stream = data_of(photographs, tmp_path).stream(3, torch.device("cpu"))
    alone = [batch[0] for batch in islice(DataLoader(stream, batch_size=None), 5)]
    together = [batch[0] for batch in islice(DataLoader(stream, batch_size=None, num_workers=2), 5)]
    assert all(map(torch.equal, alone, together))


def test_a_run_on_photographs_resumes_exactly(photographs, tmp_path, fit):
    def game() -> ganzoo.SRGAN:
        torch.manual_seed(0)
        network = partial(ganzoo.SRResNet, width=4, blocks=1)
        kind = partial(ganzoo.SRGANDiscriminator, width=4)
        return ganzoo.SRGAN(shape=(3, 16, 16), generator=network, discriminator=kind, pretrain_steps=9, compile=False)

    straight, first, second = game(), game(), game()
    data = partial(data_of, photographs, tmp_path)
    fit(straight, data=data(), max_steps=4)
    fit(first, data=data(), max_steps=2).save_checkpoint(tmp_path / "x.ckpt")
    fit(second, data=data(), max_steps=4, ckpt_path=tmp_path / "x.ckpt")
    assert all(torch.equal(value, second.state_dict()[name]) for name, value in straight.state_dict().items())


def test_ready_made_pairs_are_taken_as_they_are(photographs, tmp_path):
    small = tmp_path / "low"
    small.mkdir()
    for i, (height, width) in enumerate(SIZES):
        Image.new("RGB", (width // 4, height // 4), (i, 2, 3)).save(small / f"{i}x4.png")
    data = data_of(photographs, tmp_path, val_root=str(photographs), val_low=str(small))
    assert data.held_out[4][0].unique().tolist() == [2, 3, 4]
    Image.new("RGB", (9, 9)).save(small / "4x4.png")
    with pytest.raises(ValueError, match=r"the image in val_low for 4\.png has 9 x 9 pixels for one of 48 x 48"):
        data_of(photographs, tmp_path, val_root=str(photographs), val_low=str(small))
    (small / "4x4.png").unlink()
    with pytest.raises(ValueError, match="val_low holds 4 images and val_root 5"):
        data_of(photographs, tmp_path, val_root=str(photographs), val_low=str(small))


@pytest.mark.parametrize(
    ("high", "low"),
    [
        (["a", "ab"], ["ax4", "abx4"]),  # sorted abx4 comes before ax4
        (["img_1_HR", "img_10_HR"], ["img_1_LR4", "img_10_LR4"]),
        (["photo", "photo_2"], ["photo_LR", "photo_2_LR"]),
        (["1", "11"], ["low/1", "low/11"]),
        (["alone"], ["its_small_version"]),
    ],
)
def test_pairs_go_by_their_names(high, low):
    names = [[f"{name}.png" for name in of] for of in (high, low)]
    assert rows_alike(*names) == [*range(len(high))]
    assert rows_alike(names[0], names[1][::-1]) == [*range(len(high))][::-1]


@pytest.mark.parametrize("low", [["ax4", "bx4"], ["ax4.png", "ax4.jpg"], ["one", "other"]])
def test_names_that_do_not_agree_are_refused(low):
    with pytest.raises(ValueError, match="the names in val_low are not those in val_root"):
        rows_alike(["a.png", "ab.png"], [f"{name}.png" for name in low])


def test_small_and_broken_photographs_are_named(photographs, tmp_path):
    (photographs / "5.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"1 of 6 images .* cannot be read: 5.jpg \(not an image\)"):
        data_of(photographs, tmp_path)
    with pytest.warns(UserWarning) as told:
        data = data_of(photographs, tmp_path, crop=36, max_unreadable=0.5)
    assert any(
        "skipped: 3 images" in str(warning.message) and "1.png, 2.png, 3.png" in str(warning.message) for warning in told
    )
    assert len(data.train) == 2
    with pytest.raises(ValueError, match=r"no image in .* has 400 pixels a side"):
        data_of(photographs, tmp_path, crop=400, max_unreadable=0.5)


def test_a_zip_and_grey(photographs, tmp_path):
    with zipfile.ZipFile(tmp_path / "high.zip", "w") as archive:
        for file in photographs.iterdir():
            archive.write(file, f"deep/{file.name}")
    data = data_of(tmp_path / "high.zip", tmp_path, channels=1, scale=2)
    assert data.train[0][0].shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"scale": 5}, "scale is 2, 3, 4 or 8"),
        ({"crop": 18}, "crop must be a multiple of the scale"),
        ({"channels": 2}, "channels must be 1"),
        ({"labelled": 3}, "has no labels"),
        ({"val_low": "x"}, "give that too"),
    ],
)
def test_arguments_that_make_no_sense(photographs, tmp_path, wrong, says):
    with pytest.raises(ValueError, match=says):
        data_of(photographs, tmp_path, **wrong)
