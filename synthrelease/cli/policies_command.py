"""``synthrelease policies``: what each policy asks."""

from __future__ import annotations

import click

from synthrelease.cli.error_handling import reported


@click.command()
@click.argument("name", required=False)
@reported
def policies(name: str | None) -> None:
    """List the policies, or explain the policy NAME (a name or a TOML file) in plain words.

    \b
    Example:
      synthrelease policies partner_handoff
    """
    from synthrelease.cli import explain_view
    from synthrelease.governance import policy_file
    from synthrelease.workflows import finish_run

    known = finish_run.known_checks()
    if name is not None:
        for line in explain_view.of_policy(policy_file.load(name, known), known):
            click.echo(line)
        return
    for each in policy_file.names():
        loaded = policy_file.load(each, known)
        blocking = sum(rule.severity == "block" for rule in loaded.rules)
        click.echo(f"{loaded.name} {loaded.version}: {loaded.title}")
        click.echo(f"    for {loaded.recipient}")
        click.echo(f"    {blocking} blocking rules, {len(loaded.rules) - blocking} that warn\n")
    click.echo("Explain one: synthrelease policies NAME. Make your own: copy its TOML file and change it.")
    click.echo(f"They lie in {policy_file.folder()}")
