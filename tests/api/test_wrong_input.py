"""What is wrong with a body, told in words of this API: the library's own are those of its version."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, ValidationError

from service.api.wrong_input import in_a_sentence, wrong_lines


class Body(BaseModel):
    label: str = Field(default="pear", min_length=1, max_length=5)
    prefix: str = Field(default="abcd", min_length=4)
    ids: list[str] = Field(default=["one"], min_length=1, max_length=2)
    box: Annotated[list[int], Field(min_length=4)] = [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"label": ""}, "label is empty: at least one character is needed"),
        ({"label": "pineapple"}, "label is too long: 5 characters at most"),
        ({"prefix": "ab"}, "prefix is too short: 4 characters at least"),
        ({"ids": []}, "ids is empty: at least one is needed"),
        ({"ids": ["a", "b", "c"]}, "ids is too many: 2 at most"),
        ({"box": [1, 2]}, "box needs 4 at least"),
        ({"label": "", "ids": []}, "label is empty: at least one character is needed; ids is empty: at least one"),
    ],
)
def test_lengths_are_told_in_plain_words(given, told):
    with pytest.raises(ValidationError) as refused:
        Body.model_validate(given)
    assert in_a_sentence(wrong_lines(refused.value.errors())).startswith(told)
    bare = wrong_lines(refused.value.errors(include_context=False))
    assert "should have at" in bare[0]["message"], "without the limits the library's words are better than none"
