"""Text for people: which renderer shows what."""

from __future__ import annotations

from typing import Any

from . import text
from .table import Reporter


class Output(Reporter):
    """Text for people."""

    def check(self, item: Any) -> None:
        self.console.write(text.report(item, self.context.rules, self.console.width))
        if item.findings and self.context.several:
            self.console.write("\n")

    def repair(self, item: Any) -> None:
        if item.changes is not None:
            from . import diff

            self.console.write(diff.text(item, self.console.width))
        else:
            self.console.write(text.result(item, self.context.rules, self.console.width))

    def shapes(self, item: Any) -> None:
        from . import shapes_table

        self.console.write(shapes_table.table(item, self.console.width))
        if self.context.several:
            self.console.write("\n")

    def supported(self, item: Any) -> None:
        from . import supported_table

        self.console.write(supported_table.text(item, self.console.width))

    def suggest(self, item: Any) -> None:
        self.console.write(text.suggestion(item, self.context.rules, self.console.width))

    def rules(self) -> None:
        from . import rules_list

        self.console.write(rules_list.text(self.context.rules, self.console.width))

    def explain(self, item: Any) -> None:
        from . import explain

        self.console.write(explain.text(item, self.context.rules, self.console.width))

    def rule(self, item: Any) -> None:
        from . import rule_page

        self.console.write(rule_page.page(item, self.console.width))

    def convert(self, item: Any) -> None:
        from . import conversion

        self.console.write(conversion.text(item, self.console.width))

    def export(self, item: Any) -> None:
        from . import onnx

        self.console.write(onnx.text(item))
