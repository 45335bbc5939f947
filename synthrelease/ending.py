"""How a run ends on the terminal: the verdict, what decided it, where the report is, and what to do next."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape

from synthrelease import pipeline

WORDS = {"release": "RELEASE", "refuse": "DO NOT RELEASE", "undecided": "HUMAN REVIEW NEEDED"}
COLOURS = {"release": "green", "refuse": "red", "undecided": "yellow"}


def show(result: pipeline.Outcome) -> None:
    """Print the verdict, what decided it, where the report is, and what to do next; exit by the verdict."""
    verdict, console = result.verdict, Console(highlight=False)
    decision = verdict.decision
    name = f"{verdict.policy.name} {verdict.policy.version}"
    console.print(f"\n[bold {COLOURS[decision]}]{WORDS[decision]}[/] under the policy {escape(name)}")
    console.print(escape(verdict.deciding), soft_wrap=True)
    warnings = [o for o in verdict.outcomes if o.rule.severity == "warn" and o.outcome != "met"]
    for outcome in warnings:
        state = "breached" if outcome.outcome == "breached" else "no evidence"
        console.print(
            f"[yellow]warning[/] ({state}): {escape(outcome.question)} [dim]{outcome.rule.metric}[/]", soft_wrap=True
        )
    console.print(f"Report: {escape(str(result.report))}", soft_wrap=True)
    if result.released is not None:
        console.print(f"Released table: {escape(str(result.released))}", soft_wrap=True)
    console.print(_next_step(result), soft_wrap=True)
    sys.exit(result.exit_code)


def _next_step(result: pipeline.Outcome) -> str:
    *most, last = result.verdict.policy.sign_off
    who = f"{', '.join(most)} and {last}" if most else last
    if result.verdict.decision == "release":
        recipient = result.verdict.policy.recipient
        return f"Next: read the report and have it signed by the {who}; then the folder release/ may go to {recipient}."
    stays = "Next: read the report's first page. The table stays in quarantine/."
    if result.verdict.decision == "undecided":
        return (
            f"{stays} More rows in the holdout, or a policy for a closer circle of recipients, may decide it; else the "
            f"{who} must judge by other means."
        )
    if result.facts.generator == "unknown":
        return f"{stays} Give the findings to whoever made it."
    known = pipeline.known_checks()
    breached = [o for o in result.verdict.outcomes if o.outcome == "breached" and o.rule.severity == "block"]
    if any(known[outcome.rule.check].family == "privacy" for outcome in breached):
        return (
            f"{stays} It is too close to real patients: train less (--effort 0.5) or declare coarser columns. Trying "
            "seeds until one passes is no remedy."
        )
    return f"{stays} Its quality is too low: train longer (--effort 3), or merge or exclude the columns it names."
