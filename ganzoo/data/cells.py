"""Tables in files, CSV or Parquet, as the texts of their cells: read, and written back as they stood."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from ganzoo.data.cache import replacing


@dataclass(frozen=True)
class Cells:
    """A table as it stands in its file.

    Args:
        columns: each one's name and the texts of its cells, in order; missing ones are empty, or as they were written.
        delimiter, newline, mark: how a CSV file is written; `mark` is whether it begins with a byte order mark.
        arrow: what a Parquet file held, for its types.
    """

    columns: dict[str, list[str]]
    delimiter: str = ","
    newline: str = "\n"
    mark: bool = False
    arrow: Any = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def but(self, columns: dict[str, list[str]]) -> Self:
        """The same table with other cells in some of its columns."""
        return replace(self, columns=self.columns | columns)

    def write(self, path: Path) -> None:
        """As CSV or Parquet, by the name: whole, or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self.parquet() if is_parquet(path) else self.text().encode()
        with replacing(path) as file:
            file.write(content)

    def text(self) -> str:
        to = io.StringIO(newline="")
        writer = csv.writer(to, delimiter=self.delimiter, lineterminator=self.newline)
        writer.writerow(self.columns)
        writer.writerows(zip(*self.columns.values(), strict=True))
        return ("\ufeff" if self.mark else "") + to.getvalue()

    def parquet(self) -> bytes:
        """Columns that a Parquet file had keep their types, if their cells still are of it; others are texts."""
        arrow, parquet = arrows()
        made = {name: arrow.array([cell or None for cell in cells], arrow.string()) for name, cells in self.columns.items()}
        for name in [] if self.arrow is None else self.arrow.column_names:
            was = self.arrow.column(name)
            made[name] = was if texts(was) == self.columns[name] else of_type(made[name], was.type, arrow)
        to = io.BytesIO()
        parquet.write_table(arrow.table(made), to)
        return to.getvalue()


def of_type(cells: Any, kind: Any, arrow: Any) -> Any:
    try:
        return cells.cast(kind)
    except arrow.ArrowException:
        return cells


def read_cells(path: str | Path) -> Cells:
    """The table in a CSV file with a header, delimited by commas, semicolons or tabs, or in a Parquet file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such table: no header, no rows, rows of other lengths, a name twice.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no table at {path.absolute()}")
    cells = of_parquet(path) if is_parquet(path) else of_csv(path)
    if not cells.columns or not len(cells):
        raise ValueError(f"{path} has no rows")
    return cells


def is_parquet(path: Path) -> bool:
    return path.suffix.lower() in (".parquet", ".pq")


def of_csv(path: Path) -> Cells:
    data = path.read_bytes()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 (byte {error.start:,})") from error
    mark, text = text.startswith("\ufeff"), text.removeprefix("\ufeff")
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key="".join(header.split('"')[::2]).count)  # outside of quotes; where there is none, the first
    try:
        names, *rows = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if line] or [[]]
    except csv.Error as error:
        raise ValueError(f"{path} is no CSV file ({error})") from error
    refuse_twice(names, path)
    for at, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(f"{path}, row {at + 1:,}: {len(row)} cells, and the header has {len(names)}")
    columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    return Cells(columns, delimiter, "\r\n" if header.endswith("\r") else "\n", mark)


def of_parquet(path: Path) -> Cells:
    arrow, parquet = arrows()
    try:
        table = parquet.read_table(path)
    except arrow.ArrowException as error:
        raise ValueError(f"{path} is no Parquet file ({' '.join(str(error).split())})") from error
    refuse_twice(table.column_names, path)
    return Cells({name: texts(table.column(name)) for name in table.column_names}, arrow=table)


def texts(column: Any) -> list[str]:
    return ["" if value is None else str(value) for value in column.to_pylist()]


def refuse_twice(names: Sequence[str], path: Path) -> None:
    for name in names:
        if list(names).count(name) > 1:
            raise ValueError(f"{path} has two columns named {name!r}")


def refuse_absent(names: Sequence[str], cells: Cells, where: str | Path) -> None:
    """Raise ValueError, in one line, for the first name that no column has."""
    for name in names:
        if name not in cells.columns:
            raise ValueError(f"{where} has no column {name!r}: it has {', '.join(list(cells.columns)[:20])}")


def arrows() -> tuple[Any, Any]:
    """pyarrow and its Parquet; raises ValueError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError("Parquet files need pyarrow: pip install 'ganzoo-lightning[tables]'") from error
    return pyarrow, pyarrow.parquet
