"""What the engine asks of a network and of its data: a loss with the state that goes on, and windows in order."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Loss:
    """The loss over one window.

    Attributes:
        total: the sum over all targets, in nats, a scalar; `total / count` is what training makes small.
        count: how many targets there are.
        size: what the figure shown is per: their characters, say.
        state: the state after the window, from which the next window goes on; None where nothing goes on.
    """

    total: Tensor
    count: int
    size: int
    state: Any = None


@runtime_checkable
class Trainable(Protocol):
    """A network (a torch.nn.Module) that the engine can train."""

    def loss(self, batch: Any, state: Any) -> Loss:
        """The loss over one window that starts from `state`; None at the start of the data."""
        ...


@runtime_checkable
class Batches(Protocol):
    """One pass over the data, in an order that depends on the epoch alone, so that a position is two numbers."""

    def __len__(self) -> int: ...

    def starting_at(self, index: int, epoch: int = 0, share: tuple[int, int] = (0, 1)) -> Iterator[Any]:
        """The batches of an epoch from number `index` on.

        Args:
            index: of the first.
            epoch: by which the order is drawn.
            share: (k, n) for the k-th of n parts of each batch; None in place of a part without rows.
        """
        ...


def detached(state: Any) -> Any:
    """The same state, through which no gradient goes back: where truncated BPTT truncates."""
    if isinstance(state, Tensor):
        return state.detach()
    if isinstance(state, tuple | list):
        return tuple(detached(part) for part in state)
    return state


def on_device(state: Any, device: Any) -> Any:
    """The same state on another device."""
    if isinstance(state, Tensor):
        return state.to(device)
    if isinstance(state, tuple | list):
        return tuple(on_device(part, device) for part in state)
    return state
