"""Sample grids, the progress line, and the loggers beside the CSV file."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import trainer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ganzoo
from ganzoo.__main__ import main
from ganzoo.pictures import picture

RUN = [
    *("fit", "--model", "GAN", "--data", "Digits", "--trainer.accelerator", "cpu", "--trainer.max_steps", "4"),
    *("--trainer.log_every_n_steps", "2", "--samples.every_steps", "2", "--samples.n", "4"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "gan_digits" / "version_0"


def test_a_grid_shows_the_samples_in_reading_order():
    images = torch.linspace(-1, 1, 6)[:, None, None, None].expand(6, 1, 16, 16)
    grid = np.asarray(picture(images))
    assert grid.shape == (2 * 66 + 2, 3 * 66 + 2, 3)
    centres = [grid[34 + 66 * row, 34 + 66 * column, 0] for row in range(2) for column in range(3)]
    assert centres == [0, 51, 102, 153, 204, 255]


def test_colours_are_where_they_belong():
    red = torch.tensor([1.0, -1.0, -1.0])[None, :, None, None].expand(1, 3, 64, 64)
    assert np.asarray(picture(red))[30, 30].tolist() == [255, 0, 0]


def test_points_are_drawn_over_the_data():
    drawn = np.asarray(picture(torch.zeros(100, 2), real=torch.randn(100, 2)))
    assert drawn.shape == (640, 640, 3)
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 10


def test_numbers_are_drawn_as_a_histogram():
    drawn = np.asarray(picture(torch.zeros(100, 1), real=torch.randn(100, 1)))
    assert drawn.shape == (640, 640, 3)
    assert picture(torch.randn(100, 1)).size == (640, 640)


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="cannot be drawn"):
        picture(torch.zeros(3, 7))


def test_the_noise_is_always_the_same(fit, tmp_path):
    game = ganzoo.GAN(shape=(1, 16, 16), lr=0.0)  # nobody moves: the same noise gives the same picture
    grid = ganzoo.SampleGrid(every_steps=1, n=4)
    fit(game, callbacks=[grid], default_root_dir=tmp_path)
    pictures = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "samples").iterdir())]
    assert len(pictures) == 3
    assert all(np.array_equal(pictures[0], other) for other in pictures)


def test_watching_changes_nothing(fit, tmp_path):
    def run(*callbacks) -> ganzoo.Game:
        torch.manual_seed(0)
        game = ganzoo.GAN(shape=(1, 16, 16))
        fit(game, callbacks=list(callbacks), enable_progress_bar=True, default_root_dir=tmp_path)
        return game

    alone, watched = run(), run(ganzoo.SampleGrid(every_steps=1, n=4), ganzoo.ProgressBar())
    assert all(torch.equal(value, watched.state_dict()[name]) for name, value in alone.state_dict().items())


@pytest.mark.parametrize(
    ("made", "option"),
    [
        (lambda: ganzoo.SampleGrid(every_steps=0), "--samples.every_steps"),
        (lambda: ganzoo.Checkpoints(every_steps=0), "--checkpoints.every_steps"),
        (lambda: ganzoo.Evaluation(every_steps=0), "--evaluation.every_steps"),
        (lambda: ganzoo.Evaluation(every_minutes=0.0), "every_minutes"),
    ],
)
def test_every_zero_rounds_is_refused(made, option):
    with pytest.raises(ValueError, match=option):
        made()


def test_a_numbered_checkpoint_of_the_last_round_is_there_though_held_out_data_is_looked_at(fit, tmp_path):
    often = {"val_check_interval": 2, "check_val_every_n_epoch": None, "limit_val_batches": 1, "enable_checkpointing": True}
    fit(
        ganzoo.GAN(shape=(1, 16, 16)),
        max_steps=4,
        callbacks=[ganzoo.Checkpoints(keep_every_steps=2)],
        default_root_dir=tmp_path,
        **often,
    )
    assert len(list((tmp_path / "checkpoints").glob("step-*.ckpt"))) == 2


def test_a_score_that_is_no_number_is_never_the_best(tmp_path):
    evaluation = ganzoo.Evaluation(1, ["kd"], "effnet-lite0")
    evaluation.folder = tmp_path
    found = []
    for value in (float("nan"), 2.0, float("-inf"), 1.0):
        protocol = SimpleNamespace(metric="kd_effnet_lite0")
        evaluation.scores = [SimpleNamespace(protocol=protocol, value=value, row=dict)]
        of = SimpleNamespace(callback_metrics={}, loggers=[], is_global_zero=True)
        found.append(evaluation.tell(of, SimpleNamespace()))
    assert found == [False, True, False, True]


def test_a_line_of_progress_where_there_is_no_terminal(capsys):
    main(RUN)
    err = capsys.readouterr().err
    assert "step 4/4" in err
    assert "images/s" in err
    assert "discriminator" in err


def test_a_run_without_an_end_has_none_in_its_line(capsys):
    ganzoo.ProgressBar().line(trainer(max_steps=-1), SimpleNamespace(measured={}))
    assert capsys.readouterr().err.strip() == "step 0"


def test_tensorboard_gets_terms_and_grids(folder):
    main([*RUN, "--trainer.logger", "TensorBoard"])
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("generator/loss")] == [2, 4]
    assert [event.step for event in events.Images("samples")] == [2, 4]
    assert (folder / "metrics.csv").is_file(), "the local record is kept beside it"
