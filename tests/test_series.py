"""Time series: networks against torch's own, losses by hand, scores against scipy, tables and what is wrong with them."""

import csv
import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REPOSITORY, data_for, of_digits, trainer
from scipy.stats import wasserstein_distance
from torch import nn

import ganzoo
from ganzoo import starts
from ganzoo.__main__ import main
from ganzoo.data.scaling import heavy, kurtosis, lightened, tails_of
from ganzoo.data.series import simulated
from ganzoo.metrics import series
from ganzoo.networks.recurrent import GRUNetwork, StackedGRU
from ganzoo.optimizers import SkippingAdam
from ganzoo.starts import beginning, start_of
from ganzoo.tables import natural


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))


# --- networks ---


@pytest.mark.parametrize("layers", [1, 2, 3])
@torch.no_grad()
def test_the_gru_is_torchs(layers):
    ours, theirs = StackedGRU(5, 7, layers), nn.GRU(5, 7, layers, batch_first=True)
    for weight in ours.parameters():
        nn.init.normal_(weight)
    for k in range(layers):
        for name, given, bias in (("hh", ours.past[k], ours.past_bias[k]), ("ih", None, None)):
            if name == "ih" and k == 0:
                given, bias = ours.first.weight.T, ours.first.bias[None]
            elif name == "ih":
                given, bias = ours.below[k - 1], ours.below_bias[k - 1]
            getattr(theirs, f"weight_{name}_l{k}").copy_(given.T)
            getattr(theirs, f"bias_{name}_l{k}").copy_(bias[0])
    x = torch.randn(4, 6, 5)
    assert torch.allclose(ours(x), theirs(x)[0], atol=1e-5)


@torch.no_grad()
def test_the_lstm_is_torchs():
    ours, theirs = ganzoo.LSTM(5, 7), nn.LSTM(5, 7, batch_first=True)
    theirs.weight_ih_l0.copy_(ours.cell.enter.weight)
    theirs.weight_hh_l0.copy_(ours.cell.stay.weight)
    theirs.bias_ih_l0.copy_(ours.cell.enter.bias)
    theirs.bias_hh_l0.zero_()
    x = torch.randn(4, 6, 5)
    assert torch.allclose(ours(x), theirs(x)[0], atol=1e-5)


def test_a_gru_sees_no_future_and_is_differentiated_twice():
    network = GRUNetwork(3, 2, hidden=5, layers=2)
    x = torch.randn(2, 6, 3, requires_grad=True)
    [gradient] = torch.autograd.grad(network(x)[:, 3].sum(), x, create_graph=True)
    assert gradient[:, 3].any()
    assert not gradient[:, 4:].any()
    gradient.square().sum().backward()
    assert network.gru.past.grad.isfinite().all()


def test_a_tcn_sees_its_field_and_nothing_else():
    tcn = ganzoo.TCN(3, 2, width=4, blocks=2)
    assert tcn.field == 7
    assert ganzoo.TCN(3, 2).field == 127, "arXiv:1907.06673, appendix B"
    x = torch.randn(1, 3, 12, requires_grad=True)
    y = tcn(x)
    assert y.shape == (1, 2, 6)
    y[:, :, 2].sum().backward()
    seen = x.grad.abs().sum((0, 1)) > 0
    assert seen.tolist() == [2 <= step <= 8 for step in range(12)]


def test_no_tcn_is_blind_when_it_begins():
    """Its logits differ from series to series about as much as the series do."""
    torch.manual_seed(0)
    logits = ganzoo.TCNDiscriminator((63, 1))(torch.randn(200, 63, 1))
    assert 0.3 < logits.std() < 3


def test_the_tcn_discriminator_sees_all_of_a_series():
    for length, field in ((63, 63), (64, 127), (5, 7), (1, 3)):
        network = ganzoo.TCNDiscriminator((length, 2), width=4)
        assert network.tcn.field == field
        assert network(torch.randn(3, length, 2)).shape == (3,)


def test_a_tcn_generator_makes_the_same_of_each_step():
    """Stationary: noise that is one step later gives the series one step later."""
    generator = ganzoo.TCNGenerator(3, (8, 1), width=4, blocks=2)
    z = torch.randn(1, 8 + 6 + 1, 3)
    assert torch.allclose(generator(z[:, :-1])[:, 1:], generator(z[:, 1:])[:, :-1], atol=1e-6)


