"""The lowering of a match to the cheapest nodes that align the operands. There is only this one.

The order of cost is Reshape, Transpose, Tile, MatMul. There is no Tile where broadcasting repeats the data. ExpandDims
replaces Reshape if more than one size is not a plain number. Each target (Keras, ONNX) only writes the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..ir.size import Size, Truth, product, same
from ..shapes.broadcast import Convention, positions
from .match import Match
from .notation import Term

RESULT = -1


@dataclass(frozen=True, slots=True)
class Step:
    """One node to insert.

    ``operand`` is the multiply's operand that it acts on, or ``RESULT`` for a node that replaces or follows the
    multiply. ``to`` is its result's shape. ``axes`` is the permutation of a Transpose, the new axes of an ExpandDims,
    the dropped ones of a Squeeze, the axis of a Repeat (``repeats[0]`` times); ``repeats`` are the counts of a Tile. A
    Slice keeps the first entries. A Tile with ``like`` repeats along ``axes`` to the sizes of operand ``like`` after
    its own steps, because an open batch has no fixed count. The step ``lengths`` comes before it.
    """

    op: str
    operand: int
    to: tuple[Size, ...]
    axes: tuple[int, ...] = ()
    repeats: tuple[int, ...] = ()
    like: int | None = None

    @property
    def lengths(self) -> Step | None:
        """The Slice that gives a Tile its sizes: operand ``like``, cut to one entry along the other axes."""
        if self.like is None:
            return None
        to = tuple(size if i in self.axes else 1 for i, size in enumerate(self.to))
        return Step("Slice", self.like, to, tuple(i for i in range(len(to)) if i not in self.axes))


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, and whether a MatMul replaces the multiply. ``cannot`` says why there is no plan."""

    steps: tuple[Step, ...]
    output: tuple[Size, ...]
    cannot: str = ""

    @property
    def replaces(self) -> bool:
        return any(step.op == "MatMul" for step in self.steps)

    @property
    def written(self) -> tuple[object, ...]:
        """The steps as a file states them: a size that is not a plain number is None."""
        return tuple(
            (
                s.op,
                s.operand,
                tuple(n if isinstance(n, int) else None for n in s.to),
                s.axes,
                s.repeats,
                s.like,
            )
            for s in self.steps
        )

    @property
    def repeats(self) -> bool:
        """True if data is copied."""
        return any(step.op in ("Tile", "Repeat", "Upsample") for step in self.steps)


