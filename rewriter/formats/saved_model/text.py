"""Encodes the text form of a SavedModel (``saved_model.pbtxt``) as the bytes of the same message.

Source: https://protobuf.dev/reference/protobuf/textformat-spec/. An expanded ``Any`` is refused.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

from ...errors import BadFileError, UnsupportedError, shown
from .schema import enumerations, messages
from .wire import FIXED32, FIXED64, VARINT, content, varint

_MAX_DEPTH = 100  # as in protobuf itself
_TOKEN = re.compile(
    r"""(?P<blank>[\s]+|\#[^\n]*)
    |(?P<word>[A-Za-z_][A-Za-z0-9_.]*)
    |(?P<number>(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)[fF]?)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<mark>[{}<>\[\]:,;\-])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    rb"\\(?:([0-7]{1,3})|[xX]([0-9a-fA-F]{1,2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL
)
_PLAIN = {
    b"a": 7,
    b"b": 8,
    b"f": 12,
    b"n": 10,
    b"r": 13,
    b"t": 9,
    b"v": 11,
    b"\\": 92,
    b"'": 39,
    b'"': 34,
    b"?": 63,
}
_ENDS = {"{": "}", "<": ">"}
_TRUTHS = {"true": 1, "True": 1, "t": 1, "1": 1, "false": 0, "False": 0, "f": 0, "0": 0}
_FLOATS = {"inf": "inf", "infinity": "inf", "nan": "nan"}


class _Token(NamedTuple):
    kind: str
    text: str
    place: int


def encoded(text: str) -> bytes:
    """The bytes of a SavedModel message in text form.

    Raises:
        BadFileError: not the text form of such a message, or nested more than 100 deep.
        UnsupportedError: an expanded ``Any``.
    """
    return _Parser(text).message("SavedModel", "", 0)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._tokens()
        self.next = next(self.tokens)

    def _tokens(self) -> Iterator[_Token]:
        place = 0
        while place < len(self.text):
            found = _TOKEN.match(self.text, place)
            if found is None:
                raise self._bad("unexpected text here", place)
            if found.lastgroup != "blank":
                yield _Token(found.lastgroup or "", found.group(), place)
            place = found.end()
        while True:
            yield _Token("end", "", place)

    def _bad(self, why: str, place: int | None = None) -> BadFileError:
        line = self.text.count("\n", 0, self.next.place if place is None else place) + 1
        return BadFileError(f"line {line} of saved_model.pbtxt: {why}")

    def _take(self) -> _Token:
        token, self.next = self.next, next(self.tokens)
        return token

    def _skip(self, *marks: str) -> bool:
        if self.next.kind == "mark" and self.next.text in marks:
            self._take()
            return True
        return False

    # -- messages -----------------------------
    def message(self, name: str, end: str, depth: int) -> bytes:
        """The encoded fields of a message up to ``end``, its closing bracket; "" for the end of the text."""
        if depth > _MAX_DEPTH:
            raise self._bad(f"nested more than {_MAX_DEPTH} deep")
        fields, parts = messages()[name], []
        while not (self.next.kind == "mark" and self.next.text == end and end):
            if self.next.kind == "end":
                if end:
                    raise self._bad("the text ends within a message")
                break
            if self.next.text == "[":
                raise UnsupportedError("its text form has an extension or Any: save it as saved_model.pb")
            word = self._take()
            if word.kind != "word" or word.text not in fields:
                raise self._bad(f"{name} has no field {shown(repr(word.text))}", word.place)
            number, kind = fields[word.text]
            parts.append(self._field(number, kind, depth))
            self._skip(",", ";")
        if end:
            self._take()
        return b"".join(parts)

    def _field(self, number: int, kind: str, depth: int) -> bytes:
        """A field with one value, or with several values in brackets."""
        colon = self._skip(":")
        if self._skip("["):
            parts = []
            while not self._skip("]"):
                parts.append(self._value(number, kind, depth))
                if not self._skip(",") and self.next.text != "]":
                    raise self._bad("a list without an end")
            return b"".join(parts)
        if kind not in messages() and not colon:
            raise self._bad("a field without a value")
        return self._value(number, kind, depth)

    def _value(self, number: int, kind: str, depth: int) -> bytes:
        if kind in messages():
            opened = self._take()
            if opened.kind != "mark" or opened.text not in _ENDS:
                raise self._bad("a message must be in braces", opened.place)
            return content(number, self.message(kind, _ENDS[opened.text], depth + 1))
        if kind in ("string", "bytes"):
            return content(number, self._string())
        negative = self._skip("-")
        token = self._take()
        if kind in ("float", "double"):
            return self._float(number, kind, token, negative)
        return self._whole(number, kind, token, negative)

    # -- plain values -----------------------------
    def _string(self) -> bytes:
        if self.next.kind != "string":
            raise self._bad("a string must be in quotes")
        parts = []
        while self.next.kind == "string":
            raw = self._take().text[1:-1].encode()
            parts.append(_ESCAPE.sub(self._escaped, raw) if b"\\" in raw else raw)
        return b"".join(parts)

    def _escaped(self, found: re.Match[bytes]) -> bytes:
        octal, hexadecimal, short, long, plain = found.groups()
        if plain is not None:
            if plain not in _PLAIN:
                raise self._bad("a string with an unknown escape")
            return bytes([_PLAIN[plain]])
        if short is not None or long is not None:
            try:
                return chr(int(short or long, 16)).encode()
            except (ValueError, UnicodeEncodeError):
                raise self._bad("a string with an invalid character") from None
        value = int(octal, 8) if octal is not None else int(hexadecimal, 16)
        if value > 255:
            raise self._bad("a string with a byte above 255")
        return bytes([value])

    def _float(self, number: int, kind: str, token: _Token, negative: bool) -> bytes:
        text = token.text.lower()
        text = _FLOATS.get(text, text[:-1] if text.endswith("f") and not text.startswith("0x") else text)
        try:
            value = float(int(text, 16)) if text.startswith("0x") else float(text)
            raw = struct.pack("<f" if kind == "float" else "<d", -value if negative else value)
        except (ValueError, OverflowError):
            raise self._bad(f"{shown(repr(token.text))} is not a number", token.place) from None
        return varint(number << 3 | (FIXED32 if kind == "float" else FIXED64)) + raw

    def _whole(self, number: int, kind: str, token: _Token, negative: bool) -> bytes:
        known = _TRUTHS if kind == "bool" else enumerations().get(kind, {})
        value = known.get(token.text)
        if value is None:
            value = self._integer(token)
        value = -value if negative else value
        if not -(2**63) <= value < 2**64:
            raise self._bad(f"{shown(repr(token.text))} needs more than 64 bits", token.place)
        if kind in ("fixed32", "fixed64"):
            size = 4 if kind == "fixed32" else 8
            wire = FIXED32 if kind == "fixed32" else FIXED64
            return varint(number << 3 | wire) + (value % (1 << 8 * size)).to_bytes(size, "little")
        if kind == "sint":
            value = value << 1 if value >= 0 else (-value << 1) - 1
        return varint(number << 3 | VARINT) + varint(value)

    def _integer(self, token: _Token) -> int:
        text = token.text
        try:
            if token.kind != "number" or len(text) > 30:
                raise ValueError
            octal = len(text) > 1 and text[0] == "0" and text.isdecimal()
            return int(text, 8 if octal else 0)
        except ValueError:
            raise self._bad(f"{shown(repr(text))} is not a valid number or name here", token.place) from None
