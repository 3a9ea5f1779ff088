"""What the documentation says of the tests."""

import re

import pytest
from conftest import REPOSITORY

FAULTS = (REPOSITORY / "docs" / "faults.md").read_text()
NAMED = sorted(set(re.findall(r"`(test_\w+)::(test_\w+)`", FAULTS)))


@pytest.mark.parametrize("file, test", NAMED)
def test_the_tests_of_faults_exist(file, test):
    [path] = (REPOSITORY / "tests").rglob(f"{file}.py")
    assert f"def {test}(" in path.read_text()


def test_every_fault_has_its_test():
    rows = [line for line in FAULTS.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    assert len(rows) >= 25
    assert all("`test_" in row.rsplit("|", 2)[1] for row in rows)
