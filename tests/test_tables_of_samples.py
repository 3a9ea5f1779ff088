"""What is no image goes the same ways: trained, drawn, measured by `raw`, and written as a table in the data's own units."""

import csv
import json
from functools import partial

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.__main__ import main
from ganzoo.data.scaling import scaled, unscaled
from ganzoo.metrics.features import extractor
from ganzoo.metrics.scores import asked, reported, usual
from ganzoo.pictures import picture
from ganzoo.tables import table

DATA = ["--data", "Sines", "--data.length", "8", "--data.features", "2", "--data.samples", "300", "--data.batch_size", "8"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder in which a game of series has been trained and measured."""
    folder = tmp_path_factory.mktemp("series")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GANZOO_CACHE", str(folder / "cache"))
        evaluation = ["--evaluation.every_steps", "2", "--evaluation.extractor", "raw", "--evaluation.n", "50"]
        trainer = ["--trainer.max_steps", "2", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
        main(["fit", "--model", "GAN", *DATA, *evaluation, "--evaluation.metrics", "[fd, prdc, memorisation]", *trainer])
    return folder / "runs/gan_sines/version_0"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))


def test_a_run_draws_and_measures(run):
    assert (run / "samples/step-00000002.png").is_file()
    scores = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    names = ["fd", "precision", "recall", "density", "coverage", "memorised_share", "memorised_ratio"]
    assert [score["metric"] for score in scores] == [f"{name}_raw" for name in names]
    assert {score["weights"] for score in scores} == {"none"}
    assert (run / "checkpoints/best.ckpt").is_file()


def test_evaluate_takes_raw_by_itself(run, capsys):
    main(["evaluate", "--checkpoint", str(run / "checkpoints/last.ckpt"), "--n", "50", "--json", "--metrics", "fd,kd"])
    scores = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [score["metric"] for score in scores] == ["fd_raw", "kd_raw"]
    within = json.loads((run / "scores.jsonl").read_text().splitlines()[0])
    assert scores[0]["value"] == within["value"], "in the run and from its checkpoint"


def test_raw_features_are_the_samples():
    by = extractor("raw")
    by.fitted((3, 2))
    features, logits = by(torch.arange(12.0).reshape(2, 3, 2))
    assert features.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert logits is None
    assert by.dim == 6
    assert usual("raw") == ["fd", "kd", "prdc"]
    assert reported(["fd"], "raw") == ["fd_raw"]


def test_bad_requests_are_told_in_a_line(run, capsys):
    checkpoint = ["--checkpoint", str(run / "checkpoints/last.ckpt")]
    for arguments, message in [
        (["evaluate", *checkpoint, "--extractor", "effnet-lite0", "--n", "9", "--metrics", "kd"], "choose --extractor raw"),
        (["evaluate", *checkpoint, "--n", "9", "--metrics", "is"], "raw has no classes"),
        (["evaluate", *checkpoint, "--n", "9", "--precision", "tf32"], "leave out --precision"),
        (["evaluate", *checkpoint, "--n", "9", "--weights", str(run / "config.yaml")], "raw has no weights"),
        (["evaluate", *checkpoint, "--n", "9", "--metrics", "kd", "--data", "Sines"], "samples of shape (8, 2) cannot be"),
        (["evaluate", *checkpoint, "--n", "9", "--data", "Digits", "--extractor", "raw"], "raw is of all but images"),
        (["sample", *checkpoint, "--out", "x.doc"], "nor a .csv or .txt, of a table"),
        (["sample", *checkpoint, "--out", "x.txt"], "these samples are no lines of text"),
    ]:
        with pytest.raises(SystemExit):
            main(arguments)
        [line] = capsys.readouterr().err.splitlines()
        assert message in line


def test_points_are_measured_too(capsys):
    main(["fit", "--model", "GAN", "--data", "Gaussians", "--data.samples", "300", "--trainer.max_steps", "1"])
    checkpoint = "runs/gan_gaussians/version_0/checkpoints/last.ckpt"
    capsys.readouterr()
    main(["evaluate", "--checkpoint", checkpoint, "--n", "100", "--json"])
    scores = [json.loads(line)["metric"] for line in capsys.readouterr().out.splitlines()]
    assert scores == ["fd_raw", "kd_raw", "precision_raw", "recall_raw", "density_raw", "coverage_raw"]
    with pytest.raises(SystemExit):
        main(["sample", "--checkpoint", checkpoint, "--out", "x.csv"])
    assert "these samples are no table" in capsys.readouterr().err


def test_sample_writes_a_table(run, tmp_path):
    """With no data at hand, from a checkpoint and from exported weights alike."""
    checkpoint = run / "checkpoints/last.ckpt"
    main(["sample", "--checkpoint", str(checkpoint), "--n", "5", "--out", "a/x.csv"])
    with (tmp_path / "a/x.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["series", "step", "sine_0", "sine_1"]
    assert [(row["series"], row["step"]) for row in rows] == [(str(i), str(t)) for i in range(5) for t in range(8)]
    game = ganzoo.load(checkpoint)
    torch.manual_seed(0)
    ganzoo.game.draw_from(game.device, 0)
    expected = game.sample(5).reshape(40, 2)
    assert np.allclose([[float(row["sine_0"]), float(row["sine_1"])] for row in rows], expected, atol=1e-6)
    main(["export", "--checkpoint", str(checkpoint), "--out", "x.safetensors"])
    main(["sample", "--checkpoint", "x.safetensors", "--n", "5", "--out", "y.csv"])
    assert (tmp_path / "y.csv").read_text() == (tmp_path / "a/x.csv").read_text()
    main(["sample", "--checkpoint", "x.safetensors", "--n", "5", "--out", "y.png"])


def test_a_table_is_in_the_datas_units():
    units = {"kind": "series", "columns": ["price", "volume"], "low": [10.0, -5.0], "high": [20.0, 5.0]}
    names, rows = table(torch.tensor([[[-1.0, 0.0], [1.0, 0.5]]]), units)
    assert names == ["series", "step", "price", "volume"]
    assert list(rows) == [[0, 0, 10.0, 0.0], [0, 1, 20.0, 2.5]]


def test_scaling_is_undone():
    values = np.array([[3.0, 7.0], [5.0, 7.0], [4.0, 7.0]])
    low, high = values.min(0), values.max(0)
    there = scaled(values, low, high)
    assert there.dtype == np.float32
    assert there.tolist() == [[-1, 0], [1, 0], [0, 0]], "a constant column is in the middle"
    assert np.allclose(unscaled(there, low, high), values)


def test_a_picture_of_series():
    units = {"kind": "series", "columns": list("abcdefg"), "low": [0.0] * 7, "high": [1.0] * 7}
    alone = picture(torch.rand(3, 8, 7), units=units)
    beside = picture(torch.rand(3, 8, 7), torch.rand(9, 8, 7), units=units)
    assert alone.size != beside.size
    with pytest.raises(ValueError, match="cannot be drawn"):
        picture(torch.rand(3, 8, 7))


def test_what_is_of_one_kind_is_refused_elsewhere(monkeypatch):
    from ganzoo.metrics import scores

    entry = scores.Metric(("valid",), 2, lambda fake, real, held_out: {}, of="strings")
    monkeypatch.setitem(scores.METRICS, "valid", entry)
    assert reported(["valid"], "raw") == ["valid"], "under its bare name"
    assert "valid" in usual("raw", "strings")
    assert "valid" not in usual("raw", "series")
    with pytest.raises(ValueError, match="valid is of strings, measured by --extractor raw alone"):
        asked(["valid"], "inception")
    with pytest.raises(ValueError, match="valid is of strings, which this data's samples are not"):
        scores.refuse_other_kinds(["valid"], "series", judged=False)


def test_networks_of_series_may_be_perceptrons():
    game = ganzoo.GAN(shape=(8, 2), generator=partial(ganzoo.MLPGenerator, width=4))
    assert game.sample(3).shape == (3, 8, 2)
