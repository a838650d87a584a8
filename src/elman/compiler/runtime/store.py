"""Where built code is kept: whole files or none, checked before they are used, in a folder that is the user's alone.

A file is written under another name and renamed, so that whoever looks for it finds all of it or nothing, also when
ten processes build the same kernel or one of them is killed. What cannot be kept goes into a folder that ends with the
process, with one warning.
"""

import atexit
import contextlib
import functools
import hashlib
import os
import shutil
import stat
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path

_PRIVATE = "elman-build-"
_PART = ".part"
_HOUR = 3600.0


class BuildWarning(UserWarning):
    """Kernels cannot be built, or not be kept, as it was asked: it goes on in a slower way."""


def cache_folder() -> Path:
    """Where built code is kept: ELMAN_CACHE, else elman/ in XDG_CACHE_HOME, else ~/.cache/elman."""
    if own := os.environ.get("ELMAN_CACHE"):
        return Path(own)
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "elman"
    try:
        return Path.home() / ".cache" / "elman"
    except RuntimeError:  # a user without a name and without HOME, as some containers have
        return Path(tempfile.gettempdir()) / f"elman-{os.geteuid()}"


def refusal(folder: Path) -> str:
    """Why code must not be taken from a folder that is there: somebody else could have put it there; or nothing."""
    found = folder.stat()
    if not stat.S_ISDIR(found.st_mode):
        return "it is not a folder"
    if found.st_uid != os.geteuid():
        return f"it belongs to user {found.st_uid}, and this is user {os.geteuid()}"
    return "everybody may write to it" if found.st_mode & stat.S_IWOTH else ""


def read(name: str) -> bytes | None:
    """What is kept under a name; None where it is not there, or is not what was kept under this name."""
    folder = cache_folder().absolute()
    try:
        sealed = b"" if refusal(folder) else (folder / name).read_bytes()
    except OSError:
        return None
    content = sealed[: -hashlib.sha256().digest_size]
    return content if sealed and sealed == seal(name, content) else None


def find(name: str) -> Path | None:
    """Where a file is kept that is what was kept under its name."""
    return None if read(name) is None else cache_folder().absolute() / name


def seal(name: str, content: bytes) -> bytes:
    """A content, and after it the checksum of it and of the name under which it is kept.

    A loader does not look beyond the end of the sections of a library (seen with ELF; doubt: not tried on a Mac). A
    checksum in a file of its own would need two renames, and between them another process would see two files that do
    not belong together.
    """
    return content + hashlib.sha256(name.encode() + b"\0" + content).digest()


def keep(name: str, content: bytes) -> Path:
    """Write a file into the cache folder, all of it or nothing; where this fails, into the private folder, and say so.

    Raises:
        OSError: the private folder cannot be written to either.
    """
    folder = cache_folder().absolute()
    try:
        path = _write(_made(folder), name, content)
    except OSError as error:
        warn_once(
            f"Built kernels cannot be kept in {folder} ({error.strerror or error}), so every process builds its own: "
            f"set ELMAN_CACHE to a folder of yours that can be written to."
        )
        return keep_privately(name, content)
    _sweep(folder.glob(f"*{_PART}"), _HOUR)
    return path


def keep_privately(name: str, content: bytes) -> Path:
    """Write a file into the private folder."""
    return _write(private(), name, content)


def private() -> Path:
    """A folder of this process alone, which goes when it ends."""
    return _private(os.getpid())


def warn_once(text: str) -> None:
    """Say something the first time that it is to be said in this process."""
    if text not in _SAID:
        _SAID.add(text)
        warnings.warn(text, BuildWarning, stacklevel=2)


_SAID: set[str] = set()


@functools.cache
def _private(process: int) -> Path:
    """The folder of a process; a fork has another number, and so another folder."""
    place = Path(tempfile.gettempdir())
    _sweep(place.glob(f"{_PRIVATE}*"), 24 * _HOUR)
    folder = Path(tempfile.mkdtemp(prefix=_PRIVATE, dir=place))
    atexit.register(_remove, folder, process)
    return folder


def _remove(folder: Path, process: int) -> None:
    """Remove a folder, in the process that made it; a fork runs its parent's endings too."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def _made(folder: Path) -> Path:
    """The folder, made if it is not there, for its owner alone."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    if why := refusal(folder):
        raise PermissionError(why)
    return folder


def _write(folder: Path, name: str, content: bytes) -> Path:
    """Write under another name, then rename."""
    number, part = tempfile.mkstemp(prefix=f"{name}.", suffix=_PART, dir=folder)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        os.replace(part, folder / name)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    return folder / name


def _sweep(leftovers: Iterable[Path], age: float) -> None:
    """Remove what processes that were killed have left, once it is old enough to be nobody's."""
    for path in leftovers:
        with contextlib.suppress(OSError):  # another process may sweep as well
            found = path.lstat()
            if found.st_uid == os.geteuid() and found.st_mtime < time.time() - age:
                shutil.rmtree(path) if stat.S_ISDIR(found.st_mode) else path.unlink()
