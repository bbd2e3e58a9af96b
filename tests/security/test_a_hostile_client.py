"""Claims 18 to 20: a process of the same user that talks nonsense, floods, stalls, or competes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from brokerd.service.leasing import MAX_LEASES
from brokershim.errors import BY_KIND, AlreadyRunning
from tests.security.scene import KEY, SECRET, Scene, lease
from tests.support.daemon import Daemon, World, new_world, own_python, started, wait_until
from tests.support.puppet import Puppet, Stage
from tests.support.require import require_writable

AT_ONCE = 2.0
"""Seconds that a well-behaved client may have to wait, on a machine that is busy otherwise."""
_HELLO = b'{"jsonrpc":"2.0","id":0,"method":"hello","params":{"protocol":1}}\n'
_TOOLS = """
import json, random, threading

def door(greet=True):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(given["path"])
    if greet:
        s.sendall(given["hello"].encode())
    return s

def line(method, number=1, **params):
    call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(call).encode() + b"\\n"

def kinds(s, wanted):
    found = []
    try:
        for reply in s.makefile("rb"):
            error = json.loads(reply).get("error")
            found.append(error["data"]["kind"] if error else "")
            if len(found) == wanted:
                break
    except ConnectionResetError:
        pass  # closed with bytes of ours unread: what was answered before has been read
    return found

def send(data):
    s = door()
    try:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
    except (BrokenPipeError, ConnectionResetError):
        pass  # closed in the midst of it; the answer is there
    try:
        return [kind for kind in kinds(s, -1) if kind]
    finally:
        s.close()
