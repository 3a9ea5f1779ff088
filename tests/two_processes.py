"""Run by test_game.test_two_processes: python two_processes.py VARIANT STRATEGY FOLDER [fp16], as two ranks."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import lightning as L
import torch
from conftest import data_for, fp16, of_digits

import ganzoo
from ganzoo.game import Game, Terms, mean_over_devices


class Record(L.Callback):
    def __init__(self, folder: Path, watch: ganzoo.CollapseWatch) -> None:
        self.folder, self.watch = folder, watch

    def on_train_batch_start(self, trainer, game, batches, batch_idx) -> None:
        self.real = batches[0][0]

    def on_train_end(self, trainer, game) -> None:
        own = torch.full((3,), float(trainer.global_rank)).add(torch.arange(3))
        [none, mean] = mean_over_devices([None, own.clone()])
        assert none is None
        record = {
            "step": trainer.global_step,
            "images_seen": game.images_seen,
            "weights": game.state_dict(),
            "noise": game.latent(4),
            "real": self.real,
            "own": own,
            "logged": torch.tensor(list(game.measured.values())[:-1]),  # all but images_per_second
            "mean": mean,
            "watched": self.watch.values,
            "scales": {player: scaler.get_scale() for player, scaler in game.scalers.items()},
        }
        torch.save(record, self.folder / f"rank{trainer.global_rank}.pt")


def overflowing_on_one_rank(loss: Callable[..., Terms], game: Game) -> Callable[..., Terms]:
    """The loss, whose gradient is too large on rank 1 in round 1."""

    def steep(*batch: torch.Tensor) -> Terms:
        slope = 1e38 if game.global_rank == game.global_step == 1 else 0.0
        return {name: term + slope * (term - term.detach()) for name, term in loss(*batch).items()}

    return steep


if __name__ == "__main__":
    variant, folder = getattr(ganzoo, sys.argv[1]), Path(sys.argv[3])
    strategy = "ddp" if sys.argv[2] == "ddp" else getattr(ganzoo, sys.argv[2])()
    precision = fp16() if sys.argv[4:] == ["fp16"] else {}
    L.seed_everything(int(os.environ.get("LOCAL_RANK", "0")))  # each rank other weights, until they agree
    watch = ganzoo.CollapseWatch(every_steps=1, n=4)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=2,
        strategy=strategy,
        max_steps=3,
        log_every_n_steps=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=[Record(folder, watch), watch],
        **precision,
    )
    game = of_digits(variant, average_decay=0.9)
    if precision:
        game.generator_loss = overflowing_on_one_rank(game.generator_loss, game)
    trainer.fit(game, data_for(variant))
