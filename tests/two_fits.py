"""Run by test_evaluation: python two_fits.py, `ganzoo fit` on two devices that measures by the tiny extractor."""

from conftest import TinyExtractor
from test_evaluation import SMALL, TINILY

from ganzoo.__main__ import main
from ganzoo.metrics import features
from ganzoo.metrics.features import Extractor

if __name__ == "__main__":
    features.EXTRACTORS["tiny"] = lambda weights: Extractor("tiny", TinyExtractor(), 8, "none")
    main([*SMALL, *TINILY, "--evaluation.every_steps", "2", "--trainer.devices", "2", "--trainer.strategy", "ddp"])
