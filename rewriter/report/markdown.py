"""Tables for pages: the rules, and what is supported."""

from __future__ import annotations

from typing import Any

from . import rules_list, supported_table
from .table import Reporter


class Output(Reporter):
    """Markdown."""

    def supported(self, item: Any) -> None:
        self.console.write(supported_table.markdown(item))

    def rules(self) -> None:
        self.console.write(rules_list.markdown(self.context.rules))
