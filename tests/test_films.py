"""Films of runs survive interruption and resumption; the bilinear game does what its formulas say."""

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import trainer
from PIL import Image
from test_laboratory import SMALL, Narrow, Shift, line

import ganzoo
from ganzoo.__main__ import main
from ganzoo.laboratory.frames import animate
from ganzoo.listing import variants

# --- the film


def frames(path: Path) -> int:
    with Image.open(path) as gif:
        return gif.n_frames


FIT = [
    *("fit", "--config", "lab_line.yaml", "--trainer.accelerator", "cpu", "--data.samples", "3000"),
    *("--trainer.callbacks.every_steps", "2", "--trainer.callbacks.n", "2000"),
]


def test_a_run_leaves_its_film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([*FIT, "--trainer.max_steps", "5"])
    run = tmp_path / "runs" / "lab_line" / "version_0"
    drawn = sorted(path.name for path in (run / "laboratory").iterdir())
    assert drawn == [f"step-{step:08d}.png" for step in (0, 2, 4, 5)]
    assert frames(run / "laboratory.gif") == 4
    assert (run / "laboratory.png").read_bytes() == (run / "laboratory" / drawn[-1]).read_bytes()
    header, *rows = (run / "metrics.csv").read_text().splitlines()
    for name in ("lab/jsd", "lab/jsd_seen", "lab/discriminator_error", "lab/modes", "lab/quality"):
        column = header.split(",").index(name)
        assert sum(bool(row.split(",")[column]) for row in rows) == 4


def test_a_resumed_run_goes_on_with_the_film(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs" / "lab_line"
    main([*FIT, "--trainer.max_steps", "4", "--checkpoints.keep_every_steps", "2"])
    resumed = ["--ckpt_path", str(runs / "version_0" / "checkpoints" / "step-00000002.ckpt")]
    main([*FIT, *resumed, "--trainer.max_steps", "6"])
    main([*FIT, "--trainer.max_steps", "6"])
    for step in (0, 2, 4, 6):
        one, other = (runs / f"version_{n}" / "laboratory" / f"step-{step:08d}.png" for n in (1, 2))
        assert np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other))), "as if never interrupted"
    assert frames(runs / "version_1" / "laboratory.gif") == 4


def test_an_interrupted_run_keeps_its_film(fit, tmp_path):
    class Stumble(ganzoo.SampleGrid):
        def on_train_batch_end(self, trainer, *_) -> None:
            if trainer.global_step == 3:
                raise RuntimeError("stumbled")

    game = ganzoo.GAN(shape=(1,), generator=Shift, discriminator=Narrow, **SMALL)
    arguments = {"data": line(), "default_root_dir": tmp_path, "max_steps": 9}
    with pytest.raises(RuntimeError, match="stumbled"):
        fit(game, callbacks=[ganzoo.Laboratory(every_steps=1, n=2000), Stumble()], **arguments)
    assert frames(tmp_path / "laboratory.gif") == 4
    again = ganzoo.GAN(shape=(1,), generator=Shift, discriminator=Narrow, **SMALL)
    fit(again, callbacks=[ganzoo.Laboratory(every_steps=5, n=2000)], **arguments)
    assert frames(tmp_path / "laboratory.gif") == 3, "of round 0, 5 and 9: another run's frames are gone"


