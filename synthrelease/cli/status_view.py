"""Where a run stands by its signatures, and what the register holds, as the steward reads it on the terminal."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from synthrelease.core.formatting import clean, grouped, moment
from synthrelease.governance import register, register_events
from synthrelease.governance.approval_records import SignOff, Waiver, key_of
from synthrelease.governance.package_verification import Expected, Verification
from synthrelease.governance.register_events import Attempt, Entry, HandedOver, Judged, Noted, Signed, Waived
from synthrelease.governance.sign_off import Case


def show(case: Case, console: Console) -> None:
    """Print who has signed, who has to, and what comes next."""
    at = case.standing
    for record in at.approvals.values():
        console.print(f"[green]approved[/] {escape(_by(record))}", soft_wrap=True)
    if at.rejection is not None:
        console.print(f"[red]rejected[/] {escape(_by(at.rejection))}", soft_wrap=True)
    for text in at.void:
        console.print(f"[yellow]does not count[/] {escape(text)}", soft_wrap=True)
    for role in at.missing if at.rejection is None else ():
        console.print(f"[yellow]to sign[/]  {escape(role)}", soft_wrap=True)
    console.print(escape(_next(case)), soft_wrap=True)


def _by(record: SignOff | Waiver) -> str:
    key = key_of(record)
    signed = "without a key" if key is None else f"key {grouped(key)[:19]} ..."
    return f"{record.role}: {record.reviewer}, {moment(record.time)}, {signed}"


def _next(case: Case) -> str:
    at = case.standing
    if at.rejection is not None:
        return "The run is rejected, for good. The table stays in quarantine/. Next: build again."
    if case.is_released:
        return (
            f"Released: {case.folder.release / case.stored.table}\n"
            f"Next: synthrelease handoff {case.folder.path} --recipient NAME --out package.zip"
        )
    if at.unmet:
        return f"The table stays in quarantine/: {', '.join(at.unmet)} not met and not waived."
    return f"The table stays in quarantine/ until all have signed. Next: {command(case.folder.path, at.missing[0])}"


def command(run: Path, role: str) -> str:
    """The command with which somebody signs."""
    return (
        f'synthrelease sign-off {run} --reviewer NAME --role "{role}" --decision approve --reason TEXT '
        f"(or read and sign in the browser: synthrelease review {run})"
    )


def show_package(path: Path, found: Verification, expected: Expected, console: Console) -> None:
    """Print whether a package is intact, who signed it, and what to compare; or every file that fails, and why."""
    if not found.is_intact:
        console.print(f"[bold red]NOT INTACT[/] {escape(path.name)}: do not use it.", soft_wrap=True)
        for problem in found.problems:
            console.print(f"  [bold]{escape(problem.name)}[/]: {escape(problem.why)}.", soft_wrap=True)
        return
    contents = found.contents
    assert contents is not None  # noqa: S101 - it is intact
    console.print(f"[bold green]INTACT[/] {escape(path.name)}: {len(contents.files)} files, none changed.")
    told = {
        "Synthetic table": contents.table,
        "Recipient": contents.recipient,
        "Policy": f"{contents.policy.name} {contents.policy.version}",
        "SHA-256": found.sha256,
        "Signed with": "no key" if contents.key is None else f"the key {grouped(contents.key)}",
    }
    for key, value in told.items():
        console.print(f"  {key + ':':<17}{escape(clean(value))}", soft_wrap=True)
    for record in found.records:
        console.print(f"  {_decided(record):<17}{escape(clean(_by(record)))}", soft_wrap=True)
    if not found.records:
        console.print("  Approved by:     nobody; the policy asks for nobody")
    console.print(escape(_trust(contents.key, expected)), soft_wrap=True)


def _decided(record: SignOff | Waiver) -> str:
    return f"Waived ({record.until}):" if isinstance(record, Waiver) else "Approved by:"


def _trust(key: str | None, expected: Expected) -> str:
    if expected.fingerprint is not None:
        return "The sender's key is the one you expect."
    if expected.sha256 is not None:
        return "The SHA-256 is the one you expect."
    if key is None:
        return "Nothing in it proves who made it: compare the SHA-256 with the one the sender reads to you (--sha256)."
    return "Whose key that is, no file can prove: compare it with the one the sender reads to you (--key)."


def show_register(where: Path | None, wanted: str | None, console: Console) -> list[str]:
    """Print every source, or every entry of those that ``wanted`` names; return what is not intact."""
    opened = register.opened(where)
    shown = 0

    def on_source(source: str, entries: tuple[Entry, ...]) -> None:
        nonlocal shown
        if wanted is None or source.startswith(wanted) or _name(entries) == wanted:
            shown += 1
            _show_source(source, entries, console)
            for entry in entries if wanted is not None else ():
                console.print(f"  {escape(_line(entry))}", soft_wrap=True)

    problems = register.check(opened, on_source=on_source)
    if not shown and not problems:
        console.print("No such source." if wanted else "Nothing is registered yet.")
    console.print(
        f"[dim]Register: {escape(str(opened.folder))}, {'NOT intact' if problems else 'as it was written'}.[/]"
    )
    return problems


def _name(entries: tuple[Entry, ...]) -> str:
    return next((e.facts.source_name for e in entries if isinstance(e.facts, Attempt)), "?")


def _show_source(source: str, entries: tuple[Entry, ...], console: Console) -> None:
    counts = Counter(entry.event for entry in entries)
    verdicts = Counter(entry.facts.decision for entry in entries if isinstance(entry.facts, Judged))
    attempts = counts["build"] + counts["audit"]
    ended = ", ".join(f"{verdicts[each]} {each}" for each in ("release", "refuse", "undecided") if verdicts[each])
    epsilon = register_events.epsilon_of(entries)
    console.print(
        f"[bold]{escape(_name(entries))}[/] [dim]{source[:12]}[/]: {attempts} attempt{'s' * (attempts != 1)} "
        f"({ended or 'none finished'}), {counts['release']} released, {counts['hand-off']} handed over, "
        f"epsilon {epsilon:g} in all, since {moment(entries[0].time)}",
        soft_wrap=True,
    )


def _line(entry: Entry) -> str:
    facts = entry.facts
    return f"{entry.number:>4}  {moment(entry.time)}  {entry.event:<10} {facts.run}  {_told(facts)}"


def _told(facts: Noted) -> str:
    """What an event says besides its run."""
    match facts:
        case Attempt():
            return f"under {facts.policy} {facts.policy_version}"
        case Judged():
            return facts.decision
        case Signed(record=record):
            return f"{record.decision} by {record.reviewer} ({record.role})"
        case Waived(record=record):
            return f"of {record.rule} until {record.until} by {record.reviewer}"
        case HandedOver():
            return f"to {facts.recipient}, package {facts.package[:12]}"
        case _:
            return ""
