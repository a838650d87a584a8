"""How long it takes to build an LSTM's kernels, forward and backward, with nothing cached and cached.

    python -m bench.build

Each figure is of a fresh process: the first training step less a later one. Torch's own first look at tensors without
numbers (it loads torch._dynamo) is measured before, and stands apart.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from .cases import BUILD_ASKED, CACHED_ASKED
from .report import Table, show

STEPS, BATCH, HIDDEN = (10, 100_000), 1, 16  # small: a long step would hide what the first one costs
PATIENCE = 3.0  # seconds of later steps


def torch_alone():
    """Seconds until torch has run a step on tensors without numbers."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    start = time.perf_counter()
    with Watching():
        x, w = torch.empty(7, 8, device="meta"), torch.empty(32, 8, device="meta")
        i, _, g, _ = torch.nn.functional.linear(x, w).chunk(4, -1)
        (torch.sigmoid(i) * torch.tanh(g)).sum()
    return time.perf_counter() - start


def first_step(steps):
    """Seconds that the first training step takes more than a later one."""
    import torch

    import elman

    layer = elman.nn.LSTM(HIDDEN, HIDDEN)
    x = torch.randn(steps, BATCH, HIDDEN, requires_grad=True)
    # what torch loads at its first backward pass, before the clock runs
    torch.ones(2, requires_grad=True).sum().backward()
    times = []
    while len(times) < 2 or (len(times) < 5 and sum(times) < PATIENCE):
        start = time.perf_counter()
        layer(x)[0].sum().backward()
        times.append(time.perf_counter() - start)
    return times[0] - min(times[1:])


def in_a_process(steps, folder):
    """Both figures, and the backend, from a fresh process."""
    command = [sys.executable, "-m", "bench.build", "--steps", str(steps)]
    done = subprocess.run(command, env=os.environ | {"ELMAN_CACHE": folder}, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(repeats=3, say=print):
    """steps -> (torch's own, nothing cached, cached), medians."""
    found = {}
    for steps in STEPS:
        runs = []
        start = time.perf_counter()
        while len(runs) < repeats and (not runs or time.perf_counter() - start < 30):
            with tempfile.TemporaryDirectory() as folder:
                empty, full = in_a_process(steps, folder), in_a_process(steps, folder)
            runs.append((empty["torch"], empty["first"], full["first"]))
        found[steps] = tuple(map(statistics.median, zip(*runs, strict=True)))
        own, empty, cached = found[steps]
        say(f"build, T = {steps}: torch {own:.2f} s, nothing cached {empty:.2f} s, cached {cached:.3f} s")
    return found


def build_table(found):
    """The rows."""
    rows = []
    for steps, (own, empty, cached) in found.items():
        rows.append((
            f"{steps:,}", f"{own:.2f} s", f"{empty:.2f} s {'met' if empty <= BUILD_ASKED else 'MISSED'}",
            f"{1e3 * cached:.0f} ms {'met' if cached <= CACHED_ASKED else 'MISSED'}",
        ))  # fmt: skip
    header = (
        "T", "torch's own first trace", f"nothing cached (asked {BUILD_ASKED:g} s)",
        f"cached (asked {1e3 * CACHED_ASKED:g} ms)",
    )  # fmt: skip
    return Table(f"Building an LSTM, forward and backward (B, H = {BATCH}, {HIDDEN})", header, tuple(rows))


def main(arguments=None):
    """Print the table; with --steps be the fresh process."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help="print the figures of this process alone, as JSON")
    a = parser.parse_args(arguments)
    if a.steps is None:
        show(build_table(measure()))
    else:
        print(json.dumps({"torch": torch_alone(), "first": first_step(a.steps)}))


if __name__ == "__main__":
    main()