def test_what_stops_a_run_before_it_begins_is_what_is_reported(fit, tmp_path):
    with pytest.raises(ValueError, match="known density"):
        fit(ganzoo.GAN(shape=(1, 16, 16)), callbacks=[ganzoo.Laboratory()], default_root_dir=tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_stops_a_resumed_run_before_it_begins_is_what_is_reported(fit, tmp_path):
    def play(folder, samples, **arguments):
        game = ganzoo.GAN(shape=(1,), generator=Shift, discriminator=Narrow, **SMALL)
        film = ganzoo.Laboratory(every_steps=1, n=2000)
        return fit(game, data=line(samples=samples), callbacks=[film], default_root_dir=tmp_path / folder, **arguments)

    play("one", 2000, max_steps=1).save_checkpoint(tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match="2000 held-out points and there are 1000"):
        play("other", 1000, max_steps=2, ckpt_path=tmp_path / "x.ckpt")


def test_an_animation(tmp_path):
    paths = [tmp_path / f"{level}.png" for level in (0, 100, 200)]
    for level, path in zip((0, 100, 200), paths, strict=True):
        Image.new("RGB", (20, 10), (level, 0, 0)).save(path)
    animate(paths, tmp_path / "x.gif", 50)
    with Image.open(tmp_path / "x.gif") as gif:
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (3, (20, 10), 0)
        durations = []
        for frame in range(3):
            gif.seek(frame)
            durations.append(gif.info["duration"])
    assert durations == [50, 50, 1000]


# --- the bilinear game


def way(rounds: int = 60, **arguments) -> torch.Tensor:
    """(x, y) of every round: float64 [rounds + 1, 2], played by the same loop as all games."""
    film = ganzoo.Trajectory(every_steps=rounds)
    game = ganzoo.Bilinear(**({"compile": False} | arguments))
    film.shoot = lambda *_: None  # draws nothing
    trainer(max_steps=rounds, callbacks=[film]).fit(game, ganzoo.Dirac(batch_size=1))
    return torch.tensor([film.history["x"], film.history["y"]], dtype=torch.float64).T


def area(place: torch.Tensor) -> torch.Tensor:
    """v_t x v_(t + 1) of consecutive places, which a round multiplies by det M."""
    return place[:-1, 0] * place[1:, 1] - place[:-1, 1] * place[1:, 0]


@pytest.mark.parametrize("lr", [0.1, 0.3])
def test_simultaneous_play_grows_by_a_known_factor_in_every_round(lr):
    radius = way(lr=lr).norm(dim=1)
    assert (radius[1:] / radius[:-1]).tolist() == pytest.approx([sqrt(1 + lr**2)] * 60, rel=1e-5)
    assert ganzoo.Bilinear(lr=lr).factor() == pytest.approx(sqrt(1 + lr**2))


@pytest.mark.parametrize(
    "arguments, squared",
    [
        ({}, 1.01),  # 1 + lr^2
        ({"r1": 0.4}, 1 - 0.04 + 0.01),  # 1 - lr gamma + lr^2
        ({"r1": 0.1}, 1.0),  # gamma = lr: circles for ever
        ({"unrolling_steps": 1}, 0.99),  # 1 - (2 K - 1) lr^2
        ({"unrolling_steps": 3}, 0.95),
        ({"play": "alternating"}, 1.0),
        ({"play": "alternating", "r1": 0.4}, 1 - 0.04),  # 1 - lr gamma
    ],
)
def test_the_factor_of_a_round_is_the_formulas(arguments, squared):
    game = ganzoo.Bilinear(**arguments)
    assert game.factor() == pytest.approx(sqrt(squared))
    assert torch.linalg.det(game.matrix()).item() == pytest.approx(squared)
    place = way(**arguments)
    areas = area(place)
    assert (areas[1:] / areas[:-1]).tolist() == pytest.approx([squared] * 59, rel=1e-3)
    expected = place[0]
    for here in place[1:]:
        expected = game.matrix() @ expected
        assert torch.allclose(here, expected, atol=1e-5)


def test_r1_with_unrolled_steps_is_the_matrix_too():
    game = ganzoo.Bilinear(r1=0.5, unrolling_steps=3, play="alternating")
    expected = torch.linalg.matrix_power(game.matrix(), 60) @ torch.tensor([1.0, 0.0], dtype=torch.float64)
    assert torch.allclose(way(r1=0.5, unrolling_steps=3, play="alternating")[-1], expected, atol=1e-5)


def test_the_bilinear_game_compiles(aot_eager):
    assert torch.equal(way(rounds=5, r1=0.4, unrolling_steps=2), way(rounds=5, r1=0.4, unrolling_steps=2, compile=True))


def test_whole_numbers_to_start_from_are_not_rounded_to():
    assert torch.equal(way(rounds=5, start=(1, 0)), way(rounds=5, start=(1.0, 0.0)))


def test_the_bilinear_game_is_no_variant():
    assert ganzoo.Bilinear not in variants()


def test_a_rotation_leaves_its_film_and_reloads(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["fit", "--config", "lab_rotation.yaml", "--trainer.max_steps", "10", "--trainer.accelerator", "cpu"])
    run = tmp_path / "runs" / "lab_rotation" / "version_0"
    assert frames(run / "laboratory.gif") == len(list((run / "laboratory").iterdir())) > 1
    place = ganzoo.load(run / "checkpoints" / "last.ckpt").sample(3)
    assert place.shape == (3, 2)
    assert place.norm(dim=1).tolist() == pytest.approx([1.01**5] * 3, rel=1e-5)
    rows = [row.split(",") for row in (run / "metrics.csv").read_text().splitlines()]
    at, theory = rows[0].index("lab/distance"), rows[0].index("lab/distance_expected")
    seen = [(float(row[at]), float(row[theory])) for row in rows[1:] if row[at]]
    assert len(seen) > 1 and all(one == pytest.approx(other, rel=1e-5) for one, other in seen)


def test_a_trajectory_refuses_other_games(fit, tmp_path):
    with pytest.raises(ValueError, match="two numbers of Bilinear, not GAN"):
        fit(ganzoo.GAN(shape=(1, 16, 16)), callbacks=[ganzoo.Trajectory()], default_root_dir=tmp_path)
