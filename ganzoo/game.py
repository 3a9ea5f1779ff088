"""A GAN is a game: players take turns, a turn lowers one loss of one player, and a round of turns is one step."""

import inspect
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.nn.utils.rnn import pad_sequence

from ganzoo.compiling import Compile, played
from ganzoo.optimizers import Optimizers, learn
from ganzoo.precision import LossScaler, loss_scalers, tf32
from ganzoo.recipe import Remembering, recipe_of, refuse_misfit

Batch = tuple[Tensor, ...]  # what the losses take: mostly (real,) or (real, label), real [N, *shape], label [N] int64
Terms = dict[str, Tensor]  # named scalars whose sum is the loss
Loss = Callable[..., Terms]
Turn = tuple[str, Loss, Batch]


class Game(Remembering, L.LightningModule):
    """Base of every variant: it knows players, turns and moves, and nothing of any paper.

    A variant says who plays (`players`), in which order (`turns`) and for what (`<name>_loss`). One round of turns is one
    training step: `global_step`, `max_steps`, checkpoints and logs count rounds. Everything random in round r on rank k is
    a function of (seed, r, k), so that a resumed run has no random state to restore and no two ranks draw the same noise.
    What is not finite is seen when the terms are next logged.

    Args:
        shape: shape of one sample: (channels, height, width), (features,), of a series (length, features), of a sequence of
            symbols (length, vocabulary).
        classes: number of classes, or None where the data has no labels.
        compile: moves compiled (true), compiled and recorded as CUDA graphs (`graphs`), or neither (false); `auto`: the best
            that works on the device.
    """

    minibatches = 1  # of real data in one round
    usual_shape: tuple[int, ...] = (3, 64, 64)  # of samples that `ganzoo list` counts its weights for

    def __init__(self, *, shape: tuple[int, ...], classes: int | None = None, compile: Compile = "auto") -> None:
        super().__init__()
        self.automatic_optimization = False
        self.shape = tuple(shape)
        self.classes = classes
        self._how = compile
        self.units: dict[str, Any] | None = None  # what samples mean as a table, as the data said in training (`ganzoo.tables`)
        self.truncation: float | None = None  # of the noise that samples are made of, in games that know of it
        self.seed: int | None = None
        self.noise = 0  # raised by one each time that the run goes back for NaN or infinity
        self.images_seen = 0
        self._goes_on = False  # whether what begins is a run that was stopped before its end
        self.playing = False  # whether a round is under way
        self.scalers: dict[str, LossScaler] = {}  # each player's, in fp16
        self.terms: Terms = {}  # of the latest turn of each kind, on the device
        self.measured: dict[str, float] = {}  # what was last logged
        self._unread: list[tuple[tuple[str, ...], Tensor]] = []  # each round's terms since then: names and values [terms]
        self._reported = (0, 0.0)  # images seen and time of that report, or of the run's beginning
        self.save_hyperparameters(recipe_of(type(self), self.given()), logger=False)

    # --- what a variant says ---

    def players(self) -> dict[str, nn.Module]:
        """Each player's name and the networks it trains."""
        raise NotImplementedError(f"{type(self).__name__} must say who its players are")

    def turns(self, step: int, batches: list[Batch]) -> Iterator[Turn]:
        """The round in the paper's order: whose turn, which loss, on which batch."""
        raise NotImplementedError(f"{type(self).__name__} must say whose turn it is")

    def optimizer(self, player: str, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The player's optimizer."""
        raise NotImplementedError(f"{type(self).__name__} must say how {player} learns")

    def rate(self, step: int) -> float:
        """Factor on every learning rate in round `step`."""
        return 1.0

    def before_round(self, batches: list[Batch], optimizers: dict[str, torch.optim.Optimizer]) -> None:
        """In place, before the first turn: what follows a schedule, in buffers and in the players' optimizers."""

    def after_turn(self, player: str) -> None:
        """In place, after the player's weights have moved: weight clipping, controllers."""

    def after_round(self) -> None:
        """In place, after the last turn: weight averages, and schedules, for the next round."""

    @property
    def averaged(self) -> bool:
        """Whether `sample` draws from a weight average."""
        return False

    def held_out_terms(self, *batch: Tensor) -> Terms:
        """What held-out data tell beside the losses: numbers whose mean is logged, as val/NAME and test/NAME."""
        return {}

    def sample(self, n: int) -> Tensor:
        """n samples, float32 [n, *shape], images in [-1, 1]."""
        raise NotImplementedError(f"{type(self).__name__} cannot sample")

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: str | Path, *_: Any, **__: Any) -> "Game":  # type: ignore[override]
        """As `ganzoo.load`: Lightning's own calls whatever a checkpoint names.

        Raises:
            ValueError: the checkpoint holds another game.
        """
        from ganzoo.loading import load  # which knows all games

        game = load(checkpoint_path)
        if not isinstance(game, cls):
            raise ValueError(f"{checkpoint_path} holds a {type(game).__name__}, not a {cls.__name__}")
        return game

    # --- the round ---

    def training_step(self, batches: list[Batch], batch_idx: int) -> None:
        assert self.seed is not None  # set by on_fit_start
        draw_from(self.device, self.seed, self.global_step, self.global_rank, *([self.noise] if self.noise else []))
        self.playing = True
        with tf32(True):
            # To Lightning the round is one step of one optimizer: its counters then count rounds.
            self.optimizers().step(closure=partial(self._round, batches))  # type: ignore[union-attr, call-arg]
        self.images_seen += sum(len(batch[0]) for batch in batches) * self.trainer.world_size
        self.playing = False
        if self.global_step % self.trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self.report()

    def _round(self, batches: list[Batch]) -> None:
        step = self.global_step
        batches = [differentiable(batch) for batch in batches]
        optimizers = self.optimizers().optimizer.of  # type: ignore[union-attr]
        self.before_round(batches, optimizers)
        for player, loss, batch in self.turns(step, batches):
            terms, gradients = self._play(player, loss, batch)
            gradients = mean_over_devices(gradients, self._statistics)
            learn(optimizers[player], self._weights[player], gradients, self.rate(step), self.scalers.get(player))
            self.after_turn(player)
            self.terms |= {f"{player}/{name}": term for name, term in terms.items()}
        self.after_round()
        self._unread.append((tuple(self.terms), torch.stack(list(self.terms.values()))))

    def move(self, player: str, loss: Loss, batch: Batch) -> tuple[Terms, list[Tensor | None]]:
        """The unit of work, tensors in and tensors out: the loss and its gradient for the player's own weights only.

        The opponent's weights get no gradient, not even a computed one. A weight that this loss does not touch gets None.
        In fp16 the gradient, but no loss, is that of the loss times the player's scale, which is one more term.
        """
        terms = loss(*batch)
        total = torch.stack(list(terms.values())).sum()
        terms = {name: term.detach() for name, term in terms.items()} | {"loss": total.detach()}
        if player in self.scalers:
            terms["loss_scale"] = self.scalers[player].factor.clone()
            total = total * terms["loss_scale"]
        with torch.autocast(total.device.type, enabled=False):  # or it would round what the loss has in float32
            gradients: list[Tensor | None] = list(torch.autograd.grad(total, self._weights[player], allow_unused=True))
        if player not in self.scalers:  # which know what to do when a gradient is not finite
            terms["gradient_norm"] = get_total_norm([gradient for gradient in gradients if gradient is not None])
        return terms, gradients

    def configure_optimizers(self) -> Optimizers:
        if self.device.type in ("cpu", "cuda"):
            self.to(memory_format=torch.channels_last)  # convolutions are faster in it
        self._weights = {
            name: [weight for weight in networks.parameters() if weight.requires_grad]
            for name, networks in self.players().items()
        }
        self._statistics = [buffer for buffer in self.buffers() if buffer.is_floating_point()]
        return Optimizers({name: self.optimizer(name, weights) for name, weights in self._weights.items()})

    # --- held-out data ---

    def validation_step(self, batches: list[Batch], batch_idx: int) -> None:
        self._evaluate("val", batches)

    def test_step(self, batches: list[Batch], batch_idx: int) -> None:
        self._evaluate("test", batches)

    def _evaluate(self, stage: str, batches: list[Batch]) -> None:
        """Log each loss once on held-out data, in evaluation mode and with nobody moving."""
        with torch.inference_mode(False), torch.enable_grad():  # gradient penalties differentiate here too
            held_out = [differentiable(tuple(x.clone() for x in batches[0]))] * self.minibatches
            turns = {loss.__name__: (player, loss, batch) for player, loss, batch in self.turns(self.global_step, held_out)}
            for player, loss, batch in turns.values():
                refuse_other_parts(loss, batch)
                terms = {f"{stage}/{player}/{name}": term.detach() for name, term in loss(*batch).items()}
                self.log_dict(terms, on_epoch=True, sync_dist=True, batch_size=len(batch[0]))
            terms = {f"{stage}/{name}": term.detach() for name, term in self.held_out_terms(*held_out[0]).items()}
            if self.trainer.state.fn == "fit":  # Lightning itself would log them a round too early
                terms |= {"step": torch.tensor(float(self.global_step)), "images_seen": torch.tensor(float(self.images_seen))}
            self.log_dict(terms, on_epoch=True, sync_dist=True, batch_size=len(held_out[0][0]))

    # --- logging ---

    def report(self) -> None:
        """Send the terms (mean over devices) to the loggers: the only time in a round that the host waits for the device.

        Raises:
            Diverged: NaN or infinity since the last report.
        """
        terms = self._read()
        (seen, then), now = self._reported, time.perf_counter()
        self._reported = (self.images_seen, now)
        speed = (self.images_seen - seen) / (now - then)
        self.measured = terms | {"images_seen": float(self.images_seen), "images_per_second": speed}
        for logger in self.trainer.loggers:
            logger.log_metrics(self.measured, step=self.global_step)

    def refuse_bad_numbers(self) -> None:
        """Raise Diverged if a term, a gradient or a weight is NaN or infinite: none such is to be saved."""
        if self._unread:
            self._read()

    def _read(self) -> dict[str, float]:
        """The latest terms, means over devices, on the host; those of all rounds since the last time must be finite."""
        names, rounds = zip(*self._unread, strict=True)
        self._unread = []
        padded = pad_sequence(list(rounds), batch_first=True).float()  # [rounds, most terms]: stages differ in theirs
        terms = self.trainer.strategy.reduce(padded, reduce_op="mean")
        bad = (~terms.isfinite()).flatten()
        first = torch.where(bad.any(), bad.int().argmax(), -1)
        weights = torch.stack([get_total_norm(weights) for weights in self._weights.values()])
        *values, at, last = torch.cat([terms[-1], first[None], weights.sum()[None]]).tolist()
        if at >= 0:
            which, term = divmod(int(at), terms.shape[1])
            player, _, name = names[which][term].partition("/")
            step = self.global_step - len(terms) + which + 1
            raise Diverged(f"round {step:,}: the {player}'s {name} is {terms[which, term].item()}", everywhere=True)
        if not math.isfinite(last):
            worst = next(
                player for player, norm in zip(self._weights, weights.tolist(), strict=True) if not math.isfinite(norm)
            )
            raise Diverged(f"round {self.global_step:,}: the {worst}'s weights are not finite", everywhere=True)
        return dict(zip(names[-1], values, strict=False))

    # --- the state of a run ---

    def setup(self, stage: str) -> None:
        self.scalers = loss_scalers(self.trainer.precision_plugin, self.players(), self.trainer.strategy.root_device)

    def on_fit_start(self) -> None:
        if self.trainer.log_every_n_steps < 1:  # type: ignore[attr-defined]
            raise ValueError("terms are read when they are logged: give --trainer.log_every_n_steps 1 or more")
        if self.seed is None:
            self.seed = self.trainer.strategy.broadcast(torch.initial_seed())
        data = getattr(self.trainer, "datamodule", None)
        if data is not None and hasattr(data, "units"):  # a ganzoo DataModule
            self.units = data.units()
        self._play = played(self.move, self._how, self.device)
        self.terms, self._unread = {}, []
        self.playing = False
        self._reported = (self.images_seen, time.perf_counter())

    def on_fit_end(self) -> None:
        del self._play  # a compiled function cannot be copied or pickled

    def on_train_start(self) -> None:
        if not self._goes_on and self.rate(self.global_step) == 0:
            raise ValueError(
                f"the learning rate has fallen to zero by round {self.global_step}: to train on, give --model.decay another end"
            )

    def on_train_batch_start(self, batch: list[Batch], batch_idx: int) -> None:
        if not self.terms:  # before the first round
            _, loss, first = next(self.turns(self.global_step, batch))
            refuse_other_parts(loss, first)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        ends = None if self._trainer is None else self.trainer.max_steps
        of = {"seed": self.seed, "noise": self.noise, "images_seen": self.images_seen, "max_steps": ends}
        scales = {player: scaler.state_dict() for player, scaler in self.scalers.items()}
        checkpoint["game"] = of | {"units": self.units, "scales": scales}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        refuse_misfit(checkpoint, self, dict(self.hparams))
        self.seed, self.images_seen = checkpoint["game"]["seed"], checkpoint["game"]["images_seen"]
        self.noise += checkpoint["game"].get("noise", 0)
        self._goes_on = checkpoint["game"].get("max_steps") not in (None, checkpoint["global_step"])
        self.units = checkpoint["game"].get("units")
        scales = checkpoint["game"].get("scales", {})
        for player in self.scalers.keys() & scales.keys():  # a run may go on in another precision
            self.scalers[player].load_state_dict(scales[player])


