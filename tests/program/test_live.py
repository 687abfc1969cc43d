"""Live layers: wide fixtures that hold one end of a conversation. Their tests, and just they, run shared."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runner import ISOLATED, Project, Report

NEIGHBOURS = "def test_neighbour(): pass\ndef test_other_neighbour(): pass\n"


def run_beside_neighbours(project: Project, content: str, tests: int) -> Report:
    """Run the suite and assert that its tests ran shared, and the neighbours isolated."""
    project.write("test_it.py", content)
    project.write("test_neighbours.py", NEIGHBOURS)
    report = project.json("-n", "2", "--strict-isolation").expect(0, passed=tests + 2)
    for test in report.tests:
        expected = ISOLATED if "neighbour" in test["nodeid"] else "shared"
        assert test["mode"] == expected, str(report)
    return report


def test_a_thread_server_in_a_module_fixture(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        import socketserver, threading, urllib.request
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        import pytest

        @pytest.fixture(scope="module")
        def server():
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self):
                    self.server.seen.append(self.path)
                    self.send_response(200)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

                def log_message(self, *_): pass

            with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
                server.seen = []
                thread = threading.Thread(target=server.serve_forever)
                thread.start()
                yield server
                server.shutdown()
                thread.join()
                assert server.seen == ["/one", "/two", "/three"]

        def get(server, path):
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                f"http://127.0.0.1:{server.server_port}{path}"
            ).close()

        def test_one(server):
            get(server, "/one")
            assert server.seen == ["/one"]

        def test_two(server):
            get(server, "/two")
            assert server.seen == ["/one", "/two"]

        def test_three(server):
            get(server, "/three")
            assert server.seen[-1] == "/three"
        """,
        3,
    )


