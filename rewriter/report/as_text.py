"""Text for people: which renderer shows what."""

from __future__ import annotations

from typing import Any

from ..results import Report
from . import text
from .table import Context, Reporter


class Output(Reporter):
    """Text for people."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._checked: list[Report] = []
        self._broken = 0

    def check(self, item: Any) -> None:
        self._checked.append(item)
        if not self.context.statistics:
            width, verbosity = self.console.width, self.context.verbosity
            self.console.print(*text.report(item, self.context.rules, width, verbosity))

    def unusable(self, path: str, reason: str, error: Exception) -> None:
        self._broken += 1

    def end(self, left_out: int = 0, unselected: int = 0) -> None:
        if self.context.statistics:
            self.console.print(text.statistics(self._checked))
        elif self._checked and self.context.verbosity >= text.SHORT:
            self.console.print(*text.total(self._checked, self._broken, left_out, unselected))

    def repair(self, item: Any) -> None:
        width, verbosity = self.console.width, self.context.verbosity
        if item.changes is not None:
            from . import diff

            self.console.print(*diff.text(item))
        else:
            self.console.print(*text.result(item, self.context.rules, width, verbosity))

    def shapes(self, item: Any) -> None:
        from . import shapes_table

        self.console.print(*shapes_table.table(item))
        if self.context.several:
            self.console.write("\n")

    def supported(self, item: Any) -> None:
        from . import supported_table

        self.console.print(*supported_table.text(item))

    def suggest(self, item: Any) -> None:
        from . import suggestion

        self.console.print(*suggestion.text(item, self.context.rules, self.console.width))

    def rules(self) -> None:
        from . import rules_list

        self.console.print(*rules_list.text(self.context.rules))

    def explain(self, item: Any) -> None:
        from . import explain

        self.console.print(*explain.text(item, self.context.rules, self.console.width))

    def rule(self, item: Any) -> None:
        from . import rule_page

        self.console.print(*rule_page.page(item))

    def reading(self, item: Any) -> None:
        from . import rule_page

        self.console.print(*rule_page.reading(item))

    def code(self, item: Any) -> None:
        from . import code_page

        self.console.print(*code_page.page(item))

    def convert(self, item: Any) -> None:
        from . import conversion

        self.console.print(*conversion.text(item))

    def sweep(self, item: Any, outcomes: Any) -> None:
        from . import sweeps

        self.console.print(*sweeps.text(item, outcomes if self.context.verbosity > text.SHORT else ()))

    def export(self, item: Any) -> None:
        from . import onnx

        self.console.write(onnx.text(item))
