"""A picture as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from ..layout import columns
from ..templating import render
from .layered import Point
from .layout import BOX_HEIGHT, BOX_WIDTH, place
from .model import Box, Link, Mark, Part, Picture, Shape, shape_text

if TYPE_CHECKING:
    from markupsafe import Markup

MARGIN = 14
# The most columns of text in a box, and the distance of a shape below its box.
_TITLE, _NAME, _LABEL, _AXIS = 23, 27, 30, 12
_LABEL_DROP, _LABEL_LINE, _COLUMN = 17, 15, 7.2
# How far a link runs straight down before it bends: past the shape.
_DOWN = 26
_STUB = 14
# A picture up to this width may become smaller on a narrow screen.
_NARROW = 560


@dataclass(frozen=True, slots=True)
class _Box:
    """A box as it is drawn: its upper left corner, and its text cut to the width."""

    x: float
    y: float
    title: str
    name: str
    box: Box


@dataclass(frozen=True, slots=True)
class _Line:
    d: str
    head: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class _Label:
    x: float
    y: float
    width: float
    parts: tuple[Part, ...]
    full: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture with everything in its place, in pixels."""

    picture: Picture
    width: float
    height: float
    boxes: list[_Box]
    lines: list[_Line]
    labels: list[_Label]
    stubs: list[str]
    width_of_box: int = BOX_WIDTH
    height_of_box: int = BOX_HEIGHT

    @property
    def narrow(self) -> bool:
        return self.width <= _NARROW

    @property
    def description(self) -> str:
        """What is seen, in words."""
        boxes = self.picture.boxes
        links = [
            f"{boxes[link.source].name} {shape_text(link.shape)} to {boxes[link.target].name}"
            for link in self.picture.links
        ]
        return f"{self.picture.title}. " + "; ".join(links)


def draw(picture: Picture) -> Drawn:
    """Lay a picture out."""
    placed = place(len(picture.boxes), [(link.source, link.target) for link in picture.links])
    centres = [(x + MARGIN, y + MARGIN + _STUB) for x, y in placed.centres]
    boxes = [
        _Box(x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2, cut(box.title, _TITLE), cut(box.name, _NAME), box)
        for box, (x, y) in zip(picture.boxes, centres, strict=True)
    ]
    lines = []
    for link, entry in _entries(picture.links, centres, placed.bends):
        start = (centres[link.source][0], centres[link.source][1] + BOX_HEIGHT / 2)
        bends = [
            (x + MARGIN, y + MARGIN + _STUB) for x, y in placed.bends.get((link.source, link.target), [])
        ]
        lines.append(_Line(_way(start, bends, entry), _head(entry), link.mark))
    lines.sort(key=lambda line: line.mark is not Mark.NONE)
    stubs = []
    for box, (x, y) in zip(picture.boxes, centres, strict=True):
        if box.hidden_in:
            stubs.append(f"M{x:g} {y - BOX_HEIGHT / 2 - _STUB:g}V{y - BOX_HEIGHT / 2:g}")
        if box.hidden_out:
            stubs.append(f"M{x:g} {y + BOX_HEIGHT / 2:g}v{_STUB:g}")
    width, height = placed.width + 2 * MARGIN, placed.height + 2 * (MARGIN + _STUB)
    return Drawn(picture, width, height, boxes, lines, _labels(picture, centres), stubs)


def svg(picture: Picture) -> Markup:
    """The ``<svg>`` element of a picture; the style sheet is ``picture.css``."""
    from markupsafe import Markup

    return Markup(render("picture.svg", drawn=draw(picture)))  # the template escapes


def cut(text: str, room: int) -> str:
    """Text of at most ``room`` columns: longer text loses its middle."""
    if columns(text) <= room:
        return text
    left, right = text, text
    half = (room - 1) // 2
    while columns(left) > half + (room - 1) % 2:
        left = left[:-1]
    while columns(right) > half:
        right = right[1:]
    return f"{left}\N{HORIZONTAL ELLIPSIS}{right}"


def _entries(
    links: list[Link], centres: list[Point], bends: dict[tuple[int, int], list[Point]]
) -> list[tuple[Link, Point]]:
    """Where each link meets the upper side of its box: side by side, ordered by where they come from."""
    result = []
    for target, group in groupby(sorted(links, key=lambda k: k.target), key=lambda k: k.target):
        incoming = sorted(group, key=lambda k: (bends.get((k.source, target)) or [centres[k.source]])[-1][0])
        step = min(30.0, (BOX_WIDTH - 40) / len(incoming))
        x, y = centres[target]
        for k, link in enumerate(incoming):
            result.append((link, (x + (k - (len(incoming) - 1) / 2) * step, y - BOX_HEIGHT / 2)))
    return result


def _way(start: Point, bends: list[Point], end: Point) -> str:
    """Curves from row to row, straight beside the boxes of a row."""
    d = f"M{start[0]:g} {start[1]:g}v{_DOWN}"
    x, y = start[0], start[1] + _DOWN
    for bend in bends:
        d += _curve((x, y), (bend[0], bend[1] - BOX_HEIGHT / 2)) + f"v{BOX_HEIGHT}"
        x, y = bend[0], bend[1] + BOX_HEIGHT / 2
    return d + _curve((x, y), (end[0], end[1] - 6))


def _curve(a: Point, b: Point) -> str:
    if abs(a[0] - b[0]) < 0.5:
        return f"V{b[1]:g}"
    middle = (a[1] + b[1]) / 2
    return f"C{a[0]:g} {middle:g} {b[0]:g} {middle:g} {b[0]:g} {b[1]:g}"


def _head(end: Point) -> str:
    return f"M{end[0] - 4:g} {end[1] - 7:g}h8l-4 7z"


def _labels(picture: Picture, centres: list[Point]) -> list[_Label]:
    """The shape of each tensor, once, below the box that gives it."""
    result = []
    said: dict[int, list[Shape]] = {}
    for link in picture.links:
        if link.shape is None or link.shape in said.setdefault(link.source, []):
            continue
        said[link.source].append(link.shape)
        x, y = centres[link.source]
        if len(said[link.source]) > 2:
            continue
        drop = _LABEL_DROP + _LABEL_LINE * (len(said[link.source]) - 1)
        parts = _short(link.shape)
        width = _COLUMN * (sum(columns(part.text) + 1 for part in parts) - 1) + 8
        result.append(_Label(x, y + BOX_HEIGHT / 2 + drop, width, parts, shape_text(link.shape)))
    return result


def _short(shape: Shape) -> tuple[Part, ...]:
    """As many axes of a shape as fit below a box."""
    parts = tuple(Part(cut(part.text, _AXIS), part.role) for part in shape)
    while len(parts) > 2 and sum(columns(part.text) + 2 for part in parts) > _LABEL:
        keep = (len(parts) - 1) // 2
        parts = (*parts[:keep], Part("\N{HORIZONTAL ELLIPSIS}"), *parts[len(parts) - keep :])
        if keep <= 1:
            break
    return parts or (Part("scalar"),)
