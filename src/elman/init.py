"""Initial weights of any cell, by what the weights are for; matrices of several gates are drawn gate by gate.

Each function changes the weights of all cells in a module (a cell, a layer, a model, or one of `elman.nn` and
`torch.nn`), and returns their names. The roles come from the names: U reads x, W reads a state, V gives out, b is a
bias; see `elman.around.roles`. A cell of your own names the gates that it stacks in an attribute,
`gates = {"U": ("f", "n"), "W": ("f", "n")}`, or `{"*": ("f", "n")}` if they are the same in all its weights.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from elman.around.names import value_of
from elman.around.roles import Weight, keeping_gates, weights_of
from elman.errors import ArgumentError

__all__ = ["chrono_", "constant_", "glorot_", "he_", "identity_", "orthogonal_", "unit_forget_"]

Names = tuple[str, ...]
Fill = Callable[[Tensor], Tensor]


def orthogonal_(
    module: nn.Module, gain: float = 1.0, role: str = "recurrent", generator: torch.Generator | None = None
) -> Names:
    """Each block becomes `gain` times a random matrix with orthonormal rows or columns.

    Source: A. M. Saxe, J. L. McClelland, S. Ganguli, Exact solutions to the nonlinear dynamics of learning in deep
        linear neural networks, ICLR 2014.
    """
    return _fill(module, role, lambda block: nn.init.orthogonal_(block, gain, generator=generator))


def identity_(module: nn.Module, scale: float = 1.0) -> Names:
    """Each recurrent block becomes `scale` times the identity, each bias 0: with relu, the IRNN.

    Raises:
        ArgumentError: a recurrent block is not square.

    Source: Q. V. Le, N. Jaitly, G. E. Hinton, A Simple Way to Initialize Recurrent Networks of Rectified Linear
        Units, arXiv 1504.00941, 2015, section 3.
    """
    for weight in weights_of(module, "recurrent").values():
        for gate, start, end in weight.blocks:
            columns = value_of(weight.place).shape[1]
            if end - start != columns:
                which = f"{weight.name}, gate {gate}" if gate else weight.name
                raise ArgumentError(
                    f"identity_: expected square recurrent blocks, {which} is {end - start} x {columns}."
                )
    names = _fill(module, "recurrent", lambda block: scale * torch.eye(len(block), dtype=block.dtype))
    return (*names, *_fill(module, "bias", torch.zeros_like, needed=False))


def glorot_(
    module: nn.Module, gain: float = 1.0, role: str = "input", generator: torch.Generator | None = None
) -> Names:
    """Each block is drawn uniformly within gain √(6 / (rows + columns)).

    Source: X. Glorot, Y. Bengio, Understanding the difficulty of training deep feedforward neural networks, AISTATS
        2010, equation 16.
    """
    return _fill(module, role, lambda block: nn.init.xavier_uniform_(block, gain, generator=generator))


def he_(module: nn.Module, role: str = "input", generator: torch.Generator | None = None) -> Names:
    """Each block is drawn from a normal distribution with variance 2 / columns.

    Source: K. He, X. Zhang, S. Ren, J. Sun, Delving Deep into Rectifiers, ICCV 2015, equation 10.
    """
    return _fill(module, role, lambda block: nn.init.kaiming_normal_(block, nonlinearity="relu", generator=generator))


def constant_(module: nn.Module, value: float, role: str = "bias", gate: str | None = None) -> Names:
    """Each block, or that of one gate, becomes `value`.

    Raises:
        ArgumentError: no weight of this role, or none with this gate.
    """
    return _fill(module, role, lambda block: torch.full_like(block, value), gate)


def unit_forget_(module: nn.Module, value: float = 1.0, gate: str = "f") -> Names:
    """The bias of the forget gate becomes `value`; where there are two biases, the first, and the others 0.

    Raises:
        ArgumentError: no cell with this gate.

    Source: F. A. Gers, J. Schmidhuber, F. Cummins, Learning to Forget, 2000; R. Jozefowicz, W. Zaremba, I. Sutskever,
        An Empirical Exploration of Recurrent Network Architectures, ICML 2015.
    """
    return _gate_bias(module, gate, lambda block: torch.full_like(block, value))


def chrono_(
    module: nn.Module,
    longest: int,
    forget: str | None = None,
    write: str | None = None,
    generator: torch.Generator | None = None,
) -> Names:
    """Biases with which the units remember for up to `longest` steps.

        b_forget ~ log U(1, longest - 1),   b_write = -b_forget

    The bias of each unit's forget gate, whose σ is what the unit keeps. Where the gate of what is written is another
    one, as in an LSTM, its bias is the opposite; where it is the only one, as in a minGRU, too.

    Args:
        module: any module with cells.
        longest: T_max, the longest dependency that is expected, at least 3.
        forget: the gate by which a unit keeps what it holds; f in an LSTM, z in a GRU by default.
        write: the gate by which it takes in what is new, if that is a gate of its own or the only one; i in an LSTM.
        generator: source of the random numbers.

    Raises:
        ArgumentError: a cell without such a gate.

    Source: C. Tallec, Y. Ollivier, Can Recurrent Neural Networks Warp Time?, ICLR 2018, section 2.
    """
    if longest < 3:
        raise ArgumentError(f"chrono_: expected a longest dependency of at least 3 steps, got {longest}.")
    names: list[str] = []
    for biases in _cells(module, "bias").values():
        keep, take = (forget, write) if forget or write else _usual(biases[0])
        drawn: list[Tensor] = []

        def draw(block: Tensor, drawn: list[Tensor] = drawn) -> Tensor:
            if not drawn:
                drawn.append(torch.empty_like(block).uniform_(1, longest - 1, generator=generator).log_())
            return drawn[0]

        if keep is not None:
            names += _first_bias(biases, keep, draw)
        if take is not None:
            names += _first_bias(biases, take, lambda block, draw=draw: -draw(block))  # type: ignore[misc]
    return tuple(dict.fromkeys(names))


def _usual(bias: Weight) -> tuple[str | None, str | None]:
    """The gates that keep and write, in the cells that are known."""
    known = keeping_gates(bias.cell)
    if known is None:
        gates = [gate for gate, _, _ in bias.blocks]
        raise ArgumentError(
            f"chrono_: which gate of {type(bias.cell).__name__} keeps what a unit holds? {bias.name} has the gates "
            f"{', '.join(gates) if any(gates) else '(none named)'}: give `forget` or `write`, or both."
        )
    return known


def _fill(module: nn.Module, role: str, fill: Fill, gate: str | None = None, needed: bool = True) -> Names:
    """New numbers for each block of a role, or for that of one gate."""
    try:
        found = weights_of(module, role)
    except ArgumentError:
        if needed:
            raise
        return ()
    touched = [name for name, weight in found.items() if _write(weight, gate, fill)]
    if not touched:
        raise ArgumentError(_no_gate(module, gate, found.values()))
    return tuple(touched)


def _write(weight: Weight, gate: str | None, fill: Fill) -> bool:
    """New numbers for the blocks of one weight; whether there were any."""
    new, touched = value_of(weight.place).detach().clone(), False
    for name, start, end in weight.blocks:
        if gate is None or name == gate:
            new[start:end] = fill(new[start:end].clone())
            touched = True
    if touched:
        module, name = weight.place
        with torch.no_grad():
            if "parametrizations" in module._modules and name in module.parametrizations:  # type: ignore[operator]
                setattr(module, name, new)
            else:
                getattr(module, name).copy_(new)
    return touched


def _cells(module: nn.Module, role: str) -> dict[tuple[int, str], list[Weight]]:
    """The weights of a role together for each cell, and for each level and direction of a layer of torch.nn."""
    found: dict[tuple[int, str], list[Weight]] = {}
    for weight in weights_of(module, role).values():
        level = weight.own.partition("_l")[2] if isinstance(weight.cell, nn.RNNBase) else ""
        found.setdefault((id(weight.cell), level), []).append(weight)
    return found


def _gate_bias(module: nn.Module, gate: str, fill: Fill) -> Names:
    return tuple(name for biases in _cells(module, "bias").values() for name in _first_bias(biases, gate, fill))


def _first_bias(biases: list[Weight], gate: str, fill: Fill) -> Names:
    """The gate's bias in the first weight that has one; 0 in the others, to which it adds."""
    having = [bias for bias in biases if any(name == gate for name, _, _ in bias.blocks)]
    if not having:
        raise ArgumentError(_no_gate(biases[0].cell, gate, biases))
    for number, bias in enumerate(having):
        _write(bias, gate, torch.zeros_like if number else fill)
    return tuple(bias.name for bias in having)


def _no_gate(module: nn.Module, gate: str | None, weights: Iterable[Weight]) -> str:
    known = dict.fromkeys(name for weight in weights for name, _, _ in weight.blocks if name)
    return (
        f"{type(module).__name__} has no gate {gate!r}: expected one of {', '.join(known) or '(none are named)'}; "
        "a cell of your own names its gates in the attribute `gates`."
    )
