"""Tables of a benchmark: intervals, ranks, what is told apart, formats."""

import csv
import io
from math import sqrt

import pytest

from ganzoo.benchmark import formats
from ganzoo.benchmark.columns import counted, final
from ganzoo.benchmark.curves import line
from ganzoo.benchmark.results import Cost, Result
from ganzoo.benchmark.statistics import Mean, Rank, mean, ranks, readable
from ganzoo.benchmark.tables import tables
from ganzoo.metrics.stamp import Origin, Protocol, Stamped

KD, PRECISION = "kd_effnet_lite0", "precision_effnet_lite0"


def score(metric: str, value: float, step: int, n_fake: int = 1000, variant: str = "") -> Stamped:
    protocol = Protocol(metric, 1, {}, "effnet-lite0", "w", "bilinear", "float32", n_fake, 9000, "train", "r", False, None, 0)
    return Stamped(value, None, protocol, Origin(variant, "training", step, 64 * step, "cpu", "0.2", "c", "2.11", step / 10))


def result(variant: str, seed: int, *curve: float, metric: str = KD, **of) -> Result:
    """Scores every 100 rounds; `others` are finals by metric, what else is given replaces the cost's or the run's."""
    steps = range(100, 100 * len(curve) + 1, 100)
    n_fake = of.pop("n_fake", 1000)
    scores = {metric: [score(metric, value, step, n_fake, variant) for value, step in zip(curve, steps, strict=True)]}
    scores |= {name: [score(name, value, 100, n_fake)] for name, value in of.pop("others", {}).items()}
    run = {"data": "MNIST", "config": {}, "pictures": []} | {k: of.pop(k) for k in ("data", "config", "pictures") if k in of}
    rounds = 100 * len(curve)
    cost = Cost(
        **{"state": "finished", "rounds": rounds, "images_seen": 64 * rounds, "seconds": rounds / 10}
        | {"images_per_second": 640.0, "memory_bytes": 2**30, "weights": {"discriminator": 3000, "generator": 2000}}
        | {"troubles": [], "device": "cpu", "devices": 1, "threads": 1, "precision": "32-true"}
        | {"torch": "2.11", "ganzoo": "0.2", "commit": "c"}
        | of
    )
    return Result(f"{variant}-{seed}", variant, seed=seed, cost=cost, scores=scores, **run)


def seeds(variant: str, *finals: float, **of) -> list[Result]:
    return [result(variant, seed, 9.0, final, **of) for seed, final in enumerate(finals)]


def places(results: list[Result], metric: str = KD) -> dict[str, str]:
    (table,) = tables(results, metric)
    return {row.variant: str(row.final_rank) for row in table.rows}


# --- statistics ---


def test_interval_of_three_numbers():
    """Mean 2, standard deviation 1, t of 2 degrees of freedom 4.302653: 2 +- 4.302653 / sqrt(3)."""
    found = mean([1.0, 2.0, 3.0])
    assert found.value == 2
    assert found.half == pytest.approx(4.302653 / sqrt(3), rel=1e-6)
    assert found.low == pytest.approx(-0.484138, abs=1e-5)
    assert mean([5.0]) == Mean(5.0, None, 1)
    assert mean([]) is None


def test_ranks_are_ranges():
    means = [Mean(1, 0.1, 3), Mean(2, 0.6, 3), Mean(3, 0.6, 3), Mean(4, 0.1, 3), None]
    assert list(map(str, ranks(means, [False] * 5, greater=False))) == ["1", "2-3", "2-3", "4", "None"]
    assert list(map(str, ranks(means, [False] * 5, greater=True))) == ["4", "2-3", "2-3", "1", "None"]


def test_overlap_is_no_chain():
    """The middle one ties with both ends, which are apart."""
    means = [Mean(1, 0.4, 3), Mean(1.5, 0.4, 3), Mean(2, 0.4, 3)]
    assert ranks(means, [False] * 3, greater=False) == [Rank(1, 2), Rank(1, 3), Rank(2, 3)]


@pytest.mark.parametrize(
    ("of", "text"),
    [
        (Mean(12.345, 0.41, 3), "12.3 ± 0.4"),
        (Mean(12.345, 0.123, 3), "12.35 ± 0.12"),
        (Mean(0.012345, 0.00042, 3), "0.0123 ± 0.0004"),
        (Mean(1234.5, 87.0, 3), "1234 ± 87"),
        (Mean(0.0123456, None, 1), "0.01235"),
        (Mean(123.456, None, 1), "123.5"),
        (Mean(2.0, 0.0, 3), "2.000 ± 0.000"),
        (Mean(-0.00021, 0.0007, 3), "-0.000210 ± 0.000700"),
        (Mean(17.4, 4.2, 3), "17.4 ± 4.2"),
        (None, ""),
    ],
)
def test_numbers_have_the_digits_they_deserve(of, text):
    assert readable(of) == text


