"""Contenders in processes of their own, which take turns."""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict

from .harness import Times

TURN = 0.02  # seconds of one turn, of calls shorter than that
CASE = 2.5  # seconds of all rounds of a job, if three rounds need no more
SETTINGS = {
    "JAX_PLATFORMS": "cpu",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONWARNINGS": "ignore",
    "OPENBLAS_THREAD_TIMEOUT": "4",  # else its threads spin for long
}
ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


class Worker:
    """The asking side of `bench.worker`."""

    def __init__(self, module, option, threads):
        pools = {f"{name}_NUM_THREADS": str(threads) for name in ("OMP", "OPENBLAS", "MKL")}
        flags = {"XLA_FLAGS": ONE_THREAD} if threads == 1 else {}
        command = [sys.executable, "-m", "bench.worker", f"bench.peers.{module}", option, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            stderr=None if "BENCH_VERBOSE" in os.environ else subprocess.DEVNULL,
            env=os.environ | SETTINGS | pools | flags,
        )  # fmt: skip

    def ask(self, what, argument):
        """One line there, one back."""
        self.process.stdin.write(json.dumps({what: argument}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": f"the process has ended, status {self.process.wait()}"}

    def close(self):
        """End it."""
        self.process.stdin.close()
        self.process.wait()


class Company:
    """The contenders of a run, each started when it is first needed."""

    def __init__(self, threads, rounds=None, seconds=CASE):
        self.threads, self.rounds, self.seconds, self.workers = threads, rounds, seconds, {}
        self.remarks, self.notes = [], {}
        self.start = time.perf_counter(), busy(), own()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for worker in filter(None, self.workers.values()):
            worker.close()
        start, before, ours = self.start
        others = (busy() - before - (own() - ours)) / (time.perf_counter() - start)
        if others > 0.05:
            self._remark(f"other programs kept {others:.2f} cores busy meanwhile: measure again on an idle machine")

    def measure(self, job, contenders, other=None):
        """Times by name; what cannot run is left out and remarked upon.

        Args:
            contenders: name -> (module, option).
            other: name -> job, of those that do another job, to be measured in the same rounds.
        """
        ready, other = {}, other or {}
        for name, key in contenders.items():
            worker = self.workers.setdefault(key, None) or Worker(*key, self.threads)
            self.workers[key] = worker
            answer = worker.ask("prepare", asdict(other.get(name, job)))
            if "error" in answer:
                self._remark(f"{name}: {answer['error'].splitlines()[0]} ({job.kind}, {job.cell}, {job.case})")
                if worker.process.poll() is not None:
                    self.workers[key] = None
            else:
                ready[name] = (worker, answer)
                if answer["note"]:
                    self.notes.setdefault(name, Counter())[answer["note"]] += 1
        self._compare(job, {name: answer["check"] for name, (_, answer) in ready.items() if name not in other})
        rounds = self.rounds or rounds_of([answer["one"] for _, answer in ready.values()], self.seconds)
        return self._rounds(job, {name: worker for name, (worker, _) in ready.items()}, rounds)

    def _rounds(self, job, workers, rounds):
        seconds, idle = {name: [] for name in workers}, dict.fromkeys(workers, 0.0)
        for number in range(rounds):
            for name, worker in workers.items():
                answer = worker.ask("turn", TURN)
                if "error" in answer:
                    raise RuntimeError(f"{name}: {answer['error']} ({job})")
                seconds[name].append(answer["seconds"])
                idle[name] += answer["idle"] if number else 0.0
        passed = sum(max(TURN, s) for values in seconds.values() for s in values)
        for name, spent in idle.items():
            if spent > 0.02 * passed:
                self._remark(f"{name} was busy for {spent / passed:.0%} of the others' time ({job.cell}, {job.case})")
        return {name: Times(tuple(values)) for name, values in seconds.items()}

    def _compare(self, job, checks):
        """All contenders compute the same: norms of outputs and gradients."""
        checks = {name: norms for name, norms in checks.items() if norms}
        for name, norms in checks.items():
            middle = [statistics.median(column) for column in zip(*checks.values(), strict=False)]
            if any(abs(a - b) > 1e-3 * b for a, b in zip(norms, middle, strict=False)):
                self._remark(f"{name} computes something else: norms {norms} against {middle} ({job})")

    def _remark(self, text):
        if text not in self.remarks:
            self.remarks.append(text)
            print("!", text, file=sys.stderr)


def busy():
    """Seconds that all cores together have worked."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, soft, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + soft) / os.sysconf("SC_CLK_TCK")


def own():
    """Those of this process and of those that it has ended."""
    return sum(
        r.ru_utime + r.ru_stime for r in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def rounds_of(ones, seconds=CASE):
    """How many rounds: between 3 and 15, as many as fit."""
    return max(3, min(15, int(seconds / sum(1.5 * max(TURN, one) for one in ones)))) if ones else 0
