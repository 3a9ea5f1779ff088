"""What Weights & Biases is told, read back from the record of an offline run."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import wandb
from lightning.pytorch.loggers.logger import DummyExperiment

import ganzoo
from ganzoo.__main__ import main
from ganzoo.wandb_files import records, values

RUN = [
    *("fit", "--model", "GAN", "--data", "Digits", "--data.batch_size", "8", "--trainer.accelerator", "cpu"),
    *("--trainer.max_steps", "6", "--trainer.log_every_n_steps", "2", "--samples.n", "4", "--samples.every_steps", "3"),
    *("--watch.every_steps", "3", "--watch.n", "8", "--trainer.logger", "Wandb"),
]
EVALUATION = [
    *("--evaluation.every_steps", "2", "--evaluation.extractor", "tiny", "--evaluation.n", "20"),
    *("--evaluation.metrics", "[kd, prdc]"),
]


class Logged(NamedTuple):
    """The records of one run."""

    run: Any
    metrics: dict[str, Any]  # definitions, by name or pattern: the last one counts
    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    config: dict[str, Any]
    artifacts: list[Any]


def logged(folder: Path) -> Logged:
    wandb.finish()
    wandb.teardown()  # as the end of the process does: what is still in memory goes to disk
    [path] = (folder / "wandb").glob("offline-run-*/*.wandb")
    found = Logged(None, {}, [], {}, {}, [])
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found = found._replace(run=record.run)
        elif kind == "metric":
            found.metrics[record.metric.name or record.metric.glob_name] = record.metric
        elif kind == "history":
            found.rows.append(values(record.history.item))
        elif kind == "summary":
            found.summary.update(values(record.summary.update))
        elif kind == "config":
            found.config.update(values(record.config.update))
        elif kind == "artifact":
            found.artifacts.append(record.artifact)
    return found


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, tiny_extractor) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    for name, value in {"MODE": "offline", "SILENT": "true"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    for name in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{name}_DIR", str(tmp_path / name))
    yield tmp_path / "runs" / "gan_digits" / "version_0"
    wandb.finish()
    wandb.teardown()


def test_a_table_shows_what_becomes_of_images(folder):
    small = ("--model.generator", "UNet", "--model.generator.width", "4")
    game = ("--model", "Pix2Pix", *small, "--data", "Denoising", "--data.of", "Digits", "--samples.n", "16")
    main([*RUN, *game, "--trainer.max_steps", "1"])
    found = logged(folder.parents[1] / "pix2pix_denoising" / "version_0")
    [table] = [artifact for artifact in found.artifacts if artifact.type == "run_table"]
    assert len([file for file in table.manifest.contents if file.path.endswith(".png")]) == 6  # two rows of three


def test_everything_is_drawn_over_images_seen(folder):
    main([*RUN, *EVALUATION, "--trainer.val_check_interval", "3", "--trainer.check_val_every_n_epoch", "null"])
    run = logged(folder)
    assert run.metrics["*"].step_metric == "images_seen"
    assert run.metrics["images_seen"].step_metric == ""
    seen = {
        name: [row["images_seen"] for row in run.rows if name in row]
        for name in ("generator/loss", "score/kd_tiny", "watch/margin", "val/generator/adversarial", "samples/count")
    }
    assert seen == {
        "generator/loss": [16, 32, 48],
        "score/kd_tiny": [16, 32, 48],
        "watch/margin": [24, 48],
        "val/generator/adversarial": [24, 48],
        "samples/count": [24, 48],
    }
    assert all("images_seen" in row for row in run.rows)
    assert len(list(folder.glob("wandb/offline-run-*/files/media/images/samples_*.png"))) == 2
    assert run.config["model"]["init_args"]["generator_cost"] == "non_saturating"
    assert (folder / "metrics.csv").is_file(), "the local record is kept beside it"


def test_the_table_of_runs_is_a_leaderboard(folder):
    main([*RUN, *EVALUATION])
    run = logged(folder)
    distances, coverages = ([row[name] for row in run.rows if name in row] for name in ("score/kd_tiny", "score/coverage_tiny"))
    assert run.summary["score/kd_tiny"] == {"min": min(distances), "last": distances[-1]}
    assert run.summary["score/coverage_tiny"] == {"max": max(coverages), "last": coverages[-1]}
    for name, best in {"score/kd_tiny": "min", "score/coverage_tiny": "max"}.items():
        assert run.metrics[name].step_metric == "images_seen"
        assert getattr(run.metrics[name].summary, best)
    cost = json.loads((folder / "cost.json").read_text())
    assert cost["images_per_second"] > 0
    assert {name: run.summary[name] for name in cost} == cost


def test_checkpoints_are_artifacts_with_their_scores(folder):
    main([*RUN, *EVALUATION])
    run = logged(folder)
    best, last = run.artifacts
    assert (set(best.aliases), set(last.aliases)) == ({"best", "latest"}, {"last", "latest"})
    assert {best.type, last.type} == {"model"}
    assert best.name == last.name == f"model-{run.run.run_id}"
    assert [content.path for content in (best.manifest.contents[0], last.manifest.contents[0])] == ["best.ckpt", "last.ckpt"]
    distances = {row["images_seen"]: row["score/kd_tiny"] for row in run.rows if "score/kd_tiny" in row}
    said = json.loads(best.metadata)
    assert said["scores"]["kd_tiny"] == min(distances.values()) == distances[said["images_seen"]]
    assert said["images_seen"] == 8 * said["round"]
    assert said["stamps"][0]["extractor"] == "tiny"
    said = json.loads(last.metadata)
    assert (said["round"], said["images_seen"], said["scores"]["kd_tiny"]) == (6, 48, distances[48])


def test_artifacts_can_be_left_out(folder):
    main([*RUN, "--trainer.logger.artifacts", "false"])
    assert logged(folder).artifacts == []


def test_a_run_that_diverges_keeps_its_account_and_checkpoints(folder, monkeypatch):
    def after_turn(game: ganzoo.Game, player: str) -> None:
        if game.global_step == 3:
            next(game.parameters()).data.fill_(math.nan)

    monkeypatch.setattr(ganzoo.GAN, "after_turn", after_turn)
    with pytest.raises(SystemExit):
        main([*RUN, *EVALUATION, "--checkpoints.every_steps", "1", "--rollbacks", "0"])
    run = logged(folder)
    assert run.summary["state"] == "diverged"
    assert ["last" in artifact.aliases for artifact in run.artifacts][-1]


def test_a_run_that_is_stopped_keeps_its_checkpoints(folder, monkeypatch):
    def after_turn(game: ganzoo.Game, player: str) -> None:
        if game.global_step == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(ganzoo.GAN, "after_turn", after_turn)
    with pytest.raises(SystemExit):
        main([*RUN, "--checkpoints.every_steps", "2"])
    [last] = logged(folder).artifacts
    assert json.loads(last.metadata)["round"] == 2


def test_a_run_says_where_it_belongs_and_goes_on_by_its_id(folder):
    belongs = ["--trainer.logger.project", "zoo", "--trainer.logger.group", "few", "--trainer.logger.job_type", "bench"]
    called = ["--trainer.logger.name", "first", "--trainer.logger.tags", "[a, b]", "--trainer.logger.id", "one"]
    main([*RUN, *belongs, *called])
    first = logged(folder).run
    assert (first.project, first.run_group, first.job_type) == ("zoo", "few", "bench")
    assert (first.display_name, list(first.tags), first.run_id, first.resume) == ("first", ["a", "b"], "one", True)
    checkpoint = str(folder / "checkpoints" / "last.ckpt")
    main([*RUN, *belongs, *called, "--ckpt_path", checkpoint, "--trainer.max_steps", "8"])
    second = logged(folder.with_name("version_1"))
    assert (second.run.run_id, second.run.resume) == ("one", True)
    assert [row["images_seen"] for row in second.rows if "generator/loss" in row] == [64]


def test_other_ranks_tell_nothing(monkeypatch):
    monkeypatch.setattr("lightning.pytorch.utilities.rank_zero_only.rank", 1)
    logger = ganzoo.Wandb()
    logger.log_metrics({"score/fid": 1.0}, step=1)
    logger.keep(Path("no.ckpt"), "last", 1, [])
    logger.finalize("success")
    assert logger._experiment is None
    assert isinstance(logger.experiment, DummyExperiment)
