"""Suites and their runs: plans, resumption, two processes in one folder, what fails and what diverges."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import wandb
import yaml
from conftest import REPOSITORY
from PIL import Image
from rich.console import Console

import ganzoo
from ganzoo.benchmark import worker
from ganzoo.benchmark.command import benchmark_command, logged, total
from ganzoo.benchmark.estimate import judging
from ganzoo.benchmark.folder import BUSY, DAMAGED, DONE, NEW, RESUME, Folder
from ganzoo.benchmark.results import cost_of, curves
from ganzoo.benchmark.runner import Local, Place, places
from ganzoo.benchmark.suite import SUITES, difference, identity, made, merged, read
from ganzoo.loading import read as read_checkpoint

SAID = {
    "title": "Two variants on digits",
    "budget": {"images": 128},
    "points": 2,
    "seeds": [0, 1],
    "data": {"digits": {"class_path": "Digits", "init_args": {"batch_size": 8}}},
    "evaluation": {"metrics": ["kd"], "extractor": "tiny", "n": 16},
    "model": {"init_args": {"lr": 1e-3}},
    "variants": {"GAN": None, "WGAN": {"init_args": {"discriminator_steps": 2}}},
    "fit": {"trainer": {"log_every_n_steps": 4}},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, tiny_extractor):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ganzoo.benchmark.estimate.PATIENCE", 0.02)


@pytest.fixture
def inside(monkeypatch):
    """Runs are played in this process: its extractor named tiny cannot be had in another."""

    class Played:
        def __init__(self, folder, name, place):
            try:
                self.returncode = worker.work(folder.path, name, place.options() if place else [])
            except SystemExit as end:
                self.returncode = end.code
            folder.log(name).parent.mkdir(parents=True, exist_ok=True)
            folder.log(name).write_text("ganzoo: something is wrong\n")

        def poll(self):
            return self.returncode

        wait = poll

        def kill(self):
            pass

    monkeypatch.setattr("ganzoo.benchmark.runner.launch", Played)
    monkeypatch.setattr("ganzoo.benchmark.schedulers.launch", Played)


def write(**changes) -> str:
    Path("two.yaml").write_text(yaml.safe_dump(SAID | changes))
    return "two.yaml"


def command(*options: str, **changes) -> Folder:
    benchmark_command([write(**changes), "--devices", "cpu", *options])
    return Folder(Path("runs/two"))


# --- what a suite says ---


def test_every_run_sees_as_many_images():
    runs = made("two", SAID).runs()
    assert [run.name for run in runs] == ["GAN-digits-0", "WGAN-digits-0", "GAN-digits-1", "WGAN-digits-1"]
    gan, wgan = runs[0].config, runs[1].config
    assert (gan["trainer"]["max_steps"], wgan["trainer"]["max_steps"]) == (16, 8), "WGAN's rounds take two minibatches"
    for run in runs:
        assert run.config["evaluation"]["every_steps"] * 2 == run.config["trainer"]["max_steps"]
        assert run.config["seed_everything"] == run.seed
    assert wgan["model"] == {"class_path": "WGAN", "init_args": {"lr": 1e-3, "discriminator_steps": 2}}
    assert gan["trainer"]["log_every_n_steps"] == 4


def test_time_can_be_the_budget():
    [run, *_] = made("two", SAID | {"budget": {"minutes": 3}}).runs()
    assert run.rounds is None
    assert run.config["budget"] == {"minutes": 3}
    assert run.config["evaluation"]["every_minutes"] == 1.5


def test_names_that_are_not_classes():
    said = SAID | {"variants": {"GAN, minimax": {"class_path": "GAN", "init_args": {"generator_cost": "minimax"}}}}
    run = made("two", said).runs()[0]
    assert run.name == "GAN_minimax-digits-0"
    assert run.config["model"]["class_path"] == "GAN"


def test_another_class_takes_nothing_of_the_common_ones_arguments():
    common = {"generator": {"class_path": "DCGANGenerator", "init_args": {"width": 8}}, "lr": 1}
    assert merged(common, {"generator": {"class_path": "MLPGenerator"}}) == {
        "generator": {"class_path": "MLPGenerator"},
        "lr": 1,
    }
    assert merged(common, {"generator": {"init_args": {"width": 4}}})["generator"]["init_args"] == {"width": 4}
    assert common["generator"]["init_args"] == {"width": 8}, "untouched"


def test_options_of_fit_for_all_runs():
    suite = read(
        write(), ["--data.batch_size", "4", "--trainer.precision=bf16-mixed", "--model.lr", "0.1", "--evaluation.n", "8"]
    )
    config = suite.runs()[0].config
    assert config["data"]["init_args"]["batch_size"] == 4
    assert config["trainer"] == {"limit_val_batches": 0, "log_every_n_steps": 4, "precision": "bf16-mixed", "max_steps": 32}
    assert (config["model"]["init_args"]["lr"], config["evaluation"]["n"]) == (0.1, 8)


def test_options_of_fit_win_over_what_variants_say():
    own = {"GAN": {"init_args": {"lr": 2e-3, "generator": {"class_path": "MLPGenerator", "init_args": {"width": 4}}}}}
    [run, *_] = read(write(variants=own), ["--model.lr", "0.1", "--model.generator.width", "8"]).runs()
    said = run.config["model"]["init_args"]
    assert (said["lr"], said["generator"]) == (0.1, {"class_path": "MLPGenerator", "init_args": {"width": 8}})
    [run, *_] = read(write(), ["--model.generator", "MLPGenerator", "--model.generator.width", "8"]).runs()
    assert run.config["model"]["init_args"]["generator"] == {"class_path": "MLPGenerator", "init_args": {"width": 8}}
    [run, *_] = read(write(), ["--model.init_args.lr", "0.1", "--data.init_args.batch_size", "4"]).runs()
    assert run.config["model"]["init_args"]["lr"] == 0.1 and run.config["data"]["init_args"]["batch_size"] == 4


def test_images_of_all_devices_count():
    one, two, named = (read(write(), of).runs()[0].rounds for of in ([], *(["--trainer.devices", d] for d in ("2", "[0, 1]"))))
    assert (one, two, named) == (16, 8, 8)
    with pytest.raises(ValueError, match="devices -1 does not say how many images"):
        read(write(), ["--trainer.devices", "-1"]).runs()


def test_where_data_lie_is_not_what_a_run_is():
    one, other, third = (
        read(write(), changes).runs()[0].config for changes in ([], ["--data.workers", "2"], ["--data.batch_size", "4"])
    )
    assert difference(one, other) is None
    assert difference(one, third) == ("trainer.max_steps", 16, 32)
    logged = merged(one, {"trainer": {"logger": {"class_path": "Wandb"}}})
    assert identity(one) == identity(logged)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"budgets": 1}, "has no use for budgets; did you mean budget"),
        ({"budget": {"images": 0}}, "either `images: N` or `minutes: N`"),
        ({"budget": {"images": 1, "minutes": 1}}, "either `images: N` or `minutes: N`"),
        ({"data": None}, "has no data"),
        ({"seeds": [1, 1]}, "seeds different"),
        ({"variants": ["GANN"]}, "GANN on digits in the suite two: there is no class GANN; did you mean"),
        (
            {"variants": {"GAN": {"init_args": {"lrr": 1}}}},
            "the suite two: GAN has no option lrr; did you mean lr",
        ),
    ],
)
def test_what_a_suite_cannot_say(changes, line):
    with pytest.raises(ValueError, match=line):
        read(write(**changes), []).runs()


def test_there_is_no_such_suite():
    with pytest.raises(FileNotFoundError, match="no suite smok; did you mean smoke"):
        read("smok", [])


@pytest.mark.parametrize("name", sorted(path.stem for path in SUITES.glob("*.yaml")))
def test_bundled_suites_can_be_run(name, tiny_data):
    root = [] if name == "smoke" else ["--data.root", str(tiny_data)]
    runs = read(name, root).runs()
    assert len({run.name for run in runs}) == len(runs)
    header = (SUITES / f"{name}.yaml").read_text()
    assert f"ganzoo benchmark {name}" in header


def test_cifar10_as_jpeg_has_its_own_suite(tmp_path):
    for i in range(4):
        path = tmp_path / "images" / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32)).save(path)
    suite = str(REPOSITORY / "benchmarks" / "cifar10_jpeg_small.yaml")
    runs = read(suite, ["--data.root", str(tmp_path / "images")]).runs()
    assert {run.data for run in runs} == {"cifar10-jpeg"}


def test_small_data_names_one_variant_five_times(tmp_path):
    for i in range(4):
        Image.new("RGB", (32, 32)).save(tmp_path / f"{i}.png")
    suite = str(REPOSITORY / "benchmarks" / "small_data.yaml")
    runs = read(suite, ["--data.root", str(tmp_path), "--data.val_root", str(tmp_path), "--data.limit", "2"]).runs()
    assert len({run.name for run in runs}) == len(runs) == 15
    by_name = {run.variant: run.config["model"] for run in runs}
    assert {model["class_path"] for model in by_name.values()} == {"DCGAN"}
    assert by_name["DCGAN + both"]["init_args"]["lecam"] == 0.3
    assert "augment" not in by_name["DCGAN"]["init_args"]
    assert by_name["DCGAN + ADA"]["init_args"]["augment"]["class_path"].endswith("AdaptiveAugment")
    assert all(run.config["data"]["init_args"]["limit"] == 2 for run in runs)


def test_strings_are_compared_by_their_own_scores():
    runs = read(str(REPOSITORY / "benchmarks" / "strings.yaml"), []).runs()
    assert len({run.name for run in runs}) == len(runs) == 12
    assert {run.config["evaluation"]["extractor"] for run in runs} == {"raw"}


# --- runs ---


def test_a_suite_from_end_to_end(inside, capsys):
    folder = command()
    assert [folder.state(run.name) for run in made("two", SAID).runs()] == [DONE] * 4
    for run in made("two", SAID).runs():
        result = folder.result(run)
        assert [score.origin.images_seen for score in result.scores["kd_tiny"]] == [64, 128]
        assert result.cost.images_seen == 128
        assert [path.stem for path in result.pictures] == [f"step-{step:08d}" for step in (run.rounds // 2, run.rounds)]
        assert (result.variant, result.seed, result.diverged) == (run.variant, run.seed, False)
    before = {path: path.stat().st_mtime_ns for path in Path("runs").rglob("version_*/*")}
    assert len(before) > 8
    capsys.readouterr()
    command()
    assert {path: path.stat().st_mtime_ns for path in Path("runs").rglob("version_*/*")} == before, "nothing is run again"
    assert "to do" not in capsys.readouterr().err


def test_tables_of_what_is_there(inside, capsys):
    with pytest.raises(ValueError, match="nothing to tabulate yet"):
        command("--table")
    folder = command("--seeds", "0", "1", "2")
    told = capsys.readouterr().err
    assert "rank" in told and "WGAN" in told
    rows = list(csv.DictReader((folder.path / "table.csv").open()))
    finals = {row["variant"]: float(row["final"]) for row in rows}
    each = list(csv.DictReader((folder.path / "runs.csv").open()))
    for variant, final in finals.items():
        assert final == pytest.approx(sum(float(row["final"]) for row in each if row["variant"] == variant) / 3)
    about = json.loads((folder.path / "about.json").read_text())
    assert about["command"].startswith("ganzoo benchmark two.yaml")
    for name in ("table.md", "table.tex", "report.html"):
        assert "WGAN" in (folder.path / name).read_text()
    command("--table", "--variants", "GAN")
    assert "WGAN" not in (folder.path / "table.md").read_text()


def test_the_plan_alone_runs_nothing(inside, capsys):
    folder = command("--plan")
    told = capsys.readouterr().err
    assert "4 runs to do, about" in told
    assert "WGAN" in told
    assert not folder.path.exists()
    command("--variants", "GAN", "--seeds", "0")
    capsys.readouterr()
    command("--variants", "GAN", "--seeds", "0", "--plan")
    assert "nothing is left to do" in capsys.readouterr().err


def test_runs_do_not_share_a_long_one_out():
    """Three runs of 10 minutes on two places take 20, and one takes 10 however many places there are."""
    runs = made("two", SAID | {"variants": ["GAN"], "seeds": [0, 1, 2]}).runs()
    for n, minutes in ((3, 20), (1, 10)):
        said = total(runs[:n], {run.name: NEW for run in runs}, {("GAN", "digits"): 600.0}, {}, [Place("cpu", 1)] * 2)
        assert f"about {minutes} minutes" in said


def test_judges_of_series_are_part_of_the_estimate(monkeypatch):
    monkeypatch.setattr("ganzoo.benchmark.estimate.FEW", 2)
    sines = ganzoo.Sines(batch_size=8)
    both, one, none = (judging(names, sines) for names in (["discriminative", "predictive"], ["predictive"], ["marginal"]))
    assert both > one > 1.0, "21,000 and 15,000 iterations"
    assert none == 0.0


def test_only_some_variants_and_seeds(inside):
    folder = command("--variants", "WGAN", "--seeds", "7", "7")
    assert len(list(csv.DictReader((folder.path / "runs.csv").open()))) == 1, "a seed named twice is one run"
    assert [path.name for path in folder.path.glob("*-*-*")] == ["WGAN-digits-7"]
    with pytest.raises(ValueError, match="has no LSGAN: it has GAN, WGAN"):
        command("--variants", "LSGAN")


def test_a_stopped_run_goes_on_and_ends_as_one_never_stopped(inside, monkeypatch):
    command("--variants", "GAN", "--seeds", "0", "--out", "whole")
    whole = Folder(Path("whole"))
    with monkeypatch.context() as patch:
        real = worker.main
        patch.setattr(worker, "main", lambda arguments: real([*arguments, "--trainer.max_steps", "8"]))
        command("--variants", "GAN", "--seeds", "0")
    folder = Folder(Path("runs/two"))
    (folder.path / "GAN-digits-0/version_0/cost.json").unlink()  # what a run that was killed after its first point leaves
    assert folder.state("GAN-digits-0") == RESUME
    command("--variants", "GAN", "--seeds", "0")
    runs = [of.path / "GAN-digits-0/version_0" for of in (folder, whole)]
    ends = [read_checkpoint(run / "checkpoints/last.ckpt")["state_dict"] for run in runs]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[1])
    assert [score.origin.step for score in curves(runs[:1])["kd_tiny"]] == [8, 16]


def test_a_half_written_result_is_set_aside_and_the_run_begins_anew(inside):
    folder = command("--variants", "GAN", "--seeds", "0")
    cost = folder.path / "GAN-digits-0/version_0/cost.json"
    cost.write_text(cost.read_text()[:40])
    assert folder.state("GAN-digits-0") == DAMAGED
    command("--variants", "GAN", "--seeds", "0")
    assert folder.state("GAN-digits-0") == DONE
    assert (folder.path / "GAN-digits-0.damaged-0/version_0/scores.jsonl").is_file(), "nothing is lost"


def test_a_line_of_scores_cut_short_is_left_out(inside):
    folder = command("--variants", "GAN", "--seeds", "0")
    path = folder.path / "GAN-digits-0/version_0/scores.jsonl"
    path.write_text(path.read_text()[:-30])
    assert len(curves([path.parent])["kd_tiny"]) == 1
    path.write_text("half\n" + path.read_text())
    assert folder.state("GAN-digits-0") == DAMAGED


def test_a_checkpoint_cut_short_is_passed_over(inside):
    folder = command("--variants", "GAN", "--seeds", "0")
    of = folder.path / "GAN-digits-0/version_0"
    (of / "cost.json").unlink()
    last = of / "checkpoints/last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    command("--variants", "GAN", "--seeds", "0")
    assert cost_of(folder.path / "GAN-digits-0").rounds == 16


def test_a_changed_suite_does_not_pass_off_old_runs_as_its_own(inside):
    command("--variants", "GAN", "--seeds", "0")
    with pytest.raises(
        ValueError, match=r"GAN-digits-0 was run with evaluation.n 16, and the suite now says 12: choose another"
    ):
        command(evaluation=SAID["evaluation"] | {"n": 12})


def test_a_variant_that_diverges_is_a_result(inside, capsys):
    wild = {"GAN": None, "WGAN": {"init_args": {"lr": 1e38}}}
    folder = command("--seeds", "0", variants=wild)
    result = folder.result(made("two", SAID | {"variants": wild}).runs()[1])
    assert result.diverged and result.collapsed
    assert result.final("kd_tiny") is None
    assert "WGAN-digits-0: diverged" in capsys.readouterr().err
    assert folder.state("WGAN-digits-0") == DONE, "it is not tried again"


def test_a_run_that_fails_does_not_stop_the_others(inside, monkeypatch):
    monkeypatch.setattr("ganzoo.WGAN.after_turn", lambda *_: (_ for _ in ()).throw(ValueError("broken")))
    with pytest.raises(ValueError, match=r"2 of 4 runs failed, .*: WGAN-digits-0, WGAN-digits-1"):
        command()
    folder = Folder(Path("runs/two"))
    assert folder.state("GAN-digits-1") == DONE
    assert folder.state("WGAN-digits-1") == NEW


def test_two_processes_share_a_folder(inside, monkeypatch, capsys):
    """The other one holds a run, and then gives it up: this one plays the others first, and waits, and plays it."""
    folder = Folder(Path("runs/two"))
    other = folder.lock("GAN-digits-0")
    other.acquire()
    assert folder.state("GAN-digits-0") == BUSY
    monkeypatch.setattr("ganzoo.benchmark.runner.AGAIN_SECONDS", 0.01)
    played = []

    def told(name):
        played.append(name)
        if len(played) == 3:
            other.release()
        return "done"

    folder.write(made("two", SAID).runs())
    failures = Local(folder, [Place("cpu", 1)], Console(stderr=True), ended=told)(
        [run.name for run in made("two", SAID).runs()]
    )
    assert failures == {}
    assert played == ["WGAN-digits-0", "GAN-digits-1", "WGAN-digits-1", "GAN-digits-0"]
    assert "waiting for GAN-digits-0, under way in another process" in capsys.readouterr().err


def test_places():
    assert [place.device for place in places(["cpu", "cpu"])] == ["cpu", "cpu"]
    assert Place("cuda:1", 4).environment()["CUDA_VISIBLE_DEVICES"] == "1"
    with pytest.raises(ValueError, match="cuda:99 is not here: cpu"):
        places(["cuda:99"])


def test_a_suite_is_a_project_of_wandb(inside, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = command("--wandb", "--variants", "GAN", "--seeds", "0")
    wandb.finish()
    run, _, other, _ = made("two", SAID).runs()
    first = yaml.safe_load(folder.config(run.name).read_text())["trainer"]["logger"]["init_args"]
    assert (first["project"], first["group"], first["name"]) == ("two", "GAN-digits", "GAN-digits-0")
    again, second = (logged(one, "two", folder.path).config["trainer"]["logger"]["init_args"] for one in (run, other))
    assert first == again, "a run that goes on does so in the same W&B run"
    assert (first["group"], first["id"]) != (second["group"], second["id"])
    assert len(list(folder.path.glob("GAN-digits-0/version_0/wandb/offline-run-*"))) == 1


def test_runs_as_a_job_array(inside, monkeypatch):
    """submitit's executor that plays jobs here and now stands for SLURM."""
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr("submitit.AutoExecutor", partial(submitit.AutoExecutor, cluster="debug"))
    monkeypatch.setattr("ganzoo.WGAN.after_turn", lambda *_: (_ for _ in ()).throw(ValueError("broken")))
    with pytest.raises(ValueError, match=r"2 of 4 runs failed, .*: WGAN-digits-0, WGAN-digits-1"):
        command("--on", "slurm", "--with", "timeout_min=5")
    assert Folder(Path("runs/two")).state("GAN-digits-1") == DONE


