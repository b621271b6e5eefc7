"""The notation of equations: ``b s* c, b c -> b s* c``.

An operand is a list of terms: a name (``c``), a 1, or a row-major product of names (``(s n)``). A name or a product can
have a star for "any number of such axes" (``s*``, ``(s n)*``). A name in the operands but not in the result is summed
over. A name has the same size everywhere.

A product with a tilde is cut off: ``(n b)~`` repeats b until it is long enough, and cuts off the rest. A sum in the
result is a concatenation: ``b t c, b t d -> b t (c+d)`` is one along the last axis, ``b h w c, b d -> b ((h w c)+d)``
flattens the first operand before it, ``b t c, b c -> b (t+1) c`` adds one step. In an operand, ``(t+1)`` has one entry
more than t, and the last one is left out: ``b (t+1) c, b t c -> b t c``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import UsageError, shown

_TOKEN = re.compile(
    r"\s*(?:(?P<arrow>->)|(?P<punct>[(),*+~])|(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<unit>1)(?![0-9A-Za-z_]))"
)
_ARROW = "one '->' must separate the operands from the result"
_COMMA = "a comma must separate two operands"
_TWO_NAMES = "a product needs two names or more: (s n)"
_STAR_NAMES = {"s": {1: ("s",), 2: ("h", "w"), 3: ("z", "h", "w")}}


@dataclass(frozen=True, slots=True)
class Term:
    """One axis: the names whose sizes it multiplies (none for a unit axis); with ``star``, any number of such axes.

    ``cut`` is set if the axis may end before the product does. ``parts`` are the products that a sum adds, one for each
    operand (an empty one adds 1); ``names`` are then the names of all parts. In an operand, ``parts`` are a name and
    one entry that is left out.
    """

    names: tuple[str, ...]
    star: bool = False
    cut: bool = False
    parts: tuple[tuple[str, ...], ...] = ()

    @property
    def cropped(self) -> bool:
        """True for ``(t+1)``: in an operand, an axis whose last entry is left out."""
        return self.parts[1:] == ((),) and len(self.parts[0]) == 1

    def __str__(self) -> str:
        if self.parts:
            return f"({'+'.join(map(_product_text, self.parts))})"
        return _product_text(self.names) + "~" * self.cut + "*" * self.star


def _product_text(names: tuple[str, ...]) -> str:
    if not names:
        return "1"
    return names[0] if len(names) == 1 else f"({' '.join(names)})"


def sum_of(parts: Sequence[tuple[str, ...]]) -> Term:
    """``(c+d)``."""
    return Term(tuple(name for part in parts for name in part), parts=tuple(parts))


Terms = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Equation:
    """``operands -> output``. ``base`` maps the names that a star was expanded to back to the starred one."""

    operands: tuple[Terms, ...]
    output: Terms
    base: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        left = ", ".join(" ".join(map(str, terms)) for terms in self.operands)
        return f"{left} -> {' '.join(map(str, self.output))}"

    def letter(self, name: str) -> str:
        """The name as the rule's author wrote it: ``s`` for the ``h`` that ``s*`` was expanded to."""
        return dict(self.base).get(name, name)

    @property
    def starred(self) -> bool:
        return any(t.star for terms in (*self.operands, self.output) for t in terms)

    def names(self, operand: int) -> set[str]:
        return {name for term in self.operands[operand] for name in term.names}

    @property
    def joins(self) -> bool:
        """True if the equation is a concatenation."""
        return any(term.parts for term in self.output)

    @property
    def lacking(self) -> set[int]:
        """The axes of the result, except joined ones, of which some operand has no name."""
        names = [self.names(k) for k in range(len(self.operands))]
        return {
            position
            for position, term in enumerate(self.output)
            if term.names and not term.parts and any(not set(term.names) & own for own in names)
        }

    @property
    def contracted(self) -> set[str]:
        """Names that are summed over."""
        kept = {name for term in self.output for name in term.names}
        return {name for k in range(len(self.operands)) for name in self.names(k)} - kept

    @property
    def grows(self) -> bool:
        """True if no operand of a product has exactly the names of the result."""
        if self.joins:
            return False
        result = {name for term in self.output for name in term.names}
        return all(self.names(k) != result for k in range(len(self.operands)))

    def swapped(self) -> Equation:
        """The same product with its two operands exchanged."""
        return Equation(self.operands[::-1], self.output, self.base)

    def expand(self, ranks: Sequence[int]) -> Equation | None:
        """The equation for operands of these ranks, stars written out; None if it has no form for them."""
        count: int | None = None
        for terms, rank in zip(self.operands, ranks, strict=True):
            stars = sum(t.star for t in terms)
            if not stars:
                if len(terms) != rank:
                    return None
                continue
            spare, left_over = divmod(rank - (len(terms) - stars), stars)
            if left_over or spare < 1 or (count is not None and spare != count):
                return None
            count = spare
        if count is None:
            return self
        taken = {n for terms in (*self.operands, self.output) for t in terms if not t.star for n in t.names}
        base: dict[str, str] = {}
        renamed: dict[str, tuple[str, ...]] = {}
        for term in (t for terms in self.operands for t in terms if t.star):
            for name in term.names:
                if name not in renamed:
                    renamed[name] = _fresh_names(name, count, taken)
                    taken |= set(renamed[name])
                    base |= dict.fromkeys(renamed[name], name)

        def write_out(terms: Terms) -> Terms:
            return tuple(out for term in terms for out in _write_out(term, renamed, count or 1))

        return Equation(tuple(map(write_out, self.operands)), write_out(self.output), tuple(base.items()))


