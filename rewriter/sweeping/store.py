"""What sweeps remember, in SQLite: the files of each sweep, and what came of every file.

A result counts for a file of the same size and stamp, the same request and the same version of this tool. Several
sweeps can use one store at once: each has its own listing, and results are replaced as a whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from ..errors import BadFileError, OutputError, UsageError
from ..files.digest import sha256
from ..files.regular import open_regular
from ..swept import Outcome
from ..version import __version__
from .task import Found, Request

VERSION = 1
_BATCH = 500
_BUSY = 60.0  # seconds to wait for another sweep that writes
PENDING, LOOKED_AT, REMEMBERED = range(3)

# The fields of an outcome that are columns too.
_FIELDS = (
    "url", "size", "stamp", "outcome", "status", "error", "format", "saved_by", "outdated", "output", "page", "seconds",
    "moved", "requests",
)  # fmt: skip
_TABLES = """
CREATE TABLE IF NOT EXISTS sweeps (
    id INTEGER PRIMARY KEY, roots TEXT NOT NULL, request TEXT NOT NULL, words TEXT NOT NULL, version TEXT NOT NULL,
    before INTEGER, started REAL NOT NULL, listed REAL, finished REAL
);
CREATE TABLE IF NOT EXISTS listing (
    sweep INTEGER NOT NULL, url TEXT NOT NULL, root TEXT NOT NULL, inside TEXT NOT NULL, size INTEGER NOT NULL,
    stamp TEXT NOT NULL, folder TEXT, state INTEGER NOT NULL, PRIMARY KEY (sweep, url)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending ON listing (sweep, url) WHERE state = 0;
CREATE TABLE IF NOT EXISTS results (
    url TEXT NOT NULL, request TEXT NOT NULL, size INTEGER NOT NULL, stamp TEXT NOT NULL, version TEXT NOT NULL,
    sweep INTEGER NOT NULL, looked REAL NOT NULL, outcome TEXT NOT NULL, before TEXT, status INTEGER NOT NULL,
    error TEXT NOT NULL, format TEXT NOT NULL, saved_by TEXT NOT NULL, outdated TEXT NOT NULL, output TEXT, page TEXT,
    seconds REAL NOT NULL, moved INTEGER NOT NULL, requests INTEGER NOT NULL, new INTEGER NOT NULL, report BLOB,
    PRIMARY KEY (url, request)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS findings (
    url TEXT NOT NULL, request TEXT NOT NULL, code TEXT NOT NULL, severity TEXT NOT NULL, node TEXT NOT NULL,
    message TEXT NOT NULL, new INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS findings_of ON findings (request, url);
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files are in each state."""

    total: int
    done: int


class Store:
    """A store in a file, or with ``None`` in a temporary one that is gone at the end.

    Raises:
        BadFileError: the file is no store of sweeps, or of a newer version of this tool.
        OutputError: it cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        name = "" if path is None else os.fspath(path)
        if name and os.path.exists(name):
            _check(name)
        try:
            # "" is a temporary database on disk.
            self._base = sqlite3.connect(name, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            (version,) = self._base.execute("PRAGMA user_version").fetchone()
            if version not in (0, VERSION):
                raise BadFileError(f"a store of another version of this tool ({version})", name)
            self._base.executescript(f"{_TABLES} PRAGMA user_version = {VERSION};")
        except sqlite3.DatabaseError as error:
            raise OutputError(f"the store cannot be used: {error}", name) from None

    def close(self) -> None:
        self._base.close()

    # -- a sweep -----------------------------
    def begin(self, roots: Sequence[str], request: Request, resume: bool) -> int:
        """The number of a new sweep, or with ``resume`` of the newest one of this request that did not end.

        Raises:
            UsageError: there is none to resume.
        """
        asked, words = _key(request), json.dumps(list(roots))
        if resume:
            found = self._base.execute(
                "SELECT id FROM sweeps WHERE finished IS NULL AND roots = ? AND request = ? AND version = ?"
                " ORDER BY id DESC",
                (words, asked, __version__),
            ).fetchone()
            if found is None:
                raise UsageError(
                    "--resume: the store has no sweep of these roots and options that did not end"
                )
            return int(found[0])
        (before,) = self._base.execute(
            "SELECT max(id) FROM sweeps WHERE finished IS NOT NULL AND roots = ? AND request = ?",
            (words, asked),
        ).fetchone()
        made = self._base.execute(
            "INSERT INTO sweeps (roots, request, words, version, before, started) VALUES (?, ?, ?, ?, ?, ?)",
            (words, asked, _words(request), __version__, before, time.time()),
        )
        assert made.lastrowid is not None
        return made.lastrowid

    def is_listed(self, sweep: int) -> bool:
        """Whether all files of a sweep were found before it was interrupted."""
        return self._one("SELECT listed FROM sweeps WHERE id = ?", sweep) is not None

    def add(self, sweep: int, found: Iterable[tuple[str, Found]], request: Request) -> Iterator[int]:
        """Add files, each with its root; those that an earlier sweep looked at are remembered. Yields their number."""
        asked = _key(request)
        waiting = iter(found)
        count = 0
        while batch := list(islice(waiting, _BATCH)):
            with self._writing():
                self._base.executemany(
                    "INSERT OR IGNORE INTO listing SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, EXISTS (SELECT 1 FROM results r"
                    " WHERE r.url = ?2 AND r.request = ?8 AND r.size = ?5 AND r.stamp = ?6 AND r.version = ?9) * 2",
                    [
                        (sweep, f.url, root, f.inside, f.size, f.stamp, _folder(f), asked, __version__)
                        for root, f in batch
                    ],
                )
            count += len(batch)
            yield count
        self._base.execute("UPDATE sweeps SET listed = ? WHERE id = ?", (time.time(), sweep))

    def counts(self, sweep: int) -> Counts:
        """How many files a sweep has, and how many of them are done."""
        total, done = self._base.execute(
            "SELECT count(*), coalesce(sum(state > 0), 0) FROM listing WHERE sweep = ?", (sweep,)
        ).fetchone()
        return Counts(total, done)

    def pending(self, sweep: int) -> Iterator[Found]:
        """The files that are still to be looked at, in the order of their addresses."""
        last = ""
        while True:
            rows = self._base.execute(
                "SELECT url, size, stamp, inside, folder FROM listing WHERE sweep = ? AND state = 0 AND url > ?"
                " ORDER BY url LIMIT ?",
                (sweep, last, _BATCH),
            ).fetchall()
            if not rows:
                return
            for url, size, stamp, inside, folder in rows:
                files = None if folder is None else tuple((name, n) for name, n in json.loads(folder))
                yield Found(url, size, stamp, inside, None, files)
            last = rows[-1][0]

    def keep(self, sweep: int, outcomes: Sequence[Outcome], request: Request) -> None:
        """Store outcomes, all or none; says of each whether it is worse than in the last sweep (``new``)."""
        asked, now = _key(request), time.time()
        with self._writing():
            for each in outcomes:
                self._keep(sweep, each, asked, now)

    def _keep(self, sweep: int, each: Outcome, asked: str, now: float) -> None:
        of = (each.url, asked)
        before = self._one("SELECT outcome FROM results WHERE url = ? AND request = ?", *of)
        known = set(self._base.execute("SELECT code, node FROM findings WHERE url = ? AND request = ?", of))
        rows = [
            (
                each.url,
                asked,
                f["code"],
                f["severity"],
                f["node"],
                f["message"],
                (f["code"], f["node"]) not in known,
            )
            for f in each.findings
        ]
        each.new = any(new and severity != "info" for *_, severity, _, _, new in rows) or (
            each.outcome == "unusable" and before != "unusable"
        )
        report = zlib.compress(json.dumps(each.report).encode()) if each.findings else None
        self._base.execute("DELETE FROM findings WHERE url = ? AND request = ?", of)
        self._base.executemany("INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
        row = {name: getattr(each, name) for name in _FIELDS} | {
            "request": asked, "version": __version__ if each.lasting else "", "sweep": sweep, "looked": now,
            "before": before, "new": each.new, "report": report,
        }  # fmt: skip
        names = ", ".join(row)
        values = ", ".join("?" * len(row))
        self._base.execute(f"INSERT OR REPLACE INTO results ({names}) VALUES ({values})", list(row.values()))
        self._base.execute(
            "UPDATE listing SET state = ? WHERE sweep = ? AND url = ?", (LOOKED_AT, sweep, each.url)
        )

    def finish(self, sweep: int) -> None:
        """A sweep ended. Listings of sweeps before the last one are deleted: summaries need two."""
        with self._writing():
            self._base.execute("UPDATE sweeps SET finished = ? WHERE id = ?", (time.time(), sweep))
            self._base.execute(
                "DELETE FROM listing WHERE sweep IN (SELECT old.id FROM sweeps old JOIN sweeps new ON new.id = ?"
                " WHERE old.roots = new.roots AND old.request = new.request AND old.id < new.id"
                " AND old.id IS NOT new.before AND old.finished IS NOT NULL)",
                (sweep,),
            )

    # -- what it holds -----------------------------
    def outcomes(self, sweep: int) -> Iterator[Outcome]:
        """The outcomes of a sweep's files that are known, in the order of their addresses."""
        rows = self._base.execute(
            f"SELECT {', '.join(f'r.{name}' for name in _FIELDS)}, r.report, l.state = 2, r.new AND r.sweep = l.sweep"
            " FROM listing l JOIN sweeps s ON s.id = l.sweep JOIN results r ON r.url = l.url AND r.request = s.request"
            " WHERE l.sweep = ? AND l.state > 0 ORDER BY l.url",
            (sweep,),
        )
        for *values, report, remembered_, new in rows:
            given = dict(zip(_FIELDS, values, strict=True))
            data = None if report is None else json.loads(zlib.decompress(report))
            yield Outcome(**given, report=data, remembered=bool(remembered_), new=bool(new))

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return self._base.execute(query, values).fetchall()

    def _one(self, query: str, *values: Any) -> Any:
        row = self._base.execute(query, values).fetchone()
        return None if row is None else row[0]

    def _writing(self) -> _Writing:
        return _Writing(self._base)


class _Writing:
    """A transaction."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __enter__(self) -> None:
        self._base.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._base.execute("COMMIT" if kind is None else "ROLLBACK")


def _check(path: str) -> None:
    descriptor, state = open_regular(path)
    with os.fdopen(descriptor, "rb") as file:
        start = file.read(16)
    if state.st_size and start != b"SQLite format 3\0":
        raise BadFileError("is no store of sweeps: choose another name", path)


def _folder(found: Found) -> str | None:
    return None if found.folder is None else json.dumps(found.folder)


def _words(request: Request) -> str:
    given = {"action": request.action, "out": request.out, "pages": request.pages}
    return json.dumps({**given, **request.options}, sort_keys=True)


def _key(request: Request) -> str:
    """What identifies a request: its action and options, and the content of its rules."""
    rules = request.options.get("rules")
    text = _words(request) + ("" if rules is None else sha256(rules))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
