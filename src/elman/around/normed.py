"""Layer normalisation of the states that a step reads."""

from collections.abc import Sequence

from torch import Tensor, nn

from elman.cells.cell import Cell, States
from elman.errors import ArgumentError

from .wrapper import Wrapper, check_states, visible


class NormedState(Wrapper):
    """A cell whose step reads normalised states.

        s(t) = f(N(s(t-1)), x(t)),   N(v) = a (v - mean(v)) / √(var(v) + ε) + b

    What is normalised is what the step reads, wherever it reads it, so it can be done around any cell. That is not the
    layer normalisation of Ba et al. 2016, which stands on the products inside the step: see `elman.LayerNormLSTM`
    where there is one. In a GRU the way z h(t-1) is normalised too; of an LSTM, h alone by default.

    Args:
        cell: a cell with states.
        states: which ones; by default the first.
        eps: ε.

    Source: the function is that of J. L. Ba, J. R. Kiros, G. E. Hinton, Layer Normalization, arXiv 1607.06450, 2016.
    Departs: where it stands, as said.
    """

    def __init__(self, cell: Cell, states: Sequence[int] = (0,), eps: float = 1e-5) -> None:
        super().__init__(cell)
        self.numbers = check_states("NormedState", cell, states)
        sizes = [visible(cell)[number] for number in self.numbers]
        if wrong := [size for size in sizes if isinstance(size, int) and size < 2]:
            raise ArgumentError(f"NormedState: expected states of at least 2 units, got {wrong[0]}.")
        like = next(iter(cell.parameters()), None)
        kind = {} if like is None else {"dtype": like.dtype, "device": like.device}
        self.norms = nn.ModuleList(nn.LayerNorm(size, eps, **kind) for size in sizes)  # type: ignore[arg-type]

    def step(self, x: Tensor | None, *entering: Tensor) -> Tensor | States:
        skip = len(entering) - len(self._before(entering))
        read = list(entering)
        for number, norm in zip(self.numbers, self.norms, strict=True):
            read[skip + number] = norm(read[skip + number])
        return self.cell.step(x, *read)
