"""Server-sent events, however the bytes are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from service.client.events import Event, EventReader

STREAM = (
    b': a comment\n\nid: 1-a\nevent: progress\ndata: {"done": 1}\n\n'
    b"data: two\r\ndata: lines\r\nretry: 5\r\n\r\nid: 2-b\revent: finished\rdata:\xc3\xa9\r\r: last\n\nevent: empty\n\n"
)
EVENTS = [
    Event("progress", '{"done": 1}', "1-a"),
    Event("message", "two\nlines", "1-a"),
    Event("finished", "é", "2-b"),
]


def events(chunks):
    reader = EventReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def test_comments_and_what_has_no_data_are_passed_over():
    assert events([STREAM]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_chunks_end_anywhere(cuts):
    places = [0, *sorted(cuts), len(STREAM)]
    assert events(STREAM[a:b] for a, b in pairwise(places)) == EVENTS


def test_an_id_stays_until_the_next():
    assert [event.id for event in events([b"id: 7\ndata: a\n\ndata: b\n\n"])] == ["7", "7"]
