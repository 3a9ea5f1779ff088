"""`ganzoo impute`: gaps filled, and nothing else changed."""

import csv
import json

import numpy as np
import pytest
from conftest import a_table
from PIL import Image

import ganzoo
from ganzoo.__main__ import main
from ganzoo.callbacks.imputations import imputed_and_true
from ganzoo.imputation import HIDDEN, MISSING
from ganzoo.pictures import picture


def write(path, rows) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def read(path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table, and a checkpoint of a game that has seen it for two rounds."""
    folder = tmp_path_factory.mktemp("impute")
    rng = np.random.default_rng(0)
    rows = [["id", "size", "weight", "kind"]]
    for i in range(40):
        size = rng.integers(10, 90)
        rows.append([f"no {i}", str(size), f"{size * 1.5:.2f}", ["red", "green", "blue"][i % 3]])
        if i % 4 == 0:
            rows[-1][1 + i % 3] = ["", "NA", "?"][i % 3]
    write(folder / "table.csv", rows)
    write(folder / "table-2.csv", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("GANZOO_CACHE", str(folder / "cache"))
        data = ["--data", "Table", "--data.path", "table.csv", "--data.take", "[size, weight, kind]", "--data.batch_size", "8"]
        evaluation = ["--evaluation.every_steps", "2", "--evaluation.extractor", "raw", "--evaluation.metrics", "[fd]"]
        quiet = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false", "--evaluation.n", "20"]
        hidden = [
            "--data.missing",
            "0.3",
            "--data.held_out",
            "0.3",
            "--trainer.val_check_interval",
            "2",
            "--trainer.max_steps",
            "2",
        ]
        main(["fit", "--model", "GAIN", *data, *hidden, *evaluation, *quiet])
    (folder / "runs/gain_table/version_0/checkpoints/last.ckpt").rename(folder / "gain.ckpt")
    return folder


def impute(folder, source, out, *more) -> None:
    main(["impute", "--checkpoint", str(folder / "gain.ckpt"), str(source), str(out), "--device", "cpu", *more])


def test_a_run_draws_and_measures(folder):
    run = folder / "runs/gain_table/version_0"
    assert (run / "samples/step-00000002.png").is_file()
    with (run / "metrics.csv").open() as file:
        names = next(csv.reader(file))
    assert {"val/rmse", "val/pfc", "val/generator/reconstruction"} <= set(names)
    [score] = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    assert score["metric"] == "fd_raw"


def test_samples_are_a_table_of_filled_rows(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in ("rows.csv", "rows.png"):
        main(["sample", "--checkpoint", str(folder / "gain.ckpt"), "--n", "5", "--out", out])
    header, *rows = read(tmp_path / "rows.csv")
    assert header == ["size", "weight", "kind"] and len(rows) == 5
    assert all(10 <= int(row[0]) <= 90 and row[2] in ("red", "green", "blue") for row in rows)


def test_pictures_of_imputed_cells(folder):
    data = a_table()
    data.setup()
    game = ganzoo.GAIN(shape=data.shape, widths=data.widths)
    assert reds(imputed_and_true(game, data)) > 100
    data.train.mask[data.train.mask == HIDDEN] = MISSING
    assert imputed_and_true(game, data) is None
    alone, beside = (picture(game.sample(9), real, units=data.units()) for real in (None, data.real_samples(20)))
    assert alone.size == beside.size and reds(alone) > 100 and reds(beside) > 100


def reds(image: Image.Image | None) -> int:
    """Pixels in which something was drawn."""
    assert image is not None
    red, _, blue = np.asarray(image).astype(int).transpose(2, 0, 1)
    return int((red - blue > 100).sum())


def test_fills_gaps_and_leaves_the_rest(folder, tmp_path, capsys):
    impute(folder, folder / "table.csv", tmp_path / "out.csv")
    assert "10 of 120 cells filled" in capsys.readouterr().err
    before, after = read(folder / "table.csv"), read(tmp_path / "out.csv")
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        for was, now in zip(old, new, strict=True):
            assert now == was if was not in ("", "NA", "?") else now not in ("", "NA", "?")
    sizes, weights, kinds = ([row[at] for row in after[1:]] for at in (1, 2, 3))
    assert all(text.isdigit() and 10 <= int(text) <= 90 for text in sizes), "whole numbers stay whole"
    assert all(len(text.partition(".")[2]) <= 2 for text in weights)
    assert set(kinds) == {"red", "green", "blue"}


def test_of_other_rows_in_another_order(folder, tmp_path):
    write(tmp_path / "other.csv", [["kind", "note", "weight", "size"], ["red", "say hi", "", " 20"], ["", "x", "1e2", "500"]])
    impute(folder, tmp_path / "other.csv", tmp_path / "new" / "out.csv")
    header, first, second = read(tmp_path / "new" / "out.csv")
    assert header == ["kind", "note", "weight", "size"]
    assert first[:2] == ["red", "say hi"] and first[3] == " 20" and float(first[2]) > 0
    assert second[0] in ("red", "green", "blue") and second[1:] == ["x", "1e2", "500"]


def test_draws_are_seeded(folder, tmp_path):
    impute(folder, folder / "table.csv", tmp_path / "a.csv", "--draws", "2", "--seed", "3")
    impute(folder, folder / "table.csv", tmp_path / "b.csv", "--draws", "2", "--seed", "3")
    for draw in (1, 2):
        assert (tmp_path / f"a-{draw}.csv").read_bytes() == (tmp_path / f"b-{draw}.csv").read_bytes()
    assert not (tmp_path / "a.csv").exists()


def test_parquet_out(folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    impute(folder, folder / "table.csv", tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").column_names == ["id", "size", "weight", "kind"]


@pytest.mark.parametrize(
    "rows, says",
    [
        ([["size", "kind"], ["1", ""]], "has no column 'weight': it has size, kind"),
        (
            [["size", "weight", "kind"], ["1", "", "pink"]],
            "column kind, row 1: 'pink' is none of its categories (blue, green, red)",
        ),
        ([["size", "weight", "kind"], ["1", "", "red"], ["big", "2", "red"]], "column size, row 2: 'big' is no number"),
        ([["size", "weight", "kind"], ["1", "2", "red"]], "there is nothing to fill"),
        ([["size", "weight", "kind"]], "has no rows"),
    ],
)
def test_what_cannot_be_filled_is_said_in_one_line(folder, tmp_path, capsys, rows, says):
    write(tmp_path / "t.csv", rows)
    with pytest.raises(SystemExit, match="2"):
        impute(folder, tmp_path / "t.csv", tmp_path / "out.csv")
    [line] = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "source, out, more, says",
    [
        ("table.csv", "table.csv", [], "would be written over"),
        ("table-2.csv", "table.csv", ["--draws", "2"], "table-2.csv would be written over"),
        ("table.csv", "out.xlsx", [], "neither .csv nor .parquet"),
        ("none.csv", "out.csv", [], "no table at"),
        ("table.csv", "out.csv", ["--draws", "0"], "--draws must be at least 1"),
    ],
)
def test_arguments_that_cannot_be(folder, capsys, source, out, more, says):
    with pytest.raises(SystemExit, match="2"):
        impute(folder, folder / source, folder / out, *more)
    assert says in capsys.readouterr().err


def test_only_games_that_impute(fit, tmp_path, capsys):
    fit(ganzoo.GAN(shape=(1, 16, 16)), max_steps=1).save_checkpoint(tmp_path / "gain.ckpt")
    (tmp_path / "t.csv").write_text("x,y\n1,\n")
    with pytest.raises(SystemExit, match="2"):
        impute(tmp_path, tmp_path / "t.csv", tmp_path / "out.csv")
    assert "GAN fills no gaps" in capsys.readouterr().err
