"""A run as it goes on: a line a stage, a bar for training on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from synthrelease.core.contracts import TrainingStep


class Screen:
    """Draws a run: a line a stage, a bar for training on a terminal, a line every few seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar: Progress | None = None
        self.last = 0.0

    def stage(self, title: str) -> None:
        """Print the stage."""
        self._end_bar()
        self.console.print(f"[dim]{time.strftime('%H:%M:%S')}[/dim] {escape(title)}", soft_wrap=True)

    def notice(self, text: str) -> None:
        """Print the notice."""
        self._end_bar()
        self.console.print(f"[yellow]note:[/yellow] {escape(text)}", soft_wrap=True)

    def step(self, step: TrainingStep) -> None:
        """Move the bar, or print a line now and then where there is no terminal."""
        losses = "  ".join(f"{name} {value:.3f}" for name, value in step.losses.items())
        if not self.console.is_terminal:
            if time.monotonic() - self.last > 5 or step.step in (0, step.steps):
                self.last = time.monotonic()
                self.console.print(f"         update {step.step:,} of {step.steps:,}  {losses}")
            return
        if self.bar is None:
            columns = (BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f} updates"), TimeElapsedColumn())
            left = (TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.description}"))
            self.bar = Progress(*columns, *left, console=self.console, transient=True)
            self.bar.add_task("", total=step.steps)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=step.step, description=losses)

    def _end_bar(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None

    close = _end_bar


@contextmanager
def screen() -> Iterator[Screen]:
    """Draw on stderr, and take the bar away in the end."""
    shown = Screen(Console(stderr=True, highlight=False))
    try:
        yield shown
    finally:
        shown.close()