# --- games ---


def test_timegans_losses_by_hand():
    """States of 1/2 everywhere, as sigmoids of zero weights give, and logits of 0."""
    game = ganzoo.TimeGAN(shape=(4, 2), hidden=3, layers=2)
    for weight in game.parameters():
        nn.init.zeros_(weight)
    real = torch.full((6, 4, 2), 0.5)  # 3/4 in 0 .. 1
    assert game.autoencoder_loss(real)["reconstruction"].item() == pytest.approx(10 * 0.25)
    assert game.supervised_loss(real)["supervised"].item() == 0
    terms = {name: term.item() for name, term in game.generator_loss(real).items()}
    assert terms == pytest.approx({"adversarial": math.log(2), "adversarial_of_g": math.log(2), "supervised": 0, "moments": 25})
    game.moments = 10.0
    assert game.generator_loss(real)["moments"].item() == pytest.approx(2.5)
    assert sum(game.discriminator_loss(real).values()).item() == pytest.approx(3 * math.log(2))
    assert game.loss_of_d.item() == pytest.approx(3 * math.log(2))


def test_timegans_stages():
    game = ganzoo.TimeGAN(shape=(4, 2), hidden=3, layers=2, embedding_steps=2, supervised_steps=3)
    batches = [(torch.zeros(2, 4, 2),)] * 3
    order = [[player for player, *_ in game.turns(step, batches)] for step in (1, 2, 4, 5)]
    assert order[0] == ["embedder"] * 3
    assert order[1] == order[2] == ["generator"] * 3
    assert order[3] == ["generator", "embedder", "generator", "embedder", "discriminator"]


def test_timegans_discriminator_rests_when_it_knows_enough():
    for threshold, rests in ((100.0, True), (0.0, False)):
        torch.manual_seed(0)
        game = ganzoo.TimeGAN(shape=(8, 2), hidden=4, layers=2, embedding_steps=0, supervised_steps=0, threshold=threshold)
        before = [weight.clone() for weight in game.discriminator.parameters()]
        of = trainer(max_steps=2)
        of.fit(game, data_for(ganzoo.TimeGAN))
        same = all(torch.equal(a, b) for a, b in zip(before, game.discriminator.parameters(), strict=True))
        assert same == rests


@pytest.mark.parametrize("skip", [0.0, 1.0])
def test_a_skipped_step_leaves_moments_alone(skip):
    torch.manual_seed(0)
    weight, other = (nn.Parameter(torch.ones(3)) for _ in range(2))
    ours, plain = SkippingAdam([weight], lambda: torch.tensor(0.0), lr=0.1, fused=True), torch.optim.Adam([other], lr=0.1)
    for gradient in (torch.tensor([1.0, 2.0, 3.0]), torch.tensor([-1.0, 0.5, 2.0])):
        weight.grad, other.grad = gradient.clone(), gradient.clone()
        ours.step()
        plain.step()
    ours.skip = lambda: torch.tensor(skip)
    weight.grad = torch.full((3,), 100.0)
    before, state = weight.detach().clone(), {name: value.clone() for name, value in ours.state[weight].items()}
    ours.step()
    assert torch.equal(weight, before) == bool(skip)
    assert all(torch.equal(value, ours.state[weight][name]) for name, value in state.items()) == bool(skip)
    assert torch.allclose(before, other, atol=1e-6)


def test_rcgan_knows_the_label():
    game = ganzoo.RCGAN(shape=(5, 2), classes=3, generator=partial(ganzoo.LSTMGenerator, hidden=4))
    label = torch.tensor([0, 1, 2, 0])
    torch.manual_seed(0)
    first = game.sample(4, label)
    torch.manual_seed(0)
    assert torch.equal(game.sample(4, label), first)
    torch.manual_seed(0)
    other = game.sample(4, torch.tensor([0, 1, 1, 0]))
    assert [torch.equal(a, b) for a, b in zip(first, other, strict=True)] == [True, True, False, True]
    assert game.discriminator(first, label).shape == (4, 5), "an opinion at each step"
    assert game.realness(first, label).shape == (4,)


