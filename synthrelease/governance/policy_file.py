"""Load a policy: its TOML file, the policy it may be derived from, and in words what is looser than there."""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from synthrelease.core.contracts import Caps, CheckSpec, Coarsening, Policy, Rule, Signing
from synthrelease.core.errors import PolicyError, listing, validation_problems
from synthrelease.core.formatting import limit_in_words, plain_fingerprint

_Text = Annotated[str, Field(min_length=1)]


class _RuleFile(BaseModel):
    """A rule as it stands in a policy file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    check: _Text
    metric: _Text
    at_most: float | None = None
    at_least: float | None = None
    severity: Literal["block", "warn"]
    min_n: Annotated[int, Field(ge=1)]
    if_nothing_declared: Literal["refuse", "undecided", "warn"] = "undecided"
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)] | None = None
    waiver_by: list[_Text] = []
    why: _Text
    source: _Text

    @model_validator(mode="after")
    def _one_finite_limit(self) -> _RuleFile:
        limits = [limit for limit in (self.at_most, self.at_least) if limit is not None]
        if len(limits) != 1 or not math.isfinite(limits[0]):
            raise ValueError("give exactly one of at_most and at_least, a finite number")
        return self


class _GeneraliseFile(BaseModel):
    """How coarse the real table must be made before anything is fitted."""

    model_config = ConfigDict(extra="forbid", strict=True)
    dates: Literal["year", "month", "day", "shift"] | None = None
    ages: Annotated[int, Field(ge=1, le=120)] | None = None
    zip3: bool = False
    round_to: dict[Literal["feature", "quasi_identifier", "sensitive"], Annotated[float, Field(gt=0)]] = {}


class _SigningFile(BaseModel):
    """What is asked of sign-offs."""

    model_config = ConfigDict(extra="forbid", strict=True)
    two_people: bool = True
    keys: Literal["optional", "required"] = "optional"
    fingerprints: dict[str, list[_Text]] = {}
    waiver_days: Annotated[int, Field(ge=1, le=3660)] = 90

    def as_signing(self) -> Signing:
        """The same, frozen."""
        spelled = {role: tuple(plain_fingerprint(each) for each in keys) for role, keys in self.fingerprints.items()}
        return Signing(self.two_people, self.keys, spelled, self.waiver_days)


class _CapsFile(BaseModel):
    """What one source may be used for."""

    model_config = ConfigDict(extra="forbid", strict=True)
    attempts_at_most: Annotated[int, Field(ge=1)] | None = None
    epsilon_at_most: Annotated[float, Field(gt=0)] | None = None

    def as_caps(self) -> Caps:
        """The same, frozen."""
        return Caps(self.attempts_at_most, self.epsilon_at_most)


class _LabelsFile(BaseModel):
    """What may be done to labels of the target."""

    model_config = ConfigDict(extra="forbid", strict=True)
    may_be_sharpened: bool = False


class _PolicyFile(BaseModel):
    """A policy file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    name: _Text
    version: _Text
    title: _Text
    recipient: _Text
    sign_off: list[_Text]
    confidence: Annotated[float, Field(gt=0.5, lt=1.0)]
    min_cell: Annotated[int, Field(ge=2)] = 10
    shadow_models: Annotated[int, Field(ge=0, le=256)] = 0
    folds: Annotated[int, Field(ge=0, le=50)] = 0
    null_columns: Annotated[int, Field(ge=0, le=50)] = 0
    rules: Annotated[list[_RuleFile], Field(min_length=1)]
    generalise: _GeneraliseFile = _GeneraliseFile()
    signing: _SigningFile = _SigningFile()
    caps: _CapsFile = _CapsFile()
    labels: _LabelsFile = _LabelsFile()


class _DerivedFile(BaseModel):
    """A policy file that names another policy and says what is different: rules of its own, and rules left out."""

    model_config = ConfigDict(extra="forbid", strict=True)
    derived_from: _Text
    name: _Text
    version: _Text
    title: _Text | None = None
    recipient: _Text | None = None
    sign_off: list[_Text] | None = None
    min_cell: Annotated[int, Field(ge=2)] | None = None
    shadow_models: Annotated[int, Field(ge=0, le=256)] | None = None
    folds: Annotated[int, Field(ge=0, le=50)] | None = None
    null_columns: Annotated[int, Field(ge=0, le=50)] | None = None
    rules: list[_RuleFile] = []
    without: list[_Text] = []
    generalise: _GeneraliseFile | None = None
    signing: _SigningFile | None = None
    caps: _CapsFile | None = None
    labels: _LabelsFile | None = None


def folder() -> Path:
    """Where the policies that come with the package lie: inside the wheel, or beside the package in a checkout."""
    inside = Path(str(resources.files("synthrelease"))) / "policies"
    return inside if inside.is_dir() else inside.parent.parent / "policies"


def names() -> tuple[str, ...]:
    """Names of the policies that come with the package."""
    return tuple(sorted(path.stem for path in folder().glob("*.toml")))


