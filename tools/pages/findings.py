"""The kinds of findings, from the table of codes: one section each, the target of links from its code."""

from __future__ import annotations

from collections.abc import Iterator

from rewriter.passes.codes import Kind
from tools.make_models import SAMPLES
from tools.pages.markdown import row


def table() -> Iterator[str]:
    """A table with one row for each kind."""
    yield "| code | name | severity | what is found |\n|---|---|---|---|"
    for kind in Kind:
        yield row(f"[{kind.code}](#{kind.code.lower()})", f"`{kind}`", str(kind.severity), kind.summary)


def sections() -> Iterator[str]:
    """One section for each kind, as in ``explain``, with the models of ``models/`` that have it."""
    for kind in Kind:
        yield f"## {kind.code}\n\n**`{kind}`: {kind.summary}** ({kind.severity})\n\n{kind.text}\n"
        yield f"{kind.harm}\n\n```python\n{kind.example}\n```\n\n**What repairs it.** {kind.remedy}\n"
        models = [f"`models/{sample.name}.keras`" for sample in SAMPLES if str(kind) in sample.kinds]
        if models:
            yield f"Models that have it: {', '.join(models)}.\n"