class _Track:
    """One operand during the lowering: the names of each axis, its size, and the steps so far."""

    def __init__(self, operand: int, terms: list[tuple[str, ...]], sizes: list[Size]) -> None:
        self.operand = operand
        self.terms = terms
        self.sizes = sizes
        self.steps: list[Step] = []

    def step(self, op: str, axes: tuple[int, ...] = (), repeats: tuple[int, ...] = ()) -> None:
        """Add a step whose result has the current sizes."""
        self.steps.append(Step(op, self.operand, tuple(self.sizes), axes, repeats))

    def repeat(self, position: int, times: int, whole: tuple[str, ...], inner: bool, size: Size) -> None:
        """Repeat axis ``position`` to ``whole``, cut to ``size``: each entry (``inner``), or the whole axis.

        For ONNX, the entries of an axis of open size are repeated by a Tile along an added axis.
        """
        old = self.sizes[position]
        self.terms[position] = whole
        if inner and not isinstance(old, int) and all(isinstance(s, int) for s in self.sizes if s is not old):
            self.sizes.insert(position + 1, 1)
            self.step("ExpandDims", (position + 1,))
            self.sizes[position + 1] = times
            self.step(
                "Tile", repeats=tuple(times if i == position + 1 else 1 for i in range(len(self.sizes)))
            )
            self.sizes[position : position + 2] = [old * times]
            self.step("Reshape")
            return
        self.sizes[position] = old * times
        if inner:
            self.step("Repeat", (position,), (times,))
        else:
            self.step("Tile", repeats=tuple(times if i == position else 1 for i in range(len(self.sizes))))
        if size != self.sizes[position]:
            self.sizes[position] = size
            self.step("Slice")

    def tile(self, terms: Sequence[tuple[str, ...]], sizes: Sequence[Size]) -> None:
        """Repeat along the unit axes that must be longer, if the counts are plain numbers."""
        counts = [
            size if same(old, 1) is Truth.YES and isinstance(size, int) else 1
            for old, size in zip(self.sizes, sizes, strict=True)
        ]
        for i, count in enumerate(counts):
            if count != 1 or self.sizes[i] == sizes[i]:
                self.terms[i], self.sizes[i] = terms[i], sizes[i]
        if any(count != 1 for count in counts):
            self.step("Tile", repeats=tuple(counts))

    def tile_like(
        self, others: Sequence[_Track], terms: Sequence[tuple[str, ...]], sizes: Sequence[Size]
    ) -> str:
        """Repeat along the unit axes that must still be longer, to another operand's sizes; returns why not, or ""."""
        open_ = [i for i, term in enumerate(terms) if term and self.terms[i] != term]
        if not open_:
            return ""
        like = next((t for t in others if all(t.terms[i] == terms[i] for i in open_)), None)
        if like is None:
            return f"{' '.join(terms[open_[0]])} is {sizes[open_[0]]}: a repeat count must be a plain number"
        for i in open_:
            self.terms[i], self.sizes[i] = terms[i], sizes[i]
        self.steps.append(Step("Tile", self.operand, tuple(self.sizes), tuple(open_), like=like.operand))
        return ""

    def transpose(self, permutation: Sequence[int]) -> None:
        if list(permutation) == list(range(len(permutation))):
            return
        self.terms = [self.terms[i] for i in permutation]
        self.sizes = [self.sizes[i] for i in permutation]
        self.step("Transpose", tuple(permutation))

    def layout(self, terms: Sequence[tuple[str, ...]], sizes: Sequence[Size]) -> None:
        """Add or drop unit axes (the other axes are in order already)."""
        if list(terms) == self.terms:
            return
        old, old_sizes = self.terms, self.sizes
        self.terms, self.sizes = list(terms), list(sizes)
        symbolic = sum(not isinstance(s, int) for s in sizes)
        if symbolic <= 1:
            self.step("Reshape")
            return
        drop = tuple(i for i, (t, s) in enumerate(zip(old, old_sizes, strict=True)) if not t and s == 1)
        kept = [s for i, s in enumerate(old_sizes) if i not in drop]
        if drop:
            self.steps.append(Step("Squeeze", self.operand, tuple(kept), drop))
        new = tuple(i for i, t in enumerate(terms) if not t)
        if new:
            self.step("ExpandDims", new)

    def reshape(self, terms: Sequence[tuple[str, ...]], sizes: Sequence[Size]) -> None:
        """Split or merge axes."""
        if list(terms) == self.terms:
            return
        self.terms, self.sizes = list(terms), list(sizes)
        self.step("Reshape")


def lower(found: Match, convention: Convention) -> Plan:
    """The plan of a match under a multiply's convention."""
    if found.equation.joins:
        return _joining(found)
    if found.equation.contracted:
        return _contraction(found)
    # A product larger than its operands gets explicit axes: an implicit broadcast would look like an accident.
    return _broadcast(found, Convention.NONE if found.equation.grows else convention)


def lower_by_matmul(found: Match) -> Plan:
    """The plan of a match as one matrix product, with or without a sum."""
    return _contraction(found)


def _track(found: Match, operand: int) -> _Track:
    axes = found.operands[operand]
    terms: list[tuple[str, ...]] = [()] * len(axes)
    for term, position in zip(found.equation.operands[operand], found.kept[operand], strict=True):
        terms[position] = term.names
    track = _Track(operand, terms, [a.size for a in axes])
    for term, position in zip(found.equation.operands[operand], found.kept[operand], strict=True):
        if term.cropped:
            track.sizes[position] = found.sizes[term.names[0]]
    if track.sizes != [a.size for a in axes]:
        track.step("Slice")
    return track


