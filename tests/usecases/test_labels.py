"""Names that people give."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from service.errors import InvalidInput
from service.records import Scope
from service.usecases.browsing import list_examples
from service.usecases.classes import rename_label
from service.usecases.context import partition_of
from service.usecases.keys import create_key, create_key_of_any, list_keys, rotate_key
from service.usecases.labels import HIDDEN, JOINERS, SELECTORS, checked_label, checked_name, label_asked_for
from service.usecases.tenants import create_tenant_from_defaults
from tests.fakes import fake_context, fruit, ingested, write_pictures
from tests.usecases.archives import archived, imported

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
LETTERS = st.text("aå梨بک1 -", min_size=1, max_size=8).filter(str.strip)
BIDI_CONTROLS = {chr(code) for code in range(0x110000) if unicodedata.bidirectional(chr(code)) in BIDI}


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


def test_every_control_of_direction_is_among_the_hidden():
    assert BIDI_CONTROLS < HIDDEN
    assert {"\u200b", "\u200e", "\u200f", "\u2060", "\ufeff"} < HIDDEN


def test_what_has_no_width_and_what_is_blank_is_among_the_hidden_and_what_is_seen_is_not():
    assert set("\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u206a\u206f\ufff9\ufffb") < HIDDEN
    assert set("\U0001bca0\U0001d173\U0001d17a\U000e0001\U000e007f\U000e0100\u3164\uffa0\u2800") < HIDDEN
    seen = {chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"} - HIDDEN
    assert seen >= set("\u0600\u0605\u06dd\u070f\u08e2\U000110bd")
    assert all(0x600 <= ord(one) <= 0x8E2 or 0x110BD <= ord(one) <= 0x1343F for one in seen)


@over(LETTERS, LETTERS, st.sampled_from(sorted(HIDDEN - JOINERS)))
def test_a_label_holds_nothing_that_nobody_sees(before, after, hidden):
    with pytest.raises(InvalidInput, match=f"holds U\\+{ord(hidden):04X} .*leave it out") as raised:
        checked_label(f"{before}{hidden}{after}")
    assert raised.value.message.isascii() or hidden not in raised.value.message
    with pytest.raises(InvalidInput):
        checked_label(hidden)


@over(LETTERS, LETTERS, st.sampled_from(sorted(JOINERS)))
def test_labels_may_be_joined(before, after, joiner):
    label = f"{before.strip()}{joiner}{after.strip()}"
    assert checked_label(label) == unicodedata.normalize("NFC", label)


@over(st.text(st.sampled_from(sorted(JOINERS | SELECTORS | set(" \u00a0\u3000"))), min_size=1, max_size=5))
def test_nothing_is_named_with_what_nobody_sees_alone(text):
    with pytest.raises(InvalidInput, match=r"holds nothing that anybody sees|is empty"):
        checked_label(text)
    with pytest.raises(InvalidInput, match=r"nobody sees|anybody sees|is blank"):
        create_key(fake_context(), "acme", text, (Scope.READ,))


@pytest.mark.parametrize(
    "label",
    [
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "\U0001f469\u200d\U0001f33e",
        "\u2764\ufe0f",
        "\u182d\u180b",
        "\u0600\u0661",
        "\u06dd",
    ],
)
def test_persian_emoji_and_signs_that_are_seen_are_labels(label):
    assert checked_label(label) == label


@over(LETTERS, st.sampled_from(sorted(HIDDEN)), LETTERS)
def test_what_was_given_before_can_be_asked_for(before, hidden, after):
    label = f"{before.strip()}{hidden}{after.strip()}"
    assert label_asked_for(label) == unicodedata.normalize("NFC", label)


@over(st.sampled_from(sorted(HIDDEN)), st.text("az09._-", max_size=5))
def test_no_tenant_catalogue_or_key_is_named_with_what_nobody_sees(hidden, rest):
    context = fake_context()
    create_tenant_from_defaults(context, "acme", {})
    for what in ("tenant", "catalogue"):
        with pytest.raises(InvalidInput, match=f"cannot be the name of a {what}") as raised:
            checked_name(f"a{hidden}{rest}", what)
        assert hidden not in raised.value.message
    for create in (create_key, create_key_of_any):
        with pytest.raises(InvalidInput, match=f"name of the key .* holds U\\+{ord(hidden):04X}"):
            create(context, "acme", f"till{hidden}{rest}", (Scope.READ,))
    assert list_keys(context, "acme") == []


def test_a_key_that_was_named_so_before_is_rotated():
    context = fake_context()
    create_tenant_from_defaults(context, "acme", {})
    former = create_key(context, "acme", "till", (Scope.READ,)).key
    older = replace(former, id="0" * 16, name="till\u200b")
    context.registry.add_key(older)
    assert rotate_key(context, "acme", older.id).key.name == "till\u200b"


def test_a_class_that_was_named_so_before_is_read_archived_and_renamed(tmp_path):
    context = fake_context()
    ingested(context, write_pictures(tmp_path / "pictures", fruit()))
    catalogue = context.registry.catalogue("acme", "fruit")
    for one in context.registry.examples(catalogue.id):
        if one.label == "pear":
            context.registry.relabel_example(catalogue.id, one.id, "p\u200bear", one.split)
            context.store.set_payload(partition_of(catalogue), {one.id: {"label": "p\u200bear"}})
    assert len(list_examples(context, "acme", "fruit", None, 10, label="p\u200bear")) == 6
    other = fake_context()
    imported(other, archived(context), "copy")
    for holder, name in ((context, "fruit"), (other, "copy")):
        with pytest.raises(InvalidInput, match=r"U\+200B"):
            rename_label(holder, "acme", name, "p\u200bear", "pe\u200bar")
        assert rename_label(holder, "acme", name, "p\u200bear", "pear").relabelled == 6