def test_a_subprocess_in_a_session_fixture(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        import subprocess
        import pytest

        @pytest.fixture(scope="session")
        def counter():
            program = "n = 0\\nwhile True:\\n    input()\\n    n += 1\\n    print(n, flush=True)\\n"
            import sys
            child = subprocess.Popen(
                [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL, text=True, bufsize=1,
            )
            yield child
            assert child.poll() is None
            child.stdin.close()
            child.stdout.close()
            child.wait()

        def ask(child):
            child.stdin.write("more\\n")
            child.stdin.flush()
            return int(child.stdout.readline())

        def test_one(counter): assert ask(counter) == 1
        def test_two(counter): assert ask(counter) == 2
        def test_three(counter): assert ask(counter) == 3
        """,
        3,
    )


def test_a_pipe(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        import os
        import pytest

        @pytest.fixture(scope="module")
        def pipe():
            ends = os.pipe()
            yield ends
            assert os.read(ends[0], 10) == b"rest"
            os.close(ends[0])
            os.close(ends[1])

        def test_write(pipe): os.write(pipe[1], b"word")
        def test_read(pipe): assert os.read(pipe[0], 4) == b"word"
        def test_rest(pipe): os.write(pipe[1], b"rest")
        """,
        3,
    )


def test_shared_memory(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        import multiprocessing
        import pytest

        @pytest.fixture(scope="module")
        def array():
            values = multiprocessing.Array("i", 3)
            yield values
            assert list(values) == [1, 2, 0]

        def test_first(array): array[0] = 1
        def test_second(array): assert array[0] == 1; array[1] = 2
        """,
        2,
    )


def test_a_file_opened_for_reading_and_writing(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        import pytest

        @pytest.fixture(scope="module")
        def file(tmp_path_factory):
            with open(tmp_path_factory.mktemp("d") / "notes", "w+") as file:
                yield file
                file.seek(0)
                assert file.read() == "one two "

        def test_one(file): file.write("one ")
        def test_two(file): file.write("two ")
        """,
        2,
    )


def test_a_connection_in_a_class_fixture(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        import socket
        import pytest

        class TestTalk:
            @pytest.fixture(scope="class")
            def talk(self):
                here, there = socket.socketpair()
                yield here, there
                here.close()
                there.close()

            def test_say(self, talk): talk[0].sendall(b"hello")
            def test_hear(self, talk): assert talk[1].recv(10) == b"hello"
        """,
        2,
    )


def test_a_database_file(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        import sqlite3
        import pytest

        @pytest.fixture(scope="module")
        def db(tmp_path_factory):
            connection = sqlite3.connect(tmp_path_factory.mktemp("d") / "data.db")
            connection.execute("create table t (n)")
            yield connection
            assert connection.execute("select count(*) from t").fetchone() == (2,)
            connection.close()

        def test_one(db): db.execute("insert into t values (1)"); db.commit()
        def test_two(db): db.execute("insert into t values (2)"); db.commit()
        """,
        2,
    )


def test_a_thread_pool(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        from concurrent.futures import ThreadPoolExecutor
        import pytest

        @pytest.fixture(scope="module")
        def pool():
            with ThreadPoolExecutor(2) as pool:
                pool.submit(int).result()
                yield pool

        done = []
        def test_one(pool): assert pool.submit(done.append, 1).result() is None
        def test_two(pool): assert pool.submit(sum, done).result() == 1
        """,
        2,
    )


def test_an_array_shared_with_processes(project: Project) -> None:
    run_beside_neighbours(
        project,
        """
        import multiprocessing
        import pytest

        def add(array, number):
            with array.get_lock():
                array[0] += number

        @pytest.fixture(scope="module")
        def array():
            array = multiprocessing.get_context("fork").Array("i", 1)
            yield array
            assert array[0] == 3

        def start(array, number):
            process = multiprocessing.get_context("fork").Process(target=add, args=(array, number))
            process.start()
            process.join()
            assert process.exitcode == 0

        def test_one(array): start(array, 1); assert array[0] == 1
        def test_two(array): start(array, 2); assert array[0] == 3
        """,
        2,
    )


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_a_connection_to_a_database_server(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """One connection for the session, each command once and in order, by what the server itself has counted."""
    place = tmp_path_factory.mktemp("redis") / "socket"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", str(place), "--save", ""], stdout=subprocess.DEVNULL
    )
    try:
        while not place.exists():
            assert server.poll() is None
            time.sleep(0.01)
        run_beside_neighbours(
            project,
            f"""
            import socket
            import pytest

            class Client:
                def __init__(self):
                    self.socket = socket.socket(socket.AF_UNIX)
                    self.socket.connect({str(place)!r})
                    self.answers = self.socket.makefile("rb")

                def do(self, command):
                    self.socket.sendall(command.encode() + b"\\r\\n")
                    answer = self.answers.readline().strip().decode()
                    return self.answers.read(int(answer[1:]) + 2).decode() if answer[0] == "$" else answer

            @pytest.fixture(scope="session")
            def client():
                client = Client()
                assert client.do("SET n 0") == "+OK"
                yield client
                assert client.do("GET n").strip() == "5"

            @pytest.mark.parametrize("number", range(1, 6))
            def test_it(client, number): assert client.do("INCR n") == f":{{number}}"
            """,
            5,
        )
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(place))
        client.sendall(b"INFO\r\nINFO commandstats\r\nQUIT\r\n")
        told = client.makefile().read()
        assert "total_connections_received:2\n" in told
        assert "connected_clients:1\n" in told
        assert "cmdstat_incr:calls=5," in told
        assert "cmdstat_set:calls=1," in told
    finally:
        server.kill()
        server.wait()


def postgres_programs() -> str | None:
    """Where initdb and postgres are; Debian leaves them out of PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return str(places[-1]) if places else None


@pytest.fixture
def postgres() -> Iterator[Path]:
    """A PostgreSQL server that logs what it is asked; yields the directory of its socket and its log."""
    pytest.importorskip("psycopg")
    programs = postgres_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    place = Path(tempfile.mkdtemp(prefix="tach-pg-", dir="/tmp"))  # a socket's path must be short
    user: dict[str, Any] = {}
    if os.geteuid() == 0:  # it refuses to run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(place, nobody.pw_uid, nobody.pw_gid)
        user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    data, log = place / "data", place / "log"
    subprocess.run(
        [f"{programs}/initdb", "-A", "trust", "-U", "suite", "-N", "-D", data],
        check=True, stdout=subprocess.DEVNULL, cwd=place, **user,
    )  # fmt: skip
    settings = ["listen_addresses=", "log_connections=on", "log_disconnections=on", "log_statement=all", "fsync=off"]
    words = [word for setting in settings for word in ("-c", setting)]
    with log.open("w") as file:
        server = subprocess.Popen(
            [f"{programs}/postgres", "-D", data, "-k", place, *words], stdout=file, stderr=file, cwd=place, **user
        )
    try:
        while "ready to accept connections" not in log.read_text():
            assert server.poll() is None, log.read_text()
            time.sleep(0.01)
        yield place
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()
        shutil.rmtree(place)


def test_a_connection_to_postgresql(project: Project, postgres: Path) -> None:
    """The usual way to test with a database: a connection for the session, a transaction for each test."""
    run_beside_neighbours(
        project,
        f"""
        import psycopg
        import pytest

        @pytest.fixture(scope="session")
        def connection():
            with psycopg.connect("host={postgres} user=suite dbname=postgres", autocommit=True) as connection:
                connection.execute("CREATE TABLE thing (number int)")
                yield connection
                assert connection.execute("SELECT count(*) FROM thing").fetchone() == (0,)

        @pytest.fixture
        def database(connection):
            with connection.transaction(force_rollback=True):
                yield connection

        @pytest.mark.parametrize("number", range(5))
        def test_it(database, number):
            database.execute("INSERT INTO thing VALUES (%s)", (number,))
            assert database.execute("SELECT number FROM thing").fetchall() == [(number,)]
        """,
        5,
    )
    told = (postgres / "log").read_text()
    seen = {words: told.count(words) for words in ("connection authorized:", "CREATE TABLE", "INSERT INTO", "ROLLBACK")}
    assert seen == {"connection authorized:": 1, "CREATE TABLE": 1, "INSERT INTO": 5, "ROLLBACK": 5}, told


def test_a_read_only_file_is_not_live(project: Project) -> None:
    project.write("data.txt", "abcdef")
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.fixture(scope="module")
        def data():
            with open("data.txt") as file:
                file.read(1)
                yield file

        def test_one(data): assert data.read() == "bcdef"
        def test_two(data): assert data.read() == "bcdef"

        @pytest.fixture(scope="module")
        def raw():
            with open("data.txt", "rb", buffering=0) as file:
                file.read(2)
                yield file

        def test_raw_one(raw): assert raw.read(1) == b"c"
        def test_raw_two(raw): assert raw.read(1) == b"c"
        """,
    )
    report = project.json("--strict-isolation").expect(0, passed=4)
    assert set(report.modes.values()) == {ISOLATED}


def test_the_summary_says_from_which_test_on_and_why(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, pytest
        def test_before(): pass
        @pytest.fixture(scope="module")
        def pipe(): return os.pipe()
        def test_with(pipe): pass
        """,
    )
    result = project.tach().expect(0, passed=2)
    told = [line for line in result.lines if line.startswith("shared from test_it.py::test_with on: ")]
    assert len(told) == 1
    assert "pipe" in told[0]


def test_a_crash_under_a_live_layer_leaves_the_rest_running(project: Project) -> None:
    project.write(
        "test_it.py",
        """
        import os, pytest

        @pytest.fixture(scope="module")
        def pipe(): return os.pipe()

        def test_a(pipe): pass
        def test_dies(pipe): os.abort()
        def test_b(pipe): pass
        """,
    )
    project.write("test_neighbours.py", NEIGHBOURS)
    project.tach("-n", "2").expect(1, passed=4, crashed=1)
