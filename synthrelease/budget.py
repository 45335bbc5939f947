"""The privacy ledger: what touched the real data under differential privacy, and what that promises.

No generator makes such a promise yet. The ledger says so in a form that a policy can hold against its rule: a rule on
epsilon without a claim has no evidence, and is therefore never met.
"""

from __future__ import annotations

from synthrelease.contracts import CheckResult, CheckSpec, MetricSpec, PrivacySpend

SPEC = CheckSpec(
    name="privacy_budget",
    title="Formal privacy guarantee",
    family="privacy",
    metrics=(
        MetricSpec("epsilon", "Is there a formal limit to what anyone can learn of one patient?", "epsilon", "lower"),
    ),
    about=(
        "Differential privacy bounds what any attacker, with any side knowledge, can learn about one person. It is a "
        "property of how the generator was trained, so it is read from the ledger and not measured."
    ),
)


def result(spends: tuple[PrivacySpend, ...] | None) -> CheckResult:
    """The ledger as a check result; None stands for a table whose making is unknown (a vendor's).

    Raises:
        ValueError: there are spends. A claim must be composed by an accountant, never assumed.
    """
    if spends:
        raise ValueError("spends must be composed by an accountant, however none is installed in this version")
    note = (
        "The table's maker handed over no privacy ledger, so no claim can be checked."
        if spends is None
        else "The generator was trained without differential privacy and offers no such guarantee."
    )
    return CheckResult(check=SPEC.name, status="not_applicable", note=note)
