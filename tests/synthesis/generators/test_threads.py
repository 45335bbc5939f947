"""One thread inside the block, where it is asked for; as many as before after it, whatever happens inside."""

from __future__ import annotations

import pytest
import torch

from synthrelease.synthesis.generators.threads import one_thread


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("when", "threads"), [(True, 1), (False, 2)])
def test_one_thread_inside_and_as_many_as_before_after_it(when, threads):
    with one_thread(when=when):
        assert torch.get_num_threads() == threads
    assert torch.get_num_threads() == 2


def test_the_number_of_threads_is_put_back_after_an_error():
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = torch.get_num_threads() / 0
    assert torch.get_num_threads() == 2
