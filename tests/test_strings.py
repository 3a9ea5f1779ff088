"""Strings of discrete symbols: how they are chosen, the data, their metrics, and what users see of them."""

import itertools
import json
import math
import re
from collections import Counter
from functools import partial

import pytest
import torch

import ganzoo
from ganzoo.__main__ import main
from ganzoo.metrics.scores import reported, usual
from ganzoo.metrics.strings import distinct, length_distance, ngram_distance, novel
from ganzoo.networks import gumbel
from ganzoo.one_hot import one_hot
from ganzoo.pictures import picture
from ganzoo.tables import lines, table
from ganzoo.texts import symbols_of, texts_of

NETWORKS = [ganzoo.LSTMStringGenerator, ganzoo.MLPStringGenerator, ganzoo.ResNetStringGenerator]


def strings(*texts: str, length: int = 7) -> torch.Tensor:
    """Expressions as symbols, int64 [N, length]."""
    number = {symbol: i for i, symbol in enumerate(ganzoo.Expressions.vocabulary)}
    return torch.tensor([[number[symbol] for symbol in text] + [0] * (length - len(text)) for text in texts])


# --- choices ---


def test_relaxed_choices_by_hand(monkeypatch):
    """arXiv:1611.01144, eq. 2, of h = (log 4, 0) without noise: at tau = 2 the weights are 2 and 1."""
    monkeypatch.setattr(gumbel, "gumbel", torch.zeros_like)
    choice = ganzoo.GumbelSoftmax(2.0, 1.0, 10)
    scores = torch.tensor([[math.log(4), 0.0]])
    torch.testing.assert_close(choice(scores), torch.tensor([[2 / 3, 1 / 3]]))
    choice.anneal(10)
    torch.testing.assert_close(choice(scores), torch.tensor([[4 / 5, 1 / 5]]))


def test_the_temperature_falls_linearly():
    choice = ganzoo.GumbelSoftmax(5.0, 1.0, 100)
    taus = []
    for step in (0, 50, 100, 1000):
        choice.anneal(step)
        taus.append(choice.tau.item())
    assert taus == [5, 3, 1, 1]
    for bad in ((0.0, 1.0, 9), (1.0, -1.0, 9), (1.0, 1.0, 0)):
        with pytest.raises(ValueError, match="must be above 0"):
            ganzoo.GumbelSoftmax(*bad)


@pytest.mark.parametrize("kind", [ganzoo.GumbelSoftmax, ganzoo.StraightThrough])
def test_exact_choices_have_the_softmaxs_probabilities(kind):
    torch.manual_seed(0)
    scores = torch.tensor([1.0, 0.0, -1.0])
    choices = kind().eval()(scores.expand(20_000, 3))
    assert set(choices.unique().tolist()) == {0, 1}
    assert (choices.sum(1) == 1).all()
    torch.testing.assert_close(choices.mean(0), scores.softmax(0), atol=0.01, rtol=0)


def test_straight_through_is_exact_and_has_the_relaxed_gradient():
    scores = torch.randn(5, 4, requires_grad=True)
    weights = torch.randn(5, 4)
    found = []
    for kind in (ganzoo.StraightThrough, ganzoo.GumbelSoftmax):
        torch.manual_seed(0)
        choices = kind(0.7, 0.7, 1)(scores)
        found.append((choices, *torch.autograd.grad((choices * weights).sum(), scores)))
    (hard, through), (soft, relaxed) = found
    assert torch.equal(hard, one_hot(soft.argmax(1)[None], 4)[0])
    assert torch.equal(through, relaxed)


# --- networks ---


def test_the_lstm_is_torchs():
    torch.manual_seed(0)
    ours, theirs = ganzoo.LSTMCell(3, 5).double(), torch.nn.LSTMCell(3, 5).double()
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.enter.weight)
        theirs.bias_ih.copy_(ours.enter.bias)
        theirs.weight_hh.copy_(ours.stay.weight)
        theirs.bias_hh.zero_()
    x, h, c = torch.randn(2, 3).double(), torch.randn(2, 5).double(), torch.randn(2, 5).double()
    torch.testing.assert_close(ours(ours.enter(x), h, c), theirs(x, (h, c)))


