"""``synthrelease paper``: the experiments of Tanaka & Aranha (2019)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from synthrelease.cli.error_handling import reported
from synthrelease.cli.options import FILE


@click.command()
@click.option("--experiment", type=click.IntRange(1, 3), required=True, help="1, 2, or 3, which goes beyond the paper.")
@click.option("--data", type=FILE, required=True, help="The folder with the paper's tables.")
@click.option("--out", type=FILE, default=Path("reports/paper"), show_default=True, help="Where results are kept.")
@click.option("--quick", is_flag=True, help="Three repetitions of 300 epochs of the small networks.")
@click.option("--as-published", is_flag=True, help="Also with the leak of the authors' code, named as such.")
@click.option("--repetitions", type=int, help="Trainings a row.  [default: 20 or 5, as the paper]")
@click.option("--epochs", type=int, help="Of the paper's networks.  [default: 1500]")
@click.option("--generator", "more", multiple=True, metavar="NAME", help="One more row; may be repeated.")
@click.option("--workers", type=click.IntRange(1), help="Processes.  [default: one a core]")
@reported
def paper(experiment: Any, data: Path, out: Path, **chosen: Any) -> None:
    """Reproduce Tanaka & Aranha (2019), "Data Augmentation Using GANs", beside its published figures.

    A run that was stopped goes on where it was: give the same command again.

    \b
    Example:
      synthrelease paper --experiment 1 --data tables/ --quick --out reports/paper
    """
    from rich.console import Console

    from synthrelease.workflows.paper import experiments

    options = experiments.PaperOptions(experiment, data, out, **chosen)
    console = Console(stderr=True, highlight=False)
    done = experiments.reproduce(
        options, on_trial=lambda progress: console.print(_trial_line(progress), soft_wrap=True)
    )
    for line in done.lines:
        click.echo(line)
    click.echo(f"Report: {done.page}\nFigures: {done.table}")


def _trial_line(progress: Any) -> str:
    from rich.markup import escape

    left = "" if progress.seconds_left is None else f", about {progress.seconds_left / 60:,.0f} min left"
    last = f"  {escape(progress.last)}" if progress.last else ""
    return f"{progress.done:,} of {progress.trials:,} trials, {progress.seconds / 60:,.0f} min{left}{last}"
