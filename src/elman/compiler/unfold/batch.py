"""From one step to all steps at once: a leading axis T for whatever differs from step to step.

before   %1 = einsum bi,hi->bh x U        [B, H]
after    %1 = einsum Tbi,hi->Tbh x U      [T, B, H]
"""

from elman.axes import TIME, Shape
from elman.compiler.graph import OPS, Builder, Node


class Lift:
    """Rewrites nodes of a step to nodes of all steps.

    Attributes:
        build: makes the new nodes.
        made: the new node of each old one.
        timed: the old nodes that differ from step to step; theirs have a leading T.
    """

    def __init__(self, build: Builder) -> None:
        self.build = build
        self.made: dict[Node, Node] = {}
        self.timed: set[Node] = set()

    def given(self, node: Node, name: str, timed: bool) -> Node:
        """An input that holds what `node` computes, at all steps if `timed`."""
        shape = (TIME, *node.shape) if timed else node.shape
        self.made[node] = self.build.input(name, shape, node.dtype)
        if timed:
            self.timed.add(node)
        return self.made[node]

    def lift(self, node: Node) -> Node:
        """The new node of an old one whose inputs have been lifted."""
        self.build.where = node.where
        inputs = tuple(self.made[source] for source in node.inputs)
        timed = [source in self.timed for source in node.inputs]
        if not any(timed):
            self.made[node] = self.build.make(node.op, *inputs, value=node.value, dtype=node.dtype)
            return self.made[node]
        self.timed.add(node)
        aligned, value = self._with_time(node, inputs, timed)
        self.made[node] = self.build.make(node.op, *aligned, value=value, dtype=node.dtype)
        return self.made[node]

    def _with_time(self, node: Node, inputs: tuple[Node, ...], timed: list[bool]) -> tuple[tuple[Node, ...], object]:
        """The inputs and the value of an operation on tensors with a leading T."""
        if OPS[node.op].pointwise:
            return self._aligned(inputs, timed, len(node.shape)), node.value
        match node.op, node.value:
            case "einsum", formula:
                operands, result = formula.split("->")
                letters = [("T" if t else "") + o for o, t in zip(operands.split(","), timed, strict=True)]
                return inputs, f"{','.join(letters)}->T{result}"
            case "sum" | "amax", axes:
                return inputs, tuple(axis + 1 for axis in axes)
            case "reshape", shape:
                return inputs, (TIME, *shape)
            case "expand", shape:
                return self._aligned(inputs, timed, len(shape)), (TIME, *shape)
            case "permute", order:
                return inputs, (0, *(axis + 1 for axis in order))
            case "slice" | "pad", (axis, first, second):
                return inputs, (axis + 1, first, second)
            case "concat", axis:
                return tuple(self._repeated(i, t) for i, t in zip(inputs, timed, strict=True)), axis + 1
        raise AssertionError(f"no rule for {node.op}")

    def _aligned(self, inputs: tuple[Node, ...], timed: list[bool], rank: int) -> tuple[Node, ...]:
        """Timed inputs of fewer axes with ones after T, so that they broadcast as they did without T."""
        return tuple(
            self.build.reshape(i, self._with_ones(i.shape, rank)) if t else i
            for i, t in zip(inputs, timed, strict=True)
        )

    def _with_ones(self, shape: Shape, rank: int) -> Shape:
        return (TIME, *(1,) * (rank + 1 - len(shape)), *shape[1:])

    def _repeated(self, node: Node, timed: bool) -> Node:
        return node if timed else self.build.expand(node, (TIME, *node.shape))

    def total(self, node: Node) -> Node:
        """What an old node computes, summed over all steps; a product over steps and rows becomes one."""
        self.build.where = node.where
        lifted = self.made[node]
        match lifted.op:
            case "einsum":
                return self.build.einsum(lifted.value.replace("->T", "->"), *lifted.inputs)
            case "sum":
                return self.build.sum(lifted.inputs[0], (0, *lifted.value))
        return self.build.sum(lifted, (0,))
