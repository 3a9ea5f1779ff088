"""`ganzoo tune`: Optuna over the ranges that a file declares."""

import argparse
import sys
from pathlib import Path

from ganzoo.tune.plan import find, read
from ganzoo.tune.runs import status_of, terminable

ABOUT = """Find good values of a config's options by Optuna.

FILE is YAML, such as:

  config: dcgan_digits.yaml          # what is tuned: a bundled config or a path
  ranges:                            # options of ganzoo fit
    model.lr: {low: 1e-5, high: 1e-2, log: true}
    model.betas: {choices: [[0.0, 0.9], [0.5, 0.999]]}
    model.discriminator_steps: {low: 1, high: 5}
  score: fd_effnet_lite0             # its last value decides; without it the config's evaluation.best
  trials: 20

Every trial is a run in a process of its own. Once five have finished, one whose second or later score is worse than
the median of theirs is stopped; one that diverges or fails is noted with its reason, and the study goes on. All is kept
in the folder --out: stopped anywhere and started again by the same command, it goes on with the trial that was cut off.
Started twice at once on the same machine, the two share the trials. At the end best.yaml, a whole config, and
trials.csv lie there."""


def tune_command(arguments: list[str]) -> None:
    """Run the command.

    Raises:
        ValueError: a file that is wrong, or Optuna is not installed.
    """
    parser = argparse.ArgumentParser(
        "ganzoo tune",
        usage="%(prog)s FILE [OPTIONS] [OPTIONS OF ganzoo fit]",
        description=ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("file", metavar="FILE", help="a path, or the name of a bundled one (dcgan_digits.yaml)")
    parser.add_argument("--out", type=Path, help="folder of the study (runs/tune/NAME OF FILE)")
    parser.add_argument("--trials", type=int, help="how many in all, earlier ones included (as FILE says, or 20)")
    parser.add_argument("--seed", type=int, default=0, help="of what is tried; a run's own is --seed_everything (0)")
    parser.add_argument("--no-pruning", action="store_true", help="let every trial run to its end")
    parser.add_argument("--wandb-sweep", action="store_true", help="only print the same as a sweep of Weights & Biases")
    given, rest = parser.parse_known_args(arguments)
    if given.seed < 0 or (given.trials is not None and given.trials < 1):
        raise ValueError("--trials must be at least 1 and --seed at least 0")
    plan = read(find(given.file), rest)
    if given.wandb_sweep:
        print(plan.sweep(), end="")
        return
    try:
        from ganzoo.tune.study import Tuning
    except ModuleNotFoundError as error:
        raise ValueError("ganzoo tune needs Optuna: pip install 'ganzoo-lightning[tune]'") from error
    out = given.out or Path("runs") / "tune" / plan.name
    tuning = Tuning(plan, out, given.seed, not given.no_pruning)
    try:
        with terminable():
            tuning.run(given.trials or plan.trials)
    except KeyboardInterrupt as interrupt:
        print("stopped: the same command goes on", file=sys.stderr)
        sys.exit(status_of(interrupt))
    finally:
        print(f"study: {out}", file=sys.stderr)
    if (best := tuning.best()) is None:
        raise ValueError(f"no trial has finished: {out / 'trials.csv'} says why")
    print(f"best: {plan.score} {best.value:.4g}, trial {best.number}: ganzoo fit --config {out / 'best.yaml'}", file=sys.stderr)