def _fresh_names(name: str, count: int, taken: set[str]) -> tuple[str, ...]:
    preferred = _STAR_NAMES.get(name, {}).get(count, ())
    if preferred and not taken & set(preferred):
        return preferred
    return (name,) if count == 1 and name not in taken else tuple(f"{name}{k + 1}" for k in range(count))


def _write_out(term: Term, renamed: dict[str, tuple[str, ...]], count: int) -> Iterator[Term]:
    if not term.star:
        yield term
        return
    for k in range(count):
        yield Term(tuple(renamed[name][k] for name in term.names), cut=term.cut)


def parse(text: str) -> Equation:
    """Read an equation.

    Raises:
        UsageError: the text is not in the notation; the message has the text with a mark under the error.
    """
    reader = _Reader(text.rstrip())
    equation = reader.equation()
    _check(equation, reader.text)
    return equation


class _Reader:
    """Reads an equation by descent.

    ::

        equation = terms {"," terms} "->" terms
        term     = (name | "1" | "(" product or sum ")") {"*" | "~"}
        sum      = part "+" part {"+" part}
        part     = name | "1" | "(" product ")"
        product  = name name {name}
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = list(_tokens(text))
        self.at = 0

    @property
    def token(self) -> str:
        """The next token; "" at the end."""
        return self.tokens[self.at][0] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.token
        self.at += 1
        return token

    def error(self, message: str) -> UsageError:
        """The error, with a mark under the next token."""
        place = self.tokens[self.at][1] if self.at < len(self.tokens) else len(self.text)
        return _error(self.text, place, message)

    def equation(self) -> Equation:
        operands = [self.terms()]
        while self.token == ",":
            if not operands[-1]:
                raise self.error(_COMMA)
            self.take()
            operands.append(self.terms())
        if not self.token:
            raise self.error("'->' and the result are missing")
        self.take()
        output = self.terms(result=True)
        if self.token:
            raise self.error(_ARROW if self.token == "->" else _COMMA)
        if len(operands) < 2:
            raise _error(self.text, 0, "a product needs two operands or more: a, b -> c")
        return Equation(tuple(operands), output)

    def terms(self, result: bool = False) -> Terms:
        """The terms up to the next comma or arrow, or the end."""
        found = []
        while self.token not in ("", ",", "->"):
            found.append(self.term(result))
        return tuple(found)

    def term(self, result: bool) -> Term:
        term = Term(())
        if self.token == "(":
            term = self.group(result)
        elif self.token in (")", "+"):
            raise self.error(f"this {self.token!r} has no matching '('")
        elif self.token not in ("*", "~"):
            token = self.take()
            term = Term(() if token == "1" else (token,))
        while self.token in ("*", "~"):
            if self.token == "*" and (term.star or not term.names or term.parts):
                raise self.error("a star follows a name or a product: s*, (s n)*")
            if self.token == "~" and (term.star or term.cut or len(term.names) < 2 or term.parts):
                raise self.error("a tilde follows a product: (n b)~")
            term = replace(term, star=True) if self.take() == "*" else replace(term, cut=True)
        return term

    def group(self, result: bool) -> Term:
        """The product or sum in brackets."""
        self.take()
        parts = [self.part()]
        while self.token == "+":
            self.take()
            parts.append(self.part())
        if len(parts) == 1:
            term = Term(parts[0])
        else:
            term = sum_of(parts)
            if not result and not term.cropped:
                raise self.error("a sum is allowed in the result only: (c+d); in an operand it is (t+1)")
        self.take()
        return term

    def part(self) -> tuple[str, ...]:
        """The names of a part of a sum, or of a whole product, up to its ``+`` or bracket."""
        first = self.at
        bracketed, unit = self.token == "(", self.token == "1"
        if bracketed:
            self.take()
        names = () if unit else self.names()
        if bracketed:
            self.ends(")")
            if len(names) < 2:
                raise self.error(_TWO_NAMES)
        if bracketed or unit:
            self.take()
        self.ends("+", ")")
        in_sum = self.token == "+" or self.tokens[first - 1][0] == "+"
        if not in_sum and (bracketed or len(names) < 2):
            raise self.error(_TWO_NAMES)
        if in_sum and not names and not unit:
            raise self.error("a part of the sum is missing")
        if in_sum and len(names) > 1 and not bracketed:
            raise self.error("a product within a sum must be in brackets: ((h w)+d)")
        return names

    def ends(self, *tokens: str) -> None:
        """Raise UsageError if the next token is none of these."""
        if self.token not in tokens:
            wrong = {"": "a product is not closed", ",": _COMMA, "->": _ARROW}
            raise self.error(wrong.get(self.token, "a product holds names only"))

    def names(self) -> tuple[str, ...]:
        found = []
        while self.token[:1].isalpha() or self.token[:1] == "_":
            found.append(self.take())
        return tuple(found)


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Each token and where it starts."""
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            rest = text[position:]
            raise _error(text, position + len(rest) - len(rest.lstrip()), "this has no meaning here")
        group = match.lastgroup or 0
        yield match.group(group), match.start(group)
        position = match.end()


