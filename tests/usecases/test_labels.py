"""Names that people give."""

import pytest

from service.errors import InvalidInput
from service.usecases.labels import checked_label, checked_name


@pytest.mark.parametrize(
    ("given", "kept"),
    [(" pear ", "pear"), ("cafe\u0301", "caf\u00e9"), ("梨", "梨"), ("a b/c", "a b/c"), ("x" * 200, "x" * 200)],
)
def test_labels_are_stripped_and_composed(given, kept):
    assert checked_label(given) == kept


@pytest.mark.parametrize(
    "given", ["", "  ", "x" * 201, "a\nb", "a\x00b", "\udcff", "a\u2028b", ".", " .. ", "a/../b", "./a"]
)
def test_what_is_no_label(given):
    with pytest.raises(InvalidInput, match="label"):
        checked_label(given)


@pytest.mark.parametrize("name", ["a", "7up", "A.b-c_d", "x" * 100])
def test_names(name):
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", ".a", "-a", "a b", "a/b", "../a", "é", "x" * 101, "a\n"])
def test_what_is_no_name(name):
    with pytest.raises(InvalidInput, match="cannot be the name of a catalogue"):
        checked_name(name)
