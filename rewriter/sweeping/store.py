"""What sweeps remember, in SQLite: the files of each sweep, and what came of every file.

A result counts for a file of the same size and stamp, the same request and the same version of this tool. Several
sweeps can use one store at once: each has its own listing, and results are replaced as a whole. The listing also keeps
what the sweep told of each file. What is new is what the sweep before, of the same roots, did not tell, whatever other
sweeps saw meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from typing import Any

from ..errors import BadFileError, OutputError, UsageError, shown
from ..files.digest import sha256
from ..files.regular import open_regular
from ..rules.table import builtin
from ..swept import CLEAN, UNUSABLE, Outcome
from ..version import __version__
from .opening import digest
from .systems import exists, is_remote
from .task import Found, Request

VERSION = 2
_MARK = 0x52575377  # the application_id of SQLite: whose file it is
# What decides what comes of a file: this tool, its rules, and what is installed.
_TOOL = " ".join(
    [
        __version__,
        hashlib.sha256(repr(builtin()).encode()).hexdigest()[:8],
        *(name for name in ("onnx", "h5py", "keras", "onnxruntime") if find_spec(name)),
    ]
)
_NAMES = ("url", "output", "page", "error", "outdated")  # texts that come from the names of files
_BATCH = 500
_AT_ONCE = 16  # questions whether an output is there, which may be far away
_FORGOTTEN = 30 * 86400  # seconds after which a sweep that did not end is not resumed
_BUSY = 60.0  # seconds to wait for another sweep that writes
PENDING, LOOKED_AT, REMEMBERED = range(3)

# The fields of an outcome that are columns too.
_FIELDS = (
    "url", "size", "stamp", "outcome", "status", "error", "format", "saved_by", "outdated", "output", "page", "seconds",
    "moved", "requests", "digest",
)  # fmt: skip
# The files of a sweep with their results (``r``), and what the sweep before told of them (``b``).
FILES = (
    "FROM listing l JOIN sweeps s ON s.id = l.sweep JOIN results r ON r.url = l.url AND r.request = s.request"
    " LEFT JOIN listing b ON b.sweep = :before AND b.url = l.url WHERE l.sweep = :sweep AND l.state > 0"
)
NEW = "is_new(l.outcome, l.told, b.outcome, b.told)"
_TABLES = """
CREATE TABLE IF NOT EXISTS sweeps (
    id INTEGER PRIMARY KEY, scope TEXT NOT NULL, request TEXT NOT NULL, words TEXT NOT NULL, version TEXT NOT NULL,
    before INTEGER NOT NULL, started REAL NOT NULL, listed REAL, left_out TEXT, finished REAL
);
CREATE TABLE IF NOT EXISTS listing (
    sweep INTEGER NOT NULL, url TEXT NOT NULL, root TEXT NOT NULL, inside TEXT NOT NULL, size INTEGER NOT NULL,
    stamp TEXT NOT NULL, folder TEXT, state INTEGER NOT NULL, outcome TEXT, told TEXT, PRIMARY KEY (sweep, url)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pending ON listing (sweep, url) WHERE state = 0;
CREATE INDEX IF NOT EXISTS targets ON listing (sweep, inside);
CREATE TABLE IF NOT EXISTS results (
    url TEXT NOT NULL, request TEXT NOT NULL, size INTEGER NOT NULL, stamp TEXT NOT NULL, version TEXT NOT NULL,
    looked REAL NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, error TEXT NOT NULL, format TEXT NOT NULL,
    saved_by TEXT NOT NULL, outdated TEXT NOT NULL, output TEXT, page TEXT, seconds REAL NOT NULL,
    moved INTEGER NOT NULL, requests INTEGER NOT NULL, digest TEXT NOT NULL, report BLOB, PRIMARY KEY (url, request)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS findings (
    url TEXT NOT NULL, request TEXT NOT NULL, code TEXT NOT NULL, severity TEXT NOT NULL, node TEXT NOT NULL,
    message TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS findings_of ON findings (request, url);
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files are in each state."""

    total: int
    done: int


class Store:
    """A store in a file, or with ``None`` in a temporary one that is gone at the end; and one sweep in it.

    Attributes:
        sweep: the number of the sweep that began.
        before: that of the last one of the same roots, filters and request that ended; 0 if there is none.

    Raises:
        BadFileError: the file is no store of sweeps, or of a newer version of this tool.
        OutputError: it cannot be written.
        UsageError: the path is an address.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        name = "" if path is None else os.fspath(path)
        if path is not None and not name:
            raise UsageError("the name of the store is empty")
        if is_remote(name):
            raise UsageError("a store is a file on this machine", name)
        if name and os.path.lexists(name):
            _check(name)
        try:
            # "" is a temporary database on disk.
            self._base = sqlite3.connect(name, timeout=_BUSY, isolation_level=None, check_same_thread=False)
            self._base.create_function("is_new", 4, _is_new, deterministic=True)
            self._base.create_function("is_told", 3, _is_told, deterministic=True)
            self._base.execute("PRAGMA journal_mode = WAL")
            self._base.execute("PRAGMA synchronous = NORMAL")
            self._base.executescript(
                f"{_TABLES} PRAGMA user_version = {VERSION}; PRAGMA application_id = {_MARK};"
            )
        except sqlite3.DatabaseError as error:
            raise OutputError(f"the store cannot be used: {error}", name) from None

    def close(self) -> None:
        self._base.close()

    # -- a sweep -----------------------------
    def begin(self, roots: Sequence[str], filters: Mapping[str, Any], request: Request, resume: bool) -> None:
        """Begin a sweep; with ``resume`` go on with the last one of this request and scope, if it did not end."""
        self._asked = _key(request)
        named = sorted({root.rstrip("/") or root for root in roots})
        scope = json.dumps({"roots": list(map(_out, named)), "filters": filters})
        last = self._one(
            "SELECT max(id) FROM sweeps WHERE finished IS NOT NULL AND scope = ? AND request = ?",
            scope, self._asked,
        )  # fmt: skip
        self.before = int(last or 0)
        if resume:
            found = self._one(
                "SELECT max(id) FROM sweeps WHERE finished IS NULL AND scope = ? AND request = ? AND version = ?"
                " AND id > ?",
                scope, self._asked, _TOOL, self.before,
            )  # fmt: skip
            if found is not None:
                self.sweep = int(found)
                return
        made = self._base.execute(
            "INSERT INTO sweeps (scope, request, words, version, before, started) VALUES (?, ?, ?, ?, ?, ?)",
            (scope, self._asked, _words(request), _TOOL, self.before, time.time()),
        )
        assert made.lastrowid is not None
        self.sweep = made.lastrowid

    def is_listed(self) -> bool:
        """Whether all files of the sweep were found before it was interrupted."""
        return self._one("SELECT listed FROM sweeps WHERE id = ?", self.sweep) is not None

    def add(self, found: Iterable[tuple[str, Found]]) -> Iterator[int]:
        """Add files, each with its root; those that an earlier sweep looked at are remembered. Yields their number."""
        waiting = iter(found)
        count = 0
        known = (self._asked, _TOOL)
        while batch := list(islice(waiting, _BATCH)):
            with self._writing():
                self._base.executemany(
                    "INSERT OR IGNORE INTO listing SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, EXISTS (SELECT 1 FROM results r"
                    " WHERE r.url = ?2 AND r.request = ?8 AND r.size = ?5 AND r.stamp = ?6 AND r.version = ?9) * 2,"
                    " NULL, NULL",
                    [
                        (self.sweep, *map(_out, (f.url, root, f.inside)), f.size, f.stamp, _folder(f), *known)
                        for root, f in batch
                    ],
                )  # fmt: skip
            count += len(batch)
            yield count

    def end_listing(self, left_out: Mapping[str, int]) -> None:
        """All files were added. What was only touched is remembered; what was written and is gone is not.

        Args:
            left_out: what the sweep does not look at, as in ``Summary``.
        """
        self._recognise()
        self._miss()
        self._tell_remembered()
        self._base.execute(
            "UPDATE sweeps SET listed = ?, left_out = ? WHERE id = ?",
            (
                time.time(),
                json.dumps({why: number for why, number in left_out.items() if number}),
                self.sweep,
            ),
        )

    def _recognise(self) -> None:
        """Remember local files that were only touched: another time of change, the same size and hash."""
        rows = self._base.execute(
            "SELECT l.url, l.stamp, r.digest FROM listing l JOIN results r ON r.url = l.url AND r.request = ?"
            " WHERE l.sweep = ? AND l.state = 0 AND r.size = l.size AND r.version = ? AND r.digest != ''",
            (self._asked, self.sweep, _TOOL),
        ).fetchall()
        same = [(url, stamp) for url, stamp, known in rows if digest(plain(url)) == known]
        with self._writing():
            self._base.executemany(
                "UPDATE results SET stamp = ?2 WHERE url = ?1 AND request = ?3",
                [(*row, self._asked) for row in same],
            )
            self._base.executemany(
                "UPDATE listing SET state = 2 WHERE sweep = ?2 AND url = ?1",
                [(url, self.sweep) for url, _ in same],
            )

    def _miss(self) -> None:
        """Look again at models for which something was written that is gone."""
        made = self._base.execute(
            "SELECT l.url, r.output, r.page FROM listing l JOIN results r ON r.url = l.url AND r.request = ?"
            " WHERE l.sweep = ? AND l.state = 2 AND (r.output IS NOT NULL OR r.page IS NOT NULL)",
            (self._asked, self.sweep),
        ).fetchall()
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            there = threads.map(lambda row: all(exists(plain(path)) for path in row[1:] if path), made)
            gone = [row[0] for row, is_there in zip(made, there, strict=True) if not is_there]
        with self._writing():
            self._base.executemany(
                "UPDATE listing SET state = 0 WHERE sweep = ? AND url = ?",
                [(self.sweep, url) for url in gone],
            )

    def _tell_remembered(self) -> None:
        """Keep what is told of files that are remembered; of those that cannot be used, the findings told before."""
        with self._writing():
            self._base.execute(
                "UPDATE listing SET outcome = (SELECT r.outcome FROM results r WHERE r.url = listing.url AND"
                " r.request = ?2) WHERE sweep = ?1 AND state = 2",
                (self.sweep, self._asked),
            )
            self._base.execute(
                "UPDATE listing SET told = CASE outcome WHEN 'unusable' THEN"
                " (SELECT b.told FROM listing b WHERE b.sweep = ?3 AND b.url = listing.url)"
                " ELSE (SELECT json_group_array(f.code || ' ' || f.node) FROM findings f"
                " WHERE f.url = listing.url AND f.request = ?2 AND f.severity != 'info') END"
                " WHERE sweep = ?1 AND state = 2 AND outcome != 'clean'",
                (self.sweep, self._asked, self.before),
            )

    def check_targets(self, suffix: str) -> None:
        """Raises UsageError if two models would be written to one file.

        Args:
            suffix: what is added to names that do not end in it; "" if they stay.
        """
        rows = self._base.execute(
            "SELECT a.url, b.url FROM listing a JOIN listing b ON b.sweep = a.sweep AND b.url != a.url AND"
            " (b.inside = a.inside OR b.inside = a.inside || ?2) WHERE a.sweep = ?1 LIMIT 1",
            (self.sweep, suffix),
        ).fetchall()
        if rows:
            one, other = (shown(plain(url)) for url in rows[0])
            raise UsageError(f"{one} and {other} would be written to one file: sweep them apart")

    def counts(self) -> Counts:
        """How many files the sweep has, and how many of them are done."""
        total, done = self._base.execute(
            "SELECT count(*), coalesce(sum(state > 0), 0) FROM listing WHERE sweep = ?", (self.sweep,)
        ).fetchone()
        return Counts(total, done)

    def pending(self) -> Iterator[Found]:
        """The files that are still to be looked at, in the order of their addresses."""
        last = ""
        while True:
            rows = self._base.execute(
                "SELECT url, size, stamp, inside, folder FROM listing WHERE sweep = ? AND state = 0 AND url > ?"
                " ORDER BY url LIMIT ?",
                (self.sweep, last, _BATCH),
            ).fetchall()
            if not rows:
                return
            for url, size, stamp, inside, folder in rows:
                files = None if folder is None else tuple((name, n) for name, n in json.loads(folder))
                yield Found(plain(url), size, stamp, plain(inside), None, files)
            last = rows[-1][0]

    def keep(self, each: Outcome) -> None:
        """Store an outcome; says of it whether it is worse than in the sweep before (``new``)."""
        of = (_out(each.url), self._asked)
        report = (
            zlib.compress(json.dumps(each.report).encode())
            if each.report and each.report["findings"]
            else None
        )
        row = {name: _stored(name, getattr(each, name)) for name in _FIELDS} | {
            "request": self._asked, "version": _TOOL if each.lasting else "", "looked": time.time(), "report": report,
        }  # fmt: skip
        names, values = ", ".join(row), ", ".join("?" * len(row))
        with self._writing():
            self._base.execute("DELETE FROM findings WHERE url = ? AND request = ?", of)
            self._base.executemany(
                "INSERT INTO findings VALUES (?, ?, ?, ?, ?, ?)",
                [(*of, f["code"], f["severity"], f["node"], f["message"]) for f in each.findings],
            )
            self._base.execute(
                f"INSERT OR REPLACE INTO results ({names}) VALUES ({values})", list(row.values())
            )
            outcome, told = self._one_row(
                "SELECT outcome, told FROM listing WHERE sweep = ? AND url = ?", self.before, of[0]
            ) or (None, None)
            now = told if each.outcome == UNUSABLE else _told(each)
            each.new = _is_new(each.outcome, now, outcome, told)
            self._base.execute(
                "UPDATE listing SET state = ?, outcome = ?, told = ? WHERE sweep = ? AND url = ?",
                (LOOKED_AT, each.outcome, now, self.sweep, of[0]),
            )

    def finish(self) -> None:
        """The sweep ended. Listings of sweeps of the same roots with which none is compared any more are deleted."""
        with self._writing():
            self._base.execute("UPDATE sweeps SET finished = ? WHERE id = ?", (time.time(), self.sweep))
            self._base.execute(
                "DELETE FROM listing WHERE sweep IN (SELECT old.id FROM sweeps old JOIN sweeps new ON new.id = ?"
                " WHERE old.scope = new.scope AND old.request = new.request AND old.id < new.before AND"
                " CASE WHEN old.finished IS NULL THEN old.started < ? ELSE NOT EXISTS"
                " (SELECT 1 FROM sweeps s WHERE s.before = old.id AND s.finished IS NULL AND s.started >= ?) END)",
                (self.sweep, time.time() - _FORGOTTEN, time.time() - _FORGOTTEN),
            )

    # -- what it holds -----------------------------
    def outcomes(self) -> Iterator[Outcome]:
        """The outcomes of the sweep's files that are known, in the order of their addresses."""
        rows = self._base.execute(
            f"SELECT {', '.join(f'r.{name}' for name in _FIELDS)}, r.report, l.state = 2, {NEW} {FILES} ORDER BY l.url",
            {"before": self.before, "sweep": self.sweep},
        )
        for *values, report, remembered_, new in rows:
            given: dict[str, Any] = {
                n: plain(v) if n in _NAMES and v else v for n, v in zip(_FIELDS, values, strict=True)
            }
            data = None if report is None else json.loads(zlib.decompress(report))
            yield Outcome(**given, report=data, remembered=bool(remembered_), new=bool(new))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query about ``:sweep`` and ``:before``."""
        return self._base.execute(query, {"sweep": self.sweep, "before": self.before}).fetchall()

    def _one(self, query: str, *values: Any) -> Any:
        row = self._one_row(query, *values)
        return None if row is None else row[0]

    def _one_row(self, query: str, *values: Any) -> Any:
        return self._base.execute(query, values).fetchone()

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
    """Raises BadFileError if a file is no store of sweeps, or of another version. Nothing is written to it."""
    try:
        descriptor, state = open_regular(path)
    except BadFileError as error:
        raise BadFileError(f"the store {error.reason}", path) from None
    os.close(descriptor)
    if not state.st_size:
        return
    try:
        base = sqlite3.connect(f"{pathlib.Path(os.path.abspath(path)).as_uri()}?mode=ro", uri=True)
        try:
            found = [
                base.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
            ]
        finally:
            base.close()
    except sqlite3.DatabaseError:
        found = [0, 0]
    if found[0] != _MARK:
        raise BadFileError("is no store of sweeps: choose another name", path)
    if found[1] != VERSION:
        raise BadFileError(f"a store of another version of this tool ({found[1]}): choose another name", path)


@contextmanager
def reported() -> Iterator[None]:
    """A block in which an error of the store is an OutputError."""
    try:
        yield
    except (sqlite3.Error, zlib.error) as error:
        raise OutputError(f"the store cannot be used: {error}") from error


def _told(each: Outcome) -> str:
    """The findings of an outcome that a later sweep compares: their codes and nodes."""
    return json.dumps([f"{f['code']} {f['node']}" for f in each.findings if f["severity"] != "info"])


def _is_new(outcome: str, told: str | None, before: str | None, told_before: str | None) -> bool:
    """Whether an outcome is worse than what was told before: of no file, nothing was."""
    if outcome in (CLEAN, None) or outcome == UNUSABLE:
        return outcome == UNUSABLE and before != UNUSABLE
    known = set(json.loads(told_before or "[]"))
    return before in (CLEAN, None) or any(each not in known for each in json.loads(told or "[]"))


def _is_told(told: str | None, code: str, node: str) -> bool:
    return f"{code} {node}" in json.loads(told or "[]")


def _stored(name: str, value: Any) -> Any:
    return _out(value) if name in _NAMES else value


def _out(text: str | None) -> str | None:
    """A text as SQLite takes it: a name that is not UTF-8 becomes digits behind a NUL."""
    if text is None or text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return f"\0{text.encode('utf-8', 'surrogatepass').hex()}"


def plain(text: str) -> str:
    """The text that ``_out`` changed."""
    if not text.startswith("\0"):
        return text
    return bytes.fromhex(text[1:]).decode("utf-8", "surrogatepass")


def _folder(found: Found) -> str | None:
    return None if found.folder is None else json.dumps(found.folder)


def _words(request: Request) -> str:
    given: dict[str, Any] = {"action": request.action, "out": request.out, "pages": request.pages}
    if request.trust:
        given["trust"] = sorted(request.trust)
    return json.dumps({**given, **request.options}, sort_keys=True)


def _key(request: Request) -> str:
    """What identifies a request: its action and options, and the content of its rules."""
    rules = request.options.get("rules")
    text = _words(request) + ("" if rules is None else sha256(rules))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
