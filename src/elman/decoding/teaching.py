"""Teaching a model of the next token: what is fed at each step, and the logits of it."""

from typing import Any, Protocol

import torch
from torch import Tensor

from elman.errors import ShapeError
from elman.layers import lengths as rows

from .checks import check_first, check_integers
from .choice import Choice, greedy
from .policies import Policy, TeacherForcing, mask_of
from .states import check_states, take_rows
from .step import Step, ask, axis_of


class Sequenced(Step, Protocol):
    """A step that also runs over whole sequences, as `NextToken` does."""

    def sequence(self, tokens: Tensor, states: Any, lengths: Tensor | None, /) -> tuple[Tensor, Any]:
        """Tokens [T, B] -> logits [T, B, V], and the states at each row's own end."""


def teach(
    model: Sequenced,
    first: Tensor,
    targets: Tensor,
    policy: Policy,
    *,
    choice: Choice = greedy,
    states: Any = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """The logits of all steps, each fed the target of the step before or the model's own choice there.

    No gradient goes through a choice, so what is fed is found first, without gradients, step by step and only for
    rows that the policy lets go; then all steps run in one call of the layer, on its kernels. Where the model itself
    draws (dropout), both runs draw for themselves.

    Args:
        model: a `NextToken`, or any step with `sequence`.
        first: what is fed at the first step [B]: BOS.
        targets: [T, B]; padding may be any number.
        policy: after which steps the target is fed: `TeacherForcing()`, `PerToken(p, generator)`, ...
        choice: of the own token: `greedy`, or `sampling(generator)`.
        states: before the first step; None for the model's own.
        lengths: number of steps of each row [B].

    Returns:
        Logits [T, B, V], and the states at each row's own end.

    Raises:
        ArgumentError, ShapeError, DtypeError: arguments, logits or states that do not fit.
        NumericsError: NaN in the logits that a choice is made from.

    Source: S. Bengio et al., Scheduled Sampling for Sequence Prediction with Recurrent Neural Networks, NeurIPS 2015.
    """
    fed = fed_tokens(model, first, targets, policy, choice=choice, states=states, lengths=lengths)
    return model.sequence(fed, states, lengths)


@torch.no_grad()
def fed_tokens(
    model: Step,
    first: Tensor,
    targets: Tensor,
    policy: Policy,
    *,
    choice: Choice = greedy,
    states: Any = None,
    lengths: Tensor | None = None,
) -> Tensor:
    """What is fed at each step [T, B]: targets and the model's own choices, as the policy says; see `teach`."""
    first, targets = check_first(first), check_integers("targets", targets)
    if targets.dim() != 2 or targets.size(1) != len(first) or not len(targets):
        raise ShapeError(f"expected targets [T, B] with T >= 1 and B = {len(first)}, got {list(targets.shape)}.")
    steps, batch = targets.shape
    live = torch.ones_like(targets, dtype=torch.bool)
    if lengths is not None:
        live = rows.live_rows(rows.check_lengths(lengths, steps, batch).to(targets.device), steps)
    fed = torch.where(live, torch.cat([first.unsqueeze(0), targets[:-1]]), first)  # what pads may be no token at all
    if isinstance(policy, TeacherForcing):
        return fed
    own = live[1:] & ~mask_of(policy, steps, batch, targets.device)[:-1]
    free = own.any(0).nonzero().squeeze(1)
    if len(free):
        fed[:, free] = _run(model, fed[:, free], own[:, free], choice, states, free, batch)
    return fed


def _run(model: Step, fed: Tensor, own: Tensor, choice: Choice, states: Any, free: Tensor, batch: int) -> Tensor:
    """What is fed at each step [T, F] to the F `free` ones of B rows; where `own` [T-1, F], the choice is fed next."""
    axis = axis_of(model, None)
    check_states(states, batch, axis)
    states = take_rows(states, free, axis)
    for t in range(int(own.any(1).nonzero()[-1]) + 1):
        logits, states = ask(model, fed[t], states, axis, t, live=own[t:].any(0))
        fed[t + 1] = torch.where(own[t], choice(logits).to(fed), fed[t + 1])
    return fed
