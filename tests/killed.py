"""Train a job of processes.py as it should be, and once more killed twenty times: JOB FOLDER SEED.

The interpreter is started once, and each training is a fork of it, so that twenty of them take seconds.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

from processes import train

KILLS = 20


def begin(job, folder, resume):
    """A training in a process of its own."""
    child = os.fork()
    if not child:
        status = 1
        try:
            train(job, folder, 1, 1, resume)
            status = 0
        finally:
            os._exit(status)
    return child


def main(job, folder, seed):
    whole, killed = folder / "whole", folder / "killed"
    whole.mkdir()
    killed.mkdir()
    began = time.monotonic()
    assert os.waitpid(begin(job, whole, False), 0)[1] == 0
    takes, chance, kills = time.monotonic() - began, random.Random(seed), 0
    out, side = killed / "m.elman", killed / "m.elman.resume"
    while kills < KILLS and not (out.exists() and not side.exists()):
        child = begin(job, killed, side.exists())
        time.sleep(chance.random() * takes * 0.5)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
    if side.exists() or not out.exists():
        assert os.waitpid(begin(job, killed, side.exists()), 0)[1] == 0
    print(kills)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
