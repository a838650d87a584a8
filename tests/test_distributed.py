"""DistributedDataParallel: two processes, each with half of the batch, learn what one learns with all of it."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

import elman

STEPS, BATCH = 6, 4


def model():
    torch.manual_seed(0)
    return elman.Stack(elman.Recurrent(elman.LSTM(3, 5)), elman.Recurrent(elman.GRU(5, 4))).double()


def learn(module, x):
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(3):
        optimiser.zero_grad()
        module(x)[0].square().mean().backward()
        optimiser.step()


def data():
    return torch.randn(STEPS, BATCH, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def work(rank, world, address, out):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{address}", rank=rank, world_size=world)
    module = DistributedDataParallel(model())
    learn(module, data().chunk(world, dim=1)[rank])
    if rank == 0:
        torch.save([p.detach() for p in module.parameters()], out)
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_learn_as_one(tmp_path):
    out = tmp_path / "parameters"
    mp.spawn(work, (2, tmp_path / "meeting", out), nprocs=2)
    alone = model()
    learn(alone, data())
    for a, b in zip(torch.load(out, weights_only=True), alone.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