def test_games_of_series_refuse_images():
    for variant in (ganzoo.TimeGAN, ganzoo.RCGAN, ganzoo.QuantGAN):
        with pytest.raises(ValueError, match="is of time series, not of samples of shape"):
            variant(shape=(1, 16, 16))


# --- scores ---


def test_wasserstein_is_scipys():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=37), rng.exponential(size=52)
    ours = series.wasserstein(torch.from_numpy(a), torch.from_numpy(b)).item()
    assert ours == pytest.approx(wasserstein_distance(a, b))


def test_distances_of_the_same_are_zero():
    x = torch.rand(20, 6, 3)
    for distance in (series.marginal_distance, series.autocorrelation_error, series.cross_correlation_error):
        assert distance(x, x) == 0
        assert distance(x**4, x) > 0
    assert series.cross_correlation_error(x[:, :, :1], x[:, :, 1:2]) == 0


def test_correlations_are_numpys():
    x = torch.rand(20, 6, 3).cumsum(1)
    flat = x.reshape(120, 3).numpy()
    assert np.allclose(series.cross_correlation(x), np.corrcoef(flat.T), atol=1e-5)
    centred = x - x.mean((0, 1))
    by_hand = (centred[:, 2:] * centred[:, :-2]).mean((0, 1)) / centred.square().mean((0, 1))
    assert torch.allclose(series.autocorrelation(x, 3)[1], by_hand.double(), atol=1e-5)


def test_facts_of_returns():
    """Simulated ones have them, independent normal ones do not."""
    rng = np.random.default_rng(0)
    facts = series.stylised_facts(torch.from_numpy(simulated(rng, 2000, 60))[:, :, None])
    assert facts["kurtosis"] > 4
    assert abs(facts["acf_returns"]) < 0.02
    assert facts["acf_absolute"] > 0.1
    assert facts["leverage"] < -0.02
    plain = series.stylised_facts(torch.from_numpy(rng.normal(size=(2000, 60, 1))))
    assert plain == pytest.approx({"kurtosis": 3, "acf_returns": 0, "acf_absolute": 0, "leverage": 0}, abs=0.06)


def test_judges_tell_what_can_be_told():
    torch.manual_seed(0)
    real = torch.rand(60, 5, 3)
    far = series.discriminative_score(real * 0.1, real, iterations=150, repeats=2)
    assert far.value > 0.2
    assert far.error is not None
    before = torch.get_rng_state()
    assert series.discriminative_score(real * 0.1, real, iterations=150, repeats=2) == far, "the seeds' alone"
    assert torch.equal(torch.get_rng_state(), before)
    with torch.no_grad():  # as Lightning may have it
        flat = series.predictive_score(torch.full((40, 5, 3), 0.5), torch.full((30, 5, 3), 0.5), iterations=40, repeats=1)
    assert flat.value < 0.2
    assert flat.error is None
    assert series.predictive_score(torch.rand(9, 5, 1), torch.rand(9, 5, 1), iterations=2, repeats=1).value > 0


def test_series_are_measured_by_their_own_scores(monkeypatch, capsys):
    data = ["--data", "Returns", "--data.length", "7", "--data.samples", "40"]
    fit = ["--trainer.max_steps", "1", "--trainer.accelerator", "cpu", "--data.batch_size", "8"]
    main(["fit", "--model", "QuantGAN", "--model.generator", "TCNGenerator", "--model.generator.width", "4", *data, *fit])
    capsys.readouterr()
    checkpoint = "runs/quantgan_returns/version_0/checkpoints/last.ckpt"
    names = "stylised_facts,marginal,autocorrelation,cross_correlation,memorisation"
    main(["evaluate", "--checkpoint", checkpoint, "--n", "30", "--metrics", names])
    table = capsys.readouterr().out
    for name in ("kurtosis", "real_acf_absolute", "marginal_distance", "cross_correlation_error", "memorised_share_raw"):
        assert name in table
    assert "40 real samples" in table
    with pytest.raises(SystemExit):
        main(["evaluate", "--checkpoint", checkpoint, "--metrics", "marginal", "--extractor", "effnet-lite0"])
    assert "marginal is of series, measured by --extractor raw alone" in capsys.readouterr().err


