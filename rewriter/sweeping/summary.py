"""What a store says of a sweep: counts, the worst models, what changed, and what the next Keras may not load."""

from __future__ import annotations

import json

from ..presentation import count
from ..swept import Code, Counts, Model, Row, Summary
from .store import FILES, NEW, Store, plain

_WORST = 10
_OUTDATED = 20
_CHANGED = 20
_FINDINGS = FILES.replace(" WHERE", " JOIN findings f ON f.url = r.url AND f.request = r.request WHERE")


def summary(store: Store) -> Summary:
    """The summary of the store's sweep."""
    scope, words, started, finished, left_out = store.rows(
        "SELECT scope, words, started, finished, left_out FROM sweeps WHERE id = :sweep"
    )[0]
    files, looked_at, clean, found, unusable, moved, requests, written, new = store.rows(
        "SELECT count(*), coalesce(sum(l.state = 1), 0), coalesce(sum(l.outcome = 'clean'), 0),"
        " coalesce(sum(l.outcome = 'findings'), 0), coalesce(sum(l.outcome = 'unusable'), 0),"
        " coalesce(sum((l.state = 1) * r.moved), 0), coalesce(sum((l.state = 1) * r.requests), 0),"
        f" coalesce(sum(r.output IS NOT NULL), 0), coalesce(sum({NEW}), 0) {FILES}"
    )[0]
    codes = store.rows(
        "SELECT f.code, f.severity, count(*), count(DISTINCT f.url), sum(NOT is_told(b.told, f.code, f.node))"
        f" {_FINDINGS} GROUP BY 1, 2 ORDER BY 1, 2"
    )
    changes = store.rows(
        f"SELECT l.url, l.outcome, b.outcome {FILES} AND b.outcome != l.outcome ORDER BY l.url"
    )
    order = {"clean": 0, "findings": 1, "unusable": 2}
    (added,), (gone,) = (
        store.rows(
            f"SELECT count(*) FROM listing one WHERE one.sweep = {here} AND NOT EXISTS"
            f" (SELECT 1 FROM listing other WHERE other.sweep = {there} AND other.url = one.url)"
        )[0]
        for here, there in ((":sweep", ":before"), (":before", ":sweep"))
    )
    (outdated,) = store.rows(f"SELECT count(*) {FILES} AND r.outdated != ''")[0]
    return Summary(
        roots=[plain(root) for root in json.loads(scope)["roots"]],
        request=json.loads(words),
        counts=Counts(files, looked_at, clean, found, unusable),
        codes=[Code(*row) for row in codes],
        teams=_rows(store, "CASE instr(l.inside, '/') WHEN 0 THEN '.' ELSE"
                    " substr(l.inside, 1, instr(l.inside, '/') - 1) END"),
        versions=_rows(store, "r.saved_by"),
        formats=_rows(store, "r.format"),
        worst=[
            Model(plain(url), "findings", f"{count(errors, 'error')}, {count(warnings, 'warning')}")
            for url, errors, warnings in store.rows(
                "SELECT r.url, sum(f.severity = 'error') e, sum(f.severity = 'warning') w"
                f" {_FINDINGS} AND l.outcome = 'findings' GROUP BY r.url ORDER BY e DESC, w DESC, r.url LIMIT {_WORST}"
            )
        ],
        reasons=[
            (str(error), int(number))
            for error, number in store.rows(
                f"SELECT r.error, count(*) n {FILES} AND l.outcome = 'unusable' GROUP BY 1"
                f" ORDER BY n DESC, 1 LIMIT {_WORST}"
            )
        ],
        changed=[Model(plain(url), now, f"was {then}") for url, now, then in changes[:_CHANGED]],
        better=sum(order[now] < order[then] for _, now, then in changes),
        worse=sum(order[now] > order[then] for _, now, then in changes),
        added=added if store.before else 0,
        gone=gone,
        outdated=outdated,
        outdated_models=[
            Model(plain(url), outcome, text)
            for url, outcome, text in store.rows(
                f"SELECT r.url, l.outcome, r.outdated {FILES} AND r.outdated != '' ORDER BY r.url LIMIT {_OUTDATED}"
            )
        ],
        seconds=None if finished is None else max(0.0, finished - started),
        moved=moved,
        requests=requests,
        written=written,
        first=not store.before,
        new=new,
        left_out=json.loads(left_out or "{}"),
    )  # fmt: skip


def _rows(store: Store, group: str) -> list[Row]:
    return [
        Row(name or "unknown", files, found, unusable)
        for name, files, found, unusable in store.rows(
            f"SELECT {group} g, count(*) n, sum(l.outcome = 'findings'), sum(l.outcome = 'unusable') {FILES}"
            " GROUP BY g ORDER BY sum(l.outcome != 'clean') DESC, n DESC, g"
        )
    ]
