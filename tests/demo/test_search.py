"""Does the search find a key that is planted? (The positive control of all that is found clean.)"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from demo import search
from demo.forms import Needles

KEY = "sk-planted-" + os.urandom(16).hex() + "/+="
NEEDLES = Needles([KEY])


def in_file(folder: Path, content: bytes) -> list[str]:
    (folder / "file").write_bytes(content)
    return search.in_folders(NEEDLES, [str(folder)]).found


@pytest.mark.parametrize("part", ["environ", "cmdline"])
def test_a_process_that_holds_it_is_found(part: search.ProcessPart) -> None:
    with subprocess.Popen(
        [sys.executable, "-I", "-c", "print(flush=True); input()", KEY],
        env={"SOME_KEY": KEY},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        report = search.in_processes(NEEDLES, part)
    assert report.found == [f"{part} of process {process.pid}: in clear"]
    assert not report.clean
    assert report.places > 1


@pytest.mark.parametrize("before", [b"", b"a", b"ab"])
def test_a_file_that_holds_it_in_base64_is_found(tmp_path: Path, before: bytes) -> None:
    found = in_file(tmp_path, b"header: Basic " + base64.b64encode(before + KEY.encode()))
    assert found == [f"{tmp_path}/file: in base64"]


def test_a_file_that_holds_it_percent_encoded_is_found(tmp_path: Path) -> None:
    assert in_file(tmp_path, b"GET /?key=" + quote(KEY).encode().replace(b"/", b"%2F")) != []


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024 - 10, 3 * 1024 * 1024 - 1])
def test_a_key_is_found_wherever_it_stands_in_a_large_file(tmp_path: Path, size: int) -> None:
    assert in_file(tmp_path, b"x" * size + KEY.encode() + b"y" * 100) != []


def test_a_files_name_is_searched_and_not_repeated(tmp_path: Path) -> None:
    name = "cache-" + KEY.replace("/", "%2F").replace("+", "%2B").replace("=", "%3D")
    (tmp_path / name).touch()
    report = search.in_folders(NEEDLES, [str(tmp_path)])
    assert report.found == [f"a file's name in {tmp_path}: percent-encoded"]


def test_where_a_link_leads_is_searched_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/nowhere/" + KEY)
    assert len(search.in_folders(NEEDLES, [str(tmp_path)]).found) == 1


def test_a_file_in_a_folder_below_is_found(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert in_file(tmp_path / "a" / "b", KEY.encode()) != []
    assert search.in_folders(NEEDLES, [str(tmp_path)]).found != []


def test_a_pipe_in_the_way_does_not_hang_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert search.in_folders(NEEDLES, [str(tmp_path)]).found == []


def test_a_text_that_holds_it_is_found() -> None:
    report = search.in_texts(NEEDLES, {"stdout": f"key={KEY}", "stderr": "nothing"})
    assert report.found == ["stdout: in clear"]


def test_what_looked_at_nothing_is_not_clean(tmp_path: Path) -> None:
    assert not search.in_folders(NEEDLES, [str(tmp_path)]).clean
    assert not search.in_folders(NEEDLES, [str(tmp_path / "missing")]).clean
    assert not search.in_texts(NEEDLES, {}).clean
    (tmp_path / "file").write_text("something else")
    assert search.in_folders(NEEDLES, [str(tmp_path)]).clean


def test_no_report_holds_the_key(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(KEY)
    assert KEY not in repr(search.in_folders(NEEDLES, [str(tmp_path)]))
