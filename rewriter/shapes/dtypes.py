"""Keras's dtype promotion, for the dtype of an op's result.

The lattice is that of ``keras/src/backend/common/dtypes.py`` (Keras 3.15, TensorFlow backend). ``int`` and ``float``
are the weak types of Python scalars; every other name is a dtype.
"""

from __future__ import annotations

from functools import lru_cache

FLOATX = "float32"
WEAK = {"int": "int32", "float": FLOATX}
SMALL_INTS = ("int8", "int16", "int32", "uint8", "uint16", "uint32")

_ABOVE: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "uint8": ("int16", "uint16"),
    "uint16": ("int32", "uint32"),
    "uint32": ("int64", "uint64"),
    "uint64": ("float",),
    "int": ("uint8", "int8", "complex64"),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float",),
    "float": ("bfloat16", "float16"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex64": ("complex128",),
    "complex128": (),
}

# The dtypes of a tensor of numbers: those that are promoted, and those of 8 bits or less that are not.
NUMBERS = frozenset(_ABOVE) - frozenset(WEAK) | {"float8_e4m3fn", "float8_e5m2", "int4", "uint4"}


def _reachable() -> dict[str, frozenset[str]]:
    above: dict[str, frozenset[str]] = {}

    def visit(name: str) -> frozenset[str]:
        if name not in above:
            above[name] = frozenset({name}).union(*(visit(n) for n in _ABOVE[name]))
        return above[name]

    for name in _ABOVE:
        visit(name)
    return above


_UPPER = _reachable()


@lru_cache(maxsize=1024)
def result_type(*dtypes: str) -> str:
    """The dtype that operands of these dtypes are promoted to; the first one where there is no promotion."""
    if not dtypes:
        return FLOATX
    if len(set(dtypes)) == 1:
        return _resolved(dtypes[0])
    if any(d not in _UPPER for d in dtypes):
        return _resolved(next(d for d in dtypes if d not in WEAK))
    common = frozenset.intersection(*(_UPPER[d] for d in dtypes))
    least = [c for c in common if common <= _UPPER[c]]
    return _resolved(least[0] if least else dtypes[0])


def _resolved(dtype: str) -> str:
    return {"uint64": "uint32", "complex128": "complex64"}.get(dtype, WEAK.get(dtype, dtype))


def strong(dtype: str) -> str:
    """The dtype of a Python scalar in an op that converts its operands before promotion."""
    return {"int": "int64", "float": FLOATX}.get(dtype, dtype)


def is_integral(dtype: str) -> bool:
    """True for integers and booleans."""
    return "int" in dtype or dtype == "bool"


def keep(dtype: str) -> str:
    return _resolved(dtype) if dtype in WEAK else dtype


def to_bool(dtype: str) -> str:
    return "bool"


def to_int32(dtype: str) -> str:
    return "int32"


def to_default(dtype: str) -> str:
    return FLOATX


def promoted_float(dtype: str) -> str:
    """The dtype promoted with a Python float."""
    return result_type(dtype, "float")


def integral_to_float(dtype: str) -> str:
    """The default float for integers and booleans."""
    return FLOATX if is_integral(dtype) else dtype


def wide_integral_to_float64(dtype: str) -> str:
    """The default float for integers, float64 for int64."""
    return "float64" if dtype == "int64" else FLOATX if dtype in (*SMALL_INTS, "bool") else dtype


def angular(dtype: str) -> str:
    """float64 for 64-bit numbers; 16-bit floats stay; else the default float."""
    if dtype in ("int64", "float64"):
        return "float64"
    return dtype if dtype in ("bfloat16", "float16") else FLOATX


def bool_to_int32(dtype: str) -> str:
    return "int32" if dtype == "bool" else dtype


def widened(dtype: str) -> str:
    """At least 32 bits for integers and booleans: sums and products."""
    if dtype in ("bool", "int8", "int16"):
        return "int32"
    return "uint32" if dtype in ("uint8", "uint16") else dtype


def quotient(dtype: str) -> str:
    """A tensor divided by a Python number in TensorFlow: 32- and 64-bit integers give float64, smaller ones float32."""
    if dtype in ("int32", "int64", "uint32", "uint64"):
        return "float64"
    return FLOATX if is_integral(dtype) else dtype


def product_type(*dtypes: str) -> str:
    """The dtype of a matrix product: 8-bit integers are summed in 32 bits."""
    return "int32" if set(dtypes) == {"int8"} else result_type(*dtypes)