class Diverged(ValueError):
    """NaN or infinity: in a term, a gradient or a weight of a game, or in what its generator makes.

    Args:
        everywhere: whether all ranks come upon it in the same round.
    """

    def __init__(self, what: str, everywhere: bool = False) -> None:
        super().__init__(what)
        self.everywhere = everywhere


def differentiable(batch: Batch) -> Batch:
    """The batch, whose samples require a gradient: inside a compiled move torch 2.11 could not ask for it any more."""
    return tuple(x.requires_grad_() if x.is_floating_point() else x for x in batch)


def refuse_other_parts(loss: Loss, batch: Batch) -> None:
    """Raise ValueError, in one line, if the batch has other parts than the loss takes: a label is told by its integers."""
    takes = list(inspect.signature(loss).parameters.values())
    if any(part.kind is part.VAR_POSITIONAL for part in takes):
        return
    needed = sum(part.default is part.empty for part in takes)
    given = ["samples" if part.is_floating_point() else "label" for part in batch]
    wanted = ["label" if part.name == "label" else "samples" for part in takes]
    if not needed <= len(batch) or given != wanted[: len(batch)]:
        variant = type(getattr(loss, "__self__", loss)).__name__
        names = ", ".join(part.name for part in takes)
        raise ValueError(
            f"{variant}'s {loss.__name__} takes ({names}), and the data gives ({', '.join(given)}): choose other data, or set "
            "or leave out --data.labelled"
        )


def mean_over_devices(gradients: list[Tensor | None], statistics: Sequence[Tensor] = ()) -> list[Tensor | None]:
    """The gradients averaged over all ranks by one all-reduce, and with them, in place, statistics such as batch
    normalisation's. DDP's hooks see no gradient that autograd.grad returns."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return gradients
    present = [tensor for tensor in (*gradients, *statistics) if tensor is not None]
    flat = torch.cat([tensor.flatten() for tensor in present])
    dist.all_reduce(flat)
    parts = iter((flat / dist.get_world_size()).split([tensor.numel() for tensor in present]))
    means = [gradient if gradient is None else next(parts).view_as(gradient) for gradient in gradients]
    for statistic in statistics:
        statistic.copy_(next(parts).view_as(statistic))
    return means


def draw_from(device: torch.device, *key: int) -> None:
    """Make all random numbers from here on, on the host and on the device, a function of the key (non-negative ints)."""
    state = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    torch.default_generator.manual_seed(state)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(state)
    elif device.type == "mps":
        torch.mps.manual_seed(state)
