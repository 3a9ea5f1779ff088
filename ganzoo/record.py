"""A run's own record of its numbers, metrics.csv, which a run that goes on continues."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from ganzoo.data.cache import replacing

Row = dict[str, Any]


class Record(Logger):
    """Logs to `metrics.csv`: a row each time that something is logged, a column for each name, on disk at once.

    Args:
        folder: that the file lies in, and whatever else is kept of the run.
    """

    def __init__(self, folder: Path | str) -> None:
        super().__init__()
        self.path = Path(folder) / "metrics.csv"
        self._columns: list[str] = []

    @property
    def name(self) -> str:
        return self.path.parent.parent.name

    @property
    def version(self) -> str:
        return self.path.parent.name

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @property
    def log_dir(self) -> str:
        return self.save_dir

    @rank_zero_only
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Nothing: they are in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        row = {"step": step} | {name: getattr(value, "item", lambda value=value: value)() for name, value in metrics.items()}
        if not row.keys() <= set(self._columns) or not self.path.is_file():  # which somebody may have taken away
            rows = self.rows()
            self._know(row)
            self._write(rows)
        with self.path.open("a", newline="") as file:
            self._to(file).writerow(row)

    def rows(self) -> list[Row]:
        """What is there, as text; a last row that is not whole is left out."""
        if not self.path.is_file():
            return []
        lines = self.path.read_text().split("\n")[:-1]
        header, *rows = csv.reader(lines) if lines else [[]]
        self._know(header)
        return [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header)]

    def numbers(self) -> list[dict[str, float]]:
        """What is there; of each row the columns that it has."""
        return [{name: float(value) for name, value in row.items() if value} for row in self.rows()]

    def keep(self, wanted: Callable[[Row], bool]) -> None:
        """Forget all other rows."""
        if self.path.is_file():
            self._write(list(filter(wanted, self.rows())))

    def _know(self, names: Iterable[str]) -> None:
        """Give each name that has none a column of its own."""
        self._columns = list(dict.fromkeys([*self._columns, *names]))

    def _write(self, rows: list[Row]) -> None:
        text = io.StringIO(newline="")
        written = self._to(text)
        written.writeheader()
        written.writerows(rows)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as file:
            file.write(text.getvalue().encode())

    def _to(self, file: TextIO) -> "csv.DictWriter[str]":
        return csv.DictWriter(file, self._columns, lineterminator="\n")
