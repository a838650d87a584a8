"""Data larger than memory: what each job holds while it reads a table or a text, in files and, to compare, in memory.

    python -m bench.memory [--megabytes 200 400] [--jobs classify tag translate text forecast]

Memory is what the process has allocated (RssAnon), at most, above what it had when it began; pages of files, which the
system takes back when it needs them, are not counted. The peer is the same code with all rows in memory.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from elman.data import spool

from .report import Table, show

JOBS = ("classify", "tag", "translate", "text", "forecast")
HELD = {"files": 1 << 26, "memory": 1 << 60}  # bytes that a spool keeps in memory


def allocated():
    """Bytes of memory of this process that are no pages of files."""
    return int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0]) << 10


def model_of(job):
    """An untrained model of the job."""
    from elman import tasks

    match job:
        case "classify":
            return tasks.ClassifyModel(input="text", label="label", unit="word")
        case "tag":
            return tasks.TagModel(input="text", tags="upper")
        case "translate":
            return tasks.TranslateModel(input="text", output="upper", unit="word")
        case "text":
            return tasks.TextModel()
    return tasks.ForecastModel(id="id", horizon=24)


def read(job, path, where):
    """Have a job read a file, and print the bytes and the seconds that this took."""
    spool.LARGE = HELD[where]
    model, before, most, done = model_of(job), allocated(), [0], threading.Event()

    def watch():
        while not done.wait(0.01):
            most.append(max(most.pop(), allocated()))

    watching = threading.Thread(target=watch)
    watching.start()
    start = time.perf_counter()
    model.prepare_data(path)
    seconds = time.perf_counter() - start
    done.set()
    watching.join()
    print(most[0] - before, seconds)


def write(job, path, megabytes):
    """A file of about so many megabytes that the job reads."""
    draw = random.Random(megabytes)
    words = ["".join(draw.choices("etaoinshrdlu", k=draw.randint(2, 9))) for _ in range(5_000)]
    left, row = megabytes << 20, 0
    with path.open("w", encoding="utf-8") as file:
        if job not in ("text", "forecast"):
            file.write("text,upper,label\n")
        if job == "forecast":
            file.write("id,time,y\n")
        while left > 0:
            text = " ".join(draw.choices(words, k=40))
            match job:
                case "text":
                    line = text + "\n"
                case "forecast":
                    line = "".join(f"{row},{step},{draw.gauss(row % 24, 1):.3f}\n" for step in range(2_000))
                case _:
                    line = f"{text},{text.upper()},{len(text) % 3}\n"
            left -= len(line)
            row += 1
            file.write(line)


def main(arguments=None):
    """Write files, have each read by a process of its own, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, nargs="+", default=[200, 400])
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=JOBS)
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    a = parser.parse_args(arguments)
    if a.read:
        read(a.read[0], Path(a.read[1]), a.read[2])
        return
    rows = []
    for job in a.jobs:
        for megabytes in a.megabytes:
            with tempfile.TemporaryDirectory(dir=spool.large_files()) as folder:
                path = Path(folder) / ("text.txt" if job == "text" else "rows.csv")
                write(job, path, megabytes)
                cells = [job, f"{megabytes} MB"]
                for where in HELD:
                    command = [sys.executable, "-m", "bench.memory", "--read", job, str(path), where]
                    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                    cells += [f"{float(told[0]) / (1 << 20):.0f} MB", f"{float(told[1]):.0f} s"]
                rows.append(tuple(cells))
                print(*cells, flush=True)
    show(Table("Memory that reading takes", ("job", "file", "in files", "time", "in memory", "time"), tuple(rows)))


if __name__ == "__main__":
    main()