@pytest.mark.parametrize("kind", NETWORKS)
def test_generators_make_strings(kind):
    generator = kind(8, (7, 6), width=8, choice=partial(ganzoo.StraightThrough, 1.0, 1.0, 1))
    z = torch.randn(4, 8, requires_grad=True)
    made = generator(z)
    assert made.shape == (4, 7, 6)
    assert torch.equal(made, one_hot(made.argmax(2), 6))
    assert torch.autograd.grad(made[:, -1, 0].sum(), z)[0].abs().min() > 0
    generator.anneal(1)
    assert generator.choice.tau == 1


def test_an_lstm_takes_in_what_it_chose(monkeypatch):
    monkeypatch.setattr(gumbel, "gumbel", torch.zeros_like)
    generator = ganzoo.LSTMStringGenerator(2, (3, 4), width=5)
    z = torch.randn(6, 2)
    h, c = generator.state(z).tanh().split(5, dim=1)
    symbol = torch.zeros(6, 4)
    for made in generator(z).unbind(1):
        h, c = generator.lstm(generator.lstm.enter(symbol), h, c)
        symbol = (generator.scores(h) / 5).softmax(1)
        torch.testing.assert_close(made, symbol)


@pytest.mark.parametrize("kind", [ganzoo.LSTMStringDiscriminator, ganzoo.ResNetStringDiscriminator])
def test_discriminators_see_the_order(kind):
    discriminator = kind((7, 6), width=8)
    x = one_hot(strings("x+x-x", "x-x+x"), 6)
    logits = discriminator(x)
    assert logits.shape == (2,)
    assert logits[0] != logits[1]
    torch.testing.assert_close(logits, discriminator.last(discriminator.features(x)).squeeze(1))


def test_networks_of_strings_refuse_images():
    with pytest.raises(ValueError, match="are no strings: choose data such as Expressions"):
        ganzoo.GumbelGAN(shape=(1, 16, 16))


def test_any_duel_plays_on_strings(fit):
    """And its generator's temperature falls."""
    choice = partial(ganzoo.StraightThrough, first=2.0, last=1.0, steps=4)
    networks = {
        "generator": partial(ganzoo.MLPStringGenerator, width=8, choice=choice),
        "discriminator": partial(ganzoo.MLPDiscriminator, width=8),
    }
    game = ganzoo.WGANGP(shape=(5, 6), compile=False, average_decay=0.9, **networks)
    fit(game, data=ganzoo.Expressions(length=5, samples=100, batch_size=8), max_steps=2)
    assert game.generator.choice.tau == 1.5
    samples = game.sample(300)
    assert torch.equal(samples, one_hot(samples.argmax(2), 6))


# --- data ---


def test_expressions():
    data = ganzoo.Expressions(samples=2000)
    assert data.shape == (12, 6)
    data.setup()
    train, held_out = (split.__getitems__(range(len(split)))[0] for split in (data.train, data.held_out))
    assert (len(train), len(held_out)) == (2000, 400)
    assert data.valid(train).all()
    assert data.valid(held_out).all()
    ours, theirs = (set(texts_of(split, data.vocabulary)) for split in (train, held_out))
    assert not ours & theirs
    assert len(ours) > 800
    lengths = Counter(map(len, texts_of(train, data.vocabulary)))
    assert 0.70 < lengths[11] / 2000 < 0.80, "of 1,365 strings 1,024 have five operators"
    again = ganzoo.Expressions(samples=2000)
    again.setup()
    assert torch.equal(again.real_samples(50), train[:50])
    ganzoo.Expressions(length=60, samples=10).setup()
    with pytest.raises(ValueError, match="length must be at least 5"):
        ganzoo.Expressions(length=4)


def test_valid_expressions_are_those_of_the_grammar():
    data = ganzoo.Expressions(length=5)
    every = torch.tensor([*itertools.product(range(6), repeat=5)])
    texts = texts_of(one_hot(every, 6), data.vocabulary)
    expected = [re.fullmatch(r"x([-+*/]x)*", text) is not None for text in texts]
    assert data.valid(one_hot(every, 6)).tolist() == expected
    assert len({text for text, valid in zip(texts, expected, strict=True) if valid}) == 21


