"""Reading ahead keeps the order, reads one batch ahead and no more, and passes errors on."""

import pytest

from dbot.data.images import read_ahead


def test_batches_come_in_order():
    batches = [[1, 2, 3], [4], [], [5, 6]]
    assert list(read_ahead(lambda key: -key, batches)) == [[-1, -2, -3], [-4], [], [-5, -6]]
    assert list(read_ahead(lambda key: key, [])) == []


def test_one_batch_is_asked_for_ahead():
    asked = []

    def batches():
        for batch in range(4):
            asked.append(batch)
            yield [batch]

    reading = read_ahead(lambda key: key, batches())
    assert next(reading) == [0]
    assert asked == [0, 1]
    assert next(reading) == [1]
    assert asked == [0, 1, 2]
    reading.close()


def test_an_error_reaches_the_caller():
    def read(key):
        return 1 / key

    with pytest.raises(ZeroDivisionError):
        list(read_ahead(read, [[1], [0], [2]]))
