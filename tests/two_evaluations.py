"""Run by test_evaluation: python two_evaluations.py FOLDER WORLD measures the same fakes by so many processes."""

import json
import sys
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from conftest import TinyExtractor
from test_evaluation import NOBODY, pictures, sample_images

import ganzoo
from ganzoo.evaluation import Evaluator, evaluate
from ganzoo.metrics.features import Extractor


def measure(rank: int, world: int, folder: str) -> None:
    if world > 1:
        dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    torch.manual_seed(rank)  # which must not matter
    by = Extractor("tiny", TinyExtractor(), 8, "none")
    metrics = ["fd", "kd", "is", "prdc", "memorisation"]
    held_out = sample_images(pictures(30, seed=1))
    evaluator = Evaluator(metrics, by, sample_images(pictures(600)), split="train", held_out=held_out)
    torch.manual_seed(0)
    game = ganzoo.DCGAN(shape=(3, 16, 16), generator=partial(ganzoo.DCGANGenerator, width=4))
    scores = evaluate(
        evaluator, game, 700, 0, "nothing", 0
    )  # three blocks: two ranks share them as 500 and 200, and a fourth rank has none
    few = evaluator(sample_images(pictures(20, seed=2)), NOBODY)  # one block: the second rank has none
    found = {score.protocol.metric: score.value for score in scores}
    assert len(few) == len(scores) == len(found)
    found |= {f"{score.protocol.metric} of few": score.value for score in few}
    (Path(folder) / f"{world}-{rank}.json").write_text(json.dumps(found))
    if world > 1:
        dist.destroy_process_group()  # or gloo's threads, should they still run, abort the process at its end


if __name__ == "__main__":
    mp.spawn(measure, (int(sys.argv[2]), sys.argv[1]), int(sys.argv[2]))