def test_text_lines(tmp_path, capsys):
    file = tmp_path / "names.txt"
    file.write_text("anna\nben\n\n  otto \nmaximilian\nzoë\n" * 3 + "\n".join(f"ab{i:03}" for i in range(100)))
    data = ganzoo.TextLines(path=str(file), length=5, vocabulary=8, batch_size=4)
    data.setup()
    assert data.shape == (5, 8)
    assert data.vocabulary[:2] == ("", "\N{REPLACEMENT CHARACTER}")
    assert {"a", "b", "0"} <= set(data.vocabulary)
    train, held_out = (split.__getitems__(range(len(split)))[0] for split in (data.train, data.held_out))
    assert len(train) + len(held_out) == 3 * 4 + 100
    ours, theirs = (set(texts_of(split, data.vocabulary)) for split in (train, held_out))
    assert "maxim" not in ours | theirs, "too long lines are left out"
    assert data.valid is None


def test_text_lines_of_words(tmp_path):
    file = tmp_path / "lines.txt"
    file.write_text("the cat  sat\nthe dog sat\na cat\n")
    data = ganzoo.TextLines(path=str(file), symbols="words", length=3, held_out=0.0)
    data.setup()
    assert texts_of(data.real_samples(9), data.vocabulary) == ["the cat sat", "the dog sat", "a cat"]
    assert data.held_out is None


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        (None, {}, "cannot be read"),
        (b"", {}, "is empty"),
        (b"\xff\xfe\x00", {}, "is no text in UTF-8"),
        (b"too long a line\n", {"length": 3}, "has no line of 1 to 3 characters"),
        (b"a\n", {"vocabulary": 2}, "a vocabulary has 3 to 32,768 symbols"),
        (b"a\n", {"held_out": 1.0}, "held_out is a share"),
    ],
)
def test_bad_files_are_told_in_a_line(tmp_path, content, given, message):
    file = tmp_path / "x.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises((OSError, ValueError), match=message) as error:
        ganzoo.TextLines(path=str(file), **given)
    assert "\n" not in str(error.value)


def test_the_end_ends():
    samples = one_hot(torch.tensor([[1, 2, 0, 1, 2], [0, 1, 1, 1, 1], [1, 2, 1, 2, 1]]), 3)
    assert symbols_of(samples).tolist() == [[1, 2, 0, 0, 0], [0] * 5, [1, 2, 1, 2, 1]]
    assert texts_of(samples, ["", "a", "b"]) == ["ab", "", "ababa"]


# --- metrics ---


def test_metrics_by_hand():
    fake, real = strings("x+x", "x", "x+x"), strings("x+x", "x-x")
    assert distinct(fake, 3).value == 2 / 3
    valid = torch.tensor([True, True, True])
    assert novel(fake, real, valid).value == pytest.approx(1 / 3)
    assert novel(fake, real, ~valid).value == 0
    assert length_distance(fake, real).value == pytest.approx(2 / 3), "one of three is two symbols short"
    # Of bigrams the fakes have x+ and +x, half each, the reals these and x- and -x, a quarter each.
    expected = 0.5 * (math.log2(0.5 / 0.375) + 0.5 * math.log2(0.25 / 0.375) + 0.5 * math.log2(0.25 / 0.125))
    assert ngram_distance(fake, real, 2, 6).value == pytest.approx(expected)
    assert ngram_distance(fake, fake, 2, 6).value == pytest.approx(0)
    assert ngram_distance(strings("x"), strings("+"), 1, 6).value == pytest.approx(1)
    assert ngram_distance(strings("x"), real, 2, 6).value == 1, "none at all has none in common"
    assert ngram_distance(strings("x", length=1), strings("x", length=1), 4, 6).value == 0


def test_metrics_by_name():
    names = ["valid", "distinct_valid", "distinct", "novel", "length_distance", "ngram_1", "ngram_2", "ngram_3", "ngram_4"]
    assert reported(["valid", "distinct", "lengths", "ngrams"], "raw") == names
    assert usual("raw", "strings")[:4] == ["valid", "distinct", "lengths", "ngrams"]
    assert "valid" not in usual("raw", "strings", judged=False)


