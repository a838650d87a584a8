"""The family of errors: each says what was expected, what came, where, and what to do.

    ElmanError
    ├── ShapeError      sizes that do not fit together        (also ValueError, RuntimeError)
    ├── DtypeError      a dtype that a step cannot take        (also TypeError, ValueError, RuntimeError)
    ├── ArgumentError   an argument out of its range           (also ValueError)
    ├── TraceError      a step that cannot be read as a graph  (caught: the layer then runs step by step)
    ├── DataError       a file that is not what it should be   (also ValueError)
    ├── NumericsError   NaN or infinity where numbers belong   (also ArithmeticError)
    └── SetupError      something to install is missing        (also ImportError)
"""


class ElmanError(Exception):
    """Any error that elman raises on purpose."""


class ShapeError(ElmanError, ValueError, RuntimeError):
    """Sizes that do not fit together; torch raises ValueError or RuntimeError here, so this is both."""


class DtypeError(ElmanError, TypeError, ValueError, RuntimeError):
    """A dtype that a step cannot take; torch raises any of three types here, so this is all of them."""


class ArgumentError(ElmanError, ValueError):
    """An argument out of its range, or two that exclude each other."""


class TraceError(ElmanError):
    """A step that cannot be read as a graph; the message names the operation and its line."""


class DataError(ElmanError, ValueError):
    """A data or model file that is empty, truncated, foreign, or cannot be written."""


class NumericsError(ElmanError, ArithmeticError):
    """NaN or infinity in an input or a loss; the message names the step."""


class SetupError(ElmanError, ImportError):
    """A library or a tool that must be installed first; the message names the command."""
