"""Words that tell what a column is: pairs of truth values, ordered scales, names of codes and of personal traits."""

from __future__ import annotations

import re
from collections.abc import Sequence


def word_set(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


_BINARY = (("0", "1"), ("no", "yes"), ("n", "y"), ("false", "true"), ("f", "t"), ("0.0", "1.0"), ("absent", "present"))

_SCALES = (
    "none minimal mild moderate severe extreme",
    "none norm >7 >8",
    "none norm >200 >300",
    "none low normal high",
    "normal elevated high critical",
    "very low|low|medium|moderate|average|high|very high",
    "low normal elevated high",
    "small medium large",
    "very poor|poor|fair|average|good|very good|excellent",
    "never rarely sometimes often always",
    "never|former|current",
    "strongly disagree|disagree|neutral|agree|strongly agree",
    "not at all|several days|more than half the days|nearly every day",
    "i ii iii iv v",
    "first second third fourth fifth",
    "young middle-aged old",
    "negative trace 1+ 2+ 3+ 4+",
    "negative weak moderate strong",
    "underweight normal overweight obese",
)
_NUMBER = r"\d+(?:\.\d+)?"
_BAND = re.compile(rf"^[\[(<>≥≤]?\s*=?\s*({_NUMBER})\s*(?:(?:-|\u2013|to|,)\s*{_NUMBER}\s*[\])]?|\+)?$")
_STAGE = re.compile(r"^(?:stage|grade|level|class|asa|triage)[-_ ]*(\d+|i{1,3}|iv|v)\s*([a-d]?)$", re.IGNORECASE)
_ROMAN = {"i": 1, "ii": 2, "iii": 3, "iv": 4, "v": 5}

_CODE_WORDS = word_set("id code cd type category cat class group level grade stage status region site ward")
_QUASI = word_set(
    "age sex gender race ethnicity ethnic marital married nationality country citizenship language religion education "
    "occupation profession job workclass relationship residence region state county district city town zip zipcode "
    "postcode postal birth yob height weight household "
    "neighbourhood neighborhood suburb village commune gemeinde geschlecht alter familienstand wohnort beruf sexe sexo "
    "sesso geslacht edad idade leeftijd profession ciudad cidade ville"
)
_SENSITIVE = word_set("hiv aids std psychiatric mental suicide abuse alcohol genetic pregnancy abortion")

_TIMES = word_set("time months days weeks years survival followup follow futime duration os pfs dfs rfs efs tte tenure")
_CENSORED = word_set("censored censoring cens censor")
_EVENTS = _CENSORED | word_set(
    "event status death died dead deceased relapse recurrence progression fustat mortality uncensored"
)


def is_time(words: Sequence[str]) -> bool:
    """Whether a number of this name may be the time until an event."""
    return bool(_TIMES.intersection(words))


def is_event(words: Sequence[str]) -> bool:
    """Whether a truth value of this name may say if an event happened or observation ended before it."""
    return bool(_EVENTS.intersection(words))


def is_censoring(words: Sequence[str]) -> bool:
    """Whether the name speaks of the end of observation, not of the event."""
    return bool(_CENSORED.intersection(words))


def binary(labels: Sequence[str]) -> tuple[int, int] | None:
    """Positions of the negative and the positive of two lower-case truth values; None if they are no such pair."""
    for pair in _BINARY:
        if len(labels) == 2 and set(labels) == set(pair):
            return labels.index(pair[0]), labels.index(pair[1])
    return None


def order(labels: Sequence[str]) -> list[str] | None:
    """The labels from lowest to highest when that is clear (bands of numbers, stages, a known scale); else None."""
    if len(labels) < 3:
        return None
    lowered = {label.strip().lower(): label for label in labels}
    for scale in _SCALES:
        steps = scale.split("|") if "|" in scale else scale.split()
        if set(lowered) <= set(steps):
            return [lowered[step] for step in steps if step in lowered]
    ranked = [(rank, label) for label in labels if (rank := _rank(label)) is not None]
    ranks = {rank for rank, _ in ranked}
    return [label for _, label in sorted(ranked)] if len(ranks) == len(labels) else None


def _rank(label: str) -> tuple[float, float, str] | None:
    """Where a band of numbers or a stage stands; a plain number is a code and has no rank here."""
    stage = _STAGE.match(label.strip())
    if stage:
        level = stage.group(1).lower()
        return (float(_ROMAN.get(level, 0) or level), 0.0, stage.group(2).lower())
    band = _BAND.match(label.strip())
    if band is None or re.fullmatch(_NUMBER, label.strip()):
        return None
    low = float(band.group(1))
    opening = label.strip()[0]
    edge = -1.0 if opening in "<≤" else 1.0 if opening in ">≥" or label.strip().endswith("+") else 0.0
    return (low, edge, "")


def is_code_name(words: Sequence[str]) -> bool:
    """Whether a column of this name holds codes rather than quantities."""
    return bool(words) and words[-1] in _CODE_WORDS


def role(words: Sequence[str]) -> str:
    """The role that a name suggests: quasi_identifier, sensitive, or nothing."""
    if _QUASI.intersection(words):
        return "quasi_identifier"
    return "sensitive" if _SENSITIVE.intersection(words) else ""