# --- data ---


def test_sines_are_the_papers():
    data = ganzoo.Sines(samples=50)
    data.setup()
    assert data.train.data.shape == (50, 24, 5)
    assert data.train.data.min() >= 0, "phases and frequencies up to 0.1"
    x = data.train.data[0, :, 0].astype(np.float64)
    angle = np.arcsin(x[:5])
    assert np.allclose(np.diff(angle), np.diff(angle)[0], atol=1e-4), "one frequency"
    assert not np.array_equal(data.train.data, data.held_out.data)


def test_heavy_tails_become_light_and_heavy_again():
    values = np.random.default_rng(0).standard_t(4, (20_000, 2)) * [1, 5] + [0, 3]
    tails = tails_of(values)
    light = lightened(values, tails)
    assert kurtosis(values).min() > 4
    assert np.allclose(kurtosis(light), 3, atol=0.01)
    assert np.allclose(heavy(light, tails), values)
    normal = np.random.default_rng(0).uniform(size=(500, 1))
    assert tails_of(normal)[2][0] < 1e-8, "light ones stay as they are"
    assert np.allclose(lightened(normal, tails_of(normal)) * normal.std() + normal.mean(), normal)


def test_returns_in_their_own_units():
    data = ganzoo.Returns(length=30, samples=400)
    data.setup()
    real = data.real_samples(400)
    assert real.abs().max() == 1
    own = natural(real, data.units())
    assert own.std().item() == pytest.approx(1, abs=0.15), "percent a day"
    _, rows = ganzoo.tables.table(real[:1], data.units())
    assert next(rows)[2] == pytest.approx(own[0, 0, 0].item())


def table(path: Path, rows: list[list], header: tuple[str, ...] = ("day", "price", "regime")) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def prices(n: int) -> list[list]:
    return [[day, 10 + day % 7, "calm" if day % 20 < 10 else "wild"] for day in range(n)]


def test_windows_of_a_table(tmp_path):
    path = table(tmp_path / "x.csv", prices(100))
    data = ganzoo.CSVSeries(path=path, columns=["price"], length=10, label="regime", labels=["calm", "wild"])
    assert data.shape == (10, 1)
    assert data.classes == 2
    data.setup()
    assert data.train.data.shape == (71, 10, 1)
    assert data.held_out.data.shape == (11, 10, 1), "the last fifth of the rows"
    assert data.train.labels[:12].tolist() == [0, *[1] * 10, 0], "of a window's last row"
    assert natural(data.real_samples(1), data.units()).flatten().tolist() == pytest.approx([10 + day % 7 for day in range(10)])
    fewer = ganzoo.CSVSeries(path=path, columns=["price"], length=10, stride=5, held_out=0)
    fewer.setup()
    assert len(fewer.train) == 19
    assert fewer.held_out is None


def test_growth(tmp_path):
    path = table(tmp_path / "x.csv", [[day, math.exp(0.01 * day), "calm"] for day in range(30)])
    data = ganzoo.CSVSeries(path=path, columns=["day", "price"], growth=["price"], length=5)
    data.setup()
    assert data.columns == ["day", "price_growth"]
    own = natural(data.real_samples(1), data.units())[0]
    assert own[:, 0].tolist() == pytest.approx([1, 2, 3, 4, 5])
    assert own[:, 1].tolist() == pytest.approx([1.0] * 5)


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"a": [float(i) for i in range(40)]}), tmp_path / "x.parquet")
    data = ganzoo.CSVSeries(path=str(tmp_path / "x.parquet"), columns=["a"], length=4)
    data.setup()
    assert natural(data.real_samples(1), data.units()).flatten().tolist() == pytest.approx([0, 1, 2, 3])


