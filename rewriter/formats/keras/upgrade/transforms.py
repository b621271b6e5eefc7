"""Variables that are computed from others when they are loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from ....errors import BadFileError
from ...variables import Variable
from .hard_sigmoid import FACTOR

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"


def made(sources: Sequence[Variable], shape: tuple[int, ...], function: Callable[..., Array]) -> Variable:
    """A variable of a shape that is computed from others."""
    return Variable(shape, sources[0].dtype, lambda: function(*(source.load() for source in sources)))


def turned(variable: Variable, axes: tuple[int, ...]) -> Variable:
    """The variable with its axes in another order. Raises BadFileError if it has another number of axes."""
    if len(variable.shape) != len(axes):
        raise BadFileError(f"a kernel of {len(variable.shape)} axes instead of {len(axes)}")
    shape = tuple(variable.shape[axis] for axis in axes)
    return made([variable], shape, lambda array: array.transpose(axes))


def joined(variables: Sequence[Variable]) -> Variable:
    """The variables joined along the last axis. Raises BadFileError if their shapes do not fit."""
    import numpy as np

    first = variables[0].shape
    if any(variable.shape[:-1] != first[:-1] or not variable.shape for variable in variables):
        raise BadFileError("the weights of a layer's gates have shapes that do not fit")
    shape = (*first[:-1], sum(variable.shape[-1] for variable in variables))
    return made(variables, shape, lambda *arrays: np.concatenate(arrays, axis=-1))


def flipped(variable: Variable, axes: tuple[int, ...]) -> Variable:
    """The variable with some axes reversed."""
    import numpy as np

    return made([variable], variable.shape, lambda array: np.flip(array, axes))


def scaled(variable: Variable) -> Variable:
    """The variable times the factor of the old ``hard_sigmoid``."""
    return made([variable], variable.shape, lambda array: array * array.dtype.type(FACTOR))


def columns_scaled(variable: Variable, blocks: Sequence[int], count: int) -> Variable:
    """Multiply some of ``count`` equal blocks of the last axis. Raises BadFileError if the axis is not divisible."""
    import numpy as np

    if not variable.shape or variable.shape[-1] % count:
        raise BadFileError(f"the weights of {count} gates have the shape {variable.shape}")
    width = variable.shape[-1] // count

    def scale(array: Array) -> Array:
        factors = np.ones(variable.shape[-1], array.dtype)
        for block in blocks:
            factors[block * width : (block + 1) * width] = FACTOR
        return array * factors

    return made([variable], variable.shape, scale)