def load(name_or_file: str, known: Mapping[str, CheckSpec]) -> Policy:
    """Load a policy by the name of one that comes with the package, or from a TOML file of the user's own.

    Args:
        name_or_file: for example ``partner_handoff`` or ``policies/ours.toml``.
        known: every check there is; a rule on anything else is an error, because it could never be held.

    Raises:
        PolicyError: unknown policy, broken file, no rules, no blocking rule, an unknown key, check or metric.
    """
    path = folder() / f"{name_or_file}.toml" if name_or_file in names() else Path(name_or_file)
    if not path.is_file():
        raise PolicyError(
            f"A policy is one of {', '.join(names())} or a TOML file, however {name_or_file!r} is neither. "
            "See `synthrelease policies`."
        )
    content = path.read_bytes()
    document = _document(content, path)
    try:
        if "derived_from" in document:
            return _derived(_DerivedFile.model_validate(document), content, known)
        parsed = _PolicyFile.model_validate(document)
    except ValidationError as error:
        raise PolicyError(listing(f"The policy {path.name} has problems:", validation_problems(error))) from None
    rules = tuple(_rule(rule, parsed.confidence) for rule in parsed.rules)
    problems = _problems(rules, known, parsed.confidence)
    if problems:
        raise PolicyError(listing(f"The policy {path.name} has problems:", problems))
    return Policy(
        name=parsed.name,
        version=parsed.version,
        title=parsed.title,
        recipient=parsed.recipient,
        sign_off=tuple(parsed.sign_off),
        confidence=parsed.confidence,
        rules=rules,
        digest=hashlib.sha256(content).hexdigest(),
        text=content.decode("utf-8"),
        generalise=Coarsening(**parsed.generalise.model_dump()),
        min_cell=parsed.min_cell,
        shadow_models=parsed.shadow_models,
        folds=parsed.folds,
        null_columns=parsed.null_columns,
        signing=parsed.signing.as_signing(),
        caps=parsed.caps.as_caps(),
        may_sharpen_labels=parsed.labels.may_be_sharpened,
    )


