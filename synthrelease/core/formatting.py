"""How numbers and names are written for a reader: one place, so that the report, the card and the drawings agree.

Nothing is judged here. A limit is looked at only to write a number with enough digits to see on which side it lies.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from dataclasses import dataclass

from synthrelease.core.contracts import Metric, Rule

MASKED = "masked"
"""What stands in place of a number behind which too few people stand."""

_PERCENT = ("share", "fraction", "proportion")
_UNITLESS = ("", "1", "none", "auc", "ratio", "score", "distance", "index", "probability", "number", "epsilon", "delta")
_ACRONYMS = {
    word.lower(): word for word in ("AUC", "DCR", "FPR", "F1", "IMS", "KS", "MAE", "MIA", "NNDR", "R2", "ROC")
} | {word.lower(): word for word in ("TPR", "TRTR", "TSTR", "TVD")}


def clean(text: object) -> str:
    """Return ``text`` with everything that could break or disguise a page replaced by a visible mark.

    That is control characters, lone surrogates and the marks that reverse the direction of writing.
    """
    return "".join(
        letter
        if letter in "\n\t" or unicodedata.category(letter) not in ("Cc", "Cf", "Cs")
        else "\N{REPLACEMENT CHARACTER}"
        for letter in str(text)
    )


def number(value: float, digits: int = 3) -> str:
    """Write a number for a reader: significant digits, thousands set apart, a true minus sign, words for no number."""
    if math.isnan(value):
        return "not known"
    if math.isinf(value):
        return "unlimited" if value > 0 else "\N{MINUS SIGN}unlimited"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if magnitude < -4 or magnitude > 12:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        superscript = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        text = f"{mantissa} \N{MULTIPLICATION SIGN} 10{superscript}"
    elif value == int(value):
        text = f"{int(value):,}"
    else:
        text = f"{value:,.{max(0, digits - 1 - magnitude)}f}"
    return text.replace("-", "\N{MINUS SIGN}")


def shorten(text: object, letters: int) -> str:
    """Return at most ``letters`` letters of ``text`` on one line: its two ends around an ellipsis if it is longer."""
    line = " ".join(clean(text).split())
    if len(line) <= letters:
        return line
    tail = letters // 3
    return line[: letters - tail - 1].rstrip() + "…" + line[len(line) - tail :].lstrip()


@dataclass(frozen=True, slots=True)
class Format:
    """How the numbers of one metric are written: all with the same decimals; shares as percentages."""

    unit: str
    decimals: int | None

    def __call__(self, value: float, *, with_unit: bool = True) -> str:
        """Return ``value`` as text, with its unit unless told otherwise; a percent sign always stays."""
        if not math.isfinite(value):
            return number(value)
        scaled = value * 100 if is_percent(self.unit) else value
        text = number(scaled) if self.decimals is None else f"{scaled:z,.{self.decimals}f}"
        suffix = _suffix(self.unit)
        return text.replace("-", "\N{MINUS SIGN}") + (suffix if with_unit or suffix == "%" else "")


def is_percent(unit: str) -> bool:
    """Whether a unit ("share", "share of rows") is written as a percentage."""
    return any(unit == word or unit.startswith(f"{word} of ") for word in _PERCENT)


def _suffix(unit: str) -> str:
    """Return what stands behind a number: a percent sign, a unit of one short word, or nothing for a description."""
    if is_percent(unit):
        return "%"
    is_word = unit.isalpha() and len(unit) <= 12 and unit.lower() not in _UNITLESS
    return f" {unit}" if is_word else ""


def written_as(metric: Metric, limit: float = math.nan) -> Format:
    """Choose decimals: about three digits of the largest number, more where rounding would hide a limit's side."""
    factor = 100 if is_percent(metric.unit) else 1
    values = [v * factor for v in (metric.value, metric.low, metric.high) if math.isfinite(v)]
    largest = max(map(abs, values), default=0.0)
    if not values:
        return Format(metric.unit, None)
    if all(v == int(v) for v in values):
        return Format(metric.unit, 0)
    if largest < 1e-4:
        return Format(metric.unit, None)
    magnitude = math.floor(math.log10(largest))
    decimals = max(0, min(2 - magnitude, max(2 if factor == 100 else 3, 1 - magnitude)))
    hidden = [v for v in values if v != limit * factor]
    while decimals < 9 and any(f"{v:.{decimals}f}" == f"{limit * factor:.{decimals}f}" for v in hidden):
        decimals += 1
    return Format(metric.unit, decimals)


def interval(metric: Metric, written: Format) -> str:
    """Return the range in words; a number that was counted rather than estimated has none."""
    if math.isnan(metric.low) and math.isnan(metric.high):
        return "range not known"
    if metric.low == metric.value == metric.high:
        return ""
    return f"{written(metric.low, with_unit=False)} to {written(metric.high, with_unit=False)}"


def limit_in_words(rule: Rule, unit: str) -> str:
    """Return the threshold as the policy has it, without a digit more: "at most 5%", "at least 0.95"."""
    scaled = rule.limit * 100 if is_percent(unit) else rule.limit
    is_plain = scaled == 0 or 1e-4 <= abs(scaled) < 1e10
    text = f"{scaled:,.10g}".replace("-", "\N{MINUS SIGN}") if is_plain else number(scaled)
    return f"{'at most' if rule.direction == 'at_most' else 'at least'} {text}{_suffix(unit)}"


def plain_key(key: object) -> str:
    """Return a name of the code as words: ``dcr_share`` becomes "DCR share"."""
    words = " ".join(_ACRONYMS.get(word, word) for word in str(key).replace("_", " ").split())
    return words[:1].upper() + words[1:]


def moment(created: str) -> str:
    """Return an ISO time in UTC as a reader writes it: "2026-11-22 06:54 UTC"; anything else as it stands."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)(:\d\d(\.\d+)?)?(Z|\+00:00)", created)
    return f"{found[1]} {found[2]} UTC" if found else created


def plain(value: object) -> str:
    """Return a JSON value as text; lists and mappings stay JSON."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int | float):
        return number(value, 4) if isinstance(value, float) else str(value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def plain_fingerprint(text: str) -> str:
    """Return a key's fingerprint as 64 small hex digits, however it was grouped or pasted."""
    return re.sub(r"[^0-9a-f]", "", text.lower().removeprefix("sha256:"))


def grouped(fingerprint: str) -> str:
    """Return a fingerprint in groups of four, as it is read out over a telephone."""
    return " ".join(fingerprint[at : at + 4] for at in range(0, len(fingerprint), 4))
