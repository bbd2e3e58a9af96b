"""The file has one spelling; everything else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from brokerd.store.format import (
    Argon2id,
    Document,
    FormatError,
    Record,
    Version,
    body,
    decode,
    encode,
)

Change = Callable[[dict[str, Any]], object]
RECORD = Record("openai", ("api.openai.com",), 900.0, (Version(1, "2026-11-23T07:04:00Z", b"x"),))
KEYRING = Document("0" * 32, 7, None, b"check", {"openai/dev": RECORD}, {"old/one": 3})
PASSPHRASE = Document("1" * 32, 1, Argon2id(b"s" * 16, 3, 4, 65536), b"check", {}, {})
RAW = encode(KEYRING, b"mac")


@pytest.mark.parametrize("document", [KEYRING, PASSPHRASE])
def test_a_document_comes_back_as_it_was(document: Document) -> None:
    assert decode(encode(document, b"mac")) == (document, b"mac")


def test_the_file_is_as_documented() -> None:
    assert json.loads(RAW) == {
        "format": 1,
        "generation": 7,
        "id": "0" * 32,
        "mac": "bWFj",
        "master_key": {"check": "Y2hlY2s=", "kdf": None},
        "retired": {"old/one": 3},
        "secrets": {
            "openai/dev": {
                "provider": "openai",
                "hosts": ["api.openai.com"],
                "max_ttl": 900.0,
                "versions": [{"number": 1, "created": "2026-11-23T07:04:00Z", "sealed": "eA=="}],
            }
        },
    }
    assert RAW.endswith(b"}\n")
    assert RAW.isascii()


def test_the_mac_covers_everything_else() -> None:
    covered = json.loads(RAW)
    del covered["mac"]
    assert json.loads(body(KEYRING)) == covered


def test_a_key_that_stands_twice_is_refused() -> None:
    twice = RAW.replace(b'"max_ttl":900.0', b'"max_ttl":1.0,"max_ttl":900.0')
    with pytest.raises(FormatError, match="as they were written"):
        decode(twice)


@pytest.mark.parametrize(
    "raw",
    [
        RAW[:-1],
        RAW + b"\n",
        RAW.replace(b":", b": "),
        RAW.replace(b"openai/dev", b"openai\\/dev"),
        RAW.replace(b"900.0", b"900.00"),
        RAW.replace(b"900.0", b"9e2"),
        RAW.replace(b'"eA=="', b'"eB=="'),  # the same byte: base64 leaves four bits over
        RAW.replace(b'"format":1', b'"format":true'),
        RAW.replace(b'"format":1', b'"format":1.0'),
        RAW.decode().encode("utf-16"),
    ],
)
def test_the_same_in_other_bytes_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError, match=r"as they were written|not whole"):
        decode(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\n",
        b"{",
        b"\x00" * 100,
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"format":1,"generation":' + b"9" * 5000 + b"}",
        RAW.replace(b"900.0", b"NaN"),
        RAW.replace(b"900.0", b"Infinity"),
        RAW.replace(b"900.0", b"1e999"),
        RAW.replace(b"openai.com", b"\\ud800.com")[:-1],
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        decode(raw)


def _changed(change: Change) -> bytes:
    document = json.loads(RAW)
    change(document)
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode() + b"\n"


CHANGES: list[Change] = [
    lambda d: d.pop("retired"),
    lambda d: d.update(extra=1),
    lambda d: d.update(id=7),
    lambda d: d.update(mac=None),
    lambda d: d.update(mac="no base64"),
    lambda d: d.update(generation=True),
    lambda d: d.update(generation=1.0),
    lambda d: d.update(secrets=[]),
    lambda d: d.update(retired={"a": "1"}),
    lambda d: d["master_key"].update(kdf={}),
    lambda d: d["master_key"].update(kdf="argon2id"),
    lambda d: d["master_key"].update(extra=1),
    lambda d: d["secrets"]["openai/dev"].update(versions=[]),
    lambda d: d["secrets"]["openai/dev"].update(hosts="api.openai.com"),
    lambda d: d["secrets"]["openai/dev"].update(hosts=[1]),
    lambda d: d["secrets"]["openai/dev"].update(max_ttl=900),
    lambda d: d["secrets"]["openai/dev"].pop("provider"),
    lambda d: d["secrets"]["openai/dev"]["versions"][0].update(number="1"),
    lambda d: d["secrets"]["openai/dev"]["versions"][0].update(value="1"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_field_that_is_missing_unknown_or_of_another_kind_is_refused(
    change: Change,
) -> None:
    with pytest.raises(FormatError, match=r"field|kind|base64|without a value"):
        decode(_changed(change))


@pytest.mark.parametrize("number", [0, 2, -1, "1", None])
def test_another_format_is_told_apart_from_damage(number: object) -> None:
    with pytest.raises(FormatError, match="format is none that this version"):
        decode(_changed(lambda d: d.update(format=number)))


def test_an_error_holds_nothing_of_the_file() -> None:
    with pytest.raises(FormatError) as caught:
        decode(_changed(lambda d: d["secrets"]["openai/dev"].update(hosts="sk-pasted-by-mistake")))
    assert "sk-" not in str(caught.value)
