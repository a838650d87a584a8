"""Where built code is kept: damaged files, killed builds, folders that cannot be used."""

import ctypes
import errno
import os
import shutil
import signal
import stat
import time
import warnings
from pathlib import Path

import pytest

from builds import PLAIN, check, counting, elsewhere, forget, fork, kept, needs_compiler, start_anew, text
from elman.compiler import BuildWarning, cache_folder
from elman.compiler.runtime import store
from elman.compiler.runtime.build import library


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    yield start_anew(monkeypatch, tmp_path)
    store._private.cache_clear()


# damage


def cut(sealed, foreign):
    return sealed[: len(sealed) // 2]


def empty(sealed, foreign):
    return b""


def noise(sealed, foreign):
    return os.urandom(len(sealed))


def one_bit(sealed, foreign):
    middle = len(sealed) // 2
    return sealed[:middle] + bytes([sealed[middle] ^ 1]) + sealed[middle + 1 :]


def longer(sealed, foreign):
    return sealed + b"\0"


def without_seal(sealed, foreign):
    return sealed[:-32]


def of_another_text(sealed, foreign):
    return foreign


@needs_compiler
@pytest.mark.parametrize("damage", [cut, empty, noise, one_bit, longer, without_seal, of_another_text])
def test_a_damaged_library_is_built_anew(cache, damage):
    assert elsewhere(check, text(2), 2) == 0
    (foreign,) = (path.read_bytes() for path in cache.glob("*.so"))
    (other,) = kept(cache)
    assert elsewhere(check, text(1), 1) == 0
    (name,) = set(kept(cache)) - {other}
    sealed = (cache / name).read_bytes()
    (cache / name).write_bytes(damage(sealed, foreign))
    assert store.find(name) is None
    assert library(text(1), PLAIN).number() == 1
    assert store.find(name) == cache / name


@needs_compiler
def test_a_build_that_is_killed_leaves_no_library(monkeypatch, tmp_path, cache):
    slow, started = tmp_path / "slow", tmp_path / "started"
    half = 'case "$*" in *--version*) ;; *) while [ "$1" != -o ]; do shift; done; echo half > "$2"'
    calls = counting(
        monkeypatch, tmp_path, f"if [ -e {slow} ]; then {half}; echo $$ > {started}; exec sleep 30;; esac; fi"
    )
    slow.touch()
    other = fork.Process(target=check, args=(text(5), 5))
    other.start()
    while not started.exists() or not started.read_text().endswith("\n"):
        time.sleep(0.01)
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    os.kill(int(started.read_text()), signal.SIGKILL)
    slow.unlink()
    assert kept(cache) == []
    check(text(5), 5)
    assert len(calls()) == 4  # each process has asked for the version and built


@needs_compiler
def test_what_a_killed_process_leaves_is_removed_after_a_while(monkeypatch, tmp_path, cache):
    assert elsewhere(die_before_the_rename) == -signal.SIGKILL
    (part,) = cache.glob("*.part")
    (folder,) = (tmp_path / "tmp").iterdir()
    library(text(1), PLAIN)
    assert part.exists()
    assert folder.exists()
    long_ago = time.time() - 100 * 3600
    os.utime(part, (long_ago, long_ago))
    os.utime(folder, (long_ago, long_ago))
    forget(monkeypatch)
    library(text(2), PLAIN)
    assert not part.exists()
    assert not folder.exists()


def die_before_the_rename():
    store.private()
    os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    library(text(1), PLAIN)


def test_the_private_folder_ends_with_the_process_that_made_it(tmp_path):
    folder = store.private()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert elsewhere(store._remove, folder, os.getpid()) == 0
    assert folder.exists()
    store._remove(folder, os.getpid())
    assert not folder.exists()


# a cache that cannot be used


def full(number):
    """A system call that fails in the cache folder, and works elsewhere."""

    def spoil(monkeypatch, cache, module, name, where):
        true = getattr(module, name)

        def fail(*arguments, **options):
            if str(where(*arguments, **options)).startswith(str(cache)):
                raise OSError(number, os.strerror(number))
            return true(*arguments, **options)

        monkeypatch.setattr(module, name, fail)

    return spoil


def a_file_in_its_place(monkeypatch, cache):
    cache.write_text("not a folder")


def a_file_above_it(monkeypatch, cache):
    cache.parent.joinpath("file").write_text("not a folder")
    monkeypatch.setenv("ELMAN_CACHE", str(cache.parent / "file" / "cache"))


def no_room_for_a_name(monkeypatch, cache):
    full(errno.ENOSPC)(monkeypatch, cache, store.tempfile, "mkstemp", lambda **options: options["dir"])


def no_room_at_the_rename(monkeypatch, cache):
    full(errno.EDQUOT)(monkeypatch, cache, os, "replace", lambda old, new: new)


def a_disk_to_read_only(monkeypatch, cache):
    full(errno.EROFS)(monkeypatch, cache, Path, "mkdir", lambda path, **options: path)


def no_room_for_the_content(monkeypatch, cache):
    true = os.fdopen

    def fdopen(number, mode):
        if os.readlink(f"/proc/self/fd/{number}").startswith(str(cache)):
            os.close(number)
            return open("/dev/full", "wb")
        return true(number, mode)

    monkeypatch.setattr(os, "fdopen", fdopen)


def no_permission(monkeypatch, cache):
    if os.geteuid() == 0:
        pytest.skip("permissions do not hold for root")
    cache.mkdir(mode=0o500)


def of_another_user(monkeypatch, cache):
    cache.mkdir()
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)


