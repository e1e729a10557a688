"""The file itself, and what happens when it cannot be used: nothing is lost."""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cyberterr.contracts.finding import Finding
from cyberterr.contracts.store import Decision, Query
from cyberterr.errors import StoreError
from cyberterr.store import connection, spool
from cyberterr.store.sqlite import SqliteStore

Make = Callable[..., Finding]
NOBODY = 65534


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in another Python, as it would be in another program."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )


PUT = """
    import os, resource, sys
    from pathlib import Path
    import msgspec
    from cyberterr.contracts.finding import Finding
    from cyberterr.errors import StoreError
    from cyberterr.store.sqlite import SqliteStore
    path, limit = Path(sys.argv[1]), int(sys.argv[2])
    one = msgspec.json.decode(sys.argv[3], type=Finding)
    if len(sys.argv) > 5:  # root may write anywhere, so become nobody
        os.setgroups([]), os.setgid(int(sys.argv[5])), os.setuid(int(sys.argv[5]))
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    store = SqliteStore(path)
    try:
        store.put(msgspec.structs.replace(one, id=f"{i:024}") for i in range(int(sys.argv[4])))
    except StoreError as error:
        print(error)
        raise SystemExit(error.exit_code)
"""


def test_only_the_owner_can_read_it(tmp_path: Path, finding: Make):
    path = tmp_path / "data" / "cyberterr.db"
    with SqliteStore(path) as store:
        store.put([finding()])
        assert mode(path.parent) == 0o700
        assert {mode(file) for file in path.parent.iterdir()} == {0o600}


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    with SqliteStore(path) as store:
        store.put([finding()])
    path.chmod(0o644)
    with SqliteStore(path) as store:
        store.find(Query())
    assert mode(path) == 0o600


