"""Read JSON without ambiguity and in a bounded amount of memory."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

from ..errors import BadFileError, UnsupportedError, shown

# Approximate bytes in Python 3.11 of a list or object, of a string, and of any value in a list.
_CONTAINER, _TEXT, _VALUE = 96, 64, 32
_MAX_MEMORY = 512 << 20
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def parse(data: bytes, what: str) -> Any:
    """Parse JSON as Python's ``json`` does (with NaN and Infinity, which Keras writes), but refuse ambiguous data.

    Args:
        what: a name for the data, for messages.

    Raises:
        BadFileError: empty, not UTF-8 (a byte order mark is allowed), not JSON, a key twice in one object, half a
            surrogate pair in a string, a number with too many digits, or nested too deep.
        UnsupportedError: the values need more than 512 MiB of memory.
    """
    if not data:
        raise BadFileError(f"{what} is empty")
    if _memory(data) > _MAX_MEMORY:
        raise UnsupportedError(
            f"{what} has too many values: they need more than {_MAX_MEMORY >> 20} MiB of memory"
        )

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise BadFileError(f"{what} has the key {shown(twice)!r} twice in one object")
        return result

    try:
        result = json.loads(data.decode("utf-8-sig"), object_pairs_hook=unique)
    except UnicodeDecodeError as error:
        raise BadFileError(f"{what} is not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise BadFileError(
            f"{what} is not JSON: {error.msg} at line {error.lineno} column {error.colno}"
        ) from None
    except RecursionError:
        raise BadFileError(f"{what} is nested too deep to read") from None
    except ValueError as error:
        # The only other error of json is an integer longer than Python converts (sys.set_int_max_str_digits).
        raise BadFileError(f"{what} has a number with too many digits") from error
    if _HALF.search(data):
        _check_texts(result, what)
    return result


def _memory(data: bytes) -> int:
    """An upper estimate of the bytes of the parsed values: commas and quotes inside strings count too."""
    containers = data.count(b"[") + data.count(b"{")
    return containers * _CONTAINER + data.count(b'"') // 2 * _TEXT + data.count(b",") * _VALUE


def _check_texts(value: Any, what: str) -> None:
    """Raises BadFileError for half a surrogate pair in a string: UTF-8 cannot encode it."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.keys()
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str) and any("\ud800" <= c <= "\udfff" for c in item):
            raise BadFileError(f"{what} has a text with half a surrogate pair: {shown(item)!r}")
