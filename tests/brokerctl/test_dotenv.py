"""Real keys in a .env are named, placeholders and references are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from brokerctl.dotenv import real_keys

KEY = "sk-proj-" + "A1b2C3d4" * 4


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (f"OPENAI_API_KEY={KEY}", True),
        (f"export  MINE = '{KEY}'", True),
        (f'OPENAI_API_KEY="{KEY}"  # mine', True),
        ("MISTRAL_API_KEY=" + "x" * 32, True),
        ("MISTRAL_API_KEY=changeme", False),
        ("OPENAI_API_KEY=brokerref:openai/dev", False),
        ("OPENAI_API_KEY=", False),
        (f"# OPENAI_API_KEY={KEY}", False),
        ("SECRET_KEY=" + "x" * 32, False),
        ("nonsense", False),
    ],
)
def test_a_line(tmp_path: Path, line: str, named: bool) -> None:
    (tmp_path / ".env").write_text(f"FIRST=1\n{line}\nLAST=2\n")
    assert len(real_keys(str(tmp_path))) == named


def test_no_file_a_named_pipe_or_rubbish_is_no_key(tmp_path: Path) -> None:
    assert real_keys(str(tmp_path)) == []
    (tmp_path / ".env").write_bytes(b"\xff\xfe\x00=\n" * 10)
    assert real_keys(str(tmp_path)) == []
    (tmp_path / ".env").unlink()
    os.mkfifo(tmp_path / ".env")
    assert real_keys(str(tmp_path)) == []
