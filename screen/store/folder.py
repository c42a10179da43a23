"""RunFolder: a run on disk, being written or being read. The manifest is the truth; nothing is found by glob.

Publishing a shard: each table goes to an exclusive scratch file, is synced, read back and checked, renamed, its
folder synced; then one manifest line, appended and synced, publishes them all. A crash at any point leaves the
shard published whole or not at all. A table without rows has no file.

Reading a shard: a path is handed out once the file's bytes have been hashed and found equal to the manifest's.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from screen import seal
from screen.baselines.kind import Baseline
from screen.baselines.table import kind_of
from screen.disk import DISK, Disk, is_temporary, storing, write_atomically
from screen.errors import StoreError
from screen.scoring.schema import FORMAT
from screen.store import identity as identities
from screen.store import index, scanfile, shards, tables
from screen.store.identity import Identity
from screen.store.index import Index
from screen.store.lock import Lock
from screen.store.manifest import MANIFEST, FileEntry, Manifest, ShardEntry
from screen.store.scanfile import Facts, ScanRecord

SUMMARY = "summary.json"
_REPAIR = "type the run's command again: a file that can be made again byte for byte is; or restore a backup"


def read_published(path: Path, **options: object) -> pa.Table:
    """A published file, or what `pyarrow.parquet.read_table` takes of it. Raises StoreError for a damaged one."""
    try:
        return pq.read_table(path, **options)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise StoreError(f"{path} is damaged: {reason}", _REPAIR) from error


class RunFolder:
    """`open` to write or resume, `read` to look."""

    def __init__(self, path: Path, scan: ScanRecord, manifest: Manifest, lock: Lock | None) -> None:
        self.path = path
        self.identity = scan["identity"]
        self.facts = scan["facts"]
        self.traits: tuple[str, ...] = tuple(self.identity["traits"])
        self.damaged: dict[int, str] = {}  # shards the manifest names whose files are not as published
        self._manifest = manifest
        self._lock = lock
        self._disk = manifest.disk
        self._checked: dict[str, tuple[int, ...]] = {}  # files found as published, and how they stood then

    @classmethod
    def open(
        cls,
        path: Path,
        identity: Identity,
        facts: Facts | None = None,
        *,
        disk: Disk = DISK,
    ) -> RunFolder:
        """Create the folder, or resume it. Holds the writer's lock until `close`.

        `identity` must be equal on resume, field by field; it is JSON and has the run's "traits", in column
        order. `facts` are recorded when the folder is created, and not compared.
        Raises ResumeRefused, with nothing changed, where the identity differs; StoreError where the folder
        cannot be used. A shard whose files were lost by the disk is in `damaged`, not in `published`, and is
        published again only with the bytes that the manifest records.
        """
        wanted = identities.normal(identity)
        if "traits" not in wanted:
            raise ValueError('an identity needs "traits"')
        with storing(path):
            scanfile.check_target(path)
            scanfile.check_same(path, wanted)
            disk.make_folder(path)
            lock = Lock(path, disk)
        try:
            with storing(path):
                return cls._start(path, wanted, identities.normal(facts or {}), lock, disk)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _start(cls, path: Path, identity: Identity, facts: Facts, lock: Lock, disk: Disk) -> RunFolder:
        # compared again: another run may have made the folder before we had the lock
        scan = scanfile.check_same(path, identity) or scanfile.create(path, identity, facts, disk)
        manifest = Manifest(path / MANIFEST, disk)
        manifest.repair()
        run = cls(path, scan, manifest, lock)
        run.damaged = {shard: f"{file} {wrong}" for shard, file, wrong in run.verify()}
        return run

    @classmethod
    def read(cls, path: Path, *, disk: Disk = DISK) -> RunFolder:
        """For readers: takes no lock, changes nothing, and may look while a run goes on."""
        if not (path / scanfile.SCAN).is_file():
            raise StoreError(
                f"there is no run at {path}: it has no {scanfile.SCAN}", "give the folder that `screen run` wrote"
            )
        with storing(path, "run this again"):
            scan = scanfile.load(path)
            if scan is None:
                raise scanfile.damaged(path)
            wrote = scan["identity"].get("format", FORMAT)
            if wrote != FORMAT:
                raise StoreError(
                    f"{path} has the columns of format {wrote!a}; this version reads {FORMAT}",
                    "use the version of screen that wrote it, or run again with another --out",
                )
            return cls(path, scan, Manifest(path / MANIFEST, disk), None)

    @property
    def run(self) -> str:
        """The digest of the identity: which run a file is of."""
        return identities.digest(self.identity)

    @property
    def manifest(self) -> str:
        """The digest of its shards' record."""
        return self._manifest.sha256()

    @property
    def carried(self) -> int:
        """Input rows whose scores are an earlier run's (`--since`)."""
        return sum(e.carried or 0 for e in self.published.values())

    @property
    def baseline(self) -> Baseline:
        """The run's kind of baseline."""
        return kind_of(self.facts.get("baseline"))

    def score_column(self, trait: str) -> str:
        """The column that the run is ranked and flagged by."""
        return self.baseline.column(trait, bool(self.identity.get("settings", {}).get("refine")))

    @property
    def published(self) -> dict[int, ShardEntry]:
        """Shards that are done, by number."""
        return {k: e for k, e in self._manifest.entries.items() if k not in self.damaged}

    def publish(
        self,
        shard: int,
        first_row: int,
        end_row: int,
        contents: Mapping[str, pa.Table],
        token_budget: int | None = None,
        carried: int | None = None,
    ) -> ShardEntry:
        """Commit one shard: input rows [first_row, end_row) as tables `scores`, `turns` and `skipped`.

        `token_budget` is on record where it is not that of the settings: memory ran out. `carried`: how many of the
        rows have an earlier run's scores; None in a run that takes none.

        Durable on return. After an error nothing is published and the same shard can be tried again.
        Raises ValueError, before writing, for tables that do not hold each row exactly once (a bug).
        """
        self._check_writing()
        own = token_budget if token_budget != self._budget else None
        entry, data = shards.describe(shard, first_row, end_row, contents, self.traits, self.run, own, carried)
        new = self._check_wanted(entry)
        with storing(self.path):
            for name, file in entry.files.items():
                shards.place(self.path, file, data[name], tables.pinned(name, self.traits), self._disk)
            if new:
                self._manifest.append(entry)
        self.damaged.pop(shard, None)
        return entry

    @property
    def _budget(self) -> int:
        return self.identity.get("settings", {}).get("token_budget", 0)

    def budget(self, shard: int) -> int:
        """The tokens a batch to score this shard with: as it was, or, for a new one, the fewest that any has needed."""
        if shard in self._manifest.entries:
            return self._manifest.entries[shard].token_budget or self._budget
        return min((e.token_budget for e in self._manifest.entries.values() if e.token_budget), default=self._budget)

    def _check_wanted(self, entry: ShardEntry) -> bool:
        """Whether the shard is new; False for a damaged one that comes again with the bytes it had."""
        known = self._manifest.entries.get(entry.shard)
        if known is None:
            clash = self._manifest.overlap(entry.first_row, entry.end_row)
            if clash is not None:
                raise ValueError(f"shard {entry.shard} has rows of the published shard {clash}")
            return True
        if entry.shard not in self.damaged:
            raise ValueError(f"shard {entry.shard} is published already")
        if known != entry:
            raise StoreError(
                f"shard {entry.shard} cannot be made again: {self.damaged[entry.shard]}, and scoring it anew"
                " gives other bytes than the manifest records",
                "restore the file from a backup, or give another --out",
            )
        return False

    def _check_writing(self) -> None:
        if self._lock is None:
            raise ValueError("this folder is open for reading, or closed")

    def tables(self, name: str, rows: Collection[int] | None = None) -> list[Path]:
        """The published files of one table, in row order, each hashed; of the shards that hold `rows`, where given.

        Raises StoreError for one not as published.
        """
        return [self.whole(file) for file in self.files(name, rows)]

    def paths(self, name: str, rows: Collection[int] | None = None) -> list[Path]:
        """The same, not looked at: for what names the files and does not read them."""
        return [self.path / file.name for file in self.files(name, rows)]

    def files(self, name: str, rows: Collection[int] | None = None) -> list[FileEntry]:
        """What the manifest says of them."""
        entries = sorted(self.published.values(), key=lambda e: e.first_row)
        if rows is not None:
            wanted = sorted(rows)
            entries = [e for e in entries if bisect_left(wanted, e.first_row) < bisect_left(wanted, e.end_row)]
        return [e.files[name] for e in entries if name in e.files]

    def whole(self, file: FileEntry) -> Path:
        """The path of a published file, hashed. Raises StoreError where it is not as published."""
        wrong = self._wrong(file)
        if wrong:
            raise StoreError(f"{self.path / file.name} {wrong}", _REPAIR)
        return self.path / file.name

    def bytes_of(self, file: FileEntry) -> bytes:
        """A published file's bytes, hashed. Raises StoreError where they are not as published."""
        with storing(self.path / file.name, "run this again"):
            data = self._disk.read(self.path / file.name) if (self.path / file.name).exists() else b""
        if hashlib.sha256(data).hexdigest() != file.sha256:
            self.whole(file)
            raise StoreError(f"{self.path / file.name} changed while it was read", _REPAIR)
        return data

    def index(self) -> Index | None:
        """The copy of the scores that the run is ranked by, where there is one that fits the shards."""
        return index.load(self.path, self._manifest.sha256())

    def _wrong(self, file: FileEntry) -> str:
        """What is wrong with a published file, "" where nothing is. A file that has been hashed by this object is not
        hashed again while its size, time and place on the disk stay the same."""
        path = self.path / file.name
        try:
            stat = path.stat()
            stands = (stat.st_size, stat.st_mtime_ns, stat.st_ino)
            if self._checked.get(file.name) == stands:
                return ""
            if stat.st_size != file.bytes:
                return f"has {stat.st_size:,} bytes, not the {file.bytes:,} that were published"
            if self._disk.sha256(path) != file.sha256:
                return "does not have the bytes that were published"
        except FileNotFoundError:
            return "is missing"
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        self._checked[file.name] = stands
        return ""

    def finish(self, summary: Mapping[str, object]) -> None:
        """Write the index, then summary.json, each whole or not at all. "finished" binds it to its shards."""
        self._check_writing()
        if "finished" in summary:
            raise ValueError('"finished" is the store\'s own field')
        rows, manifest = sum(e.rows for e in self.published.values()), self._manifest.sha256()
        stamp = {"shards": len(self.published), "rows": rows, "manifest": manifest, "run": self.run}
        with storing(self.path):
            write_atomically(self.path / index.INDEX, index.encoded(self, manifest), self._disk)
            data = seal.sealed_json({**summary, "finished": stamp})
            write_atomically(self.path / SUMMARY, data, self._disk)

    @property
    def summary(self) -> dict[str, Any]:
        """What `finish` wrote; empty where it has not. Raises StoreError for a damaged file."""
        path = self.path / SUMMARY
        with storing(path, "run this again"):
            try:
                return seal.open_json(path.read_bytes())
            except FileNotFoundError:
                return {}
            except seal.Broken as error:
                raise StoreError(
                    f"{path} is damaged: {error}", "type the run's command again: it is made anew from the shards"
                ) from None

    @property
    def finished(self) -> bool:
        stamp = self.summary.get("finished")
        return isinstance(stamp, dict) and not self.damaged and stamp.get("manifest") == self._manifest.sha256()

    def orphans(self) -> list[Path]:
        """Files that the manifest does not name: remains of crashes. Never counted, never deleted silently."""
        named = {f.name for e in self._manifest.entries.values() for f in e.files.values()}
        unlisted = [
            folder / name
            for folder in (self.path / t for t in tables.NAMES)
            if folder.is_dir()
            for name in self._disk.names(folder)
            if f"{folder.name}/{name}" not in named
        ]
        return unlisted + [self.path / n for n in self._disk.names(self.path) if is_temporary(n)]

    def check(self) -> None:
        """Raises StoreError for the first published file that is not as published."""
        for _, path, wrong in self.verify():
            raise StoreError(f"{path} {wrong}", _REPAIR)

    def verify(self) -> list[tuple[int, Path, str]]:
        """Hash every published file: (shard, file, what is wrong) for each that is not as published."""
        self._checked.clear()
        files = [(e.shard, file) for e in self._manifest.entries.values() for file in e.files.values()]
        return [(shard, self.path / f.name, wrong) for shard, f in files if (wrong := self._wrong(f))]

    def close(self) -> None:
        """Release the lock. Reading goes on working."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
