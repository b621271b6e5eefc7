"""The notation of equations: ``b s* c, b c -> b s* c``.

An operand is a list of terms: a name (``c``), a 1, a row-major product of names (``(s n)``), and any of the first and
the last with a star for "any number of such axes" (``s*``, ``(s n)*``). A name that stands in the operands and not in
the result is summed over. One name is one size, wherever it stands.

A product with a tilde is cut off: ``(n b)~`` is b as often as it takes, what is too much of the last time left out. A
sum in the result is tensors side by side: ``b t c, b t d -> b t (c+d)`` joins them along the last axis,
``b h w c, b d -> b ((h w c)+d)`` flattens the first one before, ``b t c, b c -> b (t+1) c`` adds one step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import UsageError, shown

_TOKEN = re.compile(
    r"\s*(?:(?P<arrow>->)|(?P<punct>[(),*+~])|(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<unit>1)(?![0-9A-Za-z_]))"
)
_STAR_NAMES = {"s": {1: ("s",), 2: ("h", "w"), 3: ("z", "h", "w")}}


@dataclass(frozen=True, slots=True)
class Term:
    """One axis: the names whose sizes it multiplies (none for a unit axis), or with ``star`` any number of such.

    ``cut`` is set where the axis may end before the product does. ``parts`` are the products that a sum adds up, one
    for each operand (an empty one adds 1); ``names`` are then those of all parts.
    """

    names: tuple[str, ...]
    star: bool = False
    cut: bool = False
    parts: tuple[tuple[str, ...], ...] = ()

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
        """True where the operands are put side by side."""
        return any(term.parts for term in self.output)

    @property
    def lacking(self) -> set[int]:
        """The axes of the result, joined ones left out, of which an operand has nothing."""
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
        """True where no operand of a product has all the names of the result."""
        if self.joins:
            return False
        result = {name for term in self.output for name in term.names}
        return all(self.names(k) != result for k in range(len(self.operands)))

    def swapped(self) -> Equation:
        """The same product with its two operands exchanged."""
        return Equation(self.operands[::-1], self.output, self.base)

    def expand(self, ranks: Sequence[int]) -> Equation | None:
        """The equation for operands of these ranks, stars written out; None where it has no such form."""
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
        UsageError: not of the notation; the message holds the text with a mark under the place.
    """
    operands: list[list[Term]] = [[]]
    group: _Group | None = None
    arrow = -1
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise _error(
                text,
                position + len(text[position:]) - len(text[position:].lstrip()),
                "this has no meaning here",
            )
        start = match.start(match.lastgroup or 0)
        token = match.group(match.lastgroup or 0)
        position = match.end()
        side = operands[-1]
        if token == "->":
            if arrow >= 0 or group is not None:
                raise _error(text, start, "one '->' stands between the operands and the result")
            arrow = len(operands)
            operands.append([])
        elif token == ",":
            if group is not None or arrow >= 0 or not side:
                raise _error(text, start, "a comma stands between two operands")
            operands.append([])
        elif group is not None:
            wrong = group.take(token)
            if wrong:
                raise _error(text, start, wrong)
            if group.closed:
                term = group.term()
                if term.parts and arrow < 0:
                    raise _error(text, start, "a sum stands in the result only: (c+d)")
                side.append(term)
                group = None
        elif token == "(":
            group = _Group()
        elif token in "*~":
            last = side[-1] if side else Term(())
            if token == "*" and (last.star or not last.names or last.parts):
                raise _error(text, start, "a star follows a name or a product: s*, (s n)*")
            if token == "~" and (last.star or last.cut or len(last.names) < 2 or last.parts):
                raise _error(text, start, "a tilde follows a product: (n b)~")
            side[-1] = replace(last, star=last.star or token == "*", cut=last.cut or token == "~")
        elif token in ")+":
            raise _error(text, start, f"no '(' stands in front of this {token!r}")
        else:
            side.append(Term(() if token == "1" else (token,)))
    if group is not None:
        raise _error(text, len(text), "a product is not closed")
    if arrow < 0:
        raise _error(text, len(text), "'->' and the result are missing")
    if arrow < 2:
        raise _error(text, 0, "a product has two operands or more: a, b -> c")
    equation = Equation(tuple(map(tuple, operands[:arrow])), tuple(operands[arrow]))
    _check(equation, text)
    return equation


class _Group:
    """What stands in brackets: a product ``(s n)``, or a sum of products ``(c+d)``, ``((h w c)+d)``, ``(t+1)``."""

    def __init__(self) -> None:
        self.parts: list[list[str]] = [[]]
        self.units: set[int] = set()
        self.depth = 1
        self.closed = False
        self.whole: set[int] = set()

    def take(self, token: str) -> str:
        """Read on; what is wrong with the token, or ""."""
        part, number = self.parts[-1], len(self.parts) - 1
        ended = number in self.whole or number in self.units
        if token == "(":
            if self.depth > 1 or part or ended:
                return "a product holds names only"
            self.depth = 2
        elif token == ")":
            if self.depth == 2:
                self.depth = 1
                self.whole.add(number)
                return "" if len(part) > 1 else "a product has two names or more: (s n)"
            if number == 0:
                self.closed = len(part) > 1 and not ended
                return "" if self.closed else "a product has two names or more: (s n)"
            self.closed = True
            return self._part_ends(part, number)
        elif token == "+":
            if self.depth > 1:
                return "a product holds names only"
            wrong = self._part_ends(part, number)
            self.parts.append([])
            return wrong
        elif token == "1":
            if part or ended or self.depth > 1:
                return "a product holds names only"
            self.units.add(number)
        elif token in ("*", "~") or ended:
            return "a product holds names only"
        else:
            part.append(token)
        return ""

    def _part_ends(self, part: list[str], number: int) -> str:
        if not part and number not in self.units:
            return "a part of the sum is missing"
        if len(part) > 1 and number not in self.whole:
            return "a product within a sum stands in brackets: ((h w)+d)"
        return ""

    def term(self) -> Term:
        return (
            sum_of([tuple(part) for part in self.parts])
            if len(self.parts) > 1
            else Term(tuple(self.parts[0]))
        )


def _check(equation: Equation, text: str) -> None:
    starred: dict[str, bool] = {}
    for number, terms in enumerate((*equation.operands, equation.output)):
        seen: set[str] = set()
        for term in terms:
            for name in term.names:
                if name in seen:
                    raise _error(text, _place(text, name, number), f"{name} stands twice on one tensor")
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
    """Where ``name`` stands on tensor number ``side``, for the mark under it."""
    starts = [0, *(m.end() for m in re.finditer(r",|->", text))]
    start = starts[min(side, len(starts) - 1)]
    found = re.compile(rf"(?<![A-Za-z_0-9]){re.escape(name)}").search(text, start) if name else None
    return found.start() if found else start


def _error(text: str, position: int, message: str) -> UsageError:
    clean = shown(text)
    return UsageError(f"equation: {message}\n  {clean}\n  {' ' * min(position, len(clean))}^")