"""


@pytest.fixture
def attacker(scene: Scene) -> Puppet:
    return _armed(scene)


def _armed(scene: Scene, puppet: Puppet | None = None) -> Puppet:
    attacker = puppet or scene.enter()
    attacker.do(_TOOLS + "there = dict(given)\n", path=scene.world.socket, hello=_HELLO.decode())
    return attacker


def _get(attacker: Puppet, code: str, **given: object) -> object:
    return attacker.get(code, path=attacker.get("there['path']"), hello=_HELLO.decode(), **given)


@contextlib.contextmanager
def _bystander(scene: Scene) -> Generator[Puppet]:
    """Hold a lease meanwhile, on a connection that nothing may happen to."""
    scene.world.grant(SECRET)
    root = scene.session()
    held = root.call("lease.acquire", secret=SECRET)["lease"]
    yield root
    began = time.monotonic()
    assert root.call("lease.renew", lease=held)["lease"] == held
    assert root.told() == []
    assert lease(root) == KEY
    assert time.monotonic() - began < AT_ONCE


# 18. Nonsense

_NONSENSE = {
    "no JSON": b"GET / HTTP/1.1\r\nhost: broker\r\n\r\n",
    "binary": bytes(range(256)) * 4 + b"\n",
    "zeros": b"\0" * 4096 + b"\n",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500) + b"\n",
    "too long": b"[" * 70_000,
    "nested": b"[" * 30_000 + b"]" * 30_000 + b"\n",
    "a batch": b'[{"jsonrpc":"2.0","id":1,"method":"daemon.status"}]\n',
    "half a surrogate": b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}\n',
    "not a number": b'{"jsonrpc":"2.0","id":1,"method":"secret.set","params":{"max_ttl":NaN}}\n',
    "a key twice": b'{"jsonrpc":"2.0","id":1,"method":"lease.list","method":"daemon.stop"}\n',
    "an unknown field": b'{"jsonrpc":"2.0","id":1,"method":"lease.list","uid":0}\n',
    "a parameter twice": b'{"jsonrpc":"2.0","id":1,"method":"lease.acquire","params":'
    b'{"secret":"openai/dev","secret":"x"}}\n',
    "a parameter of ours": b'{"jsonrpc":"2.0","id":1,"method":"lease.acquire","params":'
    b'{"secret":"openai/dev","caller":1,"peer":1,"self":1}}\n',
    "a private method": b'{"jsonrpc":"2.0","id":1,"method":"__init__"}\n',
    "positional": b'{"jsonrpc":"2.0","id":1,"method":"lease.acquire","params":["openai/dev"]}\n',
}


def test_claim_18_nonsense_gets_a_typed_error_and_disturbs_nobody(
    scene: Scene, attacker: Puppet
) -> None:
    with _bystander(scene):
        for name, data in _NONSENSE.items():
            found = _get(attacker, "send(bytes.fromhex(given['data']))", data=data.hex())
            assert isinstance(found, list)
            assert found, name
            assert {BY_KIND[kind].code for kind in found} < set(range(-33_000, 0)), name
            assert all(kind.startswith("bad_request") for kind in found), (name, found)


def test_claim_18_a_request_that_never_ends_disturbs_nobody(scene: Scene, attacker: Puppet) -> None:
    with _bystander(scene):
        attacker.do(
            "waiting = [door() for n in range(10)]\n"
            "for s in waiting: s.sendall(b'{\"jsonrpc\":\"2.0\",' + b' ' * 60_000)",
            path=scene.world.socket, hello=_HELLO.decode(),
        )  # fmt: skip


_VALUES = """
None True False 0 -1 2**53 2**70 10**400 1.5 1e308 -0.0 [] ['a'] [1] ['openai/dev']*100
'' 'a' 'openai/dev' '/' '//' '/dev/tty' '/proc/self/mem' '../..' '/etc/shadow' '.'*5000 'é'*9000
'\\0' '9'*5000 '²' '*' '${HOME}' {} {'A':'b'} {'PATH':'openai/dev'} {'A':1} {'A':{'B':'c'}}
"""
_METHODS = {
    "lease.acquire": "secret session",
    "lease.renew": "lease",
    "lease.report": "lease status",
    "lease.release": "lease",
    "lease.revoke": "lease all",
    "lease.list": "after",
    "session.open": "program env script project",
    "session.approve": "session secrets",
    "session.list": "after",
    "project.show": "path",
    "project.allow": "path sha256",
    "secret.set": "name value provider hosts max_ttl",
    "secret.list": "after",
    "secret.show": "name",
    "secret.remove": "name",
    "secret.rollback": "name version",
    "secret.rotate": "name",
    "secret.rotation": "name version",
    "store.unlock": "create",
    "daemon.status": "",
    "audit.head": "",
}
_FUZZ = """
values = [eval(each) for each in given["values"].split()]
chance = random.Random(given["seed"])
replies = []
for _ in range(given["count"]):
    method = chance.choice(sorted(given["methods"]))
    names = given["methods"][method].split() + ["more"] * chance.choice((0, 0, 0, 1))
    params = {name: chance.choice(values) for name in names if chance.random() < 0.9}
    try:
        answer = client().call(method, **params)
        replies.append([method, params, ""])
    except Exception as error:
        replies.append([method, params, getattr(error, "kind", repr(error))])
        if error.kind in ("bad_request.limit", "unreachable"):
            hang_up() if "it" in kept else None
