"""How a chunk is divided for the network; what comes of pictures is tested with `embed`."""

import pytest

from service.usecases.encoding import FIRST_PART, PARTS, _parts


@pytest.mark.parametrize("count", [*range(1, 40), 64, 1000])
def test_the_batches_of_a_chunk_are_all_of_it_in_order_and_the_first_is_small(count):
    places = list(range(count))
    batches = [places[part] for part in _parts(count)]
    assert [place for batch in batches for place in batch] == places
    assert all(batches)
    assert len(batches) <= 1 + PARTS
    assert len(batches[0]) == -(-count // FIRST_PART)
