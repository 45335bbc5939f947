"""Progress of a training: averages losses between reports and keeps a thinned history."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from torch import Tensor

from synthrelease.core.contracts import OnStep, TrainingStep

REPORT_SECONDS = 0.5
MAX_HISTORY = 200


class Progress:
    """Sends reports about twice a second, of rising steps, the last of them at the end.

    A training in two parts counts its second part, however many updates it has, as the rest of the steps.
    """

    def __init__(self, steps: int, on_step: OnStep) -> None:
        self.steps, self.on_step = steps, on_step
        self.history: list[TrainingStep] = []
        self.start, self.scale = 0, 1.0
        self.reached = 0
        self._forget()
        self._report(0)

    def part(self, start: int, updates: int) -> None:
        """Count the next ``updates`` updates as the steps from ``start`` to the end."""
        self.start, self.scale = start, (self.steps - start) / max(updates, 1)

    def again(self) -> None:
        """Begin anew: the steps count from 0, and no report goes back."""
        self.start, self.scale = 0, 1.0
        self.history = self.history[:1]

    def add(self, step: int, losses: Mapping[str, Tensor | float], *, updates: int = 1) -> None:
        """Count the losses of an update, or their means over some ``updates``; report if half a second has passed."""
        for name, loss in losses.items():
            found = loss.detach() if isinstance(loss, Tensor) else loss
            self.sums[name] = self.sums.get(name, 0.0) + found * updates
            self.counts[name] = self.counts.get(name, 0) + updates
        self.reached = min(self.start + round(step * self.scale), self.steps)
        if time.monotonic() - self.last >= REPORT_SECONDS:
            self._report(self.reached)

    def end(self) -> None:
        """Report the end."""
        self._report(self.steps)

    def _report(self, step: int) -> None:
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        losses = {name: mean for name, mean in means.items() if math.isfinite(mean)}  # a history is strict JSON
        report = TrainingStep(step=step, steps=self.steps, losses=losses)
        self._forget()
        if self.history and step <= self.history[-1].step:
            return
        if len(self.history) >= MAX_HISTORY - 1:
            self.history = self.history[::2]
        self.history.append(report)
        self.on_step(report)

    def _forget(self) -> None:
        self.sums: dict[str, Tensor | float] = {}
        self.counts: dict[str, int] = {}
        self.last = time.monotonic()
