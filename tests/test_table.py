"""Tables: columns of numbers and categories, their gaps, their files."""

import numpy as np
import pytest
import torch

import ganzoo
from ganzoo.data.cells import read_cells
from ganzoo.data.columns import Column, decoded, encoded
from ganzoo.data.table import GIVEN, HIDDEN, MISSING

CSV = """name,age,size,kind
ann,20,1.50,a
bob,,2.25,b
cid,40,NA,a
dan,60,0.5,?
eve,30,1.0,b
"""


@pytest.fixture
def path(tmp_path):
    made = tmp_path / "table.csv"
    made.write_text(CSV)
    return made


def table(path, **how) -> ganzoo.Table:
    made = ganzoo.Table(path=str(path), **({"take": ["age", "size", "kind"], "held_out": 0.0} | how))
    made.setup()
    return made


def test_numbers_and_categories_are_told_apart_and_scaled(path):
    data = table(path)
    assert data.shape == (4,) and data.widths == (1, 1, 2)
    age, size, kind = (Column.read(said) for said in data.units()["columns"])
    assert (age.low, age.high, age.decimals) == (20, 60, 0)
    assert (size.low, size.high, size.decimals) == (0.5, 2.25, 2)
    assert kind.categories == ("a", "b")
    rows, mask = data.train.__getitems__([0, 1, 2, 3])
    assert rows.dtype == mask.dtype == torch.float32
    assert mask.tolist() == [[1, 1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, -1]]
    assert rows[0].tolist() == pytest.approx([0, 1 / 1.75, 1, 0])
    assert rows[1, 0].item() == pytest.approx(((20 + 40 + 60 + 30) / 4 - 20) / 40), "a gap has the column's mean"
    assert rows[3, 2:].tolist() == [0.5, 0.5]
    assert torch.equal(data.real_samples(1), rows[:1])
    assert len(data.real_samples(9)) == 2, "ann and eve are complete"


def test_scaling_is_undone():
    column = Column.of("x", ["1.25", "", "-3", "7.5"])
    assert column.decoded(column.encoded(["1.25", "-3", "7.5"])) == ["1.25", "-3.00", "7.50"]
    assert Column.of("x", ["5.0", "7.0", "nan"]).decoded(np.array([[0.4]], np.float32)) == ["6"]
    assert Column.of("x", ["1e-7", "3e-7"]).decoded(np.array([[0.5]], np.float32)) == ["2e-07"]
    kind = Column.of("k", ["b", "a", "b"])
    assert kind.decoded(np.array([[0.4, 0.6]])) == ["b"]
    assert Column.read(column.said()) == column and Column.read(kind.said()) == kind


def test_rows_of_several_columns_come_back(path):
    cells = read_cells(path)
    columns = [Column.of(name, cells.columns[name]) for name in ("age", "kind")]
    again = decoded(columns, np.nan_to_num(encoded(columns, cells.columns)))
    assert again["age"][0] == "20" and again["kind"][4] == "b"


def test_a_constant_column_stays_what_it_is():
    column = Column.of("x", ["3", "3", ""])
    assert column.encoded(["3", "8"]).tolist() == [[0], [0]]
    assert column.decoded(np.array([[0.7]], np.float32)) == ["3"]


def test_cells_are_hidden_completely_at_random():
    data = ganzoo.BreastCancer()
    assert data.shape == (30,) and len(data.rows) == 569
    share = (data.mask == HIDDEN).mean()
    assert 0.18 < share < 0.22 and not (data.mask == MISSING).any()
    again, other = ganzoo.BreastCancer(), ganzoo.BreastCancer(missing_seed=1)
    assert (data.mask == again.mask).all() and not (data.mask == other.mask).all()
    given = np.where(data.mask[data.training] == GIVEN, data.rows[data.training], np.nan)
    assert np.nanmin(given, 0).tolist() == [0] * 30 and np.nanmax(given, 0) == pytest.approx([1] * 30)
    data.setup()
    assert data.held_out is not None and len(data.held_out) == 57 and len(data.train) == 512
    assert not set(data.training) & set(data.others)


def test_what_is_hidden_says_nothing_of_the_range(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "\n".join(f"{i},{i}" for i in range(50)))
    data = table(path, take=None, missing=0.5)
    for at, column in enumerate(data.columns):
        given = np.arange(50)[data.mask[:, at] == GIVEN]
        assert (column.low, column.high) == (given.min(), given.max())


