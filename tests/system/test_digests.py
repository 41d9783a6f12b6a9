"""SHA-256 of values and files, against the standard's own examples (FIPS 180-4)."""

from __future__ import annotations

from pathlib import Path

from hiermodels.system import digests

# "abc", and a million letters a: the examples that NIST publishes with the standard.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
MILLION = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_a_file_has_the_digest_of_its_bytes_however_many_blocks_it_has(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert digests.of_file(file) == ABC
    file.write_bytes(b"a" * 1_000_000)
    assert digests.of_file(file) == MILLION
    blocks = b"b" * (1 << 20)
    file.write_bytes(blocks + b"c")
    whole = digests.of_file(file)
    file.write_bytes(blocks + blocks + b"c")
    assert digests.of_file(file) != whole


def test_values_have_one_digest_whatever_the_order_of_their_names() -> None:
    assert digests.of_values({"a": 1, "b": [2]}) == digests.of_values({"b": [2], "a": 1})
    assert digests.of_values({"a": 1}) != digests.of_values({"a": "1"})
