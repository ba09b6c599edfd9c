"""YAML as a run file means it."""

import contextlib
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import yaml_text
from trainer.errors import BadInput

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


@given(plain)
def test_what_is_written_is_read_as_the_same(value):
    for text in (yaml_text.dump(value), yaml_text.inline(value)):
        read = yaml_text.parse(text, "here")
        assert read == value
        assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-4", 3e-4),
        ("1_310_720", 1310720),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-2", -2),
        ("010", 10),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        (".inf", ".inf"),
        ("true", True),
        ("~", None),
        ("", None),
        ("'3'", "3"),
    ],
)
def test_plain_scalars(text, value):
    read = yaml_text.parse(text, "here")
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3, column 1", "line 1 has it already"),
        ("a:\n  b: 1\n  b: 2", "line 3, column 3", "each key once"),
        ("a: [1", "line 1, column 6", "YAML"),
        ("a: b: c", "line 1, column 5", "YAML"),
        ("\ta: 1", "line 1, column 1", "YAML"),
        ("a: 1\n b: 2", "line 2", "YAML"),
        ("1: 2", "line 1, column 1", "a word as the key"),
        ("null: 2", "line 1, column 1", "a word as the key"),
        ("[1]: 2", "line 1, column 1", "a word as the key"),
        ("a: 1e999", "line 1, column 4", "numbers up to"),
        ("a: " + "9" * 5000, "line 1, column 4", "numbers up to"),
        ("a: *b", "line 1, column 4", "no aliases"),
        ("a: &a [1]\nb: *a", "line 2, column 4", "no aliases"),
        ("&a {a: *a}", "line 1, column 8", "no aliases"),
        ("a: !!python/object/apply:os.system [ls]", "line 1, column 4", "without tags"),
        ("a: !!timestamp 2026-01-01", "line 1, column 4", "without tags"),
        ("a: !!bool abc", "line 1, column 4", "without tags"),
        ("a: !!int abc", "line 1, column 4", "without tags"),
        ("a: !mine {}", "line 1, column 4", "without tags"),
        ("a: 1\nb: \x01", "line 2, column 4", "printable"),
        ("--- 1\n--- 2", "line 2", "YAML"),
        ("a: " + "[" * 5000, "line 1, column 35", "levels deep"),
    ],
)
def test_faults_tell_line_column_and_what_is_allowed(text, where, said):
    with pytest.raises(BadInput) as caught:
        yaml_text.parse(text, "here")
    assert caught.value.field.startswith("here")
    assert where in caught.value.field
    assert said in caught.value.allowed
    assert caught.value.cure


def test_a_value_that_is_there_twice_is_written_twice():
    shared = [1, {"a": 2}]
    for text in (yaml_text.dump({"x": shared, "y": shared}), yaml_text.inline({"x": shared, "y": shared})):
        assert yaml_text.parse(text, "here") == {"x": shared, "y": shared}


def test_a_small_file_cannot_become_a_large_value():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    with pytest.raises(BadInput, match="no aliases"):
        yaml_text.parse("\n".join(lines), "here")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    value = None
    with contextlib.suppress(BadInput):
        value = yaml_text.parse(text, "here")
    assert value is None or isinstance(value, str | int | float | bool | list | dict)


@given(st.dictionaries(st.sampled_from(["a", "b"]), st.floats(allow_nan=False, allow_infinity=False), max_size=2))
def test_numbers_of_yaml_1_1_writers_are_read_alike(value):
    read = yaml_text.parse(yaml.safe_dump(value), "here")
    assert set(read) == set(value)
    assert all(math.isclose(read[key], value[key], rel_tol=1e-15) for key in value)
