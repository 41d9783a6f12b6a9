"""Files: of the wrong kind, cut short, in another encoding, too large, or not there."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hiermodels.errors import ColumnError
from tests.bad_input.case import Case, like_plain, rows

SAME = like_plain()
CSV = rows().to_csv(index=False)


def _bytes(name, content):
    """A file of these bytes."""

    def write(folder: Path) -> Path:
        file = folder / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write


def _parquet() -> bytes:
    buffer = io.BytesIO()
    rows().to_parquet(buffer, index=False)
    return buffer.getvalue()


def _png() -> bytes:
    return b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4


def _xlsx() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    return buffer.getvalue()


def _bomb(folder: Path) -> Path:
    """A Parquet file of 2 MB or less with 200 million rows: dictionary pages of one value."""
    file = folder / "bomb.parquet"
    n = 10_000_000
    group = pa.table(
        {
            "g": pa.DictionaryArray.from_arrays(np.zeros(n, np.int8), ["a"]).cast(pa.string()),
            "y": np.zeros(n),
        }
    )
    with pq.ParquetWriter(file, group.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(group)
    return file


def _text_bomb(folder: Path) -> Path:
    """A Parquet file of some kilobytes with 100 GB of text: two values, each in every other row."""
    file = folder / "bomb.parquet"
    n = 100_000
    text = pa.DictionaryArray.from_arrays(np.arange(n) % 2, ["a" * 1_000_000, "b" * 1_000_000])
    # Text, not categories, to those who read it.
    pq.write_table(pa.table({"g": text, "y": np.arange(n) % 7}), file, store_schema=False)
    return file


def _gzip_bomb(folder: Path) -> Path:
    file = folder / "bomb.csv.gz"
    with gzip.open(file, "wb", compresslevel=9) as out:
        out.write(b"g,y\n")
        for _ in range(120):
            out.write(b"a,1\n" * 250_000)
    return file


def _wide(folder: Path) -> Path:
    file = folder / "wide.csv"
    names = ",".join(f"c{i}" for i in range(100_000))
    zeros = ",".join(["0"] * 100_000)
    lines = CSV.splitlines()
    file.write_text("\n".join([f"{lines[0]},{names}", *(f"{x},{zeros}" for x in lines[1:])]))
    return file


def _folder(folder: Path) -> Path:
    made = folder / "data.csv"
    made.mkdir()
    return made


def _link(target: str, folder: Path) -> Path:
    link = folder / "data.csv"
    os.symlink(target, link)
    return link


def _pipe(folder: Path) -> Path:
    pipe = folder / "data.csv"
    os.mkfifo(pipe)
    return pipe


def _two_kinds(folder: Path) -> Path:
    (folder / "a.csv").write_text(CSV)
    (folder / "b.parquet").write_bytes(_parquet())
    return folder


def _lacking(folder: Path) -> Path:
    (folder / "a.csv").write_text(CSV)
    (folder / "b.csv").write_text("g,x\na,1\n")
    return folder


def _file(what, name, content, says="...", answer=None, **more):
    return Case(
        what,
        _bytes(name, content),
        says="" if answer else says,
        answer=answer,
        typed="as it is",
        **more,
    )


_path = partial(Case, typed="as it is")
CASES = [
    _path(
        "no such file",
        lambda folder: folder / "no.csv",
        says="data file: no such file '.../no.csv'; check the path",
    ),
    _path("an empty path", "", says="data file: the path must not be empty; name a file", typed=""),
    _path(
        "a path with a NUL",
        "a\0.csv",
        says="data file: 'a\\x00.csv' cannot be opened (...); check the path",
        typed="",
    ),
    _path(
        "a path of 5,000 letters",
        "a" * 5000 + ".csv",
        says="data file: a str ('aaa...) cannot be opened (File name too long); check the path",
    ),
    _path(
        "a web address",
        "https://example.org/data.csv",
        says="data file: no such file 'https:/example.org/data.csv'; download it first",
    ),
    _path(
        "a folder without files",
        lambda folder: folder,
        says=(
            "data file: '...' is a folder without CSV or Parquet files; name a file, "
            "or a folder that holds some"
        ),
    ),
    _path(
        "a pattern that fits nothing",
        lambda folder: folder / "*.csv",
        says="data file: no file is named as '.../*.csv'; check the pattern",
    ),
    _path(
        "a folder of two kinds of file",
        _two_kinds,
        says=(
            "data file: the files of '...' must be of one kind, got csv and parquet; "
            "name those of one kind, such as '*.parquet'"
        ),
    ),
    _path(
        "a folder whose files differ in columns",
        _lacking,
        says=(
            "data file: '.../b.csv' has no column 'y', which other files of the same "
            "folder or pattern have; leave the file out, or add the column to it"
        ),
    ),
    _path(
        "a link to nothing",
        partial(_link, "nowhere.csv"),
        says="data file: no such file '.../data.csv'; check the path",
    ),
    _path(
        "a link to itself",
        partial(_link, "data.csv"),
        says=(
            "data file: '.../data.csv' cannot be opened (Too many levels of symbolic "
            "links); check the path"
        ),
    ),
    _path(
        "a pipe that nobody writes to",
        _pipe,
        says=(
            "data file: '.../data.csv' must be a file or a folder, got a pipe or a "
            "device; write what comes from there to a file first"
        ),
    ),
    _file(
        "a text file",
        "data.txt",
        CSV,
        says=(
            "data file: 'data.txt' must end in .csv, .tsv, .csv.gz, .tsv.gz or "
            ".parquet; convert it to one of them"
        ),
    ),
    _file(
        "an empty CSV file",
        "data.csv",
        "",
        says=(
            "data file: 'data.csv' must have the names of its columns in its first line, "
            "which is blank; take blank lines out, or write the names there"
        ),
    ),
    _file(
        "a header and no rows",
        "data.csv",
        "g,x,y\n",
        says="the data frame is empty: it has columns but no rows",
    ),
    _file(
        "rows and no header",
        "data.csv",
        CSV.partition("\n")[2],
        kind=ColumnError,
        says=(
            "y: the data frame has no column 'y'; it has 'a', "
            "'0.0012301533574825742', '-1.216018515578202'"
        ),
    ),
    _file(
        "a picture called data.csv",
        "data.csv",
        _png(),
        says=(
            "data file: 'data.csv' could not be read as csv: it must be text in UTF-8; save"
            " it as UTF-8, or read it with pandas.read_csv(..., encoding=...)"
        ),
    ),
    _file(
        "CSV called data.parquet",
        "data.parquet",
        CSV,
        says=(
            "data file: 'data.parquet' could not be read as parquet: ...; is it whole, and "
            "of that kind?"
        ),
    ),
    _file(
        "CSV called data.csv.gz",
        "data.csv.gz",
        CSV,
        says=(
            "data file: 'data.csv.gz' could not be read as gz: Not a gzipped file "
            "(b'g,'); is it whole, and of that kind?"
        ),
    ),
    _file(
        "semicolons and decimal commas",
        "data.csv",
        CSV.replace(",", ";").replace(".", ","),
        says=(
            "data file: 'data.csv' must be separated by commas, got semicolons; read "
            "it with pandas.read_csv(..., sep=';', decimal=',') or save it with commas"
        ),
    ),
    _file(
        "tabs in a .csv",
        "data.csv",
        CSV.replace(",", "\t"),
        says=(
            "data file: 'data.csv' must be separated by commas, got tabs; read it "
            "with pandas.read_csv(..., sep='\\t') or save it with commas"
        ),
    ),
    _file(
        "commas in a .tsv",
        "data.tsv",
        CSV,
        says=(
            "data file: 'data.tsv' must be separated by tabs, got commas; read it "
            "with pandas.read_csv(..., sep=',') or save it with tabs"
        ),
    ),
    _file(
        "Latin-1 with an umlaut",
        "data.csv",
        CSV.replace("a,", "ä,").encode("latin-1"),
        says=(
            "data file: 'data.csv' could not be read as csv: it must be text in UTF-8; save"
            " it as UTF-8, or read it with pandas.read_csv(..., encoding=...)"
        ),
    ),
    _file("UTF-8 with a byte order mark", "data.csv", CSV.encode("utf-8-sig"), answer=SAME),
    _file("lines that end as on Windows", "data.csv", CSV.replace("\n", "\r\n"), answer=SAME),
    _file("no newline at the end", "data.csv", CSV.rstrip("\n"), answer=SAME),
    _file("a quoted header", "data.csv", CSV.replace("g,x,y", '"g","x","y"'), answer=SAME),
    _file(
        "zeros bytes at the end",
        "data.csv",
        CSV + "\0" * 4096,
        says=(
            "data file: 'data.csv' must have as many fields in each row as its header has names, "
            "got 1 in line 26, where 3 are expected; mend the row"
        ),
    ),
    _file(
        "a NUL within",
        "data.csv",
        CSV.replace("b,", "b\0,"),
        says=(
            "labels in column 'g' must be text that a NetCDF file can hold, got "
            "'b\\x00' (with a NUL or half a character); rename the group"
        ),
    ),
    _file(
        "a row too long",
        "data.csv",
        CSV + "f,1,2,3\n",
        says=(
            "data file: 'data.csv' must have as many fields in each row as its header"
            " has names, got 4 in line 26, where 3 are expected; mend the row"
        ),
    ),
    _file(
        # Pandas would take 1, 2, 3 for the rows' own names.
        "all rows too long, with numbers of the rows in front",
        "data.csv",
        "g,y,x\n" + "".join(f"{n},{row}\n" for n, row in enumerate(CSV.splitlines()[1:])),
        says=(
            "data file: 'data.csv' must have as many fields in each row as its header"
            " has names, got 4 in line 2, where 3 are expected; mend the row"
        ),
    ),
    _file(
        "a row too short",
        "data.csv",
        CSV + "f,1\n",
        says=(
            "data file: 'data.csv' must have as many fields in each row as its header has "
            "names, got 2 in line 26, where 3 are expected; mend the row"
        ),
    ),
    _file(
        "a quote that is not closed",
        "data.csv",
        CSV + '"f,1,2\n',
        says=(
            "data file: 'data.csv' could not be read as csv: its quotes do not enclose "
            "whole fields (line 26); mend it"
        ),
    ),
    _file(
        "two columns of one name",
        "data.csv",
        CSV.replace("g,x,y", "g,y,y"),
        says="data file: 'data.csv' has more than one column named 'y'; rename them",
    ),
    _file(
        "a header with blanks",
        "data.csv",
        CSV.replace("g,x,y", "g, x, y"),
        kind=ColumnError,
        says="y: the data frame has no column 'y'; it has 'g', ' x', ' y'; did you mean ' y'?",
    ),
    _file(
        "a number of 1e400",
        "data.csv",
        CSV + "f,1,1e400\n",
        says=(
            "column 'y' must be finite, got 1 infinite value in 25 rows; mend or "
            "leave out those rows"
        ),
    ),
    _file(
        "labels that read as missing in a CSV file",
        "data.csv",
        CSV.replace("b,", "NA,").replace("c,", "None,"),
        says=(
            "8 of 24 rows have missing values (g: 8), as an empty cell is in a CSV file, and text "
            "such as 'NA' or 'NULL' (Parquet, or pandas.read_csv(..., keep_default_na=False), "
            "keeps it as a label); fill them in, or pass missing='drop' to leave those rows out"
        ),
    ),
    _file(
        "hexadecimal numbers",
        "data.csv",
        CSV + "f,1,0xff\n",
        says=(
            "y='y' must be a column of numbers, got text in 1 of 25 rows, '0xff' in row 24 "
            "(counted from 0); mend the cell, or make it missing (empty in a file, "
            "pandas.to_numeric(..., errors='coerce') in a frame) and pass missing='drop'"
        ),
    ),
    _file(
        "a field of ten million letters",
        "data.csv",
        CSV + "f" * 10_000_000 + ",0,1\n",
        says=(
            "labels in column 'g' must have at most 1000 letters, got 1001: "
            "'ffffffffffffffffffff'...; is it the right column?"
        ),
    ),
    _file(
        "a compressed file cut short",
        "data.csv.gz",
        gzip.compress(CSV.encode())[:-30],
        says=(
            "data file: 'data.csv.gz' could not be read as gz: Compressed file ended "
            "before the end-of-stream marker was reached; is it whole, and of that "
            "kind?"
        ),
    ),
    _file(
        "a Parquet file cut in half",
        "data.parquet",
        _parquet()[: len(_parquet()) // 2],
        says=(
            "data file: 'data.parquet' could not be read as parquet: ...; is it whole, and of "
            "that kind?"
        ),
    ),
    _file(
        "a Parquet file with damaged pages",
        "data.parquet",
        _parquet()[:4] + bytes(300) + _parquet()[304:],
        says=(
            "data file: 'data.parquet' could not be read as parquet: ...; is it whole, and "
            "of that kind?"
        ),
    ),
    _path("a CSV file of 100,000 columns", _wide, answer=SAME, slow=True),
    _path(
        "200 million rows in a Parquet file of 2 MB",
        _bomb,
        says="y='y' must vary, got 0 in all 200000000 rows; is it the right column?",
        slow=True,
    ),
    _path(
        "100 GB of labels in a Parquet file of 100 kB",
        _text_bomb,
        says=(
            "labels in column 'g' must have at most 1000 letters, got 1001: "
            "'...'...; is it the right column?"
        ),
        typed="",  # some seconds, as from Python
    ),
    _path(
        "30 million rows in a compressed file of 200 kB",
        _gzip_bomb,
        says="y='y' must vary, got 1 in all 30000000 rows; is it the right column?",
        typed="",  # a minute, as from Python
        slow=True,
    ),
]
