"""What looks like a credential is hidden, and what tells how to send one is not."""

from __future__ import annotations

import pytest

from service.usecases.masking import masked, masked_value

SECRET = "b6a730de8d4612d0d257" * 2
KEY = f"holo_7cba68decd3dfba7_{SECRET}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"/v1/catalogues?key={KEY}&limit=5", "/v1/catalogues?key=holo_7cba68decd3dfba7_***&limit=5"),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer ***"),
        ("postgresql://holotype:geheim@db/holotype", "postgresql://holotype:***@db/holotype"),
        ("send one as `Authorization: Bearer holo_...`", "send one as `Authorization: Bearer holo_...`"),
    ],
)
def test_a_credential_goes_and_all_else_stays(line: str, expected: str) -> None:
    assert masked(line) == expected


def test_texts_are_masked_wherever_they_stand_in_a_value() -> None:
    told = {"errors": [{"loc": ("path", KEY), "n": 3}], KEY: None}
    assert masked_value(told) == {
        "errors": [{"loc": ["path", "holo_7cba68decd3dfba7_***"], "n": 3}],
        "holo_7cba68decd3dfba7_***": None,
    }
