"""The pictures of one finding: the nodes around it, without and with the nodes that a reading inserts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ...errors import shown
from ...ir.graph import Path, path_text
from ...ir.wiring import Wiring
from ...passes.analysis import Analysis
from ...passes.candidate import Candidate
from ...passes.finding import Finding, Operand
from ...passes.seen import Seen, wiring_of
from ...rules.lower import RESULT
from ...shapes.broadcast import Convention, positions
from ...shapes.inference import Inference
from .model import Box, Link, Mark, Picture, Shape, part_of, shape_of, shape_of_sizes

_MOST_ABOVE, _FARTHEST_ABOVE = 9, 5
_MOST_BELOW, _FARTHEST_BELOW = 3, 2


class Look:
    """Values and wiring of an analysed model, by path."""

    def __init__(self, analysis: Analysis, wiring: Mapping[Path, Wiring]) -> None:
        self.wiring = wiring
        self._inferences: dict[Path, Inference] = {}
        for path, item in analysis.inference.walk():
            self._inferences.setdefault(path, item)

    def shape(self, prefix: Path, name: str, index: int = 0) -> Shape | None:
        """The axes of an output of a node, at its first call."""
        inference = self._inferences.get(prefix)
        if inference is None or name not in inference.values or name in inference.faults:
            return None
        values = inference.values[name]
        return shape_of(values[index]) if index < len(values) else None

    def inner(self, prefix: Path, name: str) -> list[Path]:
        """The paths of the models that a node calls or wraps, at their first call: an If has several."""
        inference = self._inferences.get(prefix)
        below = inference.inner.get(name, ()) if inference is not None else ()
        return list(dict.fromkeys((*prefix, each[0]) for each in below))

    def inputs(self, prefix: Path, name: str) -> Iterator[tuple[int, str, int]]:
        """The inputs of a node, in the order of its arguments: (number, node, output)."""
        edges = self.wiring[prefix].edges
        found = [(data["slot"], source, data["index"]) for source, _, data in edges.in_edges(name, data=True)]
        return iter(sorted(found))


def near(seen: Seen, path: Path, operands: Sequence[Operand], mark: Mark = Mark.NONE) -> Picture | None:
    """The nodes around a node of the model; None if the model has no such node."""
    drawing = _drawn(seen, path, operands, mark)
    return None if drawing is None else drawing.picture


def before(seen: Seen, finding: Finding) -> Picture | None:
    """The nodes around a finding, before a repair; None if the model has no such node."""
    return near(seen, finding.path, finding.operands, Mark(str(finding.severity)))


def after(seen: Seen, finding: Finding, reading: Candidate) -> Picture | None:
    """The same nodes, with the nodes that a reading of the finding inserts."""
    drawing = _drawn(seen, finding.path, finding.operands, Mark.NONE)
    if drawing is None or reading.plan.cannot:
        return None
    then = Look(seen.after, wiring_of(seen.after)) if seen.after is not None else None
    _reshape(drawing, reading, then)
    _insert(drawing, reading, finding.convention)
    return drawing.picture


def _drawn(seen: Seen, path: Path, operands: Sequence[Operand], mark: Mark) -> _Drawing | None:
    look = Look(seen.before, seen.wiring)
    wiring = look.wiring.get(path[:-1])
    return _Drawing(look, path, operands, mark) if wiring is not None and path[-1] in wiring.nodes else None


class _Drawing:
    """The neighbourhood of a node: the nodes that lead to it, nearest first, and those that take its result."""

    def __init__(self, look: Look, path: Path, operands: Sequence[Operand], mark: Mark) -> None:
        self.look, self.taken, self.mark = look, operands, mark
        self.prefix, self.name = path[:-1], path[-1]
        self.wiring = look.wiring[self.prefix]
        self.shown = shown(path_text(path))
        self.picture = Picture(f"The nodes around {self.shown}")
        self.numbers: dict[str, int] = {}
        self.operands: dict[int, int] = {}  # the link of each operand
        kept = [*self._reached(up=True), *self._reached(up=False)[1:]]
        for node in kept:
            self.numbers[node] = self.picture.add(self._box(node, set(kept)))
        self.centre = self.numbers[self.name]
        for node in kept:
            self._links(node)
        self._literals()

    def _reached(self, up: bool) -> list[str]:
        """The node itself and those before or after it, by distance, as many as fit."""
        most, farthest = (_MOST_ABOVE, _FARTHEST_ABOVE) if up else (_MOST_BELOW, _FARTHEST_BELOW)
        found = [self.name]
        waiting = deque([(self.name, 0)])
        while waiting:
            node, far = waiting.popleft()
            if up:
                near = [source for _, source, _ in self.look.inputs(self.prefix, node)]
            else:
                near = list(self.wiring.edges.successors(node))
            for other in near if far < farthest else ():
                if other not in found and len(found) <= most:
                    found.append(other)
                    waiting.append((other, far + 1))
        return found

    def _box(self, node: str, kept: set[str]) -> Box:
        edges = self.wiring.edges
        mark = self.mark if node == self.name else Mark.NONE
        return Box(
            shown(self.wiring.nodes[node].operation.class_name),
            shown(node),
            shown(path_text((*self.prefix, node))),
            mark,
            sum(other not in kept for other in edges.predecessors(node)),
            sum(other not in kept for other in edges.successors(node)),
        )

    def _links(self, node: str) -> None:
        taken = self.taken if node == self.name else []
        mark = self.mark if node == self.name else Mark.NONE
        ours = [k for k, operand in enumerate(taken) if operand.path]
        for place, (_, source, index) in enumerate(self.look.inputs(self.prefix, node)):
            if source not in self.numbers:
                continue
            shape = self.look.shape(self.prefix, source, index)
            if place < len(ours):
                self.operands[ours[place]] = len(self.picture.links)
                shape = shape_of(taken[ours[place]].value)
            link = Link(self.numbers[source], self.numbers[node], shape, mark)
            self.picture.links.append(link)

    def _literals(self) -> None:
        """Constants that the file holds as arguments of the node."""
        for k, operand in enumerate(self.taken):
            if operand.path:
                continue
            box = self.picture.add(Box("constant", "held by the file", self.shown))
            self.operands[k] = len(self.picture.links)
            self.picture.links.append(Link(box, self.centre, shape_of(operand.value), self.mark))


def _reshape(drawing: _Drawing, reading: Candidate, then: Look | None) -> None:
    """Give the nodes after it their shapes in the repaired model; none if they were not inferred."""
    was = drawing.look.shape(drawing.prefix, drawing.name)
    sizes = None if was is None else [part.text for part in was]
    if then is None and sizes == [shown(size) for size in reading.plan.output]:
        return
    picture = drawing.picture
    names = {number: name for name, number in drawing.numbers.items()}
    below = {drawing.centre}
    while more := {k.target for k in picture.links if k.source in below} - below:
        below |= more
    for k, link in enumerate(picture.links):
        if link.source in below - {drawing.centre}:
            shape = then.shape(drawing.prefix, names[link.source]) if then is not None else None
            picture.links[k] = replace(link, shape=shape)


def _insert(drawing: _Drawing, reading: Candidate, convention: Convention) -> None:
    """Insert the steps of a reading into a drawing."""
    picture, centre = drawing.picture, drawing.centre
    picture.title = f"The nodes around {drawing.shown} with what {reading.rule} inserts"
    box = picture.boxes[centre]
    result = [step for step in reading.plan.steps if step.operand == RESULT]
    axes = reading.match.output()
    output = tuple(map(part_of, axes)) if len(axes) == len(reading.plan.output) else None
    ends: dict[int, tuple[int, Shape | None]] = {}
    steps = [step for step in reading.plan.steps if step.operand != RESULT]
    last = {step.operand: k for k, step in enumerate(steps)}
    for k, step in enumerate(steps):
        link = drawing.operands.get(step.operand)
        if link is None:
            continue
        source, shape = ends.get(step.operand, (picture.links[link].source, picture.links[link].shape))
        new = picture.add(Box(step.op, f"inserted: {reading.rule}", box.path, Mark.INSERTED))
        picture.links.append(Link(source, new, shape))
        if step.lengths is not None and (other := drawing.operands.get(step.lengths.operand)) is not None:
            like = ends.get(step.lengths.operand, (picture.links[other].source, picture.links[other].shape))
            lengths = picture.add(Box("Slice", f"inserted: {reading.rule}", box.path, Mark.INSERTED))
            picture.links.append(Link(like[0], lengths, like[1]))
            picture.links.append(Link(lengths, new, shape_of_sizes(step.lengths.to), Mark.INSERTED))
        roles = _roles(convention, output, len(step.to)) if last[step.operand] == k else ()
        ends[step.operand] = new, shape_of_sizes(step.to, roles)
    for operand, (source, shape) in ends.items():
        at = drawing.operands[operand]
        picture.links[at] = replace(picture.links[at], source=source, shape=shape, mark=Mark.INSERTED)
    whole = output or shape_of_sizes(reading.plan.output)
    leaving = [k for k, link in enumerate(picture.links) if link.source == centre]
    end = centre
    if reading.plan.replaces:
        first, *rest = result
        picture.boxes[centre] = replace(picture.boxes[centre], title=first.op, mark=Mark.INSERTED)
        before_step = first
        for step in rest:
            new = picture.add(Box(step.op, f"inserted: {reading.rule}", box.path, Mark.INSERTED))
            picture.links.append(Link(end, new, shape_of_sizes(before_step.to), Mark.INSERTED))
            end, before_step = new, step
    for k in leaving:
        picture.links[k] = replace(picture.links[k], source=end, shape=whole)


def _roles(convention: Convention, output: Shape | None, rank: int) -> Sequence[str]:
    """The roles of an operand's aligned axes: those of the result in the same places."""
    if output is None or rank > len(output):
        return ()
    return [output[place].role for place in positions(convention, rank, len(output))]
