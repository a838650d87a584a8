"""What all contenders on torch share."""

import torch


def tensors(numbers):
    """NumPy arrays as tensors."""
    return {name: torch.from_numpy(array) for name, array in numbers.items()}


def measured(forward, job, x, g, weights):
    """A call: y without gradients, or y and the gradients of x and of all parameters."""
    if job.kind == "inference":

        def infer():
            with torch.inference_mode():
                return (forward(x),)

        return infer
    leaves = [x.requires_grad_(), *weights]

    def train():
        for leaf in leaves:
            leaf.grad = None
        y = forward(x)
        y.backward(g)
        return y.detach(), *(leaf.grad for leaf in leaves)

    return train
