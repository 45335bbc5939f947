"""Fresh values for identifier columns: they look like the real ones, are unique, and are never one of them.

A surrogate is a number written in mixed radix over the pattern's alphabets (``AB-123``: two letters, a dash, three
digits). Counting through that range in a keyed random order gives unique values without remembering them, so a table
of any length can be streamed.
"""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from synthrelease.core.contracts import IntArray
from synthrelease.core.errors import InputError

_INTEGER = re.compile(r"^(0|[1-9]\d*)(\.0+)?$")
_HEXADECIMAL = re.compile(r"^[0-9a-fA-F]+(-[0-9a-fA-F]+)*$")
_SHORTEST_HEXADECIMAL = 8
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$")
_WEB = re.compile(r"^(https?://|www\.)\S+$", re.IGNORECASE)
_IP = re.compile(r"^(\d{1,3}\.){3}\d{1,3}$")
_NAME = re.compile(r"^(?=[^\W\d_])(?=[^a-z])[^\W\d_]{2,}(?:[.,'\u2019 -]+[^\W\d_]+)*\.?$")
_SPEAKING_SHARE = 0.9
_SAMPLE = 1_000
_LONGEST_RANGE = 2**60
_ROOM = 4
"""A pattern needs this many times as many values as are taken: else the ones left out would give the real ones away."""

Indices = np.ndarray[Any, np.dtype[np.uint64]]


@dataclass(frozen=True, slots=True)
class Pattern:
    """The characters that may stand at each place; one character alone is kept as it is."""

    alphabets: tuple[str, ...]
    longest: int | None = None
    """At most this many places (the widest integer that the column's type holds), or None."""

    @property
    def size(self) -> int:
        """How many values fit the pattern."""
        return math.prod(len(alphabet) for alphabet in self.alphabets)

    def grown(self) -> Pattern:
        """Return the pattern with one more place: after the last one that varies, a digit if none does."""
        places = [place for place, alphabet in enumerate(self.alphabets) if len(alphabet) > 1]
        place = places[-1] + 1 if places else len(self.alphabets)
        more = self.alphabets[place - 1] if len(places) > 1 else string.digits
        return replace(self, alphabets=(*self.alphabets[:place], more, *self.alphabets[place:]))


class Surrogates:
    """An endless supply of surrogate values for one column; its state is how far it has counted."""

    def __init__(
        self,
        taken: Collection[str],
        rng: np.random.Generator,
        *,
        longest: int | None = None,
        others: Collection[str] = frozenset(),
    ) -> None:
        """Learn the shape of the real values ``taken``; ``rng`` fixes the order in which surrogates come.

        ``others`` are the real values of further identifiers of the table, which must not come out here either.
        """
        self._taken = frozenset(taken)
        self._avoided = self._taken | frozenset(others)
        self._rng = rng
        self._cursor = 0
        self._numbered: list[str] = []
        self._start(pattern_of(sorted(self._taken), longest=longest))

    def draw(self, count: int) -> list[str]:
        """Return the next ``count`` values: unique over all draws, none of them taken.

        Raises:
            InputError: The column's integer type has no room for as many values.
        """
        values: list[str] = []
        while len(values) < count:
            if self._cursor >= self._usable:
                self._start(self._pattern.grown())
                continue
            stop = min(self._cursor + count - len(values), self._usable)
            order = _shuffled(np.arange(self._cursor, stop, dtype=np.uint64), self._range, self._keys)
            values += [value for value in self._spelled(order) if value not in self._avoided]
            self._cursor = stop
        return values

    def of(self, numbers: IntArray) -> list[str]:
        """Return the value of each numbered patient, the same one at each call; -1 is a patient of its own."""
        missing = int(numbers.max(initial=-1)) + 1 - len(self._numbered)
        if missing > 0:
            self._numbered += self.draw(missing)
        alone = iter(self.draw(int((numbers < 0).sum())))
        return [next(alone) if number < 0 else self._numbered[number] for number in numbers.tolist()]

    def _start(self, pattern: Pattern) -> None:
        if pattern.longest is not None and len(pattern.alphabets) > pattern.longest:
            raise InputError(
                "Surrogate identifiers must be unique, however the column's integer type has no room for as many. "
                "Store the identifier in a wider type, or ask for fewer rows."
            )
        self._pattern = pattern
        self._cursor = 0
        self._range = pattern.size
        places = list(range(len(pattern.alphabets)))
        self._free: list[int] = []  # leading places that are drawn at random, because the rest counts far enough
        while self._range > _LONGEST_RANGE:
            place = places.pop(0)
            self._free.append(place)
            self._range //= len(pattern.alphabets[place])
        self._usable = self._range // 2 if pattern.size >= _ROOM * max(len(self._taken), 2) else 0
        self._keys = self._rng.integers(0, 2**63, size=6, dtype=np.uint64)

    def _spelled(self, order: Indices) -> list[str]:
        """Write each number over the pattern's alphabets, last place first."""
        width = len(self._pattern.alphabets)
        places = np.empty((len(order), width), dtype="U1")
        rest = order.copy()
        for place in reversed(range(width)):
            alphabet = np.array(list(self._pattern.alphabets[place]))
            if place in self._free:
                places[:, place] = alphabet[self._rng.integers(0, len(alphabet), size=len(order))]
            else:
                places[:, place] = alphabet[rest % np.uint64(len(alphabet))]
                rest //= np.uint64(len(alphabet))
        spelled: list[str] = places.view(f"U{width}").ravel().tolist()
        return spelled


