from __future__ import annotations

import hashlib
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from screen.store import shards, tables
from tests.store import fake


def test_equal_tables_give_equal_bytes_however_they_are_cut():
    table = fake.shard_tables(0, 20)["turns"]
    wanted = tables.pinned("turns", fake.TRAITS)
    pieces = pa.concat_tables([table.slice(0, 3), table.slice(3, 4), table.slice(7)])
    again = pa.Table.from_pylist(table.to_pylist(), schema=wanted)
    assert tables.encode(table, wanted) == tables.encode(pieces, wanted) == tables.encode(again, wanted)


def test_a_file_holds_the_table_its_meanings_and_page_checksums():
    table = fake.shard_tables(0, 5)["scores"]
    wanted = tables.pinned("scores", fake.TRAITS)
    data = tables.encode(table, wanted)
    file = pq.ParquetFile(io.BytesIO(data), page_checksum_verification=True)
    assert file.read().equals(table)
    assert file.schema_arrow.equals(wanted, check_metadata=True)
    assert file.schema_arrow.field("row").metadata[b"meaning"].startswith(b"0-based input row")
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_schema_that_is_not_the_pinned_one_is_a_bug():
    wanted = tables.pinned("skipped", fake.TRAITS)
    tables.check_schema(wanted, wanted)
    other = pa.schema([pa.field("x", pa.string()) if f.name == "code" else f for f in wanted])
    with pytest.raises(ValueError, match=r"missing \['code'\], surplus \['x'\]"):
        tables.check_schema(other, wanted)
    with pytest.raises(ValueError, match=r"missing \[\], surplus \[\], or in another order"):
        tables.check_schema(pa.schema(list(wanted)[::-1]), wanted)
    with pytest.raises(ValueError, match="a run has no table 'answers'"):
        tables.pinned("answers", [])


def test_what_comes_back_from_the_disk_is_what_was_meant():
    table = fake.shard_tables(0, 5)["scores"]
    wanted = tables.pinned("scores", fake.TRAITS)
    data = tables.encode(table, wanted)
    sha256 = hashlib.sha256(data).hexdigest()
    tables.check_written(data, sha256, 5, wanted)
    with pytest.raises(OSError, match="the bytes read back are not the bytes written"):
        tables.check_written(data + b"?", sha256, 5, wanted)
    for rows, schema in ((4, wanted), (6, wanted), (5, tables.pinned("scores", ["evil"]))):
        with pytest.raises(ValueError, match="the encoded table is not the table given"):
            tables.check_written(data, sha256, rows, schema)


@pytest.mark.parametrize("change", ["turn of a skipped row", "turn elsewhere", "side twice", "null row", "other table"])
def test_tables_that_do_not_fit_each_other_are_a_bug(change):
    given = dict(fake.shard_tables(0, 5))
    place = {"turn": 1, "prompt": "p", "text": "t"}
    if change.startswith("turn"):
        given["turns"] = fake.build("turns", [{**place, "row": 3 if "skipped" in change else 5}])
    elif change == "side twice":
        given["scores"] = pa.concat_tables([given["scores"], given["scores"].slice(0, 1)])
    elif change == "null row":
        given["turns"] = fake.build("turns", [{**place, "row": 0}, {**place, "row": None}])
    else:
        given["answers"] = given["turns"]
    told = {"null row": "a row number is null", "side twice": "same side of a row twice", "other table": "no tables"}
    with pytest.raises(ValueError, match=told.get(change, "turns hold rows that are not scored")):
        shards.describe(0, 0, 5, given, fake.TRAITS, "run")


def test_a_shard_says_what_it_holds():
    entry, data = shards.describe(7, 0, 5, fake.shard_tables(0, 5), fake.TRAITS, "run")
    assert (entry.rows, entry.scored, entry.skipped, entry.token_budget) == (5, 5, 1, None)  # row 0 has two sides
    assert entry.files["turns"].name == "turns/000007.parquet"
    assert [(f.bytes, f.rows) for f in entry.files.values()] == [
        (len(data[name]), fake.shard_tables(0, 5)[name].num_rows) for name in entry.files
    ]
    only, _ = shards.describe(0, 3, 4, {"skipped": fake.shard_tables(3, 4)["skipped"]}, fake.TRAITS, "run")
    assert (only.scored, only.skipped, set(only.files)) == (0, 1, {"skipped"})
