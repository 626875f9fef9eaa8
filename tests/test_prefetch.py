"""Work ahead and results that are fetched late: the real threads, on plain numbers and CPU tensors."""

from functools import partial

import numpy as np
import pytest
import torch

from clip2.runtime.prefetch import ahead, batches, one_behind, to_host


def test_no_more_is_done_ahead_than_asked_for() -> None:
    done: list[int] = []
    stream = ahead(range(100), lambda i: done.append(i), threads=2, depth=5)
    taken = [next(stream) for _ in range(3)]
    for _, result in taken:
        result.result()
    stream.close()  # type: ignore[attr-defined]
    assert [item for item, _ in taken] == [0, 1, 2]
    assert len(done) <= 9


def test_work_ahead_comes_in_order_and_fails_where_it_is_taken() -> None:
    results = ahead(range(8, -1, -1), lambda i: 8 // i, threads=3, depth=4)
    assert [future.result() for _, future in (next(results) for _ in range(8))] == [1, 1, 1, 1, 2, 2, 4, 8]
    with pytest.raises(ZeroDivisionError):
        next(results)[1].result()


def test_batches() -> None:
    assert list(batches(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batches(range(4), 2)) == [[0, 1], [2, 3]]
    assert list(batches([], 2)) == []


def test_a_result_is_waited_for_when_the_next_work_has_been_started() -> None:
    told: list[str] = []

    def start(number: int) -> int:
        told.append(f"start {number}")
        return number

    def wait(number: int) -> int:
        told.append(f"wait {number}")
        return number

    started = (partial(wait, start(i)) for i in range(3))
    assert list(one_behind(started)) == [0, 1, 2]
    assert told == ["start 0", "start 1", "wait 0", "start 2", "wait 1", "wait 2"]
    assert list(one_behind([])) == []


def test_results_on_the_cpu_are_there_at_once() -> None:
    a, b = to_host(torch.arange(3), torch.ones(2))()
    np.testing.assert_array_equal(a, [0, 1, 2])
    np.testing.assert_array_equal(b, [1, 1])