# --- tables ---


def test_rows_and_their_columns():
    results = [
        *seeds("GAN, minimax", 3.0, 3.1, 3.2, others={PRECISION: 0.5}),
        result("W_GAN", 0, 1.0, 1.2, seconds=10.0, memory_bytes=5),
        result("W_GAN", 1, 1.1, 1.1, seconds=20.0, memory_bytes=7, troubles=["gone"]),
        result("W_GAN", 2, 1.2, 1.4, seconds=90.0, memory_bytes=6),
    ]
    (table,) = tables(results, KD)
    wgan, gan = table.rows
    assert (wgan.variant, str(wgan.final_rank), str(gan.final_rank)) == ("W_GAN", "1", "2")
    assert wgan.final.value == pytest.approx((1.2 + 1.1 + 1.4) / 3)
    assert wgan.best.value == pytest.approx(1.1)
    assert wgan.decline == pytest.approx((0.2 + 0 + 0.2) / 3)
    assert (wgan.seconds, wgan.memory_bytes, wgan.collapsed, wgan.diverged) == (20.0, 7, 1, 0)
    assert gan.others[PRECISION].value == 0.5 and wgan.others[PRECISION] is None
    assert wgan.weights == {"discriminator": 3000, "generator": 2000}
    assert table.notes == []


def test_greater_is_better():
    results = [*seeds("A", 0.5, 0.51, 0.52, metric=PRECISION), *seeds("B", 0.8, 0.81, 0.82, metric=PRECISION)]
    (table,) = tables(results, PRECISION)
    assert [(row.variant, str(row.final_rank)) for row in table.rows] == [("B", "1"), ("A", "2")]
    assert table.rows[0].best.value == 9.0  # the greatest of each curve
    assert table.rows[0].decline == pytest.approx(9 - 0.81)


def test_ties_of_overlapping_variants():
    results = [*seeds("A", 1, 1.01, 1.02), *seeds("B", 2, 2.5, 3), *seeds("C", 2.1, 2.6, 3.1), *seeds("D", 7, 7.01, 7.02)]
    assert places(results) == {"A": "1", "B": "2-3", "C": "2-3", "D": "4"}


def test_a_diverged_seed_puts_behind_all_others():
    results = [
        *seeds("bad", 5, 5.1, 5.2),
        *seeds("good but frail", 1, 1.1),
        result("good but frail", 2, 0.9, state="diverged"),
        *seeds("gone", state="diverged"),
        result("gone", 0, state="diverged"),
        result("gone", 1, state="diverged"),
        result("gone", 2, state="diverged"),
    ]
    (table,) = tables(results, KD)
    assert places(results) == {"bad": "1", "good but frail": "2-3", "gone": "2-3"}
    bad, frail, gone = table.rows
    assert frail.final.n == 2 and frail.best.n == 3 and (frail.diverged, frail.collapsed) == (1, 1)
    assert str(frail.best_rank) == "1" and str(gone.best_rank) == "3"
    assert final(frail).endswith(" *") and final(gone) == "diverged" and "*" not in final(bad)
    assert "good but frail: 1 of 3 seeds diverged; its final mean is over the other 2." in table.notes
    assert "gone: 3 of 3 seeds diverged; it has no final score." in table.notes


def test_a_score_that_is_no_number_at_the_end_is_no_final_one():
    """Not the one before it either: that is another round's."""
    spoilt = result("A", 1, 9.0, 1.0, float("nan"))
    assert spoilt.final(KD) is None and spoilt.best(KD).value == 1.0
    (table,) = tables([*seeds("A", 3.0), spoilt, *seeds("B", 2.0, 2.1)], KD)
    of = {row.variant: row for row in table.rows}
    assert of["A"].final == Mean(3.0, None, 1)
    assert f"A: no final {KD} of seed 1." in table.notes
    assert line(spoilt, KD, "images_seen")[1].tolist() == [9.0, 1.0]


@pytest.mark.parametrize(("number", "text"), [(999_680, "1 M"), (63_936, "63.9 k"), (999.4, "999"), (1e9 - 1, "1 G"), (0, "0")])
def test_counts_to_three_digits(number, text):
    assert counted(number) == text


