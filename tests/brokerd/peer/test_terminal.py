"""Is somebody there? Real processes at real terminals."""

from __future__ import annotations

from tests.support.daemon import wait_until
from tests.support.door import Door
from tests.support.puppet import Puppet


def test_in_the_foreground_of_a_terminal(door: Door, caller: Puppet) -> None:
    in_front = caller.fork_in_terminal()
    found, _ = door.let_in(in_front)
    assert found.in_foreground()


def test_not_in_the_foreground(door: Door, caller: Puppet) -> None:
    in_front = caller.fork_in_terminal()
    behind = in_front.fork()
    behind.do("os.setpgid(0, 0)")
    found, _ = door.let_in(behind)
    assert not found.in_foreground()
    without, _ = door.let_in(caller)
    assert not without.in_foreground()


def test_what_is_put_into_the_background_is_not_in_the_foreground_any_more(
    door: Door, caller: Puppet
) -> None:
    shell = caller.fork_in_terminal()
    job = shell.fork()
    job.do("os.setpgid(0, 0)")
    found, _ = door.let_in(job)
    shell.do("os.tcsetpgrp(0, given['group'])", group=job.pid)
    assert found.in_foreground()
    job.do("import signal; signal.signal(signal.SIGTTOU, signal.SIG_IGN)")
    job.do("os.tcsetpgrp(0, os.getppid())")
    assert not found.in_foreground()


def test_a_terminal_that_hung_up_is_none(door: Door, caller: Puppet) -> None:
    in_front = caller.fork_in_terminal()
    in_front.do("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)")
    found, _ = door.let_in(in_front)
    caller.do("os.close(terminal)")
    wait_until(lambda: not found.in_foreground())
    assert found.alive()
