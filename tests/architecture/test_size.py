"""Files and functions stay small enough to read in one go."""

from __future__ import annotations

from itertools import chain
from statistics import quantiles

from tests.architecture.source import ROOT, function_lengths, package_files

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_FUNCTION_LINES_P90 = 25


def test_no_file_is_longer_than_400_lines() -> None:
    """A file over 400 lines holds two subjects: split it."""
    lengths = {str(file): len((ROOT / file).read_text().splitlines()) for file in package_files()}
    assert {file: n for file, n in lengths.items() if n > MAX_FILE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    """A function over 60 lines, docstring included, has steps that want names."""
    lengths = dict(chain.from_iterable(map(function_lengths, package_files())))
    assert {name: n for name, n in lengths.items() if n > MAX_FUNCTION_LINES} == {}


def test_nine_functions_of_ten_have_at_most_25_lines() -> None:
    """Long functions are exceptions."""
    lengths = [n for file in package_files() for _, n in function_lengths(file)]
    assert quantiles(lengths, n=10)[-1] <= MAX_FUNCTION_LINES_P90
