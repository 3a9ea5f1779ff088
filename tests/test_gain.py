"""GAIN's losses against values worked by hand, and what it must not see."""

import math

import pytest
import torch
from torch import nn

import ganzoo
from ganzoo.imputation import GIVEN, HIDDEN, MISSING, Row
from ganzoo.metrics.imputation import falsely_classified, root_mean_square
from ganzoo.networks.gain import runs

WIDTHS = (1, 1, 3)


class Fixed(nn.Module):
    """Gives the same, whatever it is shown, and remembers what that was."""

    def __init__(self, widths, said):
        super().__init__()
        self.said = nn.Parameter(torch.tensor(said))

    def forward(self, row, more):
        self.seen = row, more
        return self.said.expand(len(row), -1)


class FixedGenerator(Fixed):
    def __init__(self, widths):
        super().__init__(widths, [0.25, 0.5, 0.7, 0.2, 0.1])


class FixedDiscriminator(Fixed):
    def __init__(self, widths):
        super().__init__(widths, [1.0, -2.0, 0.5])


def fixed(**arguments) -> ganzoo.GAIN:
    networks = {"generator": FixedGenerator, "discriminator": FixedDiscriminator}
    return ganzoo.GAIN(shape=(5,), widths=WIDTHS, **networks, **arguments)


REAL = torch.tensor([[0.5, 0.9, 0.0, 1.0, 0.0], [0.1, 0.2, 1.0, 0.0, 0.0]])
MASK = torch.tensor([[GIVEN, HIDDEN, GIVEN], [MISSING, GIVEN, HIDDEN]])


def test_losses_are_those_of_the_paper():
    game = fixed(alpha=10.0)
    sigmoid = [1 / (1 + math.exp(-logit)) for logit in (1.0, -2.0, 0.5)]
    # given: row 0's columns 0 and 2, row 1's column 1; all others are not
    real = -(math.log(sigmoid[0]) + math.log(sigmoid[2]) + math.log(sigmoid[1])) / 6
    fake = -(math.log(1 - sigmoid[1]) + math.log(1 - sigmoid[0]) + math.log(1 - sigmoid[2])) / 6
    terms = game.discriminator_loss(REAL, MASK)
    assert terms["real"].item() == pytest.approx(real)
    assert terms["fake"].item() == pytest.approx(fake)
    terms = game.generator_loss(REAL, MASK)
    adversarial = -(math.log(sigmoid[1]) + math.log(sigmoid[0]) + math.log(sigmoid[2])) / 6
    assert terms["adversarial"].item() == pytest.approx(adversarial)
    reconstruction = ((0.5 - 0.25) ** 2 - math.log(0.2) + (0.2 - 0.5) ** 2) / 3
    assert terms["reconstruction"].item() == pytest.approx(10 * reconstruction)


def test_networks_are_shown_given_cells_noise_and_hints():
    game = fixed(noise_scale=0.01, hint_rate=0.0)
    game.generator_loss(REAL, MASK)
    row, mask = game.generator.seen
    there = torch.tensor([[1, 0, 1, 1, 1], [0, 1, 0, 0, 0]]).bool()
    assert torch.equal(row[there], REAL[there])
    assert (row[~there] > 0).all() and (row[~there] < 0.01).all()
    assert mask.tolist() == [[1, 0, 1], [0, 1, 0]]
    row, hint = game.discriminator.seen
    assert torch.equal(row[there], REAL[there])
    assert torch.equal(row[~there], game.generator.said.expand(2, -1)[~there])
    assert not hint.any()
    game = fixed(hint_rate=1.0)
    game.discriminator_loss(REAL, MASK)
    assert torch.equal(game.discriminator.seen[1], mask)


def test_only_rows_of_tables():
    for shape, widths in (((1, 16, 16), None), ((6,), WIDTHS)):
        with pytest.raises(ValueError, match="choose --data Table"):
            ganzoo.GAIN(shape=shape, widths=widths)


def test_a_given_cell_is_hinted_at_with_the_hint_rate():
    torch.manual_seed(0)
    given = torch.ones(2000, 3)
    given[:, 1] = 0
    hint = fixed(hint_rate=0.9).hint(given)
    assert not hint[:, 1].any()
    assert hint[:, [0, 2]].mean().item() == pytest.approx(0.9, abs=0.02)