odd = [each for each in replies if each[2] == "internal" or "(" in each[2]]
"""


@pytest.mark.parametrize("seed", range(3))
def test_claim_18_no_parameter_makes_the_daemon_stumble(own_scene: Scene, seed: int) -> None:
    """Every method but the two that end things, with values that something might trip over."""
    fuzzer = own_scene.session()
    for puppet in (fuzzer, own_scene.enter()):
        puppet.do("import random\n" + _FUZZ, values=_VALUES, methods=_METHODS, seed=seed, count=400)
        assert puppet.get("odd") == []
        assert len(set(puppet.get("[each[2] for each in replies]"))) >= 5
    own_scene.world.write_config("policy.toml", "")
    own_scene.owner.call("secret.set", name=SECRET, value=KEY)
    with _bystander(own_scene):
        pass


# 19. Floods and stalls


def test_claim_19_a_flood_of_slow_requests_harms_only_the_flooder(own_scene: Scene) -> None:
    """Each wrong passphrase costs a memory-hard derivation; here are five hundred at a time."""
    attacker = _armed(own_scene)
    with _bystander(own_scene):
        attacker.do(
            "flood = [door() for n in range(15)]\n"
            "for s in flood:\n"
            "    for n in range(1, 32): s.sendall(line('store.unlock', n, passphrase='wrong'))",
            path=own_scene.world.socket, hello=_HELLO.decode(),
        )  # fmt: skip
        _is_served(own_scene)
    own_scene.daemon.kill()  # or it would go through all of them, which says nothing more


def test_claim_19_a_flood_of_leases_harms_only_the_flooder(scene: Scene) -> None:
    flooder = _armed(scene, scene.session("openai/dev"))
    with _bystander(scene):
        flooder.do(
            "stop = []\n"
            "def flood():\n"
            "    s = door()\n"
            "    while not stop:\n"
            "        ask = [line('lease.acquire', n, secret='openai/dev') for n in range(1, 31)]\n"
            "        s.sendall(b''.join(ask))\n"
            "        kinds(s, 30)\n"
            "for n in range(8): threading.Thread(target=flood, daemon=True).start()",
            path=scene.world.socket, hello=_HELLO.decode(),
        )  # fmt: skip
        for _ in range(3):
            _is_served(scene)
    flooder.cut()


def test_claim_19_a_flood_of_connections_harms_only_the_flooder(
    scene: Scene, attacker: Puppet
) -> None:
    """It keeps the queue of the listening socket full: connect(2) then says EAGAIN to others."""
    with _bystander(scene):
        attacker.order_only(
            "while True:\n"
            "    many = [socket.socket(socket.AF_UNIX) for n in range(300)]\n"
            "    for s in many:\n"
            "        s.setblocking(False)\n"
            f"        s.connect_ex({scene.world.socket!r})\n"
            "    for s in many: s.close()"
        )
        for _ in range(4):
            _is_served(scene)
    attacker.cut()


def test_claim_19_a_client_that_never_reads_harms_only_itself(
    scene: Scene, attacker: Puppet
) -> None:
    before = scene.daemon.memory()
    with _bystander(scene):
        attacker.do(
            "deaf = [door() for n in range(15)]\n"
            "for s in deaf:\n"
            "    s.setblocking(False)\n"
            "    try:\n"
            "        for n in range(20_000): s.send(line('lease.list', n))\n"
            "    except OSError: pass",
            path=scene.world.socket, hello=_HELLO.decode(),
        )  # fmt: skip
        _is_served(scene)
    assert scene.daemon.memory() - before < 64 * 1024 * 1024
    attacker.cut()


@contextlib.contextmanager
def _file_system_that_never_answers(where: Path) -> Generator[None]:
    """Mount one (fuse(4)) whose server is asleep: whoever looks into it waits for good."""
    require_writable("/dev/fuse", "modprobe fuse")
    libc = ctypes.CDLL(None, use_errno=True)
    where.mkdir()
    where.chmod(0o777)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    try:
        assert libc.mount(b"stalled", os.fsencode(where), b"fuse", 0, options) == 0
        yield
    finally:
        os.close(device)  # whoever waits gets ENOTCONN
        libc.umount2(os.fsencode(where), 2)
        where.rmdir()


@pytest.mark.parametrize(
    "request_",
    [
        "line('project.show', n, path=given['at'] + '/app/broker.toml')",
        "line('session.open', n, program='/bin/true', env={},"
        " project=given['at'] + '/app/broker.toml')",
        "line('session.open', n, program='/bin/true', env={'A': 'openai/dev'},"
        " script=given['at'] + '/app.py')",
    ],
)
def test_claim_19_a_path_that_never_answers_harms_only_who_named_it(
    scene: Scene, attacker: Puppet, request_: str
) -> None:
    with _file_system_that_never_answers(scene.world.root / "stalled"):
        with _bystander(scene):
            attacker.do(
                "stuck = [door() for n in range(10)]\n"
                "for s in stuck:\n"
                f"    for n in range(1, 30): s.sendall({request_})",
                path=scene.world.socket, hello=_HELLO.decode(),
                at=str(scene.world.root / "stalled"),
            )  # fmt: skip
            for _ in range(3):
                _is_served(scene)
        attacker.cut()


def test_claim_19_a_terminal_in_a_scripts_place_is_not_taken(scene: Scene) -> None:
    """The daemon leads a session without a terminal: it would get this one, and its hangup."""
    attacker = scene.enter()
    attacker.do(
        "import pty\nmaster, slave = pty.openpty()\nname = os.ttyname(slave); os.close(slave)"
    )
    attacker.call(
        "session.open", program="/bin/true", env={"A": SECRET}, script=attacker.get("name")
    )
    attacker.do("os.close(master)")
    with _bystander(scene):
        stat = Path(f"/proc/{scene.daemon.pid}/stat").read_text()
        assert stat.rpartition(")")[2].split()[4] == "0"


@pytest.mark.slow
def test_claim_19_a_client_that_hoards_leases_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    require_writable("/dev/shm", "the audit's disk would make this slow")
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    with new_world() as world, started(world) as daemon, Stage(world) as stage:
        daemon.set_secret()
        world.grant(SECRET)
        hoarder = stage.enter()
        hoarder.call("session.open", program="/bin/true", env={"A": SECRET})
        given = {"path": world.socket, "hello": _HELLO.decode()}
        hoarder.do(_TOOLS, **given)
        hoarder.do("s = door(); kinds(s, 1)", **given)
        batch = "b''.join(line('lease.acquire', n, secret='openai/dev') for n in range(1, 33))"
        hoarder.do(f"for n in range({MAX_LEASES // 32}): s.sendall({batch}); kinds(s, 32)")
        assert daemon.call("daemon.status")["leases"] == MAX_LEASES
        refused = hoarder.get(f"s.sendall({batch}) or kinds(s, 32)")
        assert refused == ["bad_request.limit"] * 32
        hoarder.do("s.close()")
        wait_until(lambda: daemon.call("daemon.status")["leases"] == 0)


def _is_served(scene: Scene) -> None:
    """See that a new client is served, with work that the flooder's might stand before."""
    began = time.monotonic()
    newcomer = scene.enter()
    entered = time.monotonic()
    assert newcomer.call("daemon.status")["store"]["locked"] is False
    newcomer.call("session.open", program="/bin/true", env={"A": SECRET})
    assert lease(newcomer) == KEY
    assert time.monotonic() - entered < AT_ONCE, f"after {entered - began:.1f} s to start"
    newcomer.cut()


