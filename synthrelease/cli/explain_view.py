"""Policies and generators in words: what each is for, what a policy asks, what a generator lets one set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby

from synthrelease.cli.options import EFFORTS
from synthrelease.core.contracts import CheckSpec, Policy, Rule
from synthrelease.core.formatting import limit_in_words
from synthrelease.synthesis.generators import DEFAULT, REGISTRY, about
from synthrelease.synthesis.generators.autoregressive_gan.config import SETTINGS


def of_generators() -> Iterator[str]:
    """Yield what each generator does, and the settings of the default one, line by line."""
    yield "Generators (--generator NAME)"
    for words, names in groupby(REGISTRY, key=about):
        yield f"  {', '.join(names)}"
        yield f"      {words}"
    yield f"\nEfforts (--effort NAME, or a number): {', '.join(f'{name} {value:g}' for name, value in EFFORTS.items())}"
    yield f"\nSettings of {DEFAULT} (--set NAME=VALUE); what is not set is chosen by the table's size"
    for name, setting in SETTINGS.items():
        yield f"  {name}: {setting.about}"
        yield f"      from {setting.low:g} to {setting.high:g}"


def of_policy(loaded: Policy, known: Mapping[str, CheckSpec]) -> Iterator[str]:
    """Yield the explanation of a policy, line by line; ``known`` are the checks by name."""
    yield f"{loaded.name} {loaded.version}: {loaded.title}"
    if loaded.derived_from:
        yield f"Derived from {loaded.derived_from}. It asks for less in {len(loaded.loosened)} points:"
        yield from (f"  {item}" for item in loaded.loosened)
    yield f"For {loaded.recipient}. To be signed by: {', '.join(loaded.sign_off) or 'nobody'}{_signed_how(loaded)}."
    yield from _caps(loaded)
    yield f"Labels of the target may {'' if loaded.may_sharpen_labels else 'not '}be sharpened (--sharpen-labels)."
    yield f"A rule is met when the whole interval (each end at {loaded.confidence:.0%} confidence) is within the limit,"
    yield "breached when the whole interval lies beyond it, and without an answer otherwise (undecided, not measured)."
    yield "A breached blocking rule refuses the table; a blocking rule without an answer leaves it undecided."
    demands = _demands(loaded)
    if demands:
        yield f"Real tables are made coarser first: {'; '.join(demands)}."
    for severity, title in (("block", "Blocking rules"), ("warn", "Advisory rules")):
        yield f"\n{title}"
        for rule in (rule for rule in loaded.rules if rule.severity == severity):
            yield from _of_rule(rule, known[rule.check])


def _signed_how(loaded: Policy) -> str:
    if not loaded.sign_off:
        return ""
    people = ", nobody twice" if loaded.signing.two_people and len(loaded.sign_off) > 1 else ""
    return f", with a key{people}" if loaded.signing.keys == "required" else people


def _caps(loaded: Policy) -> Iterator[str]:
    if loaded.caps.attempts is not None:
        yield f"One source of real data may be tried at most {loaded.caps.attempts} times."
    if loaded.caps.epsilon is not None:
        yield f"All its releases together may have an epsilon of at most {loaded.caps.epsilon:g}."


def _of_rule(rule: Rule, check: CheckSpec) -> Iterator[str]:
    spec = next(spec for spec in check.metrics if spec.name == rule.metric)
    limit = limit_in_words(rule, spec.unit)
    yield f"  {spec.question}"
    yield (
        f"    {rule.metric}: {limit}; at least {rule.min_n:,} {_counted(rule)} to decide, "
        f"at {rule.confidence:.0%} confidence"
    )
    if rule.severity == "block" and rule.if_nothing_declared == "warn":
        yield "    where the schema declares nothing of the kind, it warns, and whoever signs confirms that"
    if rule.severity == "block" and rule.if_nothing_declared == "refuse":
        yield "    where there is nothing of the kind, the table is refused"
    if rule.waiver_by:
        yield f"    may be waived by the {' or the '.join(rule.waiver_by)}"
    yield f"    measured by: {check.title.lower()}. {_first_sentence(check.about)}"
    yield f"    why: {rule.why}"
    yield f"    source: {rule.source}"


def _counted(rule: Rule) -> str:
    """What a rule's smallest number counts."""
    return {"shadow": "shadow models", "self_test": "patients", "effects": "patients"}.get(rule.check, "rows")


def _first_sentence(text: str) -> str:
    return text.split(". ")[0].rstrip(".") + "."


def _demands(loaded: Policy) -> list[str]:
    """What a policy wants coarser, in words."""
    wants = loaded.generalise
    dates = {"shift": "dates are moved by random weeks", None: ""}.get(
        wants.dates, f"of dates the {wants.dates} is kept"
    )
    ages = "" if wants.ages is None else f"ages above {wants.ages:g} are one group"
    steps = [f"numbers of role {role} are rounded to {step:g}" for role, step in wants.round_to.items()]
    return [text for text in (dates, ages, "postcodes keep three characters" if wants.zip3 else "", *steps) if text]
