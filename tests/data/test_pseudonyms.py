"""Surrogates: unique, of the same shape, never a real value."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_up_identifiers import identifying

from synthrelease.core.errors import InputError
from synthrelease.data.pseudonyms import Surrogates, _shuffled, pattern_of


def drawn(taken: list[str], count: int, seed: int = 0, **options: int) -> list[str]:
    return Surrogates(taken, np.random.default_rng(seed), **options).draw(count)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=12), max_size=60, unique=True), st.integers(0, 9))
def test_surrogates_are_unique_and_never_real(taken, seed):
    values = drawn(taken, 300, seed)
    assert len(set(values)) == 300
    assert not set(values) & set(taken)


@pytest.mark.parametrize(
    ("taken", "shape"),
    [
        (["842302", "842517", "1234567"], r"[1-9]\d{5}"),
        (["A-10", "B-20", "C-33"], r"[A-Z]-\d\d"),
        (["P0012", "P0345", "P1111"], r"P\d{4}"),
        (["12.0", "33.0"], r"[1-9]\d\.0"),
        (["ann@mail.org", "bob@mail.org"], r"([bdfgklmnprstv][aeiou]){3}\d{3}@example\.org"),
        (["https://a.org/1", "www.b.com/x-y"], r"https://example\.org/[a-z]{8}"),
        (["192.168.0.1", "8.8.8.8"], r"10\.1\d\d\.1\d\d\.1\d\d"),
        (["Ann Lee", "Jean-Luc Picard", "Mary O'Neill"], r"([A-Z][a-z]{5}) ([A-Z][a-z]{5})"),
        (["SMITH, JOHN", "DOE, JANE", "VAN DYKE, DICK"], r"[A-Z]{6}, [A-Z]{6}"),
        (["Virtanen", "Smith", "Li"], r"[A-Z][a-z]{5}"),
        (["+44 20 7946 0958", "+44 20 7946 0112"], r"\+\d\d \d\d \d{4} \d{4}"),
        (["0012", "0345"], r"\d{4}"),
        (["123e4567-e89b-12d3-a456-426614174000", "00000000-e89b-12d3-a456-4266141740ff"], r"[0-9a-f-]{36}"),
    ],
)
def test_the_shape_is_kept(taken, shape):
    assert all(re.fullmatch(shape, value) for value in drawn(taken, 20)), drawn(taken, 20)


def test_a_full_range_grows_by_a_digit():
    taken = [str(number) for number in range(10, 100)]
    values = drawn(taken, 2000)
    assert {len(value) for value in values} == {3, 4}  # two digits would give the real values away by leaving them out
    assert len(set(values)) == 2000


def test_a_narrow_type_without_room_is_refused():
    with pytest.raises(InputError, match="no room"):
        drawn(["1", "2"], 500, longest=2)
    assert max(map(int, drawn(["1", "2"], 40, longest=2))) < 100


def test_draws_follow_the_seed_and_never_repeat():
    supply = Surrogates(["1234"], np.random.default_rng(3))
    first, second = supply.draw(100), supply.draw(100)
    assert first + second == drawn(["1234"], 200, 3)
    assert first != drawn(["1234"], 100, 4)


@pytest.mark.parametrize("size", [2, 9, 10, 900, 65_536])
def test_the_shuffle_is_a_permutation(size):
    keys = np.random.default_rng(0).integers(0, 2**63, size=6, dtype=np.uint64)
    order = _shuffled(np.arange(size, dtype=np.uint64), size, keys)
    assert sorted(order.tolist()) == list(range(size))
    assert size < 20 or order.tolist() != list(range(size))


def test_long_patterns_vary_everywhere():
    values = drawn(["".join("0123456789abcdef"[i % 16] for i in range(32))] * 2, 50)
    assert len(values[0]) == 32
    assert all(len({value[place] for value in values}) > 3 for place in range(32))


def test_no_values_at_all():
    assert pattern_of([]).size == 900_000


def test_surrogates_of_every_class_are_unique_and_never_real():
    for case in identifying():
        values = drawn(case.texts, 400)
        assert len(set(values)) == 400, case.name
        assert not set(values) & set(case.texts), case.name


def test_a_surrogate_address_belongs_to_nobody_even_if_the_table_uses_the_reserved_domain():
    taken = drawn(["a@b.org"], 500)
    values = drawn(taken, 500)
    assert not set(values) & set(taken)
    assert all(value.endswith("@example.org") for value in values)


def test_labels_that_share_a_shape_keep_it():
    assert all(re.fullmatch(r"[A-Z]{2} [A-Z]{2}", value) for value in drawn(["AB CD", "EF GH", "IJ KL"], 9))


def test_what_a_few_values_share_is_not_kept():
    streets = ["Camino Real 12", "Camino Real 45", *(f"{'A' * n} {n * 1111}" for n in range(1, 9))]
    assert not any("Camino" in value or "Real" in value for value in drawn(streets, 50))


def test_the_values_of_other_identifiers_do_not_come_out_either():
    taken, others = [str(n) for n in range(100_000, 100_300)], [str(n) for n in range(200_000, 800_000)]
    drawn = Surrogates(taken, np.random.default_rng(0), others=others).draw(2_000)
    assert len(set(drawn)) == 2_000
    assert not set(drawn) & {*taken, *others}
