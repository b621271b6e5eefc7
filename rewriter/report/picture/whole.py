"""The whole graph of a model and of the models in it, laid out for a page; a small one as a picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ...errors import shown
from ...ir.graph import Path, path_text
from ...passes.finding import Finding
from ...passes.rewrite import Inserted
from ...passes.seen import Seen, wiring_of
from .layout import place
from .model import Box, Link, Mark, Picture, Shape
from .scenes import Look

_MARKS = list(Mark)


@dataclass(slots=True)
class Whole:
    """The graphs of a model as a page's script takes them, and the number of nodes in all of them.

    A node is ``[name, class, shape, x, y, mark, graph]``, an edge ``[source, target, [x, y, ...]]`` with its bends.
    Classes, shapes and graphs are numbers in their tables; -1 is none.
    """

    classes: list[str] = field(default_factory=list)
    shapes: list[list[list[str]]] = field(default_factory=list)
    graphs: list[dict[str, Any]] = field(default_factory=list)
    marks: list[str] = field(default_factory=lambda: [str(mark) for mark in _MARKS])
    nodes: int = 0
    found: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def data(self) -> dict[str, Any]:
        """The data for the page."""
        return {
            "classes": self.classes,
            "shapes": self.shapes,
            "marks": self.marks,
            "graphs": self.graphs,
        }


def whole(
    seen: Seen, findings: Iterable[Finding], inserted: Iterable[Inserted] = (), done: bool = False
) -> Whole:
    """All graphs of a model: as read, or with ``done`` as repaired."""
    look, marks = _look(seen, findings, inserted, done)
    made = Whole()
    classes: dict[str, int] = {}
    shapes: dict[Shape, int] = {}
    number = {path: k for k, path in enumerate(look.wiring)}
    several: list[tuple[Path, list[Path]]] = []
    for path, wiring in look.wiring.items():
        names = list(wiring.nodes)
        at = {name: k for k, name in enumerate(names)}
        pairs = [(at[a], at[b]) for a, b in dict.fromkeys(wiring.edges.edges())]
        placed = place(len(names), pairs)
        nodes = []
        for k, name in enumerate(names):
            operation = wiring.nodes[name].operation
            shape = look.shape(path, name)
            inner = [each for each in look.inner(path, name) if each in number]
            opens = number[inner[0]] if len(inner) == 1 else -1
            if len(inner) > 1:
                opens = len(look.wiring) + len(several)
                several.append(((*path, name), inner))
            nodes.append(
                [
                    shown(name),
                    classes.setdefault(shown(operation.class_name), len(classes)),
                    -1 if shape is None else shapes.setdefault(shape, len(shapes)),
                    round(placed.centres[k][0]),
                    round(placed.centres[k][1]),
                    _MARKS.index(marks.get((*path, name), Mark.NONE)),
                    opens,
                ]
            )
            made.found[*path, name] = (number[path], k)
        edges = [
            [a, b, [round(n) for point in placed.bends.get((a, b), ()) for n in point]] for a, b in pairs
        ]
        made.graphs.append(
            {
                "name": shown(path_text(path)),
                "size": [round(placed.width), round(placed.height)],
                "nodes": nodes,
                "edges": edges,
            }
        )
        made.nodes += len(names)
    for path, inner in several:
        made.graphs.append(_list_of(path, inner, number, classes))
    made.classes = list(classes)
    made.shapes = [[[part.text, part.role] for part in shape] for shape in shapes]
    return made


def _list_of(
    path: Path, inner: Sequence[Path], number: Mapping[Path, int], classes: dict[str, int]
) -> dict[str, Any]:
    """A graph with a node for each of several graphs that one node holds."""
    placed = place(len(inner), [])
    kind = classes.setdefault("graph", len(classes))
    nodes = [
        [shown(each[-1]), kind, -1, round(x), round(y), _MARKS.index(Mark.NONE), number[each]]
        for each, (x, y) in zip(inner, placed.centres, strict=True)
    ]
    size = [round(placed.width), round(placed.height)]
    return {"name": shown(path_text(path)), "size": size, "nodes": nodes, "edges": []}


def small(seen: Seen, findings: Iterable[Finding], most: int) -> Picture | None:
    """The outermost graph as one picture; None where it has more nodes than ``most``."""
    look, marks = _look(seen, findings, (), False)
    wiring = look.wiring[()]
    if len(wiring.nodes) > most:
        return None
    picture = Picture("The whole graph")
    numbers = {
        name: picture.add(
            Box(shown(node.operation.class_name), shown(name), shown(name), marks.get((name,), Mark.NONE))
        )
        for name, node in wiring.nodes.items()
    }
    for name in wiring.nodes:
        for _, source, index in look.inputs((), name):
            picture.links.append(Link(numbers[source], numbers[name], look.shape((), source, index)))
    return picture


def _look(
    seen: Seen, findings: Iterable[Finding], inserted: Iterable[Inserted], done: bool
) -> tuple[Look, Mapping[Path, Mark]]:
    if done and seen.after is not None:
        look = Look(seen.after, wiring_of(seen.after))
        marks = {each.path: Mark.INSERTED for each in inserted}
        return look, marks
    return Look(seen.before, seen.wiring), {f.path: Mark(str(f.severity)) for f in findings}
