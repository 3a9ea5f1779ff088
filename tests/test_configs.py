"""Every bundled config parses, trains two rounds on tiny data, and says what a reader wants to know."""

import re

import pytest
import yaml

from ganzoo.__main__ import main
from ganzoo.listing import CONFIGS

ALL = sorted(CONFIGS.glob("*.yaml"))
# Data that need no files.
EMBEDDED = ("BreastCancer", "Digits", "Expressions", "Gaussians", "Line", "Checkerboard", "Dirac", "Sines", "Returns", "Macro")


def printed(arguments: list[str], capsys) -> str:
    """The whole config, defaults included."""
    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--print_config"])
    return capsys.readouterr().out


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
@pytest.mark.usefixtures("cifar10_without_checksums")
def test_what_is_printed_trains_two_rounds(path, tiny_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GANZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    arguments = ["fit", "--config", path.name, "--trainer.max_steps", "2", "--data.batch_size", "4"]
    data = yaml.safe_load(path.read_text())["data"]
    roots = {"Paired": ["root"], "Unpaired": ["source_root", "target_root"]}.get(data["class_path"], ["root"])
    if "of" in data.get("init_args", {}):
        roots = ["of.root"]
    if data["class_path"] == "Table":
        (tmp_path / "table.csv").write_text("size,kind\n" + "".join(f"{i},{'ab'[i % 2]}\n{i},\n,a\n" for i in range(9)))
        arguments += ["--data.path", "table.csv"]
    elif data["class_path"] == "TextLines":
        (tmp_path / "lines.txt").write_text("".join(f"line {i}\n" for i in range(40)))
        arguments += ["--data.path", "lines.txt"]
    elif data["class_path"] not in EMBEDDED:
        arguments += [part for root in roots for part in (f"--data.{root}", str(tiny_data))]
    if "labelled" in data.get("init_args", {}):
        arguments += ["--data.labelled", "20"]
    narrow_ones = {variant: {"width": 16} for variant in ("R3GAN", "ProGAN", "StyleGAN")}
    for variant, narrow in (narrow_ones | {"StyleGAN2": {"channel_base": 256, "channel_max": 16}}).items():
        if yaml.safe_load(path.read_text())["model"]["class_path"] == variant:  # of 20 million weights each
            for player in ("generator", "discriminator"):
                arguments += [f"--model.{player}", f"{variant}{player.title()}"]
                arguments += [part for name, value in narrow.items() for part in (f"--model.{player}.{name}", str(value))]
    for variant, generator in (("Pix2Pix", "UNet"), ("CycleGAN", "TranslationResNet")):
        if yaml.safe_load(path.read_text())["model"]["class_path"] == variant:  # of 54 and 22 million at 256x256
            arguments += ["--model.generator", generator, "--model.generator.width", "4"]
    if path.stem.startswith("esrgan"):
        arguments += ["--model.generator", "RRDBNet", "--model.generator.width", "8", "--model.generator.blocks", "1"]
    arguments += ["--trainer.accelerator", "cpu", "--samples.n", "4", "--evaluation.every_steps", "null"]
    whole = printed(arguments, capsys)
    (tmp_path / path.name).write_text(whole)  # found before the bundled one
    assert printed(["fit", "--config", path.name], capsys) == whole
    main(["fit", "--config", path.name])
    folder = tmp_path / "runs" / path.stem / "version_0"
    assert (folder / "samples" / "step-00000002.png").is_file()
    assert (folder / "checkpoints" / "last.ckpt").is_file()
    assert (folder / "config.yaml").is_file()


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_is_short_and_has_a_header(path):
    lines = path.read_text().splitlines()
    assert len(lines) <= 20
    header = "\n".join(line for line in lines if line.startswith("#"))
    assert re.search(r"arXiv:\d{4}\.\d{4,5}|papers\.nips\.cc/paper/\d+", header), "the paper"
    assert f"ganzoo fit --config {path.name}" in header, "the command"
    assert re.search(r"^# (Time|Not yet)", header, re.MULTILINE), "how long it takes and what it gave"