def test_hidden_cells_are_not_seen():
    """Whatever lies there, all losses, what is remembered and what is imputed stay the same."""
    torch.manual_seed(0)
    game = ganzoo.GAIN(shape=(5,), widths=WIDTHS)
    other = torch.where(game.row.spread(MASK) == GIVEN, REAL, 0.77)

    def all_of(real):
        torch.manual_seed(1)
        game.before_round([(real, MASK)], {})
        found = [*game.discriminator_loss(real, MASK).values(), *game.generator_loss(real, MASK).values()]
        return [*found, *game.opinions(real, MASK), game.impute(real, MASK), game.sources.clone()]

    assert all(torch.equal(one, two) for one, two in zip(all_of(REAL), all_of(other), strict=True))


def test_imputing_leaves_what_is_given_and_decides_on_a_category():
    made = fixed().impute(REAL, MASK)
    assert made.tolist()[0] == pytest.approx([0.5, 0.5, 0.0, 1.0, 0.0])
    assert made.tolist()[1] == pytest.approx([0.25, 0.2, 1.0, 0.0, 0.0])


def test_held_out_terms_are_of_hidden_cells_alone():
    terms = fixed().held_out_terms(REAL, MASK)
    assert terms["rmse"].item() == pytest.approx(0.4)  # 0.9 imputed as 0.5; row 1's first cell is not known
    assert terms["pfc"].item() == 0
    assert fixed().held_out_terms(REAL, MASK.abs()).keys() == {"rmse", "pfc"}
    assert not fixed().held_out_terms(REAL, torch.ones_like(MASK))


def test_samples_are_remembered_rows_without_gaps():
    game = fixed()
    game.before_round([(REAL, MASK)], {})
    rows = {tuple(round(x, 4) for x in row) for row in game.sample(64).tolist()}
    assert rows == {(0.5, 0.5, 0.0, 1.0, 0.0), (0.25, 0.2, 1.0, 0.0, 0.0)}


def test_each_column_has_its_own_output():
    assert runs((1, 1, 3, 1, 2)) == [(2, False), (3, True), (1, False), (2, True)]
    torch.manual_seed(0)
    made = ganzoo.GAINGenerator((1, 3, 1, 2))(torch.rand(4, 7), torch.ones(4, 4))
    assert made.shape == (4, 7) and made.min() > 0 and made.max() < 1
    assert torch.allclose(made[:, 1:4].sum(1), torch.ones(4)) and torch.allclose(made[:, 5:].sum(1), torch.ones(4))
    assert ganzoo.GAINDiscriminator((1, 3, 1, 2))(torch.rand(4, 7), torch.ones(4, 4)).shape == (4, 4)


def test_networks_begin_as_the_authors_do():
    torch.manual_seed(0)
    first = ganzoo.GAINGenerator((1,) * 200).layers[0]
    assert first.weight.shape == (200, 400)  # as wide as a row, of a row and its mask
    assert first.weight.std().item() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert not first.bias.any()
    tanh = ganzoo.GAINDiscriminator((1, 3), hidden=(6, 5, 7), activation="tanh").layers
    assert [layer.out_features for layer in tanh[::2]] == [6, 5, 7, 2]
    assert all(isinstance(layer, nn.Tanh) for layer in tanh[1::2])


def test_a_row_knows_its_columns():
    row = Row(WIDTHS)
    assert row.spread(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[1, 2, 3, 3, 3]]
    assert row.decided(torch.tensor([[0.3, 0.9, 0.2, 0.5, 0.3]])).tolist()[0] == pytest.approx([0.3, 0.9, 0, 1, 0])


def test_errors_of_imputation():
    made, real = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 4.0], [0.0, 4.0]])
    cells = torch.tensor([[True, True], [False, True]])
    assert root_mean_square(made, real, cells).item() == pytest.approx((4 / 3) ** 0.5)
    categories = torch.eye(3)
    wrong = falsely_classified([categories], [categories[[0, 2, 1]]], torch.tensor([[True], [True], [False]]))
    assert wrong.item() == pytest.approx(0.5)
