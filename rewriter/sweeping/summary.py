"""What a store says of a sweep: counts, the worst models, what changed, and what the next Keras may not load."""

from __future__ import annotations

import json

from ..presentation import count
from ..swept import Code, Counts, Model, Row, Summary
from .store import Store, plain

_WORST = 10
_OUTDATED = 20
_CHANGED = 20
# The results of a sweep's files.
_RESULTS = (
    "FROM listing l JOIN sweeps s ON s.id = l.sweep JOIN results r ON r.url = l.url AND r.request = s.request"
    " WHERE l.sweep = ? AND l.state > 0"
)


def summary(store: Store, sweep: int) -> Summary:
    """The summary of a sweep."""
    scope, words, before, started, finished = store.rows(
        "SELECT scope, words, before, started, finished FROM sweeps WHERE id = ?", sweep
    )[0]
    files, looked_at, clean, found, unusable, moved, requests, written, new = store.rows(
        "SELECT count(*), coalesce(sum(l.state = 1), 0), coalesce(sum(r.outcome = 'clean'), 0),"
        " coalesce(sum(r.outcome = 'findings'), 0), coalesce(sum(r.outcome = 'unusable'), 0),"
        " coalesce(sum((l.state = 1) * r.moved), 0), coalesce(sum((l.state = 1) * r.requests), 0),"
        f" coalesce(sum(r.output IS NOT NULL), 0), coalesce(sum(r.new AND r.sweep = l.sweep), 0) {_RESULTS}",
        sweep,
    )[0]
    codes = store.rows(
        "SELECT f.code, f.severity, count(*), count(DISTINCT f.url), sum(f.new AND r.sweep = l.sweep)"
        f" {_RESULTS.replace(' WHERE', ' JOIN findings f ON f.url = r.url AND f.request = r.request WHERE')}"
        " GROUP BY 1, 2 ORDER BY 1, 2",
        sweep,
    )
    changes = store.rows(
        f"SELECT r.url, r.outcome, r.before {_RESULTS} AND r.sweep = l.sweep AND r.before != r.outcome ORDER BY r.url",
        sweep,
    )
    order = {"clean": 0, "findings": 1, "unusable": 2}
    (added,) = store.rows(f"SELECT count(*) {_RESULTS} AND r.sweep = l.sweep AND r.before IS NULL", sweep)[0]
    (gone,) = store.rows(
        "SELECT count(*) FROM listing old WHERE old.sweep = ? AND NOT EXISTS"
        " (SELECT 1 FROM listing new WHERE new.sweep = ? AND new.url = old.url)",
        before,
        sweep,
    )[0]
    (outdated,) = store.rows(f"SELECT count(*) {_RESULTS} AND r.outdated != ''", sweep)[0]
    return Summary(
        roots=[plain(root) for root in json.loads(scope)["roots"]],
        request=json.loads(words),
        counts=Counts(files, looked_at, clean, found, unusable),
        codes=[Code(*row) for row in codes],
        teams=_rows(store, sweep, "CASE instr(l.inside, '/') WHEN 0 THEN '.' ELSE"
                    " substr(l.inside, 1, instr(l.inside, '/') - 1) END"),
        versions=_rows(store, sweep, "r.saved_by"),
        formats=_rows(store, sweep, "r.format"),
        worst=[
            Model(plain(url), "findings", f"{count(errors, 'error')}, {count(warnings, 'warning')}")
            for url, errors, warnings in store.rows(
                "SELECT r.url, sum(f.severity = 'error') e, sum(f.severity = 'warning') w"
                f" {_RESULTS.replace(' WHERE', ' JOIN findings f ON f.url = r.url AND f.request = r.request WHERE')}"
                " AND r.outcome = 'findings' GROUP BY r.url ORDER BY e DESC, w DESC, r.url LIMIT ?",
                sweep,
                _WORST,
            )
        ],
        reasons=[
            (str(error), int(number))
            for error, number in store.rows(
                f"SELECT r.error, count(*) n {_RESULTS} AND r.outcome = 'unusable' GROUP BY 1"
                " ORDER BY n DESC, 1 LIMIT ?",
                sweep,
                _WORST,
            )
        ],
        changed=[Model(plain(url), now, f"was {then}") for url, now, then in changes[:_CHANGED]],
        better=sum(order[now] < order[then] for _, now, then in changes),
        worse=sum(order[now] > order[then] for _, now, then in changes),
        added=0 if before is None else added,
        gone=gone,
        outdated=outdated,
        outdated_models=[
            Model(plain(url), outcome, text)
            for url, outcome, text in store.rows(
                f"SELECT r.url, r.outcome, r.outdated {_RESULTS} AND r.outdated != '' ORDER BY r.url LIMIT ?",
                sweep,
                _OUTDATED,
            )
        ],
        seconds=None if finished is None else finished - started,
        moved=moved,
        requests=requests,
        written=written,
        first=before is None,
        new=new,
    )  # fmt: skip


def _rows(store: Store, sweep: int, group: str) -> list[Row]:
    return [
        Row(name or "unknown", files, found, unusable)
        for name, files, found, unusable in store.rows(
            f"SELECT {group} g, count(*) n, sum(r.outcome = 'findings'), sum(r.outcome = 'unusable') {_RESULTS}"
            " GROUP BY g ORDER BY n DESC, g",
            sweep,
        )
    ]