def test_one_seed_is_ranked_apart_from_nothing():
    results = [*seeds("A", 1, 1.01, 1.02), *seeds("B", 100.0), *seeds("C", 7, 7.01, 7.02)]
    assert places(results) == {"A": "1-2", "B": "1-3", "C": "2-3"}
    (table,) = tables(results, KD)
    assert any("no interval" in note and note.endswith(": B.") for note in table.notes)
    assert "B: 1 of 3 runs; missing: seed 1, 2." in table.notes


def test_protocols_are_never_mixed():
    results = [*seeds("A", 1, 2), *seeds("B", 1, 2, n_fake=5000), result("B", 2, n_fake=5000, state="diverged")]
    one, other = tables(results, KD)
    assert [row.variant for row in one.rows] == ["A"] and [row.variant for row in other.rows] == ["B"]
    assert len(other.rows[0].results) == 3  # the one that was never measured stands with its siblings
    assert one.notes[0] == "Not to be compared with the table whose n_fake is 5000: here it is 1000."
    assert [table.data for table in tables([*results[:2], *seeds("A", 1, 2, data="CIFAR10")], KD)] == ["MNIST", "CIFAR10"]


def test_a_further_metric_of_several_protocols_is_left_out():
    results = seeds("A", 1, 2, others={PRECISION: 0.5})
    results[0].scores[PRECISION] = [score(PRECISION, 0.4, 100, n_fake=7)]
    (table,) = tables(results, KD)
    assert table.others == []
    assert table.notes == [f"{PRECISION} is left out: its n_fake is 7 in some runs and 1000 in others."]


def test_several_commits_and_devices_are_named():
    results = [*seeds("A", 1, 2, commit="c1", torch="2.11"), *seeds("B", 3, 4, commit="c2", torch="2.12", device="H100")]
    (table,) = tables(results, KD)
    assert "Runs of several commits: c1, c2." in table.notes
    assert "Runs of several versions of torch: 2.11, 2.12." in table.notes
    assert "Runs of several devices: 1 x cpu, 1 x H100." in table.notes


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match=f"no run has a score fid: they have {KD}"):
        tables(seeds("A", 1, 2), "fid")


# --- formats ---


def test_csv_reads_back():
    results = [*seeds("GAN, minimax", 1 / 3, 2 / 3, 1.0), result("gone", 0, state="diverged")]
    made = tables(results, KD)
    gan, gone = csv.DictReader(io.StringIO(formats.csv(made)))
    assert gan["variant"] == "GAN, minimax"
    assert float(gan["final"]) == made[0].rows[0].final.value
    assert float(gan["final_high"]) == made[0].rows[0].final.high
    assert (gan["final_rank_from"], gan["weights"], gan["weights_generator"]) == ("1", "5000", "2000")
    assert (gone["final"], gone["diverged"], gone["final_seeds"]) == ("", "1", "0")


def test_runs_read_back():
    results = [result("A", 0, 3.0, 1.0, 2.0), result("A", 1, 3.0, state="diverged")]
    first, second = csv.DictReader(io.StringIO(formats.runs(results, KD)))
    assert (first["final"], first["best"], first["best_step"], first["best_images_seen"]) == ("2.0", "1.0", "200", "12800")
    assert (second["final"], second["best"], second["diverged"], second["collapsed"]) == ("", "3.0", "True", "True")


def test_markdown():
    made = formats.markdown(tables([*seeds("A|B_c", 0.010, 0.011, 0.012), result("<gone>", 0, state="diverged")], KD)[0])
    rows = [line for line in made.splitlines() if line.startswith("|")]
    assert "A\\|B\\_c" in rows[2] and " 0.0110 ± 0.0025 " in rows[2]
    assert "\\<gone\\>" in rows[3] and " diverged " in rows[3]
    assert "kd\\_effnet\\_lite0 ↓" in rows[0]
    assert "\n- \\<gone\\>: 1 of 1 seeds diverged" in made


def test_latex_escapes():
    made = formats.latex(tables(seeds("GAN, 50% & R_1 #2 \\x^2 {~}", 0.010, 0.011, 0.012), KD)[0])
    assert r"GAN, 50\% \& R\_1 \#2 \textbackslash{}x\textasciicircum{}2 \{\textasciitilde{}\} &" in made
    assert r"0.0110 $\pm$ 0.0025" in made
    assert r"kd\_effnet\_lite0 $\downarrow$" in made
    assert made.count(r"\toprule") == made.count(r"\midrule") == made.count(r"\bottomrule") == 1
    body = [line for line in made.splitlines() if line.endswith(r"\\")]
    (form,) = (line.split("{")[-1].rstrip("}") for line in made.splitlines() if "begin{tabular}" in line)
    assert {line.replace(r"\&", "").count("&") + 1 for line in body} == {len(form)}
