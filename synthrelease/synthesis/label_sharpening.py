"""``--sharpen-labels``: what must hold before any row is read, and whether a trained generator does it."""

from __future__ import annotations

from collections.abc import Mapping

from synthrelease.core.contracts import DeclaredSchema, Fitted, Policy
from synthrelease.core.errors import InputError

SETTING = "target_temperature"
"""The setting of the generators that sharpens; below 1 it does."""
_WHY = "sharpened labels make every effect (odds ratio) in the table too large"


def asked(sharpen: bool, overrides: Mapping[str, float]) -> bool:
    """Whether a build is asked to sharpen labels, by name or by a setting."""
    return sharpen or overrides.get(SETTING, 1.0) < 1.0


def check(schema: DeclaredSchema, rules: Policy, *, generator: str, epsilon: float | None) -> None:
    """Refuse to sharpen labels where the policy forbids it, or where nothing would come of it.

    Raises:
        InputError: the policy does not allow it, no labels are the target, or the generator cannot.
    """
    if not rules.may_sharpen_labels:
        raise InputError(
            f"{rules.name} does not allow --sharpen-labels (nor a {SETTING} below 1): {_WHY}, and whoever receives it "
            "would learn from it. Leave the option out, or build under a policy that allows it "
            "(may_be_sharpened, under [labels])."
        )
    target = None if schema.target is None else schema.column(schema.target)
    if target is None or target.is_number:
        found = "names no target" if target is None else f"has {target.name!r} as target, a number"
        raise InputError(
            f"--sharpen-labels needs a target that holds labels, however the schema {found}. Leave the option out, or "
            "name another target."
        )
    if generator not in (("gan",) if epsilon is None else ("marginals", "marginals+dp-gan")):
        raise InputError(
            f"--sharpen-labels is known to gan, and with --epsilon to marginals, however the generator is "
            f"{generator!r}. Leave the option out, or choose one of these."
        )


def is_done(fitted: Fitted) -> bool:
    """Whether a trained generator draws labels more decisively than it learned them."""
    return float(fitted.description.get(SETTING, 1.0)) < 1.0
