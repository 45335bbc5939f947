"""The commands for what comes after the verdict: keys, sign-offs, waivers, the register. Click only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthrelease.cli.error_handling import reported, stop
from synthrelease.cli.options import FILE, REGISTER

if TYPE_CHECKING:
    from synthrelease.governance.approval_records import Signer
    from synthrelease.governance.keys import Key

PASSPHRASE = "SYNTHRELEASE_PASSPHRASE"  # noqa: S105 - the name of a variable, no secret
_KEY = click.option("--key", "key_file", type=FILE, metavar="FILE", help="Sign with this key; made by `keygen`.")


def _who(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say who decides, and why."""
    for option in (
        REGISTER,
        _KEY,
        click.option("--reason", required=True, metavar="TEXT", help="Why, in your words."),
        click.option("--role", required=True, help="In what role; the policy names those it asks for."),
        click.option("--reviewer", required=True, metavar="NAME", help="Who decides."),
    ):
        command = option(command)
    return command


def _signing_key(path: Path | None) -> Key | None:
    """Read a key, asking for its passphrase where it has one. It is no option: other users could read it there."""
    from synthrelease.governance import keys

    def ask() -> str:
        return os.environ.get(PASSPHRASE) or str(click.prompt(f"Passphrase of {path}", hide_input=True, err=True))

    return None if path is None else keys.load(path, ask=ask)


@click.command()
@click.option("--out", type=FILE, required=True, help="The private key; the public one is written beside it as .pub.")
@click.option("--no-passphrase", is_flag=True, help="Do not protect the key with a passphrase.")
@click.option("--encryption", is_flag=True, help="Make a key to receive locked packages with (age) instead.")
@reported
def keygen(out: Path, no_passphrase: bool, encryption: bool) -> None:
    """Make a key to sign with (Ed25519). The file can be read by you alone; a passphrase protects it further.

    \b
    Example:
      synthrelease keygen --out me.key
    """
    from synthrelease.core.formatting import grouped
    from synthrelease.governance import keys

    if encryption:
        click.echo(f"Wrote {out} (keep it to yourself). Who hands a package over locks it for you with:")
        click.echo(f"  --encrypt-to {keys.generate_identity(out)}")
        return
    passphrase = "" if no_passphrase else os.environ.get(PASSPHRASE)
    if passphrase is None:
        passphrase = click.prompt(
            "Passphrase (empty for none)", default="", hide_input=True, confirmation_prompt=True, show_default=False,
            err=True,
        )  # fmt: skip
    made = keys.generate(out, passphrase=passphrase)
    click.echo(f"Wrote {out} (keep it to yourself) and {out}.pub (give it to whoever checks your signature).")
    click.echo(f"Fingerprint: {grouped(made.fingerprint)}")
    if not passphrase:
        click.echo("It has no passphrase: whoever can read the file can sign in your name.")


@click.command("sign-off")
@click.argument("run", type=FILE)
@click.option("--decision", type=click.Choice(["approve", "reject"]), required=True, help="A rejection is final.")
@_who
@reported
def sign_off(run: Path, decision: Any, **who: Any) -> None:
    """Approve or reject the finished run in the folder RUN, after reading its report.

    The decision is bound to the table, the report and the policy: a byte changed in one of them voids it. With the last
    approval that the policy asks for, the table moves to release/.

    \b
    Example:
      synthrelease sign-off runs/first --reviewer "Your Name" --role "data steward" --decision approve --reason "Read."
    """
    from rich.console import Console

    from synthrelease.cli import status_view
    from synthrelease.governance import sign_off as signing

    case = signing.sign_off(run, _signer(who), decision, who["reason"], where=who["register"])
    status_view.show(case, Console(highlight=False))


def _signer(who: Any) -> Signer:
    from synthrelease.governance.approval_records import Signer

    return Signer(who["reviewer"], who["role"], _signing_key(who["key_file"]))


@click.command()
@click.argument("run", type=FILE)
@click.option("--rule", required=True, metavar="CHECK.METRIC", help="The rule that is not met.")
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), required=True, metavar="YYYY-MM-DD", help="The last day it holds."
)
@_who
@reported
def waive(run: Path, rule: str, until: datetime, **who: Any) -> None:
    """Waive one rule of the finished run in the folder RUN, where its policy allows that.

    The waiver is written into the report, and later into the data card: the recipient reads the reason. Sign-offs given
    before it are void. When it has expired, nothing is handed over any more.

    \b
    Example:
      synthrelease waive runs/first --rule utility.utility_gap --until 2027-01-31 --reviewer "Your Name" \\
        --role "data steward" --reason "Only for teaching: models are not trained on it."
    """
    from rich.console import Console

    from synthrelease.cli import status_view
    from synthrelease.governance import sign_off as signing

    case = signing.waive(run, _signer(who), rule, until.date(), who["reason"], where=who["register"])
    click.echo(f"Waived {rule} until {until.date()}; the reason stands in the report.")
    status_view.show(case, Console(highlight=False))


