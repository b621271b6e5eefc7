"""Read small TOML files that a user names."""

from __future__ import annotations

import os
import re
import tomllib
from typing import Any

from ..errors import BadFileError, shown
from .regular import read_regular

# tomllib (Python 3.11 to 3.14) needs quadratic time for the parts of a dotted key.
_PART = r"(?:[\w-]++|\"[^\"\n]*+\"|'[^'\n]*+')"
_MANY_PARTS = re.compile(rf"(?<![\w-])(?:{_PART}[ \t]*+\.[ \t]*+){{64}}")


def load(path: str | os.PathLike[str], limit: int) -> dict[str, Any]:
    """The table in a TOML file of at most ``limit`` bytes.

    Raises:
        BadFileError: not a readable regular file, larger than ``limit``, not UTF-8 (a byte order mark is allowed), not
            TOML, nested too deep, a key of more than 64 parts, or a number with too many digits.
    """
    return parse(read_regular(path, limit))


def parse(data: bytes) -> dict[str, Any]:
    """The table in TOML text. Raises BadFileError as ``load``."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFileError(f"is not UTF-8 text (byte {error.start})") from None
    if _MANY_PARTS.search(text):
        raise BadFileError("has a key of more than 64 parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise BadFileError("is nested too deep") from None
    except tomllib.TOMLDecodeError as error:
        raise BadFileError(f"is not TOML: {shown(error)}") from None
    except ValueError:
        # Numbers longer than Python converts (sys.set_int_max_str_digits), and invalid dates.
        raise BadFileError("is not TOML: a number with too many digits, or an invalid date") from None
