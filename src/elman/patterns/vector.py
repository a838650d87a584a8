"""Vector to sequence: one vector for each row, at every step."""

from torch import Tensor

from elman.errors import ArgumentError, ShapeError


def at_every_step(v: Tensor, steps: int) -> Tensor:
    """The same input at every step.

    At the first step alone is `layer(v, steps=steps)`; as the initial state, `elman.around.StartFromVector`.

    Args:
        v: [B, I].
        steps: T.

    Returns:
        [T, B, I], without a copy; `torch.cat([x, at_every_step(v, len(x))], -1)` puts it beside other inputs.

    Raises:
        ShapeError: v has no rows of features.
        ArgumentError: steps below 1.
    """
    if v.dim() < 2:
        raise ShapeError(f"expected v [B, I], got {list(v.shape)}: add an axis for the batch (v.unsqueeze(0)).")
    if steps < 1:
        raise ArgumentError(f"expected steps >= 1, got {steps}.")
    return v.expand(steps, *v.shape)