def test_quarters():
    pytest.importorskip("statsmodels")
    data = ganzoo.Macro()
    data.setup()
    assert data.shape == (12, 6)
    assert data.columns[0] == "realgdp_growth"
    assert len(data.train) == 151
    own = natural(data.real_samples(1), data.units())[0]
    assert own[0, 4].item() == pytest.approx(5.1), "unemployment in the second quarter of 1959"
    assert own[0, 0].item() == pytest.approx(100 * math.log(2778.801 / 2710.349))


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda rows: rows[4].__setitem__(1, "n/a?"), {}, "price is 'n/a?', which is no number, in row 5"),
        (lambda rows: rows[4].__setitem__(1, ""), {}, "price is missing in row 5"),
        (lambda rows: rows[4].__setitem__(1, "nan"), {}, "price is missing (nan) in row 5"),
        (lambda rows: rows[4].__setitem__(1, -1), {"growth": ["price"]}, "price is -1 in row 5, and only what is above 0"),
        (lambda rows: rows.__delitem__(slice(20, None)), {"length": 24}, "16 rows train, fewer than the 24 of a window"),
        (lambda rows: None, {"held_out": 0.05}, "5 rows are held out, fewer than the 10 of a window"),
        (lambda rows: None, {"columns": ["prize"]}, "has no column 'prize': it has day, price, regime"),
        (lambda rows: rows.clear(), {}, "has no rows"),
        (
            lambda rows: rows[4].__setitem__(2, "odd"),
            {"label": "regime", "labels": ["calm", "wild"]},
            "regime is 'odd' in row 5",
        ),
        (lambda rows: None, {"label": "regime"}, "give both --data.label"),
        (lambda rows: None, {"growth": ["day"]}, "--data.growth names day, which is none of --data.columns"),
        (lambda rows: None, {"held_out": 1.0}, "held_out is a share of the rows"),
        (lambda rows: None, {"length": 1}, "length must be at least 2, not 1"),
    ],
)
def test_what_is_wrong_with_a_table_is_told_in_a_line(tmp_path, change, options, message):
    rows = prices(100)
    change(rows)
    with pytest.raises(ValueError) as error:
        ganzoo.CSVSeries(path=table(tmp_path / "x.csv", rows), **{"columns": ["price"], "length": 10} | options).setup()
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_no_table_at_all(tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="no table at"):
        ganzoo.CSVSeries(path=str(tmp_path / "x.csv"), columns=["a"]).setup()
    monkeypatch.setattr("ganzoo.data.csv_series.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install"):
        ganzoo.Macro().setup()


def test_scenarios_of_a_regime(tmp_path, capsys):
    """From a table to scenarios of one regime, in the table's units, without the table."""
    path = table(tmp_path / "x.csv", prices(60))
    data = ["--data", "CSVSeries", "--data.path", path, "--data.columns", "[price]", "--data.length", "6"]
    regimes = ["--data.label", "regime", "--data.labels", "[calm, wild]", "--data.batch_size", "8"]
    network = ["--model", "RCGAN", "--model.generator", "LSTMGenerator", "--model.generator.hidden", "4"]
    main(["fit", *network, *data, *regimes, "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"])
    (tmp_path / "x.csv").unlink()
    checkpoint = "runs/rcgan_csvseries/version_0/checkpoints/last.ckpt"
    main(["sample", "--checkpoint", checkpoint, "--n", "3", "--class", "1", "--out", "scenarios.csv"])
    with (tmp_path / "scenarios.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["series", "step", "price"]
    assert len(rows) == 18
    assert all(10 <= float(row["price"]) <= 16 for row in rows), "within the range that trains"


def test_every_variant_of_series_has_a_picture_of_its_run(fit, tmp_path):
    game = of_digits(ganzoo.RCGAN)
    fit(game, callbacks=[ganzoo.SampleGrid(every_steps=3)], default_root_dir=tmp_path)
    assert (tmp_path / "samples" / "step-00000003.png").is_file()


def test_the_docs_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import series_pictures

    data = ["--data", "Sines", "--data.length", "6", "--data.features", "2", "--data.samples", "30", "--data.batch_size", "8"]
    main(["fit", "--model", "GAN", *data, "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"])
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["series_pictures.py", "runs/gan_sines/version_0", "--out", "x/y.png", "--n", "20"])
    series_pictures.main()
    assert (tmp_path / "x/y.png").is_file()
    assert (tmp_path / "x/y_tsne.png").is_file()
    printed = capsys.readouterr().out
    assert "| sine_1 | " in printed
    assert "cross-correlation error" in printed