# --- what users see ---


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder in which a game of strings has been trained and measured."""
    folder = tmp_path_factory.mktemp("strings")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GANZOO_CACHE", str(folder / "cache"))
        model = ["--model", "GumbelGAN", "--model.choice", "StraightThrough", "--model.temperature", "[2, 1, 10]"]
        model += ["--model.generator", "MLPStringGenerator", "--model.generator.width", "8"]
        data = ["--data", "Expressions", "--data.samples", "100", "--data.batch_size", "8"]
        evaluation = ["--evaluation.every_steps", "2", "--evaluation.extractor", "raw", "--evaluation.n", "50"]
        trainer = ["--trainer.max_steps", "2", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
        main(["fit", *model, *data, *evaluation, "--evaluation.metrics", "[valid, distinct]", *trainer])
    return folder / "runs/gumbelgan_expressions/version_0"


def test_a_run_shows_its_strings(run):
    assert (run / "samples/step-00000002.png").is_file()
    assert len((run / "samples/step-00000002.txt").read_text().splitlines()) == 1024
    scores = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    assert [score["metric"] for score in scores] == ["valid", "distinct_valid", "distinct", "novel"]
    assert (run / "checkpoints/best.ckpt").is_file()


def test_a_checkpoint_writes_text_without_data(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path))
    checkpoint = ["--checkpoint", str(run / "checkpoints/last.ckpt")]
    game = ganzoo.load(checkpoint[1])
    assert isinstance(game.generator.choice, ganzoo.StraightThrough)
    assert game.generator.choice.tau == pytest.approx(1.8)
    main(["sample", *checkpoint, "--n", "5", "--out", "x.txt"])
    written = (tmp_path / "x.txt").read_text().splitlines()
    assert len(written) == 5
    assert set("".join(written)) <= set("x+-*/")
    main(["sample", *checkpoint, "--n", "5", "--out", "x.csv"])
    assert (tmp_path / "x.csv").read_text().splitlines()[0] == "string"
    main(["sample", *checkpoint, "--n", "5", "--out", "x.png"])
    capsys.readouterr()
    main(["evaluate", *checkpoint, "--n", "50", "--json"])
    scores = [json.loads(line)["metric"] for line in capsys.readouterr().out.splitlines()]
    assert scores[:3] == ["valid", "distinct_valid", "distinct"]
    assert scores[-2:] == ["density_raw", "coverage_raw"]


def test_pages_and_tables(tmp_path):
    units = {"kind": "strings", "vocabulary": [*ganzoo.Expressions.vocabulary]}
    samples = one_hot(strings("x+x", "x+", ""), 6)
    plain = picture(samples, units=units)
    judged = picture(samples, units=units, valid=torch.tensor([True, False, False]))
    red = [pixel for _, pixel in judged.getcolors(1 << 16) if pixel[0] > 150 and pixel[1] < 100]
    assert red
    assert not [pixel for _, pixel in plain.getcolors(1 << 16) if pixel[0] > 150 and pixel[1] < 100]
    assert list(table(samples, units)[1]) == [["x+x"], ["x+"], [""]]
    with pytest.raises(ValueError, match="only strings are"):
        lines(samples, None, tmp_path / "x.txt")


def test_strings_are_new_if_they_were_not_trained_on():
    """Of either split: the training samples are never new, the held-out ones always."""
    from ganzoo.evaluation import Evaluator, origin, split_of
    from ganzoo.metrics.features import extractor

    data, by = ganzoo.Expressions(samples=50), extractor("raw")
    data.setup()
    train, held_out = split_of(data, "train")
    for split, real in (("train", train), ("held_out", held_out)):
        evaluator = Evaluator(["distinct"], by, real, split=split, data=data)
        for fakes, expected in ((train, 0.0), (held_out, 1.0)):
            _, new = evaluator(fakes, origin("x", "y", by.device))
            assert new.protocol.metric == "novel" and new.value == expected
            assert new.protocol.settings == ({} if split == "train" else {"training": 50})


def test_valid_is_refused_where_nobody_knows(tmp_path):
    from ganzoo.evaluation import Evaluator, split_of
    from ganzoo.metrics.features import extractor

    (tmp_path / "x.txt").write_text("ab\nba\nabba\n" * 5)
    data = ganzoo.TextLines(path=str(tmp_path / "x.txt"), held_out=0.0)
    data.setup()
    with pytest.raises(ValueError, match="does not know which strings are valid: leave out valid"):
        Evaluator(["valid"], extractor("raw"), split_of(data, "train")[0], split="train", data=data)
