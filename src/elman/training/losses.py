"""Losses over sequences: how far outputs are from targets, at the steps, rows and units that a mask lets count.

    L = Σ_t L(t), the mean over rows         summed("cross_entropy", logits, targets, mask)
    L = the mean over all that counts        averaged("cross_entropy", logits, targets, mask)

A loss has the shape of its targets, [T, B] or [T, B, O]; outputs have the same, or one axis more. Where the mask is
False, or a weight 0, neither outputs nor targets are looked at: NaN, infinity and tokens that are none do no harm
there, and the gradient is 0.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from elman.errors import ArgumentError, DtypeError, ShapeError

Each = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """-log softmax(logits)[target], in nats.

    Args:
        outputs: logits [T, B, V].
        targets: tokens [T, B].
    """
    vocabulary = _check_last("cross_entropy", "logits [T, B, V]", outputs, targets)
    if targets.is_floating_point() or targets.dtype == torch.bool:
        raise DtypeError(f"cross_entropy: expected targets of an integer dtype, got {targets.dtype}: use .long().")
    _check_each(
        "cross_entropy", targets, (targets >= 0) & (targets < vocabulary), f"tokens 0 to V - 1 = {vocabulary - 1}"
    )
    losses = functional.cross_entropy(outputs.reshape(-1, vocabulary), targets.reshape(-1).long(), reduction="none")
    return losses.reshape(targets.shape)


def squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """(y - target)²; outputs and targets [T, B, O] or [T, B]."""
    _check_same("squared_error", outputs, targets)
    return (outputs - targets) ** 2


def absolute_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """|y - target|; outputs and targets [T, B, O] or [T, B]."""
    _check_same("absolute_error", outputs, targets)
    return (outputs - targets).abs()


def binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """-target log σ(z) - (1 - target) log(1 - σ(z)), in nats.

    Args:
        outputs: logits z [T, B, O].
        targets: from 0 to 1 [T, B, O].
    """
    _check_same("binary_cross_entropy", outputs, targets)
    targets = targets.to(outputs.dtype)
    _check_each("binary_cross_entropy", targets, (targets >= 0) & (targets <= 1), "targets from 0 to 1")
    return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none")


def gaussian(outputs: Tensor, targets: Tensor) -> Tensor:
    """-log of the density of a normal distribution N(μ, σ²), in nats.

        L = (target - μ)² / (2 σ²) + log σ + log(2 π) / 2

    Args:
        outputs: μ and log σ [T, B, O, 2]: `readout(y).unflatten(-1, (O, 2))`.
        targets: [T, B, O].
    """
    if _check_last("gaussian", "outputs [T, B, O, 2] of μ and log σ", outputs, targets) != 2:
        raise ShapeError(f"gaussian: expected outputs [T, B, O, 2] of μ and log σ, got {list(outputs.shape)}.")
    mean, log_deviation = outputs.unbind(-1)
    scaled = (targets - mean) * torch.exp(-log_deviation)
    return 0.5 * scaled**2 + log_deviation + 0.5 * torch.log(torch.full_like(mean, 2 * torch.pi))


def poisson(outputs: Tensor, targets: Tensor) -> Tensor:
    """-log of the probability of a count under a Poisson distribution of rate exp(z), in nats.

    Args:
        outputs: log rates z [T, B, O].
        targets: counts [T, B, O].
    """
    _check_same("poisson", outputs, targets)
    targets = targets.to(outputs.dtype)
    _check_each("poisson", targets, targets >= 0, "counts from 0 on")
    return torch.exp(outputs) - targets * outputs + torch.lgamma(targets + 1)


LOSSES: dict[str, Each] = {
    each.__name__: each
    for each in (cross_entropy, squared_error, absolute_error, binary_cross_entropy, gaussian, poisson)
}


def find_loss(name: str) -> Each:
    """The loss of a name; `LOSSES` has them all.

    Raises:
        ArgumentError: there is none.
    """
    if name not in LOSSES:
        raise ArgumentError(f"expected one of the losses {', '.join(LOSSES)}, got {name!r}.")
    return LOSSES[name]


def summed(loss: str | Each, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """The sum over time (and units), and the mean over rows.

        L = 1/B Σ_b Σ_t w(t, b) L(t, b)

    Args:
        loss: a name, or a function of outputs and targets that gives one number for each target.
        outputs: [T, B, O], or with a further axis: what the loss says.
        targets: [T, B] or [T, B, O]; an axis of size 1 stands for all, as the desired final activities [1, B, O].
        mask: what counts, [T, B] or [T, B, O], bool, or weights from 0 on; an axis of size 1 stands for all. None for
            all steps of all rows.

    Returns:
        A scalar. Rows without anything that counts are rows all the same.

    Raises:
        ShapeError, DtypeError, ArgumentError: sizes, dtypes or targets that do not fit.
    """
    losses, _ = weighted(loss, outputs, targets, mask)
    return losses.sum() / max(1, losses.size(1))


def averaged(loss: str | Each, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean over all that counts; 0 where nothing does.

        L = Σ_b Σ_t w(t, b) L(t, b) / Σ_b Σ_t w(t, b)

    Args, Returns and Raises are as for `summed`.
    """
    losses, weights = weighted(loss, outputs, targets, mask)
    count = weights.sum()
    return losses.sum() / torch.where(count > 0, count, 1)