@click.command("register")
@click.argument("source", required=False)
@REGISTER
@reported
def show_register(source: str | None, register: Path | None) -> None:
    """Show what was done with each source of real data, and check that the register is as it was written.

    SOURCE is the name of a table or the beginning of its digest: then every entry is listed.

    \b
    Exit code: 0 as it was written, 5 not.
    \b
    Examples:
      synthrelease register
      synthrelease register patients.csv
    """
    from rich.console import Console
    from rich.markup import escape

    from synthrelease.cli import status_view

    console = Console(highlight=False)
    problems = status_view.show_register(register, source, console)
    for problem in problems:
        console.print(f"[bold red]NOT INTACT[/] {escape(problem)}", soft_wrap=True)
    sys.exit(5 if problems else 0)


@click.command()
@click.argument("run", type=FILE)
@click.option("--recipient", required=True, metavar="NAME", help="Who receives it.")
@click.option("--out", type=FILE, required=True, help="A new file: .zip, or .zip.age with --encrypt-to.")
@_KEY
@click.option(
    "--encrypt-to", "locked_for", multiple=True, metavar="AGE_KEY",
    help="Lock it for this age recipient (age1...) or SSH public key alone; may be repeated.",
)  # fmt: skip
@REGISTER
@reported
def handoff(
    run: Path, recipient: str, out: Path, key_file: Path | None, locked_for: tuple[str, ...], register: Path | None
) -> None:  # fmt: skip
    """Pack the released table of RUN with its card, policy and sign-offs into one file for a recipient.

    Refused while a sign-off is missing. The same run, recipient and key give the same bytes. Sign it with --key, so
    that the recipient can tell who made it.

    \b
    Example:
      synthrelease handoff runs/first --recipient "Partner University" --key ada.key --out package.zip
    """
    from synthrelease.core.formatting import grouped
    from synthrelease.governance import handoff as workflow

    key = _signing_key(key_file)
    done = workflow.hand_off(run, recipient, out, key=key, locked_for=locked_for, where=register)
    click.echo(f"Wrote {done.path} for {done.contents.recipient}: {len(done.contents.files)} files.")
    click.echo(f"SHA-256 of the zip: {done.sha256}")
    if done.contents.key is None:
        click.echo("Nobody signed it: read this SHA-256 to the recipient over the telephone, or use --key.")
    else:
        click.echo(f"Signed with the key {grouped(done.contents.key)}: read that to the recipient over the telephone.")
    if done.contents.valid_until:
        click.echo(f"It rests on a waiver and is valid until {done.contents.valid_until}.")
    click.echo(f"The recipient checks it: synthrelease verify {done.path.name}")


@click.command()
@click.argument("package", type=FILE)
@click.option("--key", "fingerprint", metavar="FINGERPRINT", help="Of the sender's key, as the sender told you.")
@click.option("--sha256", metavar="HEX", help="Of the zip, as the sender told you.")
@click.option("--identity", type=FILE, help="The key that opens a locked package (age).")
@click.option("--extract", type=FILE, metavar="DIR", help="Write its files to a new folder, if it is intact.")
@reported
def verify(
    package: Path, fingerprint: str | None, sha256: str | None, identity: Path | None, extract: Path | None
) -> None:
    """Check a PACKAGE that was handed over: whether it is whole, who signed it, and whether it may be used.

    It needs nothing but the file: no register, no run folder, no network.

    \b
    Exit code: 0 intact, 5 not intact, 2 no such file.
    \b
    Example:
      synthrelease verify package.zip --extract table/
    """
    from rich.console import Console

    from synthrelease.cli import status_view
    from synthrelease.governance import package_verification

    expected = package_verification.Expected(fingerprint, sha256, identity)
    found = package_verification.verify(package, expected, extract=extract)
    status_view.show_package(package, found, expected, Console(highlight=False))
    if extract is not None and found.is_intact:
        click.echo(f"Its files are in {extract}.")
    sys.exit(0 if found.is_intact else 5)


@click.command()
@click.argument("run", type=FILE)
@click.option("--reviewer", default="", metavar="NAME", help="Fills in the name.")
@click.option("--role", default="", help="Fills in the role.")
@_KEY
@click.option("--port", type=click.IntRange(0, 65535), default=0, show_default=True, help="0 takes any that is free.")
@click.option("--minutes", type=click.FloatRange(0.1, 1440), default=60.0, show_default=True, help="When it closes.")
@click.option("--browser", is_flag=True, help="Open the page in the browser.")
@REGISTER
@reported
def review(
    run: Path, key_file: Path | None, port: int, minutes: float, browser: bool, register: Path | None, **who: Any
) -> None:  # fmt: skip
    """Read the report of RUN in the browser and sign there: the same as `sign-off`.

    The page is served to this machine alone; its address works once. It closes when a decision is recorded.

    \b
    Example:
      synthrelease review runs/first --key mine.key
    """
    from rich.console import Console

    from synthrelease.cli import status_view
    from synthrelease.governance import review_server
    from synthrelease.governance.sign_off import held

    key = _signing_key(key_file)
    visit = review_server.Visit(run, register, key, who["reviewer"], who["role"])

    def ready(address: str) -> None:
        click.echo(f"Open this address in a browser on this machine; it works once:\n  {address}")
        click.echo(f"The page closes by itself after {minutes:g} minutes, or with Ctrl-C.")
        if browser:
            click.launch(address)

    if not review_server.serve(visit, port=port, minutes=minutes, ready=ready):
        stop("The time is over and nothing was recorded. Run the command again.", 1)
    with held(run, register) as case:
        status_view.show(case, Console(highlight=False))


COMMANDS: tuple[click.Command, ...] = (keygen, review, sign_off, waive, handoff, verify, show_register)