class Rays(ganzoo.Game):
    """Lines from 0 .. 1 onwards, in the order of their noise."""

    def __init__(self, units):
        super().__init__(shape=(4, 2))
        self.units = units

    def sample(self, n):
        slope = torch.rand(n, 1, 2)
        return slope * torch.arange(4)[:, None] / 3


UNITS = {"kind": "series", "columns": ["a", "b"], "low": [0.0, 10.0], "high": [2.0, 20.0], "tails": None}


def test_of_many_samples_those_are_kept_that_begin_as_asked(monkeypatch):
    monkeypatch.setattr(starts, "AT_ONCE", 30)
    game, start = Rays(UNITS), torch.tensor([[0.0, 0.0], [0.1, 0.3]])
    torch.manual_seed(0)
    kept, away = beginning(game, start, 5, draws=20)
    torch.manual_seed(0)
    drawn = torch.cat([game.sample(30), game.sample(30), game.sample(30), game.sample(10)])
    distance = ((drawn[:, :2] - start) ** 2).mean((1, 2)).sqrt()
    assert torch.equal(away, distance.sort().values[:5])
    assert torch.equal(kept, drawn[distance.argsort()[:5]])


def test_a_start_is_read_in_the_units_of_the_samples(tmp_path):
    path = table(tmp_path / "past.csv", [[0, 15, 1], [1, 20, 0]], ("step", "b", "a"))
    assert start_of(path, Rays(UNITS)).tolist() == [[0, 0], [-1, 1]]
    returns = ganzoo.Returns(length=4, samples=500)
    returns.setup()
    real = returns.real_samples(1)
    game = Rays(returns.units())
    path = table(tmp_path / "past.csv", natural(real, returns.units())[0, :3].tolist(), ("return",))
    assert start_of(path, game).flatten().tolist() == pytest.approx(real[0, :3, 0].tolist(), abs=1e-4)


@pytest.mark.parametrize(
    "rows, header, units, message",
    [
        ([[1, 11]] * 4, ("a", "b"), UNITS, "4 rows, and a series has 4 steps: give at most its first 3"),
        ([[1, "much"]], ("a", "b"), UNITS, "b is 'much', which is no number, in row 1: fill such cells"),
        ([[1]], ("a",), UNITS, "has no column 'b': it has a"),
        ([[1, 11]], ("a", "b"), {"kind": "strings", "vocabulary": "ab"}, "only time series have a start"),
        ([[1, 11]], ("a", "b"), None, "only time series have a start"),
    ],
)
def test_what_is_wrong_with_a_start_is_told_in_a_line(tmp_path, rows, header, units, message):
    with pytest.raises(ValueError) as error:
        start_of(table(tmp_path / "past.csv", rows, header), Rays(units))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_scenarios_that_begin_as_asked(tmp_path, capsys):
    data = ["--data", "Sines", "--data.length", "6", "--data.features", "2", "--data.samples", "40"]
    network = ["--model", "RCGAN", "--model.generator", "LSTMGenerator", "--model.generator.hidden", "4"]
    main(["fit", *network, *data, "--trainer.max_steps", "1", "--trainer.accelerator", "cpu"])
    asked = ["sample", "--checkpoint", "runs/rcgan_sines/version_0/checkpoints/last.ckpt", "--n", "3"]
    path = table(tmp_path / "past.csv", [[0.01, 0.02], [0.02, 0]], ("sine_0", "sine_1"))
    capsys.readouterr()
    main([*asked, "--start", path, "--draws", "5", "--out", "scenarios.csv"])
    assert "3 samples of 15, whose starts are" in capsys.readouterr().err
    with (tmp_path / "scenarios.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 18
    for wrong, message in (
        (["--draws", "5"], "--draws is of --start"),
        (["--start", path, "--draws", "0"], "--draws must be at least 1, not 0"),
        (["--start", "gone.csv"], "no table at"),
        (["--start", path, "--interpolate"], "--start goes with none of"),
    ):
        with pytest.raises(SystemExit):
            main([*asked, *wrong])
        assert message in capsys.readouterr().err