# 20. One daemon


def test_claim_20_of_twenty_daemons_one_runs(world: World) -> None:
    with ThreadPoolExecutor(20) as pool:
        starts = [pool.submit(Daemon, world, [*own_python(), "-m", "brokerd"]) for _ in range(20)]
    daemons = [each.result() for each in starts]
    try:
        said = [each.first_words for each in daemons]
        ready = [each for each, words in zip(daemons, said, strict=True) if words == "ready"]
        assert len(ready) == 1
        for each in daemons:
            if each is not ready[0]:
                with pytest.raises(AlreadyRunning):
                    each.raise_if_not_ready()
        assert ready[0].call("daemon.status")["pid"] == ready[0].pid
    finally:
        for each in daemons:
            each.abandon()


def test_claim_20_a_stale_socket_is_no_obstacle(world: World) -> None:
    for _ in range(3):
        with started(world) as daemon:
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.process.wait(5)
            assert Path(world.socket).is_socket()
    with started(world) as daemon:
        assert daemon.call("daemon.status")["pid"] == daemon.pid


def test_claim_20_a_daemon_whose_socket_was_replaced_gives_way(own_scene: Scene) -> None:
    """Otherwise two would run: one that answers, and one that nobody can reach to stop it."""
    own_scene.owner.do("os.unlink(given['at'])", at=own_scene.world.socket)
    assert own_scene.daemon.process.wait(5) == 0
