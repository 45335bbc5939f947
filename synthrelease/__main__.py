"""Run the command line as ``python -m synthrelease``."""

from synthrelease.cli.main import main

main(prog_name="synthrelease")
