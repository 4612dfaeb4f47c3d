"""The JSON that people read is the standard library's, sooner."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lanner.records import indented_json, printable

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
LEAVES = st.none() | st.booleans() | NUMBERS | st.text()
KEYS = st.text() | st.integers() | st.booleans()
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=4)
    ),
)


@given(DOCUMENTS)
def test_indented_text_is_byte_for_byte_what_the_standard_library_writes(document: Any) -> None:
    assert indented_json(document) == json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_know_is_refused_at_any_depth(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        indented_json({"a": [1.0, {"b": number}]})


@given(st.text())
def test_what_is_printable_stays_as_it_is_and_all_else_becomes_an_escape(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable() and (shown == text) == text.isprintable()
