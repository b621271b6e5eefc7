"""The notation of equations: ``b s* c, b c -> b s* c``.

An operand is a list of terms: a name (``c``), a 1, a row-major product of names (``(s n)``), and any of the first and
the last with a star for "any number of such axes" (``s*``, ``(s n)*``). A name that stands in the operands and not in
the result is summed over. One name is one size, wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..errors import UsageError, shown

_TOKEN = re.compile(
    r"\s*(?:(?P<arrow>->)|(?P<punct>[(),*])|(?P<name>[A-Za-z_][A-Za-z_0-9]*)|(?P<unit>1)(?![0-9A-Za-z_]))"
)
_STAR_NAMES = {"s": {1: ("s",), 2: ("h", "w"), 3: ("z", "h", "w")}}


@dataclass(frozen=True, slots=True)
class Term:
    """One axis: the names whose sizes it multiplies (none for a unit axis), or with ``star`` any number of such."""

    names: tuple[str, ...]
    star: bool = False

    def __str__(self) -> str:
        if not self.names:
            return "1"
        text = self.names[0] if len(self.names) == 1 else f"({' '.join(self.names)})"
        return text + ("*" if self.star else "")


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
    def contracted(self) -> set[str]:
        """Names that are summed over."""
        kept = {name for term in self.output for name in term.names}
        return {name for k in range(len(self.operands)) for name in self.names(k)} - kept

    @property
    def grows(self) -> bool:
        """True where no operand has all the names of the result."""
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
        yield Term(tuple(renamed[name][k] for name in term.names))


def parse(text: str) -> Equation:
    """Read an equation.

    Raises:
        UsageError: not of the notation; the message holds the text with a mark under the place.
    """
    operands: list[list[Term]] = [[]]
    group: list[str] | None = None
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
        elif token == "(":
            if group is not None:
                raise _error(text, start, "a product holds names only")
            group = []
        elif token == ")":
            if group is None or len(group) < 2:
                raise _error(text, start, "a product has two names or more: (s n)")
            side.append(Term(tuple(group)))
            group = None
        elif token == "*":
            if group is not None or not side or side[-1].star or not side[-1].names:
                raise _error(text, start, "a star follows a name or a product: s*, (s n)*")
            side[-1] = Term(side[-1].names, star=True)
        elif group is not None:
            if token == "1":
                raise _error(text, start, "a product holds names only")
            group.append(token)
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
