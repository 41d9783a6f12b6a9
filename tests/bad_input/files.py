"""Files: of the wrong kind, cut short, in another encoding, too large, or not there."""

from __future__ import annotations

import gzip
import io
import json
import os
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hiermodels.errors import ColumnError

from .case import Case, like_plain, rows
from .shapes import _finite

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
    group = pa.table({
        "g": pa.DictionaryArray.from_arrays(np.zeros(n, np.int8), ["a"]).cast(pa.string()),
        "y": np.zeros(n),
    })
    with pq.ParquetWriter(file, group.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(group)
    return file


def _gzip_bomb(folder: Path) -> Path:
    file = folder / "bomb.csv.gz"
    with gzip.open(file, "wb", compresslevel=9) as out:
        out.write(b"g,y\n")
        for _ in range(200):
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
    return Case(what, _bytes(name, content), says="" if answer else says, answer=answer,
                shell="as it is", **more)


_path = partial(Case, shell="as it is")
CASES = [
    _path("no such file", lambda folder: folder / "no.csv",
          says="data file: no such file '.../no.csv'; check the path"),
    _path("an empty path", "", says="..."),
    _path("a path with a NUL", "a\0.csv", says="..."),
    _path("a path of 5,000 letters", "a" * 5000 + ".csv", says="..."),
    _path("a web address", "https://example.org/data.csv", says="..."),
    _path("standard input", "-", says="..."),
    _path("a folder without files", lambda folder: folder, says="..."),
    _path("a folder called data.csv", _folder, says="..."),
    _path("a pattern that fits nothing", lambda folder: folder / "*.csv", says="..."),
    _path("a pattern that is none", lambda folder: folder / "[.csv", says="..."),
    _path("a folder of two kinds of file", _two_kinds, says="..."),
    _path("a folder whose files differ in columns", _lacking, says="..."),
    _path("a link to nothing", partial(_link, "nowhere.csv"), says="..."),
    _path("a link to itself", partial(_link, "data.csv"), says="..."),
    _path("a device", "/dev/zero", says="..."),
    _path("a pipe that nobody writes to", _pipe, says="..."),
    _file("a text file", "data.txt", CSV),
    _file("a spreadsheet", "data.xlsx", _xlsx()),
    _file("a file without an ending", "data", CSV),
    _file("an empty CSV file", "data.csv", ""),
    _file("a CSV file of blank lines", "data.csv", "\n\n\n"),
    _file("a header and no rows", "data.csv", "g,x,y\n"),
    _file("rows and no header", "data.csv", CSV.partition("\n")[2], kind=ColumnError),
    _file("a picture called data.csv", "data.csv", _png()),
    _file("a spreadsheet called data.csv", "data.csv", _xlsx()),
    _file("JSON called data.csv", "data.csv", json.dumps(rows().to_dict("records")),
          kind=ColumnError),
    _file("Parquet called data.csv", "data.csv", _parquet()),
    _file("CSV called data.parquet", "data.parquet", CSV),
    _file("CSV called data.csv.gz", "data.csv.gz", CSV),
    _file("semicolons", "data.csv", CSV.replace(",", ";")),
    _file("tabs in a .csv", "data.csv", CSV.replace(",", "\t"), kind=ColumnError),
    _file("commas in a .tsv", "data.tsv", CSV, kind=ColumnError),
    _file("UTF-16", "data.csv", CSV.encode("utf-16")),
    _file("UTF-32", "data.csv", CSV.encode("utf-32")),
    _file("Latin-1 with an umlaut", "data.csv", CSV.replace("a,", "ä,").encode("latin-1")),
    _file("UTF-8 with a byte order mark", "data.csv", CSV.encode("utf-8-sig"), answer=SAME),
    _file("lines that end as on Windows", "data.csv", CSV.replace("\n", "\r\n"), answer=SAME),
    _file("lines that end as on old Macs", "data.csv", CSV.replace("\n", "\r"), answer=SAME),
    _file("no newline at the end", "data.csv", CSV.rstrip("\n"), answer=SAME),
    _file("a quoted header", "data.csv", CSV.replace("g,x,y", '"g","x","y"'), answer=SAME),
    _file("zeros bytes at the end", "data.csv", CSV + "\0" * 4096),
    _file("a NUL within", "data.csv", CSV.replace("b,", "b\0,")),
    _file("a row too long", "data.csv", CSV + "f,1,2,3\n"),
    _file("all rows too long", "data.csv", CSV.replace("\n", ",9\n").replace("y,9", "y")),
    _file("a row too short", "data.csv", CSV + "f,1\n"),
    _file("a quote that is not closed", "data.csv", CSV + '"f,1,2\n'),
    _file("two columns of one name", "data.csv", CSV.replace("g,x,y", "g,y,y")),
    _file("a header with blanks", "data.csv", CSV.replace("g,x,y", "g, x, y"), kind=ColumnError),
    _file("a number of 1e400", "data.csv", CSV + "f,1,1e400\n"),
    _file("hexadecimal numbers", "data.csv", CSV + "f,1,0xff\n"),
    _file("percentages", "data.csv", CSV + "f,1,5%\n"),
    _file("a field of ten million letters", "data.csv", CSV + "f" * 10_000_000 + ",0,1\n",
          answer=_finite),
    _file("a compressed file cut short", "data.csv.gz", gzip.compress(CSV.encode())[:-30]),
    _file("a compressed file with a flipped bit", "data.csv.gz",
          bytes([*gzip.compress(CSV.encode(), mtime=0)[:60], 255,
                 *gzip.compress(CSV.encode(), mtime=0)[61:]])),
    _file("an empty Parquet file", "data.parquet", b""),
    _file("a Parquet file cut in half", "data.parquet", _parquet()[: len(_parquet()) // 2]),
    _file("a Parquet file cut by a byte", "data.parquet", _parquet()[:-1]),
    _file("a Parquet file of zeros", "data.parquet", bytes(5000)),
    _file("a Parquet file with damaged pages", "data.parquet",
          _parquet()[:4] + bytes(300) + _parquet()[304:]),
    _path("a CSV file of 100,000 columns", _wide, answer=SAME, slow=True),
    _path("200 million rows in a Parquet file of 2 MB", _bomb, says="...", slow=True),
    _path("50 million rows in a compressed file of 300 kB", _gzip_bomb, says="...", slow=True),
]
