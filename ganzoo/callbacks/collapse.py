"""Is this run still a game? Numbers that tell, and a line in plain words when it is not."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import lightning as L
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from ganzoo.callbacks.remedies import GONE, NOT_FINITE, STILL, WON, remedies
from ganzoo.game import Batch, Game, draw_from
from ganzoo.metrics.variety import Variation, above_zero, from_afar
from ganzoo.optimizers import Optimizers
from ganzoo.translation import Translator

PATIENCE = {WON: 3, GONE: 3, STILL: 1, NOT_FINITE: 1}  # checks in a row until it is said
AGAIN = 10  # checks until it is said again
OVER = {
    WON: "the discriminator has not won any more",
    GONE: "modes are back",
    STILL: "the players move again",
    NOT_FINITE: "numbers are finite again",
}
STILLNESS = 1e-7  # a round: of a weight's own size, this is about the least change that float32 can hold


class CollapseWatch(L.Callback):
    """Every `every_steps` rounds: has the discriminator won, are modes gone, does nothing move, are numbers not finite?

    To all loggers go, as `watch/...`, means over devices:

    - `PLAYER/gradient_norm`: of the gradient in the player's latest turn.
    - `PLAYER/moved`: how far the player's weights have moved since the last check, over their own norm.
    - `PLAYER/loss_ratio`: the player's loss over the size of its loss in the first round. It says little of a critic, whose
      loss has no zero point.
    - `accuracy_real`, `accuracy_fake`: the share of the latest real batch, and of as many fakes, that D puts on its side of
      the midpoint between what it says on average of reals and of fakes. The midpoint and not zero, because neither a
      critic's scale nor an autoencoder's errors have a natural threshold: so all variants' numbers mean the same.
    - `margin`: how far apart these averages are, in standard deviations within each kind.
    - `coverage`, `diversity`, `distinct`: of samples, 1 where they are as various as real data (`ganzoo.metrics.variety`).

    A line on the console says what is wrong, and which options may help: when it begins (of D and of modes when three checks
    in a row agree), when it is still so ten checks later, and when it is over. Training does not notice: with and without
    the watch it ends bit for bit the same.

    The discriminator has won if its accuracies are 0.99, its margin is 10 and coverage below 0.5; modes are gone if coverage or
    distinct is below 0.25. These lie between what was seen. On the ring (gan_ring.yaml with a width of 64, batches of 128 and
    seed 0) nine healthy variants had margins of at most 4 and, from round 400 on, coverages of at least 0.35; against a
    generator that did not learn the margin became 12 to 109, but 3.4 for WGAN, whose clipped critic can never win. A GAN
    whose generator learned ten times as fast as its discriminator chased around the ring with coverages of 0.05 to 0.20.
    Why coverage counts: dcgan_digits.yaml is well (0.95 to 1.00 in 2,000 rounds) though its D is always right, by up to 12.

    Args:
        every_steps: rounds between two checks; 0 for none at all.
        n: samples at each check; four times as many real ones are kept of the first rounds.
    """

    def __init__(self, every_steps: int = 500, n: int = 256) -> None:
        if every_steps < 0 or n < 2:
            raise ValueError("--watch.every_steps is at least 0, which is never, and --watch.n at least 2")
        self.every_steps, self.n = every_steps, n
        self.values: dict[str, float] = {}  # of the latest check
        self.found: dict[str, str] = {}  # by it: troubles, in words
        self.first_losses: dict[str, Tensor] = {}
        self._streaks: dict[str, int] = {}  # of each trouble: checks in a row
        self._variation: Variation | None = None  # as soon as there are real samples enough
        self._real: list[Tensor] = []  # until then
        self._weights: dict[str, list[Tensor]] = {}  # of each player at the last check
        self._checked_at = self._round = 0
        self._gradient_norms: dict[str, Tensor] = {}
        self._hooks: list[Any] = []

    # --- when ---

    def on_train_start(self, trainer: L.Trainer, game: Game) -> None:  # type: ignore[override]
        if self.every_steps and not self._weights:
            self._checked_at = trainer.global_step
            self._weights = {player: [weight.clone() for weight in weights] for player, weights in weights_of(game).items()}
        self._move(game.device)  # what comes out of a checkpoint is on the CPU

    def _move(self, device: torch.device) -> None:
        for tensors in (*self._weights.values(), self._real):
            tensors[:] = [tensor.to(device) for tensor in tensors]
        of = {} if self._variation is None else vars(self._variation)
        of |= {name: value.to(device) for name, value in of.items() if isinstance(value, Tensor)}

    def on_train_batch_start(self, trainer: L.Trainer, game: Game, *_: object) -> None:  # type: ignore[override]
        if self.every_steps and (trainer.global_step + 1) % self.every_steps == 0:
            [optimizers] = trainer.optimizers
            assert isinstance(optimizers, Optimizers)
            self._gradient_norms = {}
            self._hooks = [of.register_step_pre_hook(partial(self._catch, player)) for player, of in optimizers.of.items()]

    def on_train_batch_end(  # type: ignore[override]
        self, trainer: L.Trainer, game: Game, outputs: object, batches: list[Batch], batch_idx: int
    ) -> None:
        if not self.every_steps:
            return
        self._round = trainer.global_step
        self.first_losses = losses(game) | self.first_losses
        if self._variation is None and type(game).sample is not Game.sample:
            self._collect([batch[-1 if isinstance(game, Translator) else 0] for batch in batches])
        if trainer.global_step % self.every_steps == 0:
            self.check(trainer, game, batches[-1])

    # --- what ---

    def check(self, trainer: L.Trainer, game: Game, batch: Batch) -> None:
        """On all ranks together: measure, log, and say what is wrong."""
        while self._hooks:
            self._hooks.pop().remove()
        rounds, self._checked_at = trainer.global_step - self._checked_at, trainer.global_step
        assert game.seed is not None  # since on_fit_start
        draw_from(game.device, game.seed, trainer.global_step, trainer.global_rank, 1)
        with torch.no_grad(), trainer.precision_plugin.forward_context(), unchanged(game):
            measured = {**self._of_players(game), **opinions(game, batch), **self._of_samples(game, len(batch[0]))}
        means = trainer.strategy.reduce(torch.stack([x.float() for x in measured.values()]), reduce_op="mean")
        self.values = dict(zip(measured, means.tolist(), strict=True))
        for logger in trainer.loggers:
            row = {f"watch/{name}": value for name, value in self.values.items()} | {"images_seen": float(game.images_seen)}
            logger.log_metrics(row, step=trainer.global_step)
        # In fp16 a gradient overflows now and then, and its scale is halved: no trouble before that is below 1.
        scaled = {f"{player}/gradient_norm" for player, scaler in game.scalers.items() if scaler.get_scale() >= 1}
        telling = {name: value for name, value in self.values.items() if name not in scaled}
        self.found = troubles(telling, rounds, game.rate(trainer.global_step))
        self._tell(trainer, game, self.found)

    def _of_players(self, game: Game) -> dict[str, Tensor]:
        found = {}
        for player, norm in self._gradient_norms.items():
            found[f"{player}/gradient_norm"] = norm.to(game.device)
        playing = self._gradient_norms.keys()  # in this stage of the game
        for player, loss in ((player, loss) for player, loss in losses(game).items() if player in playing):
            found[f"{player}/loss_ratio"] = loss / above_zero(self.first_losses[player].to(game.device).abs())
        for player, weights in ((player, weights) for player, weights in weights_of(game).items() if player in playing):
            found[f"{player}/moved"] = self._moved(self._weights[player], weights)
        return found

    def _moved(self, then: list[Tensor], now: list[Tensor]) -> Tensor:
        """How far the weights have moved over their norm; `then` becomes what they are now, and no memory is taken."""
        size = get_total_norm(then)
        torch._foreach_sub_(then, now)
        distance = get_total_norm(then)
        torch._foreach_copy_(then, now)
        return distance / above_zero(size)

    def _of_samples(self, game: Game, batch_size: int) -> dict[str, Tensor]:
        """In portions of a batch, which need no more memory than training did."""
        if self._variation is None:
            return {}
        sizes = [min(batch_size, self.n - done) for done in range(0, self.n, batch_size)]
        return self._variation(torch.cat([from_afar(game.sample(size)) for size in sizes]))._asdict()

    def _collect(self, real: list[Tensor]) -> None:
        self._real += [from_afar(part.detach()) for part in real]
        if sum(map(len, self._real)) >= 4 * self.n:
            self._variation = Variation(torch.cat(self._real)[: 4 * self.n], self.n)
            self._real = []

    def _catch(self, player: str, optimizer: torch.optim.Optimizer, *_: object) -> None:
        """Just before an optimizer steps, when its weights have their gradients, averaged over devices."""
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        self._gradient_norms[player] = get_total_norm([weight.grad for weight in weights if weight.grad is not None])

    # --- in words ---

    def _tell(self, trainer: L.Trainer, game: Game, found: dict[str, str]) -> None:
        """Lines of what has begun, is still so, or is over."""
        blind = NOT_FINITE in found  # what is not finite says nothing of the other troubles
        for trouble, patience in PATIENCE.items():
            if blind and trouble != NOT_FINITE:
                continue
            before = self._streaks.get(trouble, 0)
            self._streaks[trouble] = before + 1 if trouble in found else 0
            late = self._streaks[trouble] - patience
            if trouble in found and late >= 0 and late % AGAIN == 0:
                rounds = trainer.max_steps if trainer.max_steps > 0 else 10 * trainer.global_step
                advice = ", or ".join(remedies(game, trouble, rounds))
                self._say(trainer, f"{'still: ' if late else ''}{found[trouble]}{'. Try ' if advice else ''}{advice}")
            elif trouble not in found and before >= patience:
                self._say(trainer, OVER[trouble])

    def _say(self, trainer: L.Trainer, what: str) -> None:
        if trainer.is_global_zero:
            console = getattr(trainer.progress_bar_callback, "console", None) or Console(stderr=True)
            console.print(f"round {trainer.global_step:,}: {what}", highlight=False, markup=False, soft_wrap=True)

    # --- the state of a run ---

    def state_dict(self) -> dict[str, Any]:
        return {
            "first_losses": {player: float(loss) for player, loss in self.first_losses.items()},
            "found": self.found,
            "streaks": self._streaks,
            "checked_at": self._checked_at,
            # Right after a check, when most checkpoints are written, they are the game's own.
            "weights": {} if self._round == self._checked_at else self._weights,
            "variation": None if self._variation is None else vars(self._variation),
            "real": self._real,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.first_losses = {player: torch.tensor(loss) for player, loss in state_dict["first_losses"].items()}
        if "streaks" not in state_dict:  # an early checkpoint
            return
        self.found = state_dict.get("found", {})
        self._streaks, self._checked_at = state_dict["streaks"], state_dict["checked_at"]
        self._weights, self._real = state_dict["weights"], state_dict["real"]
        if state_dict["variation"] is not None:
            self._variation = Variation.__new__(Variation)
            vars(self._variation).update(state_dict["variation"])


def troubles(values: dict[str, float], rounds: int, rate: float) -> dict[str, str]:
    """What the numbers say is wrong, in words.

    Args:
        values: as `CollapseWatch` logs them, without `watch/`.
        rounds: since the last check.
        rate: factor on the learning rates, with which all movement shrinks.
    """
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        return {NOT_FINITE: f"numbers are not finite: {', '.join(broken)}"}
    found = {}
    moved = {name.removesuffix("/moved"): value for name, value in values.items() if name.endswith("/moved")}
    margin, coverage, distinct = values.get("margin", 0.0), values.get("coverage", 1.0), values.get("distinct", 1.0)
    reach = f"samples reach {coverage:.0%} of the data"
    alone = len(moved) == 1  # in a stage before the game, whose samples are not yet what it is about
    if not alone and margin >= 10 and min(values["accuracy_real"], values["accuracy_fake"]) >= 0.99 and coverage < 0.5:
        found[WON] = f"the discriminator has won: to it real and fake are {margin:.0f} standard deviations apart, and {reach}"
    if not alone and (coverage < 0.25 or distinct < 0.25):
        found[GONE] = f"modes are gone: {reach if coverage < 0.25 else f'{1 - distinct:.0%} of the samples are near copies'}"
    still = [f"the {player}'s weights" for player, share in moved.items() if share < STILLNESS * rate * rounds]
    if still:
        found[STILL] = f"nothing moves: {' and '.join(still)} are where they were {rounds:,} rounds ago"
    return found


def opinions(game: Game, batch: Batch) -> dict[str, Tensor]:
    """How well D tells the batch from fakes, in training mode as in its turn; nothing of a game without such a D."""
    asked: Any = getattr(game, "opinions", None)
    if asked is None:
        return {}
    real, fake = asked(*batch)
    if len(real) < 4:  # too few to have a spread
        return {}
    middle = (real.mean() + fake.mean()) / 2
    spread = ((real.var() + fake.var()) / 2).sqrt()
    return {  # a D that says the same of all is right half the time
        "accuracy_real": ((real > middle).float() + 0.5 * (real == middle)).mean(),
        "accuracy_fake": ((fake < middle).float() + 0.5 * (fake == middle)).mean(),
        "margin": (real.mean() - fake.mean()) / above_zero(spread),
    }


def losses(game: Game) -> dict[str, Tensor]:
    """Each player's, of its latest turn."""
    return {name.removesuffix("/loss"): term for name, term in game.terms.items() if name.endswith("/loss")}


def weights_of(game: Game) -> dict[str, list[Tensor]]:
    """Those that each player trains."""
    return {
        player: [weight.detach() for weight in networks.parameters() if weight.requires_grad]
        for player, networks in game.players().items()
    }


@contextmanager
def unchanged(network: nn.Module) -> Iterator[None]:
    """Buffers, such as batch normalisation's statistics, are afterwards what they were before."""
    before = [(buffer, buffer.clone()) for buffer in network.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