def weighted(loss: str | Each, outputs: Tensor, targets: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The loss of each target, times its weight, and the weights, both in the shape of the targets.

    Args and Raises are as for `summed`.
    """
    each = find_loss(loss) if isinstance(loss, str) else loss
    targets = _expanded(outputs, targets)
    weights = weights_of(mask, targets, outputs.dtype)
    counts = weights > 0
    inside = counts.reshape(counts.shape + (1,) * (outputs.dim() - counts.dim()))
    # What does not count is replaced before the loss is taken, since 0 times NaN is NaN, in the gradient too.
    losses = each(torch.where(inside, outputs, 0), torch.where(counts, targets, 0))
    if losses.shape != targets.shape:
        raise ShapeError(
            f"expected one loss for each of the targets {list(targets.shape)}, got {list(losses.shape)}: "
            "a loss of your own must not sum."
        )
    return losses * weights, weights


def _expanded(outputs: Tensor, targets: Tensor) -> Tensor:
    """Targets at all steps, rows and units of the outputs."""
    if not outputs.is_floating_point():
        raise DtypeError(f"expected outputs of a floating dtype, got {outputs.dtype}.")
    if targets.dim() < 2 or not 0 <= outputs.dim() - targets.dim() <= 1:
        raise ShapeError(
            f"expected outputs and targets [T, B, ...], outputs with at most one axis more, got {list(outputs.shape)} "
            f"and {list(targets.shape)}."
        )
    return _fitted("targets", targets, outputs.shape[: targets.dim()])


def weights_of(mask: Tensor | None, targets: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight of each target."""
    if mask is None:
        return torch.ones(targets.shape, dtype=dtype, device=targets.device)
    mask = mask.to(targets.device)
    if mask.dim() == 2:
        mask = mask.reshape(mask.shape + (1,) * (targets.dim() - 2))
    if mask.dim() != targets.dim():
        raise ShapeError(f"expected a mask [T, B] or {_axes(targets.shape)}, as the targets, got {list(mask.shape)}.")
    weights = _fitted("mask", mask, targets.shape).to(dtype)
    if not ((weights >= 0) & weights.isfinite()).all():
        raise ArgumentError("expected a mask of bool, or finite weights from 0 on: a loss is not made large.")
    return weights


def _fitted(name: str, tensor: Tensor, shape: torch.Size) -> Tensor:
    """A tensor of the same number of axes, expanded where it has size 1."""
    if any(own not in (1, size) for own, size in zip(tensor.shape, shape, strict=True)):
        turned = ": is it [B, T]? Turn it round by .transpose(0, 1)." if tensor.shape[:2] == shape[1::-1] else "."
        raise ShapeError(f"expected {name} {_axes(shape)}, or 1 for an axis, got {list(tensor.shape)}{turned}")
    return tensor.expand(shape)


def _axes(shape: torch.Size) -> str:
    """The names and sizes of axes."""
    return f"[{', '.join(['T', 'B', 'O', 'Q'][: len(shape)])}] = {list(shape)}"


def _check_same(name: str, outputs: Tensor, targets: Tensor) -> None:
    """Raise ShapeError unless there is one output for each target: torch would broadcast."""
    if outputs.shape != targets.shape:
        raise ShapeError(
            f"{name}: expected outputs of the shape of the targets, {list(targets.shape)}, got {list(outputs.shape)}."
        )


def _check_last(name: str, wanted: str, outputs: Tensor, targets: Tensor) -> int:
    """The size of the last axis of outputs, which have one more than the targets."""
    if outputs.dim() != targets.dim() + 1:
        raise ShapeError(
            f"{name}: expected {wanted}, one axis more than the targets, got {list(outputs.shape)} and targets "
            f"{list(targets.shape)}."
        )
    return outputs.size(-1)


def _check_each(name: str, targets: Tensor, good: Tensor, wanted: str) -> None:
    """Raise ArgumentError unless all targets that count are good."""
    if bool(good.all()):
        return
    place = (~good).nonzero()[0].tolist()
    where = ", ".join(f"{axis} {at}" for axis, at in zip(("step", "row", "unit"), place, strict=False))
    raise ArgumentError(
        f"{name}: expected {wanted}, got {targets[tuple(place)].item()} at {where}: leave padding out by a mask."
    )