def test_what_is_erased_is_nowhere_on_the_disk(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    with SqliteStore(path) as store:
        store.put([finding(actor="192.0.2.77")])
        one = store.find(Query())[0].finding
        store.decide(
            Decision(
                finding_id=one.id,
                verdict="benign",
                reason="Madame Unique said so",
                author="x",
                time=one.end,
            )
        )
        store.erase(dt.datetime.now(dt.UTC))
        for file in tmp_path.iterdir():
            assert b"192.0.2.77" not in file.read_bytes()
            assert b"Madame Unique" not in file.read_bytes()


def test_programs_that_write_at_once_lose_nothing(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    code = """
        import sys
        from pathlib import Path
        import msgspec
        from cyberterr.contracts.finding import Finding
        from cyberterr.store.sqlite import SqliteStore
        one = msgspec.json.decode(sys.argv[2], type=Finding)
        many = [msgspec.structs.replace(one, id=sys.argv[3] + str(i)) for i in range(20)]
        sys.stdin.readline()
        for one in many:
            SqliteStore(Path(sys.argv[1])).put([one])
    """
    one = msgspec.json.encode(finding()).decode()
    command = [sys.executable, "-c", textwrap.dedent(code), str(path), one]
    writers = [
        subprocess.Popen(
            [*command, name],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for name in "abc"
    ]
    for writer in writers:
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60)[1] for writer in writers] == [b"", b"", b""]
    with SqliteStore(path) as store:
        assert len(store.find(Query())) == 60


def test_a_store_held_by_another_program_loses_nothing(
    tmp_path: Path, finding: Make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.2)
    path = tmp_path / "cyberterr.db"
    store = SqliteStore(path)
    store.put([finding()])
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
            "db.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.read()",
            str(path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    store.close()
    try:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StoreError, match="another program has held the store") as caught:
            store.put([finding(actor="10.0.0.2")])
        assert caught.value.exit_code == 5
        assert "1 findings wait in" in caught.value.hint
        assert [c.finding.actor for c in store.find(Query())] == ["10.20.4.14"]  # reading works
        assert "findings wait here" in store.warnings[0]
    finally:
        holder.communicate()
    store.close()
    assert {c.finding.actor for c in store.find(Query())} == {"10.20.4.14", "10.0.0.2"}
    assert spool.beside(path).read_bytes() == b""
    store.close()


def test_random_bytes_are_no_store_and_are_left_as_they_are(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    noise = os.urandom(8192)
    path.write_bytes(noise)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="damaged, or no SQLite database") as caught:
        store.put([finding()])
    assert path.read_bytes() == noise
    assert "1 findings wait in" in caught.value.hint
    path.unlink()  # as the hint says, more or less
    assert store.find(Query())[0].finding == finding()
    store.close()


def test_a_damaged_page_is_told_in_words(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    with SqliteStore(path) as store:
        store.put(finding(actor=f"10.0.0.{i}") for i in range(100))
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="damaged"):
        store.find(Query())


def test_a_full_disk_is_told_in_words_and_loses_nothing(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    one = msgspec.json.encode(finding()).decode()
    ended = run(PUT, str(path), "20000", one, "3")
    assert ended.returncode == 5, ended.stdout + ended.stderr
    assert "the disk is full" in ended.stdout
    assert "3 findings wait in" in ended.stdout
    with SqliteStore(path) as store:
        assert len(store.find(Query())) == 3


def test_a_disk_too_full_even_for_the_spool_says_so(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    with SqliteStore(path) as store:
        store.put([])
    one = msgspec.json.encode(finding()).decode()
    ended = run(PUT, str(path), "20000", one, "500")
    assert ended.returncode == 5, ended.stdout + ended.stderr
    assert "500 findings could not be kept" in ended.stdout
    with SqliteStore(path) as store:
        assert store.find(Query()) == []
        assert store.warnings == []  # no half line stays in the spool


def test_a_folder_that_cannot_be_written_is_told_in_words(tmp_path: Path, finding: Make):
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    one = msgspec.json.encode(finding()).decode()
    becoming = [str(NOBODY)] if os.geteuid() == 0 else []
    if becoming:
        for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
            parent.chmod(0o755)
    ended = run(PUT, str(folder / "cyberterr.db"), "0", one, "1", *becoming)
    assert ended.returncode == 5, ended.stdout + ended.stderr
    assert "the store cannot be opened: Permission denied" in ended.stdout
    assert "1 findings could not be kept" in ended.stdout


def test_a_newer_store_is_not_touched(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    with SqliteStore(path) as store:
        store.put([finding()])
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="schema 99, this cyberterr knows up to 2"):
        SqliteStore(path).put([finding(actor="10.0.0.2")])
    assert spool.beside(path).read_bytes().count(b"\n") == 1


def test_the_database_of_another_program_is_not_touched(tmp_path: Path, finding: Make):
    path = tmp_path / "cookies.sqlite"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE cookies (name TEXT)")
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="belongs to another program"):
        SqliteStore(path).put([finding()])
    assert path.read_bytes() == before


def test_a_folder_is_no_store(tmp_path: Path):
    with pytest.raises(StoreError, match="is no file"):
        SqliteStore(tmp_path).find(Query())


def test_a_store_moved_away_while_in_use_swallows_nothing(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    with SqliteStore(path) as store:
        store.put([finding()])
        path.rename(tmp_path / "backup.db")
        store.put([finding(actor="10.0.0.2")])
        assert [c.finding.actor for c in store.find(Query())] == ["10.0.0.2"]


def test_a_spool_line_cut_in_half_stays_and_hurts_no_other(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    spool.beside(path).write_bytes(b'{"id": "cut')
    spool.keep(spool.beside(path), [finding()])
    with SqliteStore(path) as store:
        assert store.find(Query())[0].finding == finding()
        assert "1 lines are no findings" in store.warnings[0]
    assert spool.beside(path).read_bytes() == b'{"id": "cut\n'


def test_a_spool_taken_in_twice_gives_nothing_twice(tmp_path: Path, finding: Make):
    path = tmp_path / "cyberterr.db"
    for _ in range(2):
        spool.keep(spool.beside(path), [finding()])
        with SqliteStore(path) as store:
            assert len(store.find(Query())) == 1
            assert len(store.revisions(finding().id)) == 1


def test_a_number_that_is_none_is_a_defect_of_the_detector(tmp_path: Path, finding: Make):
    with (
        SqliteStore(tmp_path / "cyberterr.db") as store,
        pytest.raises(ValueError, match="a detector gave a number that is not finite"),
    ):
        store.put([finding(score=float("nan"))])
