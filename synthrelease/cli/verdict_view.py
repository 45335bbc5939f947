"""How a run ends on the terminal: the verdict, what decided it, where the report is, and what to do next."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.markup import escape

from synthrelease.core.contracts import RuleOutcome
from synthrelease.report import outcome_terms, verdict_words
from synthrelease.workflows import finish_run

COLOURS = {"release": "green", "refuse": "red", "undecided": "yellow"}


def show(result: finish_run.Outcome) -> None:
    """Print the verdict, what decided it, where the report is, and what to do next; exit by the verdict."""
    verdict, console = result.verdict, Console(highlight=False)
    decision = verdict.decision
    name = f"{verdict.policy.name} {verdict.policy.version}"
    console.print(f"\n[bold {COLOURS[decision]}]{verdict_words.HEADINGS[decision]}[/] under the policy {escape(name)}")
    console.print(escape(verdict.deciding), soft_wrap=True)
    for outcome in (o for o in verdict.outcomes if o.rule.severity == "warn" and o.outcome != "met"):
        console.print(
            f"[yellow]advisory rule {outcome_terms.shown(outcome).lower()}[/]: {escape(outcome.question)} "
            f"[dim]{outcome.rule.metric}[/]",
            soft_wrap=True,
        )
    if (attempts := result.facts.attempts) is not None and attempts.number > 1:
        cap = "" if attempts.at_most is None else f" of at most {attempts.at_most}"
        console.print(f"This was attempt {attempts.number}{cap} on this source under {escape(verdict.policy.name)}.")
    if (canary := result.facts.canary) is not None:
        console.print(escape(canary.sentence), soft_wrap=True)
    console.print(f"Report: {escape(str(result.report))}", soft_wrap=True)
    if result.released is not None:
        console.print(f"Released table: {escape(str(result.released))}", soft_wrap=True)
    console.print(_next_step(result), soft_wrap=True)
    sys.exit(result.exit_code)


def _is_open(outcome: RuleOutcome) -> bool:
    """Whether a rule is not met, blocks, and may be waived."""
    return outcome.outcome != "met" and outcome.rule.severity == "block" and bool(outcome.rule.waiver_by)


def _sign(result: finish_run.Outcome, role: str) -> str:
    key = " --key FILE" if result.verdict.policy.signing.keys == "required" else ""
    return (
        f'synthrelease sign-off {result.folder} --reviewer NAME --role "{role}" --decision approve --reason TEXT{key}'
    )


def _next_step(result: finish_run.Outcome) -> str:
    roles = result.verdict.policy.sign_off
    who = " and ".join(filter(None, (", ".join(roles[:-1]), *roles[-1:]))) or "reader"
    if result.verdict.decision == "release":
        recipient = result.verdict.policy.recipient
        if not roles:
            return f"Next: read the report. The policy asks for no signature: release/ may go to {recipient}."
        commands = "".join(f"\n  {_sign(result, role)}" for role in roles)
        return (
            f"The table stays in quarantine/ until the {who} {'has' if len(roles) == 1 else 'have'} approved it; then "
            f"it moves to release/, for {recipient}.\nNext: each reads the report and signs (in the browser: "
            f"synthrelease review {escape(str(result.folder))}):{escape(commands)}"
        )
    stays = "Next: read the report's first page. The table stays in quarantine/."
    if waivable := [o for o in result.verdict.outcomes if _is_open(o)]:
        names = ", ".join(f"{o.rule.check}.{o.rule.metric}" for o in waivable)
        stays += f" The policy lets {names} be waived (synthrelease waive --help)."
    if result.verdict.decision == "undecided":
        return (
            f"{stays} More rows in the holdout, or a policy for a closer circle of recipients, may decide it; else the "
            f"{who} must judge by other means."
        )
    if not result.facts.was_made_here:
        return f"{stays} Give the findings to whoever made it."
    known = finish_run.known_checks()
    breached = [o for o in result.verdict.outcomes if o.outcome == "breached" and o.rule.severity == "block"]
    if any(known[outcome.rule.check].family == "privacy" for outcome in breached):
        return (
            f"{stays} It is too close to real patients: train less (--effort 0.5) or declare coarser columns. Trying "
            "seeds until one passes is no remedy."
        )
    return f"{stays} Its quality is too low: train longer (--effort 3), or merge or exclude the columns it names."