def _check(equation: Equation, text: str) -> None:
    starred: dict[str, bool] = {}
    for number, terms in enumerate((*equation.operands, equation.output)):
        seen: set[str] = set()
        for term in terms:
            for name in term.names:
                if name in seen:
                    raise _error(text, _place(text, name, number), f"{name} occurs twice on one tensor")
                seen.add(name)
                if starred.setdefault(name, term.star) is not term.star:
                    raise _error(
                        text, _place(text, name, number), f"{name} is starred in one place and not in another"
                    )
        if sum(t.star for t in terms) > 1:
            raise _error(text, _place(text, "", number), "a tensor has one starred term at most")
    given = {name for k in range(len(equation.operands)) for name in equation.names(k)}
    for term in equation.output:
        if term.parts and len(term.parts) != len(equation.operands):
            raise _error(
                text,
                _place(text, term.names[0] if term.names else "", len(equation.operands)),
                f"a sum has a part for each of the {len(equation.operands)} operands",
            )
        for name in term.names:
            if name not in given:
                raise _error(
                    text,
                    _place(text, name, len(equation.operands)),
                    f"{name} is in the result, but in no operand",
                )
    for name in equation.contracted:
        if sum(name in equation.names(k) for k in range(len(equation.operands))) < 2:
            raise _error(text, _place(text, name, 0), f"{name} is in one operand only, and not in the result")


def _place(text: str, name: str, side: int) -> int:
    """The position of ``name`` in tensor number ``side``, for the mark under it."""
    starts = [0, *(m.end() for m in re.finditer(r",|->", text))]
    start = starts[min(side, len(starts) - 1)]
    found = (
        re.compile(rf"(?<![A-Za-z_0-9]){re.escape(name)}(?![A-Za-z_0-9])").search(text, start)
        if name
        else None
    )
    return found.start() if found else start


def _error(text: str, position: int, message: str) -> UsageError:
    clean = shown(text)
    return UsageError(f"equation: {message}\n  {clean}\n  {' ' * min(position, len(clean))}^")