def test_scores_are_against_complete_rows(path, tmp_path):
    data = table(path)
    assert len(data.targets_of(data.train)) == 2  # ann and eve
    gappy = tmp_path / "gappy.csv"
    gappy.write_text("x,y\n1,\n,2\n2,\n,3\n")
    data = table(gappy, take=None)
    assert len(data.real_samples(9)) == 4
    with pytest.raises(ValueError, match="complete rows"):
        data.targets_of(data.train)


@pytest.mark.parametrize(
    "text, how, says",
    [
        ("x,y\n1,2\nten,3\n4,5\n", {"missing": 0.5}, "column x is of numbers, and has the text 'ten'"),
        ("x,y\n1,\n2,NA\n", {}, "column y has no value in any row"),
        ("x,y\n1,2\n,4\n", {"take": ["z"]}, "has no column 'z': it has x, y"),
        ("x,y\n1,2\n,4\n", {"categorical": ["z"]}, "has no column 'z'"),
        ("x,y\n1,2\n3,4\n", {}, "no cell of .* is missing: set --data.missing"),
        ("x,y\n1,2\n3\n", {}, "row 2: 1 cells, and the header has 2"),
        ("x,x\n1,2\n", {}, "two columns named 'x'"),
        ("x,y\n", {}, "has no rows"),
        ("", {}, "has no rows"),
        ("x,y\n1,2\n", {"missing": 1.0}, "missing is a share"),
        ("x,y\n1,\n3,4\n", {"held_out": 0.9}, "none of .*'s 2 rows is left to train on: set --data.held_out to less than 0.9"),
        ("x,y\n1,\n", {"split_seed": -1}, "split_seed must be at least 0, not -1"),
        ("x\n" + "\n".join(f"n{i}" for i in range(101)), {"missing": 0.1}, "101 different texts"),
        ("x,y\n1,2\n3,\n", {"missing": 0.999}, "has no value left in any training row"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path, text, how, says):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says) as caught:
        table(path, **({"take": None} | how))
    assert "\n" not in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no table at"):
        ganzoo.Table(path=str(tmp_path / "none.csv"))
    (tmp_path / "latin.csv").write_bytes("x,y\n1,é\n".encode("latin-1"))
    with pytest.raises(ValueError, match="not text in UTF-8"):
        ganzoo.Table(path=str(tmp_path / "latin.csv"))
    (tmp_path / "t.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no Parquet file"):
        ganzoo.Table(path=str(tmp_path / "t.parquet"))


def test_a_delimiter_in_a_quoted_name_is_none(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('"size; width; height",kind\n1,2\n')
    assert read_cells(path).columns == {"size; width; height": ["1"], "kind": ["2"]}


@pytest.mark.parametrize("text", ['a;b\r\n"x;y";1\r\n;2,5\r\n', "\ufeffa\tb\n1\t\n", 'a,b\n"two\nlines",1\n'])
def test_csv_is_written_back_as_it_stood(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    read_cells(path).write(tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_bytes() == text.encode()


def test_parquet_keeps_its_types(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    of = arrow.table({"x": [1.5, None, 2.5], "n": [1, 2, None], "k": ["a", None, "b"], "ok": [True, False, None]})
    parquet.write_table(of, tmp_path / "t.parquet")
    cells = read_cells(tmp_path / "t.parquet")
    assert cells.columns["x"] == ["1.5", "", "2.5"]
    cells.but({"x": ["1.5", "2", "2.5"], "n": ["1", "2", "3"]}).write(tmp_path / "again.parquet")
    again = parquet.read_table(tmp_path / "again.parquet")
    assert again.schema.equals(of.schema)
    assert again.to_pydict() == {"x": [1.5, 2.0, 2.5], "n": [1, 2, 3], "k": ["a", None, "b"], "ok": [True, False, None]}
    assert ganzoo.Table(path=str(tmp_path / "t.parquet"), held_out=0.0).widths == (1, 1, 2, 2)


def test_the_stream_gives_rows_with_their_masks(path):
    data = table(path)
    for indices in ([0], [3, 1, 1], np.array([4, 0])):
        rows, mask = data.train.__getitems__(indices)
        assert torch.equal(rows, torch.from_numpy(data.rows[np.asarray(indices)]))
        assert torch.equal(mask, torch.from_numpy(data.mask[np.asarray(indices)]))
        there = data.train.on(torch.device("cpu"))(torch.tensor(np.asarray(indices)))
        assert all(torch.equal(one, other) for one, other in zip(there, (rows, mask), strict=True))
