"""Whose child is it? Real processes, orphans, and numbers that are used again."""

from __future__ import annotations

import os
from unittest import mock

import pytest

from tests.support.door import Door, open_descriptors
from tests.support.pids import fork_with_pid, with_a_chosen_pid
from tests.support.puppet import Puppet, Stage


def test_ancestors_are_the_process_and_all_above_it(door: Door, caller: Puppet) -> None:
    child = caller.fork()
    grandchild = child.fork()
    found, _ = door.let_in(grandchild)
    chain = list(found.ancestors())
    assert chain[:4] == [grandchild.pid, child.pid, caller.pid, os.getpid()]
    assert chain[-1] == 1
    assert len(set(chain)) == len(chain)


def test_an_orphan_has_another_parent(door: Door, caller: Puppet) -> None:
    child = caller.fork()
    orphan = child.fork()
    found, _ = door.let_in(orphan)
    child.exit()
    caller.do("os.wait()")
    assert caller.pid not in list(found.ancestors())
    assert found.alive()


@pytest.mark.parametrize("name", [") R 1 1 1 (", "a) b) c", "))))", "  S 1 ", "\n1 (x) S 1 2"])
def test_a_programs_name_cannot_forge_its_parents(door: Door, caller: Puppet, name: str) -> None:
    child = caller.fork()
    rename = "open('/proc/self/comm', 'wb').write(given['name'].encode())"
    caller.do(rename, name=name)
    child.do(rename, name=name)
    found, _ = door.let_in(child)
    assert list(found.ancestors())[:3] == [child.pid, caller.pid, os.getpid()]
    assert not found.in_foreground()


def test_the_ancestors_of_a_process_that_ended_are_nobody(
    door: Door, caller: Puppet, stage: Stage
) -> None:
    found, _ = door.let_in(caller)
    caller.exit()
    stage.reap()
    assert list(found.ancestors()) == [caller.pid]
    assert not found.alive()
    assert not found.in_foreground()
    assert (found.executable(), found.folder()) == ("?", "?")


def test_a_closed_peer_is_gone_and_has_no_ancestors(door: Door, caller: Puppet) -> None:
    found, _ = door.let_in(caller)
    found.close()
    found.close()
    assert not found.alive()
    assert list(found.ancestors()) == [caller.pid]
    assert not found.in_foreground()


def test_a_number_that_now_means_another_process_is_not_the_caller(
    door: Door, stage: Stage
) -> None:
    """The attack: die, and hope that a process inside somebody's session gets the number."""

    def scene() -> None:
        caller = stage.enter()
        found, _ = door.let_in(caller)
        caller.exit()
        stage.reap()
        successor = fork_with_pid(stage.enter(), caller.pid)
        assert os.path.exists(f"/proc/{caller.pid}")
        assert not found.alive()
        assert list(found.ancestors()) == [caller.pid]  # its file is not opened by number again
        again, _ = door.let_in(successor)
        assert (again.pid, again.start) != (found.pid, found.start)
        assert again.alive()

    with_a_chosen_pid(scene)


def test_a_reused_number_in_the_middle_of_a_chain_is_not_followed(door: Door, stage: Stage) -> None:
    """A parent may end, and its number be another's, before its own parent is asked for."""
    real_open = os.open

    def scene() -> None:
        top, elsewhere = stage.enter(), stage.enter()
        middle = top.fork()
        caller = middle.fork()
        found, _ = door.let_in(caller)

        def open_late(path: str, flags: int) -> int:
            if path == f"/proc/{middle.pid}/stat":
                middle.exit()
                top.do("os.wait()")
                fork_with_pid(elsewhere, middle.pid)
            return real_open(path, flags)

        with mock.patch("os.open", open_late):
            assert list(found.ancestors()) == [caller.pid, middle.pid]

    with_a_chosen_pid(scene)


def test_looking_at_ancestors_costs_no_descriptor(door: Door, caller: Puppet) -> None:
    found, _ = door.let_in(caller)
    before = open_descriptors()
    for _ in range(3):
        list(found.ancestors())
        next(iter(found.ancestors()))
    assert open_descriptors() == before
