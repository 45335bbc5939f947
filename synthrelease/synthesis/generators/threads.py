"""How many threads a network's products use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(*, when: bool = True) -> Iterator[None]:
    """Use one thread inside the block, where ``when`` holds, and as many as before after it.

    Small products take longer in several threads than in one, which wait for each other; and sums depend in their last
    digits on how many threads share them.
    """
    before = torch.get_num_threads()
    try:
        if when:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
