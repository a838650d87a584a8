"""Which plain Python attributes a step read, so that a changed one leads to a new trace and never to a stale number."""

import contextlib
import dis
import enum
import functools
import operator
import types
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from elman.errors import TraceError

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, enum.Enum)
_LASTING = (*_PLAIN, types.ModuleType, types.BuiltinFunctionType, type)
_DEPTH = 8
_TORCHS = {*vars(nn.Module()), *vars(nn.Module)} - {"training"}


class Reads:
    """Attributes by module and name, and what they were when they were read."""

    def __init__(self, root: nn.Module) -> None:
        self._structure = structure(root)
        self._seen: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._lasting = True  # nothing that was read can change inside
        self._globals: dict[tuple[int, str], tuple[dict[str, Any], str, Any]] = {}

    def record(self, path: str, name: str, value: Any) -> None:
        """Remember that `name` of the module at `path` was read."""
        if (path, name) not in self._seen:
            # The value is kept, so that no id is used twice; a method without the module, which may go away.
            kept = value.__func__ if _of_a_module(value) else value
            self._seen[path, name] = (freeze(value), kept)
            self._lasting &= self._can_last(kept)

    def hold(self, root: nn.Module) -> bool:
        """Whether every attribute is still what it was."""
        modules = modules_of(root)
        if _structure(modules) != self._structure:
            return False
        return (self._lasting and self._same(modules)) or all(
            freeze(getattr(modules[path], name, None)) == frozen for (path, name), (frozen, _) in self._seen.items()
        )

    def _same(self, modules: dict[str, nn.Module]) -> bool:
        """Whether all is the very objects that were read: it takes a fifth of the time of freezing them again."""
        for (path, name), (_, kept) in self._seen.items():
            value = getattr(modules[path], name, None)
            if type(value) is types.MethodType:
                value = value.__func__
            if value is not kept and not (type(value) is type(kept) is tuple and _same_entries(value, kept)):
                return False
        return all(space.get(name) is found for space, name, found in self._globals.values())

    def _can_last(self, kept: Any) -> bool:
        """Whether nothing can change inside a value but the globals that a function reads; these are taken down."""
        if type(kept) is types.FunctionType:
            for name in _globals_of(kept.__code__):
                self._globals[id(kept.__globals__), name] = (kept.__globals__, name, kept.__globals__.get(name))
            # What a function closes over may be another value at the next call.
            return not kept.__closure__ and all(isinstance(found, _LASTING) for _, _, found in self._globals.values())
        if type(kept) is tuple:
            return all(isinstance(entry, _LASTING) for entry in kept)
        return isinstance(kept, (*_LASTING, nn.Module))


def _of_a_module(value: Any) -> bool:
    """Whether a value is a method of a module, what it reads of which is recorded by itself."""
    return isinstance(value, types.MethodType) and isinstance(value.__self__, nn.Module)