# -- products without a sum -----------------------------
def _broadcast(found: Match, convention: Convention) -> Plan:
    output = found.equation.output
    sizes = [found.size(term) for term in output]
    tracks = []
    for operand in range(len(found.operands)):
        track = _track(found, operand)
        products = [t.names for t in output if len(t.names) > 1 and not t.cut]
        if any(all((name,) in track.terms for name in names) for names in products):
            _order_names(track, [name for term in output for name in term.names])
        _merge(track, products, found)
        cannot = _complete_terms(track, output, found)
        if cannot:
            return Plan((), tuple(sizes), cannot)
        _order(track, output)
        tracks.append(track)
    wanted = [t.names for t in output]
    stays = [_lands(track.terms, wanted, convention) for track in tracks]
    longest = max(tracks, key=lambda track: len(track.terms))
    if all(stays) and len(longest.terms) < len(wanted):
        stays[longest.operand] = False  # the result has a unit axis that no operand has
    for track, lands in zip(tracks, stays, strict=True):
        if not lands:
            full = [names if names in track.terms else () for names in wanted]
            track.layout(full, [s if t else 1 for t, s in zip(full, sizes, strict=True)])
    return Plan(tuple(step for track in tracks for step in track.steps), tuple(sizes))


def _complete_terms(track: _Track, output: Sequence[Term], found: Match) -> str:
    """Repeat data where an operand has only part of a product of the result; returns why not, or ""."""
    for position, names in enumerate(list(track.terms)):
        if not names or any(names == term.names for term in output):
            continue
        whole = next((t for t in output if _ends(names, t)), None)
        if whole is None:
            return _split_terms(track, output, found)
        inner = whole.names[: len(names)] == names
        missing = whole.names[len(names) :] if inner else whole.names[: -len(names)]
        times = product(found.sizes[name] for name in missing)
        if not isinstance(times, int):
            return f"{' '.join(missing)} is {times}: a repeat count must be a plain number"
        if times > 1:
            track.repeat(position, times, whole.names, inner, found.size(whole))
        else:
            track.terms[position] = whole.names
    return ""


def _ends(names: tuple[str, ...], term: Term) -> bool:
    """True if the names are the first or the last ones of a product."""
    shorter = not term.parts and len(names) < len(term.names)
    return shorter and (term.names[: len(names)] == names or term.names[-len(names) :] == names)


def _split_terms(track: _Track, output: Sequence[Term], found: Match) -> str:
    """Split a product of an operand into separate axes of the result, ``b (m n) -> b m n``; returns why not, or ""."""
    terms: list[tuple[str, ...]] = []
    sizes: list[Size] = []
    singles = {t.names for t in output}
    for names, size in zip(track.terms, track.sizes, strict=True):
        if len(names) > 1 and all((n,) in singles for n in names):
            terms += [(n,) for n in names]
            sizes += [found.sizes[n] for n in names]
        elif not names and size == 1:
            continue
        else:
            terms.append(names)
            sizes.append(size)
    if any(t and t not in singles for t in terms):
        return "the result's products cannot be made of the operand's axes"
    track.reshape(terms, sizes)
    return ""


def _order(track: _Track, output: Sequence[Term]) -> None:
    """Transpose if the named axes are not in the result's order; unit axes go last."""
    place = {term.names: i for i, term in enumerate(output) if term.names}
    named = [i for i, names in enumerate(track.terms) if names]
    wanted = sorted(named, key=lambda i: place[track.terms[i]])
    if wanted != named:
        track.transpose([*wanted, *(i for i, names in enumerate(track.terms) if not names)])


def _lands(
    terms: Sequence[tuple[str, ...]], output: Sequence[tuple[str, ...]], convention: Convention
) -> bool:
    """True if the convention itself aligns an operand's axes with those of the result."""
    if len(terms) > len(output) or (convention is Convention.NONE and len(terms) < len(output)):
        return False
    places = positions(convention, len(terms), len(output))
    return all(not names or output[place] == names for names, place in zip(terms, places, strict=True))


