"""What is known of all steps before the first one runs."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sequences:
    """The inputs of T steps on B rows.

    Attributes:
        steps: T.
        batch: B.
        x: the inputs [T, B, ...], or None for a system without input.
        fed: what is fed at each step [T, B, O] where it is known beforehand (teacher forcing), else None.
        live: [T, B] bool, False where a row has ended; None where all rows have T steps.
        reset: [T, B] bool, True where the state that enters the step is the initial one; None for never.
        reverse: the steps run from t = T to 1, in each row from its own end.
    """

    steps: int
    batch: int
    x: Tensor | None = None
    fed: Tensor | None = None
    live: Tensor | None = None
    reset: Tensor | None = None
    reverse: bool = False
