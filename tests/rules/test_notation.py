"""The notation: reading, printing, refusals, and the position of the error mark."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewriter.errors import UsageError
from rewriter.rules.notation import Equation, parse

NAMES = st.sampled_from(["b", "c", "h", "w", "t_2", "Feature", "x1"])


@st.composite
def equations(draw) -> str:
    """Texts that are equations by construction."""
    names = draw(st.lists(NAMES, min_size=2, max_size=6, unique=True))
    starred = draw(st.booleans())
    star = names[0]

    def text(part: list[str]) -> str:
        terms = [f"{n}*" if starred and n == star else n for n in part]
        if len(part) > 2 and draw(st.booleans()) and not (starred and star in part[-2:]):
            terms[-2:] = [f"({part[-2]} {part[-1]})"]
        return " ".join(terms)

    second = draw(st.lists(st.sampled_from(names), min_size=1, max_size=len(names), unique=True))
    return f"{text(names)}, {text(second)} -> {text(draw(st.permutations(names)))}"


@given(equations())
def test_printed_and_read_again_it_is_the_same(text):
    equation = parse(text)
    assert parse(str(equation)) == equation
    assert str(parse(str(equation))) == str(equation)


@given(st.text(alphabet="bc *(),->1+~\n\t\x00é", max_size=30))
def test_any_text_is_an_equation_or_a_usage_error(text):
    try:
        equation = parse(text)
    except UsageError as error:
        message = str(error)
    else:
        message = "equation: " * isinstance(equation, Equation)
    assert message.startswith("equation: ")


@pytest.mark.parametrize(
    ("text", "words", "under"),
    [
        ("b c -> c", "two operands or more", "b"),
        ("b c, c", "'->' and the result are missing", ""),
        ("b (c, d -> c", "a comma must separate two operands", ","),
        ("b b, c -> b c", "b occurs twice on one tensor", "b"),
        ("b s* c, b s -> b s* c", "s is starred in one place and not in another", "s"),
        ("b c, d -> b e", "e is in the result, but in no operand", "e"),
        ("b c% , b -> b c", "this has no meaning here", "%"),
        ("b (c), b -> b c", "a product needs two names or more", ")"),
        ("b (c 1), b -> b c", "a product holds names only", "1"),
        ("b s* r*, b -> b s* r*", "one starred term at most", "b"),
        ("b 1*, b -> b", "a star follows a name or a product", "*"),
        ("b c, b -> b", "c is in one operand only", "c"),
        ("b cd, b cd -> b cd c", "c is in the result, but in no operand", "c"),
        ("b -> c -> d", "one '->'", "->"),
        ("b c, b (c d", "a product is not closed", ""),
    ],
)
def test_an_error_points_into_the_text(text, words, under):
    with pytest.raises(UsageError) as caught:
        parse(text)
    message, shown, mark = str(caught.value).split("\n")
    assert words in message
    place = mark.index("^")
    assert re.match(rf"{re.escape(under)}(?!\w)" if under.isalnum() else re.escape(under), shown[place:])


def test_stars_are_written_out_with_the_names_people_use():
    equation = parse("b s* c, b c -> b s* c")
    assert str(equation.expand([4, 2])) == "b h w c, b c -> b h w c"
    assert str(equation.expand([3, 2])) == "b s c, b c -> b s c"
    assert str(equation.expand([5, 2])) == "b z h w c, b c -> b z h w c"
    assert equation.expand([2, 2]) is None
    assert equation.expand([4, 3]) is None
    expanded = equation.expand([4, 2])
    assert [expanded.letter(n) for n in "bhwc"] == ["b", "s", "s", "c"]


SUMS = [
    "b t c, b t d -> b t (c+d)",
    "b h w c, b d -> b ((h w c)+d)",
    "b t c, b c -> b (t+1) c",
    "(n b)~ c, b d, b e -> (n b)~ (c+d+e)",
    "(n b)~ r*, b r* -> (n b)~ r*",
    "b (h+1) (w+1) c, b h w d -> b h w (c+d)",
]


@pytest.mark.parametrize("text", SUMS)
def test_sums_and_what_is_cut_off_are_printed_as_they_are_read(text):
    assert str(parse(text)) == text
    assert parse(str(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "words", "under"),
    [
        ("b (c+d), b -> b c", "in the result only", ")"),
        ("b (1+c), b c -> b c", "in an operand it is (t+1)", ")"),
        ("b (c+1+1), b c -> b c", "in an operand it is (t+1)", ")"),
        ("b c, b d -> b (c d+d)", "must be in brackets", "+"),
        ("b c, b d -> b (c+)", "a part of the sum is missing", ")"),
        ("b c, d -> b (c+d+e)", "a part for each of the 2 operands", "c"),
        ("b c, b d -> b c~ d", "a tilde follows a product", "~"),
        ("b c, b d -> b (c+d)~", "a tilde follows a product", "~"),
        ("b c, b d -> b c) d", "has no matching '('", ")"),
        ("b c, b d -> b (c+d)*", "a star follows", "*"),
        ("b c, b d -> b ((c d)", "not closed", ""),
        ("b c, b d -> b ((c+d) 1", "a product holds names only", "+"),
        ("b c, b d -> b ((c d", "not closed", ""),
    ],
)
def test_a_sum_that_is_none_points_into_the_text(text, words, under):
    test_an_error_points_into_the_text(text, words, under)