# -- concatenations -----------------------------
def _joining(found: Match) -> Plan:
    """The plan of a concatenation: each operand gets all axes of the result, and its own part of the joined one."""
    output = found.equation.output
    sizes = tuple(found.size(term) for term in output)
    tracks = [_track(found, operand) for operand in range(len(found.operands))]
    wanted = [[Term(t.parts[k]) if t.parts else t for t in output] for k in range(len(tracks))]
    for track, own in zip(tracks, wanted, strict=True):
        cannot = _bring(track, own, found)
        if cannot:
            return Plan((), sizes, cannot)
    whole = [t for t, own in zip(tracks, wanted, strict=True) if t.terms == [term.names for term in own]]
    for track, own in zip(tracks, wanted, strict=True):
        cannot = track.tile_like(whole, [t.names for t in own], [found.size(t) for t in own])
        if cannot:
            return Plan((), sizes, cannot)
    steps = [step for track in tracks for step in track.steps]
    return _writable(sorted(steps, key=lambda step: step.like is not None), sizes)


def _writable(steps: Sequence[Step], output: tuple[Size, ...]) -> Plan:
    """The plan of these steps. It says why not if one of them cannot be written: a Reshape can have one -1."""
    if any(s.op == "Reshape" and sum(not isinstance(n, int) for n in s.to) > 1 for s in steps):
        return Plan((), output, "a reshape with more than one size that is not a plain number")
    return Plan(tuple(steps), output)


def _bring(track: _Track, wanted: Sequence[Term], found: Match) -> str:
    """Merge, order, repeat and add axes to get the wanted ones; returns why not, or ""."""
    _order_names(track, [name for term in wanted for name in term.names])
    _merge(track, [t.names for t in wanted if len(t.names) > 1 and not t.cut], found)
    cannot = _complete_terms(track, wanted, found)
    if cannot:
        return cannot
    full = [t.names if t.names in track.terms else () for t in wanted]
    sizes = [found.size(t) for t in wanted]
    if [t for t in track.terms if t] != [t for t in full if t]:
        return "the axes of the result cannot be made of the operand's"
    if list(full) != track.terms:
        track.layout(full, [s if t else 1 for t, s in zip(full, sizes, strict=True)])
    track.tile([t.names for t in wanted], sizes)
    return ""


def _order_names(track: _Track, order: Sequence[str]) -> None:
    """Transpose if the names in the axes are not in this order; unit axes go last."""
    place = {name: i for i, name in enumerate(order)}
    named = [i for i, names in enumerate(track.terms) if names]
    if any(name not in place for names in track.terms for name in names):
        return
    wanted = sorted(named, key=lambda i: place[track.terms[i][0]])
    if wanted != named:
        track.transpose([*wanted, *(i for i, names in enumerate(track.terms) if not names)])


def _merge(track: _Track, products: Sequence[tuple[str, ...]], found: Match) -> None:
    """Merge adjacent axes that are a product of the result, in its order."""
    terms = [t for t in track.terms if t]
    for whole in products:
        singles = [(name,) for name in whole]
        start = next((i for i in range(len(terms)) if terms[i : i + len(singles)] == singles), None)
        if start is not None:
            terms[start : start + len(singles)] = [whole]
    if len(terms) < sum(bool(t) for t in track.terms):
        track.reshape(terms, [product(found.sizes[n] for n in names) for names in terms])


# -- products with a sum -----------------------------
def _contraction(found: Match) -> Plan:
    """The plan of one matrix product. Axes that one side lacks are broadcast if that takes fewer nodes."""
    if len(found.equation.operands) != 2:
        return Plan((), (), "a sum over more than two operands")
    flat, stacked = _flattened(found), _stacked(found)
    fewer = flat.cannot or len(stacked.steps) < len(flat.steps)
    return stacked if fewer and not stacked.cannot else flat


