"""One contender in a process of its own, which does its turn when asked and then keeps still.

    python -m bench.worker MODULE OPTION THREADS

Lines of JSON: {"prepare": job} is answered by what a checker may compare; {"turn": seconds} by the seconds of each
call. Nothing of one contender (pools that spin, allocators, floating-point modes) reaches another.
"""

import importlib
import json
import os
import statistics
import sys
import time
import traceback

import numpy as np

from .cases import Case, Job


def pin(threads):
    """As many cores as threads, the last ones; every pool is made after this and sees no more."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[-threads:])


def quiet():
    """Wait until the pools of this process have gone to sleep; processor time so far."""
    before, now = -1.0, time.process_time()
    for _ in range(20):
        if now - before < 2e-4:
            break
        time.sleep(0.005)
        before, now = now, time.process_time()
    return now


class Contender:
    """What a process measures."""

    def __init__(self, module, option, threads):
        self.module, self.option, self.threads = module, option, threads
        self.run, self.one, self.rested = None, 1.0, time.process_time()

    def prepare(self, job):
        """Make ready, warm up; norms of what is computed, for a comparison, and the seconds of a call."""
        self.run = None  # what the last job held goes first
        job = Job(**{**job, "case": Case(**job["case"])})
        self.run = importlib.import_module(self.module).prepare(job, self.option, self.threads)
        start = time.perf_counter()
        results = self.run() or ()
        self.one = time.perf_counter() - start
        check = [float(np.linalg.norm(np.asarray(part))) for part in results]
        if self.one < 5:  # it may have built something
            self.one = self._timed()
        if self.one < 0.3:
            self.one = min(self._timed() for _ in range(3))
        return {"check": check, "one": self.one, "note": getattr(self.run, "note", "")}

    def turn(self, seconds):
        """As many calls as fit, after an unmeasured one if they are short; processor time spent while others ran."""
        idle = time.process_time() - self.rested
        if self.one < 0.3:
            self._timed()
        calls = [self._timed() for _ in range(max(1, min(1000, int(seconds / self.one))))]
        self.rested = quiet()
        return {"seconds": statistics.median(calls), "idle": idle}

    def _timed(self):
        start = time.perf_counter()
        self.run()
        return time.perf_counter() - start


def main():
    """Answer each line."""
    module, option, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints goes elsewhere
    pin(threads)
    contender = Contender(module, option, threads)
    for line in sys.stdin:
        ((what, argument),) = json.loads(line).items()
        try:
            answer = getattr(contender, what)(argument)
        except Exception as error:  # noqa: BLE001  the asker says what is missing
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
