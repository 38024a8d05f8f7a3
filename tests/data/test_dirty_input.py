"""Damaged files, made from seeds: each ends in rows that add up or in one clear message, and no intact row is lost."""

import sys

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from medscale.base.config import ConfigError, resolve
from medscale.base.errors import UserError
from medscale.data.corpus import Corpus
from places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))
import dirty_input

DEMO = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text(encoding="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates() | st.binary() | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers() | st.dates(), inner),
    max_leaves=8,
)


KINDS = ["csv", "csv_gb18030", "json_lines", "json", "parquet", "csv_gz", "json_lines_gz", "config"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_ends_in_an_exception_or_loses_a_row(kind):
    found = dirty_input.examine(kind, range(60))
    assert found["defects"] == []
    assert sum(found["outcomes"].values()) == 60


def test_a_column_name_that_is_no_text_is_damage():
    assert dirty_input.examine("parquet", [975])["defects"] == []


def test_damage_is_a_function_of_the_seed_and_leaves_most_rows_intact():
    assert dirty_input.damaged("csv", 5) == dirty_input.damaged("csv", 5) != dirty_input.damaged("csv", 6)
    assert sum(len(dirty_input.intact("csv", dirty_input.damaged("csv", seed))) >= 6 for seed in range(40)) > 20


def test_every_row_of_a_whole_file_is_kept(tmp_path):
    for kind in ("csv", "csv_gb18030", "json_lines", "json", "parquet"):
        assert dirty_input.outcome(kind, dirty_input.KINDS[kind][1](), tmp_path) == ("rows", None)
    assert dirty_input.intact("csv", dirty_input.csv_bytes("utf-8")) == list(range(12))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (lambda self: list(READ(self))[:-1], "rows lost in silence: [11]"),
        (lambda self: [][0], "IndexError: list index out of range (test_dirty_input.py:"),
        (lambda self: complain("no file"), "unclear message: no file"),
        (lambda self: complain("data.csv: bad\nvery bad"), "unclear message: data.csv: bad\nvery bad"),
    ],
)
def test_what_must_not_happen_is_found(rows, problem, tmp_path, monkeypatch):
    monkeypatch.setattr(Corpus, "rows", rows)
    assert dirty_input.outcome("csv", dirty_input.csv_bytes("utf-8"), tmp_path)[1].startswith(problem)


READ = Corpus.rows


def complain(message: str) -> None:
    raise UserError(message)


@settings(derandomize=True, max_examples=150)
@given(st.sampled_from([*DEMO, "sizes"]), VALUES)
def test_a_section_of_any_value_is_accepted_or_refused_by_name(section, value):
    told = section
    try:
        resolve({**DEMO, section: value})
    except ConfigError as error:
        told = str(error)
    assert section in told or "cannot be a key" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model: {id: 2026-01-01}", "model.id = 2026-01-01: YAML reads this as date; write it in quotes"),
        ("model: {id: !!binary aGk=}", "model.id = b'hi': YAML reads this as bytes"),
        ("study: {sizes: !!set {a}}", "study.sizes = {'a'}: YAML reads this as set"),
        ("study: &a {sizes: [*a]}", "study.sizes.0: is nested too deeply, or holds itself"),
        ("2026-01-01: 3", "the configuration: datetime.date(2026, 1, 1) cannot be a key; write it in quotes"),
        ("- 1", "it must be sections (key: value), not [1]"),
    ],
)
def test_what_yaml_has_and_a_configuration_has_not_is_named(text, told):
    with pytest.raises(ConfigError) as error:
        resolve(yaml.safe_load(text))
    assert told in str(error.value)
