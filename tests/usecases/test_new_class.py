"""A label that nobody gave before is told, with those that are like it."""

import pytest

from service.errors import CatalogueNotFound, InvalidInput
from service.usecases.new_class import new_class
from tests.fakes import fake_context, fruit, ingested, write_pictures


@pytest.fixture
def context(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path, fruit(2, ("apple", "Pear", "peach", "plum"))))
    return context


@pytest.mark.parametrize(
    ("label", "close"),
    [
        ("apple", None),
        (" apple ", None),
        ("appel", ("apple",)),
        ("pear", ("Pear", "peach")),
        ("zucchini", ()),
    ],
)
def test_known_names_and_those_like_them(context, label, close):
    assert new_class(context, "acme", "fruit", label) == close


def test_what_is_refused(context):
    with pytest.raises(InvalidInput, match="the label is empty"):
        new_class(context, "acme", "fruit", " ")
    with pytest.raises(CatalogueNotFound):
        new_class(context, "acme", "none", "apple")
