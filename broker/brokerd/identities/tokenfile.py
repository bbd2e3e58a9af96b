"""Is a file with a token in safe hands, and what stands in it?

It is opened anew each time, so that whatever renews it only has to write it.
"""

from __future__ import annotations

import os
import stat

from brokerd.identities.jwt import MAX_BYTES
from brokershim.errors import IdentityUnavailable, InsecurePath
from brokershim.ownership import OTHERS_WRITE, read_private

_LOOSE = 0o026
"""Nobody else writes it, and nobody outside its group reads it."""
_LINKS = 8
_ATTEMPTS = 3
_MOUNT_HINT = (
    "give the pod a `runAsUser`, or an `fsGroup`: the kubelet then closes the file to others"
)


def read_own(path: str) -> str:
    """Return what a file holds that is ours alone, without the space around it.

    Raises:
        InsecurePath: A link, another user's, open to others, too long, or not a regular file.
        IdentityUnavailable: It is not there, or cannot be read.
    """
    try:
        data = read_private(path, MAX_BYTES)
    except OSError as error:
        raise _unreadable(path, error) from None
    if data is None:
        raise _missing(path)
    return _text(path, data)


def read_mounted(path: str) -> str:
    """Return what a file of a projected volume holds, without the space around it.

    The kubelet replaces a token by turning a link, ``..data``, to another folder of the volume
    (Kubernetes, AtomicWriter). Links are followed inside that folder only, and whatever is
    passed on the way has to be root's or ours, and closed to others' writing.

    Raises:
        InsecurePath: Others can change it, or anyone can read it.
        IdentityUnavailable: It is not there, or cannot be read.
    """
    for _ in range(_ATTEMPTS):  # the folder that the link led to may be gone by now
        try:
            return _text(path, _read_once(path))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unreadable(path, error) from None
    raise _missing(path)


def _read_once(path: str) -> bytes:
    real = _follow(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
    # O_NONBLOCK: a named pipe in the file's place must not hang us.
    fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise InsecurePath(f"{path} is not a regular file", hint=_MOUNT_HINT)
        _check(path, found, _LOOSE)
        data = os.read(fd, MAX_BYTES + 1)
    finally:
        os.close(fd)
    if len(data) > MAX_BYTES:
        raise InsecurePath(f"{path} is over {MAX_BYTES} bytes", hint="is it the file you meant?")
    return data


def _follow(mount: str, name: str) -> str:
    """Return where a name in a volume leads, after a look at each step."""
    _check_folder(mount, os.lstat(mount))
    at, ahead, links = mount, [name], 0
    while ahead:
        step = os.path.join(at, ahead.pop(0))
        found = os.lstat(step)
        if stat.S_ISLNK(found.st_mode):
            _check_owner(step, found)
            links += 1
            ahead = [*_inside(step, os.readlink(step), links), *ahead]
        elif ahead:
            _check_folder(step, found)
            at = step
        else:
            return step
    raise FileNotFoundError


def _inside(link: str, target: str, links: int) -> list[str]:
    """Return the names that a link leads to, none of which leaves the folder it stands in."""
    names = target.split("/")
    if links > _LINKS or any(name in {"", ".", ".."} for name in names):
        raise InsecurePath(f"{link} leads out of its folder, or nowhere", hint=_MOUNT_HINT)
    return names


def _check_folder(path: str, found: os.stat_result) -> None:
    # A sticky folder that all may write, as /tmp and as the kubelet's own: nobody can replace
    # what is another's there (sticky bit, unlink(2)), and the owner of each step is looked at.
    sticky = bool(found.st_mode & stat.S_ISVTX)
    _check(path, found, 0 if sticky else OTHERS_WRITE)


def _check(path: str, found: os.stat_result, forbidden: int) -> None:
    _check_owner(path, found)
    if found.st_mode & forbidden:
        mode = stat.S_IMODE(found.st_mode)
        raise InsecurePath(f"{path} has mode {mode:04o}, open to others", hint=_MOUNT_HINT)


def _check_owner(path: str, found: os.stat_result) -> None:
    if found.st_uid not in {0, os.geteuid()}:
        raise InsecurePath(
            f"{path} belongs to uid {found.st_uid}, neither to you nor to root", hint=_MOUNT_HINT
        )


def _text(path: str, data: bytes) -> str:
    try:
        return data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise IdentityUnavailable(
            f"what stands in {path} is no token", hint="see what writes it"
        ) from None


def _missing(path: str) -> IdentityUnavailable:
    return IdentityUnavailable(f"there is no {path}", hint="see what is to write it")


def _unreadable(path: str, error: OSError) -> IdentityUnavailable:
    return IdentityUnavailable(f"cannot read {path}: {error.strerror}", hint="see what writes it")
