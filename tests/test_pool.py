"""CycleGAN's memory of fakes: its rule, image by image."""

import pytest
import torch
from conftest import of_digits

import ganzoo


def images(first: int, n: int) -> torch.Tensor:
    """Numbered ones."""
    return torch.arange(first, first + n, dtype=torch.float32).view(n, 1, 1, 1).expand(n, 1, 2, 2) + 0.5


def slow(stored: list[torch.Tensor], new: torch.Tensor, size: int) -> torch.Tensor:
    """One image after the other, with the pool's own draws."""
    slots, chances = torch.randint(size, (len(new),)), torch.rand(len(new))
    out = []
    for image, slot, chance in zip(new, slots.tolist(), chances.tolist(), strict=True):
        if len(stored) < size:
            stored.append(image)
            out.append(image)
        elif chance < 0.5:
            out.append(stored[slot])
            stored[slot] = image
        else:
            out.append(image)
    return torch.stack(out)


@pytest.mark.parametrize(("size", "batch"), [(50, 1), (7, 3), (5, 16), (1, 4)])
def test_the_rule(size, batch):
    pool, stored = ganzoo.HistoryPool((1, 2, 2), size), []
    for i in range(60):
        new = images(i * batch, batch)
        torch.manual_seed(i)
        out = pool(new)
        torch.manual_seed(i)
        assert torch.equal(out, slow(stored, new, size)), i
        kept = torch.stack(stored)
        assert torch.equal(pool.bits.view(torch.float32)[: len(kept)], kept)
        if (i + 1) * batch <= size:
            assert torch.equal(out, new), "the first pass through"
    assert pool.count == size


def test_half_of_the_fakes_are_old():
    torch.manual_seed(0)
    pool = ganzoo.HistoryPool((1, 2, 2))
    pool(images(0, 50))
    old, places = 0, torch.zeros(50)
    for i in range(1, 401):
        before = pool.bits.clone()
        new = images(50 * i, 1)
        old += int(not torch.equal(pool(new), new))
        places += (pool.bits != before).flatten(1).any(1)
    assert 160 < old < 240
    assert places.sum() == old
    assert (places > 0).sum() > 45, "any of the stored ones"


def test_nothing_is_stored_in_evaluation_mode_or_without_a_pool():
    pool = ganzoo.HistoryPool((1, 2, 2)).eval()
    assert torch.equal(pool(images(0, 4)), images(0, 4))
    assert pool.count == 0
    assert torch.equal(ganzoo.HistoryPool((1, 2, 2), 0)(images(0, 4)), images(0, 4))


def test_gradients_stop_at_the_pool():
    new = images(0, 2).clone().requires_grad_()
    assert not ganzoo.HistoryPool((1, 2, 2))(new).requires_grad


def test_it_is_in_the_checkpoint_and_no_statistic(fit, tmp_path):
    game = of_digits(ganzoo.CycleGAN, pool=10)
    fit(game, max_steps=2).save_checkpoint(tmp_path / "x.ckpt")
    again = ganzoo.load(tmp_path / "x.ckpt")
    for domain, pool in game.pools.items():
        assert pool.count == 10
        assert torch.equal(pool.bits, again.pools[domain].bits)
        assert pool.bits.view(torch.float32).abs().max() <= 1
        assert not any(buffer.is_floating_point() for buffer in pool.buffers()), "devices would average it"
