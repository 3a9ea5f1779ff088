"""Trials one after another, in a study that can be stopped anywhere and shared by several processes."""

import csv
import io
import json
import re
import time
import warnings
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, Trial, TrialState

from ganzoo.data.cache import replacing
from ganzoo.metrics.scores import greater_is_better
from ganzoo.metrics.stamp import Stamped
from ganzoo.tune import runs
from ganzoo.tune.plan import Plan
from ganzoo.tune.runs import Outcome

STARTUP = 5  # finished trials before one is pruned
WARMUP = 2  # the score from which on one is: the first says little of a game that has just begun
PATIENCE = 3  # failures before the first success, after which there is no going on
AGAIN = "again"  # attribute of a trial that repeats one that was cut off: the number of that one


class Tuning:
    """A study in `out`: `study.db`, a folder for each trial, `best.yaml` and `trials.csv`.

    What is tried is a function of the seed, the trial's number and what is known by then.

    Raises:
        ValueError: `out` holds a study of something else.
    """

    def __init__(self, plan: Plan, out: Path, seed: int = 0, pruning: bool = True) -> None:
        self.plan, self.out, self.seed = plan, out, seed
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        out.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(out / "study.lock")  # who chooses the next trial
        with self._lock:
            self.study = optuna.create_study(
                storage=optuna.storages.RDBStorage(
                    f"sqlite:///{out / 'study.db'}", engine_kwargs={"connect_args": {"timeout": 60}}
                ),
                study_name="ganzoo",  # one in a folder, whatever the file is called
                direction="maximize" if greater_is_better(plan.score) else "minimize",
                pruner=optuna.pruners.MedianPruner(STARTUP, WARMUP) if pruning else optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
            tuned = {"score": plan.score, "config": plan.content, "ranges": {name: str(of) for name, of in plan.ranges.items()}}
            if self.study.user_attrs.setdefault("tuned", tuned) != tuned:
                what = next(key for key in tuned if self.study.user_attrs["tuned"][key] != tuned[key])
                raise ValueError(f"{out} holds a study with another {what}: give another --out, or go on as it began")
            self.study.set_user_attr("tuned", tuned)

    def run(self, trials: int) -> None:
        """Until there are that many, earlier ones and those of other processes included.

        Raises:
            ValueError: none of the first few could be run.
        """
        while (begun := self.begin(trials)) is not None:
            trial, values, lock = begun
            try:
                since = time.perf_counter()
                command, hear = self.plan.command(values), partial(self.hear, trial)
                outcome = runs.play(command, self.folder(trial.number), self.plan.score, hear)
                trial.set_user_attr("seconds", round(time.perf_counter() - since, 1))
                self.finish(trial, outcome)
            except KeyboardInterrupt:
                with self._lock:
                    self.give_up(trial.number)
                raise
            finally:
                lock.release()

    # --- a trial's way ---

    def begin(self, trials: int) -> tuple[Trial, dict[str, Any], FileLock] | None:
        """The next one, its values, and the lock that says that somebody is at it; None if there is nothing left to do."""
        with self._lock:
            self.take_up()
            cut_off = self.cut_off()
            if sum(trial.number not in cut_off and trial.state != TrialState.WAITING for trial in self.trials) >= trials:
                return None
            draw = np.random.SeedSequence([self.seed, len(self.trials)]).generate_state(1)[0]
            self.study.sampler = optuna.samplers.TPESampler(seed=int(draw), constant_liar=True)
            trial = self.study.ask()
            self.folder(trial.number).mkdir(exist_ok=True)
            lock = FileLock(self.folder(trial.number) / "lock")
            lock.acquire()
            return trial, {name: of.suggest(trial, name) for name, of in self.plan.ranges.items()}, lock

    def hear(self, trial: Trial, number: int, score: Stamped) -> bool:
        """Whether to stop. The k-th score is compared with the others' k-th: images seen may differ with what is tuned."""
        trial.report(score.value, number)
        trial.set_user_attr("images_seen", score.origin.images_seen)
        return trial.should_prune()

    def finish(self, trial: Trial, outcome: Outcome) -> None:
        """To the sampler a trial that diverged is a bad one, one that failed says nothing."""
        trial.set_user_attr("outcome", outcome.state)
        trial.set_user_attr("reason", outcome.reason)
        state = {"finished": TrialState.COMPLETE, "failed": TrialState.FAIL}.get(outcome.state, TrialState.PRUNED)
        self.study.tell(trial, outcome.value if outcome.state == "finished" else None, state)
        with self._lock:
            self.write()
        values = ", ".join(f"{name} {brief(value)}" for name, value in trial.params.items())
        score = "" if outcome.value is None else f" {self.plan.score} {outcome.value:.4g},"
        reason = f" ({outcome.reason})" if outcome.reason else ""
        best = self.best()
        so_far = "" if best is None else f"; best so far {best.value:.4g}, trial {best.number}"
        print(f"trial {trial.number}: {values}:{score} {outcome.state}{reason}{so_far}", flush=True)
        ended = [other.user_attrs["outcome"] for other in self.trials if "outcome" in other.user_attrs]
        if set(ended) == {"failed"} and len(ended) >= PATIENCE:
            raise ValueError(f"the first {len(ended)} trials failed, the last one so: {outcome.reason}")

    def take_up(self) -> None:
        """Trials whose process has died begin anew. Nobody holds their lock any more, even after SIGKILL."""
        for trial in self.trials:
            if trial.state == TrialState.RUNNING:
                self.folder(trial.number).mkdir(exist_ok=True)
                with suppress(Timeout), FileLock(self.folder(trial.number) / "lock", timeout=0):
                    self.give_up(trial.number)

    def give_up(self, number: int) -> None:
        trial = self.trials[number]
        if trial.state == TrialState.RUNNING:
            if number not in self.cut_off():
                self.study.enqueue_trial(trial.params, {AGAIN: number})
            self.study.tell(number, state=TrialState.FAIL)

    # --- what there is ---

    @property
    def trials(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    def cut_off(self) -> set[int]:
        return {trial.user_attrs[AGAIN] for trial in self.trials if AGAIN in trial.user_attrs}

    def folder(self, number: int) -> Path:
        return self.out / f"trial-{number:04d}"

    def best(self) -> FrozenTrial | None:
        """Of those that finished."""
        finished = [trial for trial in self.trials if trial.state == TrialState.COMPLETE]
        sign = -1 if greater_is_better(self.plan.score) else 1
        return min(finished, key=lambda trial: sign * (trial.value or 0.0), default=None)

    def state(self, trial: FrozenTrial) -> str:
        return "cut off" if trial.number in self.cut_off() else trial.user_attrs.get("outcome", trial.state.name.lower())

    def write(self) -> None:
        """best.yaml and trials.csv, as of now."""
        text = io.StringIO(newline="")
        rows = csv.writer(text)
        told = ("seconds", "images_seen", "reason")
        rows.writerow(["trial", *self.plan.ranges, self.plan.score, "state", *told])
        for trial in self.trials:
            last = trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None
            values = [scalar_of(trial.params.get(name)) for name in self.plan.ranges]
            rows.writerow([trial.number, *values, last, self.state(trial), *(trial.user_attrs.get(name) for name in told)])
        with replacing(self.out / "trials.csv") as file:
            file.write(text.getvalue().encode())
        best = self.best()
        config = None if best is None else next(self.folder(best.number).glob("*/version_0/config.yaml"), None)
        if best is not None and config is not None:
            head = f"# {self.plan.score} {best.value:.6g}: trial {best.number} of {self.plan.name}\n"
            content = re.sub(r"^runs: .*\n", "", config.read_text(), flags=re.MULTILINE)  # it goes where others go
            with replacing(self.out / "best.yaml") as file:
                file.write((head + content).encode())


def scalar_of(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def brief(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