def test_runs_as_tasks_of_ray(inside, monkeypatch):
    """A stand-in for Ray: what it is asked for, and that its tasks play the runs."""
    asked = []

    class Task:
        def __init__(self, play):
            self.play = play

        def remote(self, *given):
            return lambda: self.play(*given)

    def remote(**resources):
        asked.append(resources)
        return Task

    ray = SimpleNamespace(init=lambda **_: None, remote=remote, get=lambda job: job())
    monkeypatch.setitem(sys.modules, "ray", ray)
    folder = command("--on", "ray", "--with", "num_cpus=2")
    assert [folder.state(run.name) for run in made("two", SAID).runs()] == [DONE] * 4
    assert asked == [{"num_cpus": 2, "num_gpus": min(1, torch.cuda.device_count())}]


def test_a_scheduler_that_is_not_installed(inside, monkeypatch):
    for name in ("ray", "submitit"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match="pip install ray"):
        command("--on", "ray")
    with pytest.raises(ValueError, match="pip install 'submitit"):
        command("--on", "slurm")


# --- in processes ---

REAL = SAID | {
    "evaluation": {"metrics": ["kd"], "extractor": "effnet-lite0", "n": 8, "split": "held_out"},
    "variants": ["GAN"],
    "seeds": [0],
}


@pytest.mark.slow
def test_killed_anywhere_and_started_again(tmp_path, monkeypatch):
    """SIGKILL to the benchmark, then to the run that it left behind; the same command then completes the table."""
    networks = {
        part: {"class_path": f"MLP{part.title()}", "init_args": {"width": 16}} for part in ("generator", "discriminator")
    }
    long = {"budget": {"images": 16_000}, "points": 8, "model": {"init_args": networks}}
    Path("two.yaml").write_text(yaml.safe_dump(REAL | long))
    again = [sys.executable, "-m", "ganzoo", "benchmark", "two.yaml", "--devices", "cpu", "cpu"]
    first = subprocess.Popen(again, start_new_session=True)
    scores = Path("runs/two/GAN-digits-0/version_0/scores.jsonl")
    deadline = time.monotonic() + 120
    while not scores.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(first.pid, signal.SIGKILL)
    assert scores.is_file()
    assert Folder(Path("runs/two")).state("GAN-digits-0") != DONE
    done = subprocess.run(again, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(next(Path("runs/two/GAN-digits-0").glob("version_0/cost.json")).read_text())["images_seen"] == 16_000


def test_a_run_in_a_process_of_its_own():
    Path("two.yaml").write_text(yaml.safe_dump(REAL))
    done = subprocess.run(
        [sys.executable, "-m", "ganzoo", "benchmark", "two.yaml", "--devices", "cpu"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "GAN-digits-0: kd_effnet_lite0" in done.stderr
    assert Path("runs/two/logs/GAN-digits-0.log").read_text()
