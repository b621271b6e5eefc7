"""The links of a group of either style."""

from __future__ import annotations

from .header import LINK, LINK_INFO, SYMBOL_TABLE, Header
from .link import Link, message_links
from .symbol_table import table_links
from .view import View


def is_group(header: Header) -> bool:
    """Whether the object is a group."""
    return any(message.kind in (SYMBOL_TABLE, LINK_INFO, LINK) for message in header.messages)


def table_address(view: View, header: Header) -> tuple[int, int] | None:
    """The addresses of a group's B-tree and local heap (spec IV.A.2.r); None for a new-style group."""
    message = header.find(SYMBOL_TABLE)
    if message is None:
        return None
    tree, heap = view.unpack("<QQ", message.offset)
    return tree, heap


def read_links(view: View, header: Header) -> dict[str, Link]:
    """The links of a group by name, in the order of the names' bytes.

    Raises:
        BadFileError: damaged, or it has a soft, external or user-defined link.
    """
    table = table_address(view, header)
    return message_links(view, header) if table is None else table_links(view, *table)
