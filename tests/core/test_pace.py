"""How fast a job works."""

from __future__ import annotations

import pytest

from service.core.pace import MARK_S, Pace, begun, counted, rate, rested


def test_nothing_is_known_before_it_begins_and_before_anything_is_done():
    assert rate(None, 5, 100.0) is None
    assert rate(begun(None, 100.0, 5), 5, 110.0) is None
    assert rate(begun(None, 100.0, 0), 5, 100.0) is None


def test_what_was_done_before_is_not_its_work():
    assert rate(begun(None, 100.0, 5), 25, 110.0) == 2.0


def test_a_running_job_has_its_recent_rate():
    pace = begun(None, 0.0, 0)
    for second in range(1, 101):  # ten a second at first, one a second later
        pace = counted(pace, float(second), min(500, 10 * second) + max(0, second - 50))
    assert len(pace.marks) == 2
    assert MARK_S <= 100 - pace.marks[0][0] <= 2 * MARK_S + 1
    assert rate(pace, 550, 100.0) == pytest.approx(1.0)


def test_a_job_that_stalls_slows_down():
    pace = counted(begun(None, 0.0, 0), 20.0, 200)
    assert rate(pace, 200, 20.0) == 10.0
    assert rate(pace, 200, 200.0) == 1.0


def test_pauses_do_not_count():
    pace = rested(begun(None, 0.0, 0), 10.0)
    assert rate(pace, 100, 5000.0) == 10.0
    assert counted(pace, 5000.0, 110) is pace
    assert rested(pace, 6000.0) == pace
    again = begun(pace, 7000.0, 100)
    assert rate(again, 100, 7001.0) is None
    assert rate(again, 120, 7010.0) == 2.0
    assert rate(rested(again, 7010.0), 120, 9999.0) == 6.0


def test_beginning_twice_is_beginning_once():
    pace = begun(None, 0.0, 0)
    assert begun(pace, 50.0, 10) is pace


def test_it_is_kept_as_json():
    for pace in (begun(None, 1.5, 2), rested(begun(None, 1.5, 2), 9.0), counted(begun(None, 0.0, 0), 20.0, 7)):
        assert Pace.from_dict(pace.as_dict()) == pace
    assert Pace.from_dict(None) is None
