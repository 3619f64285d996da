"""Which of several findings about a picture is listed."""

from hypothesis import given
from hypothesis import strategies as st

from service.usecases.findings import FindingKind, decisive

K = FindingKind


def test_the_most_decisive_finding_of_a_picture_by_hand():
    found = [
        (K.LABEL, "a", ()),
        (K.OUTLIER, "a", ()),
        (K.LABEL, "b", ()),
        (K.BLANK, "b", ()),
        (K.SMALL, "b", ()),
        (K.CONFLICT, "c", ()),
        (K.SMALL, "c", ()),
        (K.LABEL, "d", ()),
        (K.DUPLICATE, "d", ("a",)),
        (K.THIN, None, ("a", "b")),
    ]
    assert decisive(found) == [True, False, False, True, False, False, True, False, True, True]


def test_the_evidence_of_two_labels_is_settled_with_them():
    found = [(K.LABEL, "b", ()), (K.CROSS_LABEL, "a", ("b", "c")), (K.LEAK, "c", ("a",)), (K.LABEL, "a", ())]
    assert decisive(found) == [False, True, False, False]
    gone = [(K.CROSS_LABEL, "a", ("b",)), (K.LABEL, "a", ()), (K.SMALL, "b", ())]
    assert decisive(gone) == [False, True, True], "what it was nearly the same as is to go"


ORDER = [K.BLANK, K.SMALL, K.CONFLICT, K.CROSS_LABEL, K.LEAK, K.DUPLICATE, K.LABEL, K.OUTLIER]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(ORDER),
            st.sampled_from("abcd"),
            st.lists(st.sampled_from("efab"), min_size=1, max_size=2),
        ),
        max_size=12,
    )
)
def test_every_picture_is_listed_and_under_one_kind(found):
    listed = [one for one, yes in zip(found, decisive(found), strict=True) if yes]
    settled = {each for kind, one, others in listed if kind is K.CROSS_LABEL for each in (one, *others)}
    for picture in {one for _, one, _ in found}:
        kinds = {kind for kind, one, _ in listed if one == picture}
        assert len(kinds) <= 1
        only_crossed = {kind for kind, one, _ in found if one == picture} == {K.CROSS_LABEL}
        assert kinds or picture in settled or only_crossed