def writable_for_everybody(monkeypatch, cache):
    cache.mkdir()
    cache.chmod(0o777)


@needs_compiler
@pytest.mark.parametrize(
    "trouble",
    [
        a_file_in_its_place,
        a_file_above_it,
        no_room_for_a_name,
        no_room_for_the_content,
        no_room_at_the_rename,
        a_disk_to_read_only,
        no_permission,
        of_another_user,
        writable_for_everybody,
    ],
)
def test_a_cache_that_cannot_be_used_is_said_once(monkeypatch, cache, trouble):
    trouble(monkeypatch, cache)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert [library(text(n), PLAIN).number() for n in (1, 2)] == [1, 2]
    assert [warning.category for warning in said] == [BuildWarning]
    assert str(cache_folder()) in str(said[0].message)
    assert "ELMAN_CACHE" in str(said[0].message)
    assert not cache.is_dir() or not list(cache.iterdir())


@needs_compiler
@pytest.mark.parametrize("trouble", [of_another_user, writable_for_everybody])
def test_nothing_is_loaded_from_a_folder_that_others_can_write_to(monkeypatch, cache, trouble):
    assert elsewhere(check, text(1), 1) == 0
    (name,) = kept(cache)
    shutil.move(cache, cache.with_name("safe"))
    trouble(monkeypatch, cache)
    shutil.copytree(cache.with_name("safe"), cache, dirs_exist_ok=True, copy_function=shutil.copyfile)
    cache.chmod(0o777 if trouble is writable_for_everybody else 0o700)
    assert store.find(name) is None
    with pytest.warns(BuildWarning, match=str(cache)):
        assert Path(library(text(1), PLAIN)._name).parent == store.private()


@needs_compiler
def test_the_folder_is_made_for_its_owner_alone(cache, monkeypatch):
    monkeypatch.setenv("ELMAN_CACHE", str(cache / "a" / "b"))
    before = os.umask(0)
    try:
        library(text(1), PLAIN)
    finally:
        os.umask(before)
    assert stat.S_IMODE((cache / "a" / "b").stat().st_mode) == 0o700


@needs_compiler
def test_a_disk_that_runs_no_programs(monkeypatch, cache):
    true = ctypes.CDLL

    def refuse(path):
        if path.startswith(str(cache)):
            raise OSError("failed to map segment from shared object")
        return true(path)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.warns(BuildWarning, match=f"{cache} cannot be loaded: set ELMAN_CACHE"):
        assert library(text(1), PLAIN).number() == 1


@needs_compiler
def test_a_folder_with_a_relative_path(monkeypatch, tmp_path, cache):
    cache.mkdir()
    monkeypatch.chdir(cache)
    monkeypatch.setenv("ELMAN_CACHE", ".")
    assert library(text(1), PLAIN).number() == 1
    assert len(kept(cache)) == 1


def test_a_user_without_a_home(monkeypatch, tmp_path):
    def nowhere():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ELMAN_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert cache_folder() == tmp_path / "tmp" / f"elman-{os.geteuid()}"