def _same_entries(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return len(a) == len(b) and all(map(operator.is_, a, b))


def modules_of(root: nn.Module) -> dict[str, nn.Module]:
    """The modules under `root` by path: `named_modules`, in a third of the time."""
    found: dict[str, nn.Module] = {}
    _collect(root, "", found, set())
    return found


def _collect(module: nn.Module, path: str, found: dict[str, nn.Module], met: set[nn.Module]) -> None:
    met.add(module)
    found[path] = module
    for name, part in module._modules.items():
        if part is not None and part not in met:
            _collect(part, f"{path}.{name}" if path else name, found, met)


def structure(root: nn.Module) -> list[tuple[Any, ...]]:
    """The modules under `root` by path, and the hooks that torch runs when they are called."""
    return _structure(modules_of(root))


def _structure(modules: dict[str, nn.Module]) -> list[tuple[Any, ...]]:
    return [(path, weakref.ref(module), *hooks_of(module)) for path, module in modules.items()]


def hooks_of(module: nn.Module) -> list[int]:
    """The hooks of a module, by their numbers."""
    return [
        *module._forward_hooks,
        *module._forward_pre_hooks,
        *module._backward_hooks,
        *module._backward_pre_hooks,
    ]


def freeze(value: Any, depth: int = _DEPTH) -> Any:
    """A value that compares equal as long as what a step can read from the original is the same."""
    if isinstance(value, float) and value != value:
        return "nan"
    if isinstance(value, _PLAIN):
        return (type(value), value)
    if parts := _bound(value):
        return tuple(freeze(part, max(0, depth - number)) for number, part in enumerate(parts))
    if isinstance(value, types.FunctionType) and depth > 0:
        return ("same object", id(value), *(freeze(item, depth - 1) for item in _looked_up(value)))
    if isinstance(value, torch.Tensor) and value.dim() == 0:
        return ("same object", id(value), value._version)
    if isinstance(value, np.ndarray):
        return (value.shape, value.dtype, value.tobytes())
    if depth == 0 or isinstance(value, torch.Tensor | types.FunctionType | types.BuiltinFunctionType | type):
        return ("same object", id(value))
    if isinstance(value, list | tuple | set | frozenset):
        return (type(value), tuple(freeze(item, depth - 1) for item in value))
    if isinstance(value, dict):
        return (dict, tuple((freeze(key, 0), freeze(item, depth - 1)) for key, item in value.items()))
    if hasattr(type(value), "__slots__") and not hasattr(value, "__dict__"):
        return (type(value), tuple(freeze(getattr(value, n, None), depth - 1) for n in type(value).__slots__))
    if hasattr(value, "__dict__") and not isinstance(value, nn.Module | types.ModuleType):
        return (type(value), freeze(vars(value), depth - 1))
    return ("same object", id(value))


def _bound(value: Any) -> tuple[Any, ...]:
    """A function and what it is bound to; nothing where a value is something else."""
    if isinstance(value, types.MethodType):
        return (value.__func__,) if _of_a_module(value) else (value.__func__, value.__self__)
    return (value.func, value.args, value.keywords) if isinstance(value, functools.partial) else ()


def _looked_up(function: types.FunctionType) -> Iterator[Any]:
    """What a function reads from around it: the names that it closes over, and global numbers and containers."""
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # a name that is not bound yet
            yield cell.cell_contents
    for name in _globals_of(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, (*_PLAIN, list, dict, tuple, np.ndarray)):
            yield value


@functools.lru_cache(maxsize=1024)
def _globals_of(code: types.CodeType) -> tuple[str, ...]:
    """The names that a function looks up among its globals."""
    return tuple(dict.fromkeys(i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"))


@contextlib.contextmanager
def recording(root: nn.Module, reads: Reads) -> Iterator[None]:
    """While this lasts, what `root` and its submodules are asked for by name is recorded."""
    modules = [(path, module, type(module)) for path, module in root.named_modules()]
    try:
        for path, module, kind in modules:
            module.__class__ = _recorder(kind, path, reads)
        yield
    finally:
        for _, module, kind in modules:
            object.__setattr__(module, "__class__", kind)


def _made_in_step(value: Any) -> bool:
    """A property that computes with parameters gives a new tensor each time."""
    return isinstance(value, torch.Tensor) and value.device.type == "meta"


def _recorder(kind: type[nn.Module], path: str, reads: Reads) -> type[nn.Module]:
    """A subclass that records; it goes by the name of its base."""

    def __getattribute__(self: nn.Module, name: str) -> Any:
        value = kind.__getattribute__(self, name)
        if name not in _TORCHS and not name.startswith("__") and not _made_in_step(value):
            reads.record(path, name, value)
        return value

    def __setattr__(self: nn.Module, name: str, value: Any) -> None:
        raise TraceError(f"the step changes self.{name}: it would do so at every step, and is read but once")

    namespace: dict[str, Any] = {"__getattribute__": __getattribute__, "__setattr__": __setattr__}
    namespace |= {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    return type(kind.__name__, (kind,), namespace)
