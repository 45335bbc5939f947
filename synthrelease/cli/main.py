"""The command line: parse, call, print, choose the exit code. Nothing is decided here.

Every command imports what it works with when it runs, so that help and version come at once.
"""

from __future__ import annotations

import click

from synthrelease.cli import governance_commands, run_commands
from synthrelease.cli.balance_command import balance
from synthrelease.cli.command_log import VERBOSE, Program
from synthrelease.cli.inspect_command import inspect
from synthrelease.cli.paper_command import paper
from synthrelease.cli.policies_command import policies


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="synthrelease")
@VERBOSE
def main() -> None:
    """Build synthetic tables, audit them, and release them only when a policy says so.

    \b
    Begin with:
      synthrelease build --demo
    With a table of your own:
      synthrelease inspect patients.csv --target readmitted --out schema.toml
      synthrelease build patients.csv --schema schema.toml --policy partner_handoff --out runs/first
    Where people must sign before the table may leave:
      synthrelease review runs/first
      synthrelease handoff runs/first --recipient "Partner" --out package.zip
    """


for each in (inspect, balance, policies, paper, *run_commands.COMMANDS, *governance_commands.COMMANDS):
    main.add_command(each)
