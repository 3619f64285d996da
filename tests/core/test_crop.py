"""Boxes as people write them, crops as they are kept, and the names of pictures."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.core.crop import Crop, box_of, check_within, hash_and_crop, picture_name
from service.errors import InvalidInput

PIXELS = st.integers(0, 999_999)
EDGES = st.integers(1, 999_999)


@pytest.mark.parametrize(
    ("given", "box"),
    [
        ("10,20,30,40", (10, 20, 30, 40)),
        (" 10 20\t30 ; 40 ", (10, 20, 30, 40)),
        ([10, 20, 30, 40], (10, 20, 30, 40)),
        ([10.0, 20.0, 30.0, 40.0], (10, 20, 30, 40)),
        ("10.5,20,30,40", (10, 20, 31, 40)),  # 10.5 .. 40.5 lies in 10 .. 41
        ("0.25,0.75,1.5,1.5", (0, 0, 2, 3)),  # 0.25 .. 1.75 and 0.75 .. 2.25
        ("-0,0,1,1", (0, 0, 1, 1)),
    ],
)
def test_boxes_are_read_in_whole_pixels(given, box):
    assert box_of(given) == box


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("10,20,30", "has 3 numbers"),
        ("", "has 1 numbers"),
        ([1, 2, 3, 4, 5], "has 5 numbers"),
        ("a,2,3,4", "'a' where a number"),
        ("nan,2,3,4", "'nan' where a number"),
        ([1, 2, math.inf, 4], "'inf' where a number"),
        ([1, 2, True, 4], "'True' where a number"),
        ([1, 2, None, 4], "'None' where a number"),
        ("1e9,2,3,4", "'1e9' where a number of pixels from 0 to 1000000"),
        ("-1,2,3,4", "begins at -1,2"),
        ("1,2,0,4", "is 0 wide and 4 high"),
        ("0.1,0.1,0.5,0.5", "0.5 wide and 0.5 high; at least 1 pixel is needed (fractions of the picture are not"),
    ],
)
def test_what_is_no_box_says_so_with_its_numbers(given, told):
    with pytest.raises(InvalidInput) as caught:
        box_of(given)
    assert told in caught.value.message


@given(st.tuples(PIXELS, PIXELS, EDGES, EDGES), st.booleans())
def test_a_crop_comes_back_from_its_text(box, keep_aspect):
    crop = Crop(box, keep_aspect)
    assert Crop.parse(str(crop)) == crop
    assert hash_and_crop(picture_name("ab", str(crop))) == ("ab", str(crop))


def test_whole_pictures_have_the_empty_crop():
    assert Crop.parse("") is None
    assert picture_name("ab", "") == "ab"
    assert hash_and_crop("ab") == ("ab", "")
    assert picture_name("ab", str(Crop((1, 2, 3, 4), keep_aspect=True))) == "ab@1,2,3,4,pad"


@pytest.mark.parametrize("text", ["1,2,3", "01,2,3,4", "1,2,0,4", "1,2,3,4,pads", "1, 2,3,4", "-1,2,3,4", "x"])
def test_other_texts_are_no_crops(text):
    with pytest.raises(InvalidInput, match="is no crop"):
        Crop.parse(text)


def test_a_box_lies_inside_its_picture_to_the_last_pixel():
    check_within((2, 3, 8, 7), 10, 10)
    with pytest.raises(InvalidInput, match="the box 2,3,9,7 reaches to 11,10, and the picture is 10 x 10 pixels"):
        check_within((2, 3, 9, 7), 10, 10)
    with pytest.raises(InvalidInput, match="reaches to 10,11"):
        check_within((2, 3, 8, 8), 10, 10)