def _stacked(found: Match) -> Plan:
    """``[..., M, K] @ [..., K, N]``, the other axes of the result first, of size 1 if a side lacks one."""
    equation = found.equation
    left, right = equation.names(0), equation.names(1)
    output = [term for term in equation.output if term.names]
    rows = [t for t in output if not set(t.names) & right][-1:]
    columns = [t for t in output if not set(t.names) & left][-1:]
    lead = [t for t in output if t not in (*rows, *columns)]
    summed = [n for t in equation.operands[0] for n in t.names if n in equation.contracted]
    inner, none = [Term(tuple(summed))], [Term(())]
    steps: list[Step] = []
    for operand, last in ((0, [*(rows or none), *inner]), (1, [*inner, *(columns or none)])):
        track = _track(found, operand)
        own = equation.names(operand)
        wanted = [t if set(t.names) & own else Term(()) for t in lead]
        while wanted and not wanted[0].names:
            wanted.pop(0)
        cannot = _bring(track, [*wanted, *last], found)
        if cannot:
            return Plan((), (), cannot)
        steps += track.steps
    terms = [t.names for t in (*lead, *(rows or none), *(columns or none))]
    sizes = [product(found.sizes[n] for n in names) for names in terms]
    steps.append(Step("MatMul", RESULT, tuple(sizes)))
    after = _Track(RESULT, terms, sizes)
    target = [term.names for term in equation.output]
    if [names for names in terms if names] != [names for names in target if names]:
        return Plan((), (), "the result's axes in another order")
    _to_result(after, target, found)
    return _writable([*steps, *after.steps], tuple(after.sizes))


def _to_result(track: _Track, target: list[tuple[str, ...]], found: Match) -> None:
    """The last step after a MatMul: unit axes dropped, or a Reshape."""
    if track.terms == target:
        return
    sizes = [product(found.sizes[n] for n in names) for names in target]
    gone = tuple(i for i, names in enumerate(track.terms) if not names)
    if gone and [names for names in track.terms if names] == target:
        track.terms, track.sizes = target, sizes
        track.steps.append(Step("Squeeze", RESULT, tuple(sizes), gone))
    else:
        track.reshape(target, sizes)


def _flattened(found: Match) -> Plan:
    """``[batch, M, K] @ [batch, K, N]``, with Reshapes and Transposes before and after it."""
    equation = found.equation
    left, right = equation.names(0), equation.names(1)
    kept = [n for term in equation.output for n in term.names]
    summed = [n for t in equation.operands[0] for n in t.names if n in equation.contracted]
    batch = [n for n in kept if n in left and n in right]
    free = (
        [n for n in kept if n in left and n not in right],
        [n for n in kept if n in right and n not in left],
    )
    size = found.sizes
    steps: list[Step] = []
    for operand, order in ((0, [*batch, *free[0], *summed]), (1, [*batch, *summed, *free[1]])):
        track = _track(found, operand)
        flat = [(n,) for names in track.terms for n in names]
        track.reshape(flat, [size[n[0]] for n in flat])
        track.transpose([flat.index((n,)) for n in order])
        groups = ([*free[0]], [*summed]) if operand == 0 else ([*summed], [*free[1]])
        merged = [*((n,) for n in batch), *(tuple(g) for g in groups)]
        if merged != track.terms:
            track.terms = merged
            track.sizes = [product(size[n] for n in names) for names in merged]
            _unit_or_reshape(track, order)
        steps += track.steps
    result: list[tuple[str, ...]] = [*((n,) for n in batch), tuple(free[0]), tuple(free[1])]
    sizes: list[Size] = [product(size[n] for n in names) for names in result]
    steps.append(Step("MatMul", RESULT, tuple(sizes)))
    after = _Track(RESULT, result, sizes)
    single = [(n,) for n in (*batch, *free[0], *free[1])]
    wanted = [(n,) for n in kept]
    target = [term.names for term in equation.output]
    target_sizes = [product(size[n] for n in names) for names in target]
    if sorted(single) != sorted(set(single)):
        return Plan((), (), "a name occurs twice in the result")
    if single != wanted:
        after.reshape(single, [size[n[0]] for n in single])
        after.transpose([single.index(n) for n in wanted])
    _to_result(after, target, found)
    steps += after.steps
    return _writable(steps, tuple(target_sizes))


def _unit_or_reshape(track: _Track, order: Sequence[str]) -> None:
    """The last step before a MatMul: a unit axis is a Reshape or an ExpandDims, a merge always a Reshape."""
    new = tuple(i for i, names in enumerate(track.terms) if not names)
    only_units = [n for names in track.terms for n in names] == list(order) and all(
        len(t) <= 1 for t in track.terms
    )
    symbolic = sum(not isinstance(s, int) for s in track.sizes)
    op = "ExpandDims" if only_units and symbolic > 1 else "Reshape"
    track.steps.append(Step(op, track.operand, tuple(track.sizes), new if op == "ExpandDims" else ()))