def pattern_of(values: Sequence[str], *, longest: int | None = None) -> Pattern:
    """Return the shape that most values share: whole numbers by their digits, other texts by letters and digits."""
    if not values:
        return Pattern(("123456789", *[string.digits] * 5), longest)
    if all(_INTEGER.match(value) for value in values):
        return _integer_pattern(values, longest)
    speaking = _speaking_pattern(values)
    if speaking is not None:
        return speaking
    texts = [value for value in values if not _INTEGER.match(value)]
    masks = Counter(_mask(value) for value in texts)
    mask = max(masks, key=lambda each: (masks[each], each))
    has_no_mask = 2 * masks[mask] <= len(texts) or len(texts) == 1
    if has_no_mask and all(_HEXADECIMAL.match(value) and len(value) >= _SHORTEST_HEXADECIMAL for value in values):
        return _hexadecimal_pattern(values)
    return _mask_pattern(mask, [] if has_no_mask else texts)


def _speaking_pattern(values: Sequence[str]) -> Pattern | None:
    """A pattern for addresses and names, or None: reserved domains and networks, and syllables that are no name.

    ``example.org`` and 10.0.0.0/8 belong to nobody (RFC 2606, RFC 1918), so that no surrogate reaches a person.
    """
    some = values[:: max(1, len(values) // _SAMPLE)]

    def are(shape: re.Pattern[str]) -> bool:
        return sum(shape.match(value) is not None for value in some) >= _SPEAKING_SHARE * len(some)

    if are(_EMAIL):
        return Pattern((*_syllables(3), *[string.digits] * 3, *"@example.org"))
    if are(_WEB):
        return Pattern((*"https://example.org/", *[string.ascii_lowercase] * 8))
    if are(_IP):
        return Pattern(
            (*"10.1", string.digits, string.digits, *".1", *[string.digits] * 2, *".1", *[string.digits] * 2)
        )
    masks = Counter(_mask(value) for value in some)
    if len(some) > 1 and 2 * max(masks.values()) <= len(some) and are(_NAME):
        return _name_pattern(some)
    return None


def _name_pattern(values: Sequence[str]) -> Pattern:
    """As many words as most names have, each of three syllables; upper case and a comma as most have them."""
    words = min(3, Counter(len(value.split()) for value in values).most_common(1)[0][0])
    is_upper = 2 * sum(value == value.upper() for value in values) > len(values)
    gap = ", " if 2 * sum("," in value for value in values) > len(values) else " "
    places: list[str] = []
    for word in range(words):
        first, *rest = _syllables(3)
        places += [*(gap if word == 1 else " " if word else ""), first.upper(), *rest]
    return Pattern(tuple(place.upper() for place in places) if is_upper else tuple(places))


def _syllables(count: int) -> tuple[str, ...]:
    return ("bdfgklmnprstv", "aeiou") * count


def _integer_pattern(values: Sequence[str], longest: int | None) -> Pattern:
    suffix = next((value[value.index(".") :] for value in values if "." in value), "")
    digits = Counter(len(value.split(".")[0]) for value in values).most_common(1)[0][0]
    digits = min(digits, 18 if longest is None else longest)  # 18 digits fit an int64 whatever they are
    return Pattern(("123456789", *[string.digits] * (digits - 1), *suffix), longest)


def _hexadecimal_pattern(values: Sequence[str]) -> Pattern:
    shapes = Counter(re.sub(r"[0-9a-fA-F]", "x", value) for value in values)
    is_upper = any(value != value.lower() for value in values)
    alphabet = string.digits + ("ABCDEF" if is_upper else "abcdef")
    return Pattern(tuple(alphabet if place == "x" else place for place in shapes.most_common(1)[0][0]))


def _mask(value: str) -> str:
    """Replace letters by A or a and digits by 9; the rest stands for itself."""
    return "".join(
        "9" if c in string.digits else "a" if c.islower() else "A" if c.isalpha() else "_" if c.isalnum() else c
        for c in value
    )


def _mask_pattern(mask: str, values: Sequence[str]) -> Pattern:
    """Turn a mask into alphabets; a letter that all ``values`` of the mask share (the P of P0012) is kept.

    Where few values have the mask, none are given: what they share (a street) would tell of them.
    """
    values = [value for value in values if _mask(value) == mask]
    classes = {"9": string.digits, "A": string.ascii_uppercase, "a": string.ascii_lowercase}
    alphabets = []
    for place, kind in enumerate(mask):
        letters = {value[place] for value in values}
        is_shared = kind in "Aa" and len(letters) == 1 and len(values) > 1
        alphabets.append(letters.pop() if is_shared else classes.get(kind, kind))
    return Pattern(tuple(alphabets))


def _shuffled(indices: Indices, size: int, keys: Indices) -> Indices:
    """Send each index below ``size`` to one of its own: a Feistel network that walks until it is back inside.

    Source: Black and Rogaway, Ciphers with Arbitrary Finite Domains, 2002, doi:10.1007/3-540-45760-7_9.
    """
    half = np.uint64(max(1, (size.bit_length() + 1) // 2))
    shuffled = _feistel(indices, half, keys)
    outside = shuffled >= np.uint64(size)
    while outside.any():
        shuffled[outside] = _feistel(shuffled[outside], half, keys)
        outside = shuffled >= np.uint64(size)
    return shuffled


def _feistel(indices: Indices, half: np.uint64, keys: Indices) -> Indices:
    mask = (np.uint64(1) << half) - np.uint64(1)
    left, right = indices >> half, indices & mask
    for key in keys:
        mixed = (right + key) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        mixed *= np.uint64(0xBF58476D1CE4E5B9)
        mixed ^= mixed >> np.uint64(32)
        left, right = right, left ^ (mixed & mask)
    return (left << half) | right