def _document(content: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(
            f"A policy must be a TOML file, however {path.name} cannot be read as one: {error}."
        ) from None


def _derived(file: _DerivedFile, content: bytes, known: Mapping[str, CheckSpec]) -> Policy:
    """A policy that comes with the package, with some rules replaced, added or left out.

    Only a policy of the package can be derived from, so that the reader of the report can look the original up.

    Raises:
        PolicyError: the original is no policy of the package, a rule is broken, or a rule left out does not exist.
    """
    if file.derived_from not in names():
        raise PolicyError(
            f"A policy can be derived from one of {', '.join(names())}, however {file.derived_from!r} is none of them."
        )
    base = load(file.derived_from, known)
    own = {_key(rule): _rule(rule, base.confidence) for rule in file.rules}
    kept = {
        f"{rule.check}.{rule.metric}": rule for rule in base.rules if f"{rule.check}.{rule.metric}" not in file.without
    }
    rules = tuple((kept | own).values())
    problems = _problems(tuple(_rule(rule, base.confidence) for rule in file.rules), known, base.confidence, part=True)
    problems += [
        f"without: {name} is no rule of {base.name}"
        for name in file.without
        if name not in {f"{rule.check}.{rule.metric}" for rule in base.rules}
    ]
    problems += _nothing_blocks(rules)
    if problems:
        raise PolicyError(listing(f"The policy {file.name} has problems:", problems))
    keys = ("title", "recipient", "min_cell", "shadow_models", "folds", "null_columns")
    changed = {key: getattr(file, key) for key in keys}
    derived = replace(
        base,
        name=file.name,
        version=file.version,
        sign_off=base.sign_off if file.sign_off is None else tuple(file.sign_off),
        rules=rules,
        digest=hashlib.sha256(base.text.encode() + content).hexdigest(),
        text=content.decode("utf-8"),
        generalise=base.generalise if file.generalise is None else Coarsening(**file.generalise.model_dump()),
        signing=base.signing if file.signing is None else file.signing.as_signing(),
        caps=base.caps if file.caps is None else file.caps.as_caps(),
        derived_from=f"{base.name} {base.version}",
        may_sharpen_labels=base.may_sharpen_labels if file.labels is None else file.labels.may_be_sharpened,
        **{key: value for key, value in changed.items() if value is not None},
    )
    return replace(derived, loosened=tuple(_loosened(base, derived)))


def _key(rule: _RuleFile) -> str:
    return f"{rule.check}.{rule.metric}"


_HELD: Mapping[str, str] = {"undecided": "left undecided", "refuse": "refused"}


_COUNTS: Mapping[str, str] = {
    "min_cell": "the smallest group",
    "shadow_models": "shadow models",
    "folds": "folds",
    "null_columns": "planted columns that depend on nothing",
}
"""What a policy counts, of which fewer is looser."""


def _loosened(base: Policy, derived: Policy) -> Iterator[str]:
    """Everything in which a derived policy asks for less than the one it came from, in words."""
    now = {(rule.check, rule.metric): rule for rule in derived.rules}
    for rule in base.rules:
        name, other = f"{rule.check}.{rule.metric}", now.get((rule.check, rule.metric))
        if other is None:
            yield f"{name}: left out (it was {limit_in_words(rule, '')}, {_SEVERITY[rule.severity]})"
            continue
        looser = other.limit > rule.limit if rule.direction == "at_most" else other.limit < rule.limit
        if looser:
            yield f"{name}: {limit_in_words(other, '')} in place of {limit_in_words(rule, '')}"
        if rule.severity == "block" and other.severity == "warn":
            yield f"{name}: only warns, where it blocked"
        if rule.always_blocks and other.if_nothing_declared == "warn":
            yield f"{name}: only warns where nothing is declared to measure, where it {_HELD[rule.if_nothing_declared]}"
        if rule.if_nothing_declared == "refuse" and other.if_nothing_declared == "undecided":
            yield f"{name}: leaves undecided where nothing is declared to measure, where it refused"
        if more := [who for who in other.waiver_by if who not in rule.waiver_by]:
            yield f"{name}: may be waived by the {', '.join(more)}"
        if other.min_n < rule.min_n:
            yield f"{name}: {other.min_n:,} rows suffice in place of {rule.min_n:,}"
        if other.confidence < rule.confidence:
            yield f"{name}: {other.confidence:.1%} confidence in place of {rule.confidence:.1%}"
    for key, words in _COUNTS.items():
        if getattr(derived, key) < getattr(base, key):
            yield f"{words}: {getattr(derived, key)} in place of {getattr(base, key)}"
    missing = [who for who in base.sign_off if who not in derived.sign_off]
    if missing:
        yield f"signatures: none is asked of the {', '.join(missing)}"
    yield from _signed_looser(base.signing, derived.signing)
    for words, cap, was in (
        ("attempts", derived.caps.attempts, base.caps.attempts),
        ("epsilon over all releases", derived.caps.epsilon, base.caps.epsilon),
    ):
        if was is not None and (cap is None or cap > was):
            yield f"{words}: {'no cap' if cap is None else f'at most {cap:g}'} in place of at most {was:g}"
    if derived.may_sharpen_labels and not base.may_sharpen_labels:
        yield "labels: may be sharpened, which makes every effect too large"
    if derived.generalise != base.generalise:
        yield "the real tables are made coarse in another way"


def _signed_looser(was: Signing, now: Signing) -> Iterator[str]:
    if was.two_people and not now.two_people:
        yield "signatures: one person may fill several roles"
    if was.keys == "required" and now.keys == "optional":
        yield "signatures: names alone suffice, without a key"
    if now.waiver_days > was.waiver_days:
        yield f"waivers: may last {now.waiver_days} days in place of {was.waiver_days}"
    for role, known in was.fingerprints.items():
        if not set(now.fingerprints.get(role, ())) or set(now.fingerprints[role]) - set(known):
            yield f"signatures: other keys may sign for the {role}"


_SEVERITY = {"block": "blocking", "warn": "a warning"}


def _rule(rule: _RuleFile, confidence: float) -> Rule:
    at_most = rule.at_most is not None
    limit = rule.at_most if rule.at_most is not None else rule.at_least
    assert limit is not None  # noqa: S101 - the model demands one of the two
    return Rule(
        check=rule.check,
        metric=rule.metric,
        limit=limit,
        direction="at_most" if at_most else "at_least",
        severity=rule.severity,
        min_n=rule.min_n,
        why=rule.why,
        source=rule.source,
        confidence=confidence if rule.confidence is None else rule.confidence,
        waiver_by=tuple(rule.waiver_by),
        if_nothing_declared=rule.if_nothing_declared,
    )


def _nothing_blocks(rules: Sequence[Rule]) -> list[str]:
    if any(rule.always_blocks for rule in rules):
        return []
    return ["at least one rule must have severity block and block always, however all of them only warn"]


def _problems(
    rules: Sequence[Rule], known: Mapping[str, CheckSpec], confidence: float, *, part: bool = False
) -> list[str]:
    """Everything wrong with some rules; ``part`` where they are not the whole policy."""
    problems = [] if part else _nothing_blocks(rules)
    seen: set[tuple[str, str]] = set()
    for number, rule in enumerate(rules, start=1):
        metrics = [spec.name for spec in known[rule.check].metrics] if rule.check in known else []
        if rule.check not in known:
            problems.append(f"rules[{number}].check: {rule.check!r} is no check; known: {', '.join(sorted(known))}")
        elif rule.metric not in metrics:
            problems.append(f"rules[{number}].metric: {rule.check} measures {', '.join(metrics)}, not {rule.metric!r}")
        else:
            better = next(spec.better for spec in known[rule.check].metrics if spec.name == rule.metric)
            if (rule.direction == "at_most") != (better == "lower"):
                problems.append(
                    f"rules[{number}]: {rule.metric} is better {better}, so the rule must point the other way"
                )
        if rule.confidence > confidence:
            problems.append(f"rules[{number}].confidence: intervals are made at {confidence}, which is lower")
        if (rule.check, rule.metric) in seen:
            problems.append(f"rules[{number}]: {rule.check}.{rule.metric} has a rule already")
        seen.add((rule.check, rule.metric))
    return problems
