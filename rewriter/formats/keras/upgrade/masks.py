"""Follow the masks of an old model, and find where Keras 3 would pass other masks.

A mask starts at an ``Embedding(mask_zero=True)`` or a ``Masking``, passes from layer to layer, and is used by
recurrent layers, ``GlobalAveragePooling1D`` and attention. Keras 2 and 3 differ:

- ``Rescaling``, ``Normalization`` and ``Identity`` drop the mask in Keras 2 only.
- For several operands, Keras 2 takes the masks that exist and combines them with AND. Keras 3 takes none if one is
  missing, and combines them with OR.
- In Keras 3 a recurrent layer with an initial state gets no mask by itself.
- For a fully masked row, a softmax gives equal parts in Keras 2 and zeros in Keras 3.
- ``Multiply``, ``Maximum`` and ``Minimum`` of Keras 3 replace masked entries by 1, or by the other operand. They get
  copies of their operands, which have no masks.
- ``MultiHeadAttention`` of Keras 3 removes the masks from the tensors that it is called on, so later layers find none.
  That of Keras 2 does not see the mask of a tensor that it casts.

If the user of a mask would get another one, the mask is passed as an argument, or the layer is refused. In Keras 3
``MultiHeadAttention`` uses such a softmax only with dropout. With a mask it is therefore written without dropout, which
has no effect outside training. Its causal mask never masks a whole row. Source: ``compute_mask`` of the layers and
``Layer.__call__`` of tf_keras 2.21 and of Keras 3.15.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ....shapes.keras_facts import facts_of
from .constructs import Construct
from .context import Entry
from .layers import CLASSES
from .order import Layered, Read, in_order
from .tensors import Call, Old, leaves

# A mask as an expression: ("embedding", tensor), ("masking", tensor, value), ("and", masks) …; None: no mask.
Mask = Any

CONSTRUCTS = (
    Construct(
        "a mask through Add … of masked and other tensors", "computed by ops, given as mask=", "mask_of_a_sum"
    ),
    Construct(
        "MultiHeadAttention(dropout) with a mask",
        "dropout=0, which gives the same numbers",
        "masks_of_a_softmax",
    ),
    Construct(
        "Softmax with a mask, the scores of MultiHeadAttention with one", "refused", "masks_of_a_softmax"
    ),
    Construct(
        "MultiHeadAttention, Attention on sums of masked and other tensors",
        "the masks computed by ops, given as an argument",
        "masks_of_attention",
    ),
    Construct("a mask and an initial state", "computed by ops, given as mask=", "mask_and_state"),
    Construct(
        "Multiply, Maximum, Minimum of masked tensors", "the operands without their masks", "masked_products"
    ),
    Construct(
        "a mask through Rescaling, Normalization, Identity", "refused where it would be used", "mask_dropped"
    ),
)

_PASS = frozenset({
    "Activation", "ActivityRegularization", "AlphaDropout", "BatchNormalization", "Dense", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "GroupNormalization", "LayerNormalization", "LeakyReLU", "MultiHeadAttention",
    "PReLU", "ReLU", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "UnitNormalization",
})  # fmt: skip
_PASS_SINCE_3 = frozenset({"Rescaling", "Normalization", "Identity"})
_MERGES = frozenset({"Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract"})
_RECURRENT = frozenset(
    {"RNN", "LSTM", "GRU", "SimpleRNN", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "Bidirectional"}
)
_USERS = _RECURRENT | {
    "GlobalAveragePooling1D",
    "Attention",
    "AdditiveAttention",
    "MultiHeadAttention",
    "Softmax",
}
_TAKE_ONE = _RECURRENT | {"GlobalAveragePooling1D"}
_ATTENTION = frozenset({"Attention", "AdditiveAttention"})


class Pair(NamedTuple):
    """The mask of a tensor in Keras 2, and its mask in Keras 3."""

    old: Mask
    new: Mask


_NONE = Pair(None, None)
# Marks a mask that another call may have removed before.
_PERHAPS = "perhaps"


class Flow(NamedTuple):
    """The masks of a model, and the layers that need a change.

    Attributes:
        outputs: the masks of all tensors.
        given: the mask to pass to a call, by layer and call.
        refused: the names of layers that would get another mask.
        dropping: the names of attention layers with dropout that a mask reaches.
        bare: the calls (layer, call) of ``Multiply`` and similar layers that need operands without masks.
    """

    outputs: dict[Old, Pair]
    given: dict[tuple[str, int], Mask]
    refused: list[str]
    dropping: set[str]
    bare: set[tuple[str, int]]


def has_sources(entry: Any) -> bool:
    """Whether a mask starts anywhere in a model."""
    waiting = [entry]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            config = item.get("config")
            if item.get("class_name") == "Masking" or (
                isinstance(config, dict) and config.get("mask_zero") is True
            ):
                return True
            waiting += [value for value in item.values() if isinstance(value, (dict, list))]
    return False


def _has_users(entry: Any) -> bool:
    """Whether anything in an entry uses a mask."""
    waiting = [entry]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            class_name = item.get("class_name")
            if isinstance(class_name, str) and CLASSES.get(class_name, class_name) in _USERS:
                return True
            waiting += [value for value in item.values() if isinstance(value, (dict, list))]
    return False


def flow(layers: list[Layered], given: dict[Old, Pair], read: Read) -> Flow:
    """The masks of a model whose inputs have the masks ``given``."""
    result = Flow(dict(given), {}, [], set(), set())
    inside = any(pair != _NONE for pair in given.values())
    taken = _taken_off(layers)
    dtypes = {row.name: _compute_dtype(row.entry) for row in layers}
    for row, number in in_order(layers, given):
        casts = _is_attention(row.entry) and dtypes[row.name]

        def pair(ref: Any, here: tuple[str, int] = (row.name, number), dtype: Any = casts) -> Pair:
            found = result.outputs.get(ref, _NONE) if isinstance(ref, Old) else _NONE
            if found.new is not None and taken.get(ref, set()) - {here}:
                found = Pair(found.old, _perhaps(found.new))
            if dtype and isinstance(ref, Old) and dtypes.get(ref.layer) not in (None, dtype):
                found = Pair(None, found.new)
            return found

        _step(row, number, row.calls[number], result, read, inside, pair)
    return result


def _taken_off(layers: list[Layered]) -> dict[Old, set[tuple[str, int]]]:
    """The attention calls that remove the mask of a tensor in Keras 3, before or after its other uses."""
    found: dict[Old, set[tuple[str, int]]] = {}
    for row in layers:
        if not _holds_attention(row.entry):
            continue
        for number, call in enumerate(row.calls):
            for leaf in leaves((call.first, call.kwargs)):
                if isinstance(leaf, Old):
                    found.setdefault(leaf, set()).add((row.name, number))
    return found


def _is_attention(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("class_name") == "MultiHeadAttention"


def _holds_attention(entry: Any) -> bool:
    """Whether an entry is a ``MultiHeadAttention``, or contains one."""
    waiting = [entry]
    while waiting:
        item = waiting.pop()
        if _is_attention(item):
            return True
        if isinstance(item, (dict, list)):
            waiting += item.values() if isinstance(item, dict) else item
    return False


def _compute_dtype(entry: Entry) -> str | None:
    """The floating dtype that a layer computes in; None if it states none, like an operation of TensorFlow."""
    config = entry.get("config")
    dtype = config.get("dtype") if isinstance(config, dict) else None
    if isinstance(dtype, dict):
        inner = dtype.get("config")
        dtype = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(dtype, str) or not (dtype.startswith("mixed_") or "float" in dtype):
        return None
    return dtype.removeprefix("mixed_")


def _perhaps(mask: Mask) -> Mask:
    """The mask, marked as possibly removed."""
    return mask if mask[0] == _PERHAPS else (_PERHAPS, mask)


def _surely(mask: Mask) -> Mask:
    return mask[1] if mask is not None and mask[0] == _PERHAPS else mask


def _step(
    row: Layered,
    number: int,
    call: Call,
    result: Flow,
    read: Read,
    inside: bool,
    pair: Callable[[Any], Pair],
) -> None:
    firsts = [pair(leaf) for leaf in leaves(call.first)]
    class_name = str(row.entry.get("class_name"))
    class_name = CLASSES.get(class_name, class_name)
    here = Old(row.name, number, 0)
    if isinstance(row.entry.get("config"), (dict, list)) and class_name in (
        "Functional",
        "Model",
        "Sequential",
    ):
        _into_model(row, number, call, result, read, pair)
        return
    config = row.entry.get("config")
    config = config if isinstance(config, dict) else {}
    explicit = call.kwargs.get("mask")
    if isinstance(explicit, Old):
        firsts = [Pair(("given", explicit), ("given", explicit))] * max(len(firsts), 1)
    everything = firsts + [pair(leaf) for leaf in leaves(call.kwargs)]
    if class_name in _USERS and any(each != _NONE for each in everything):
        firsts = _use(row, number, call, class_name, firsts, everything, result, inside, pair)
    if any(each.old is not None for each in everything):
        if drops(row.entry):
            result.dropping.add(row.name)
        if softens(class_name, config, call):
            result.refused.append(row.name)
    if facts_of(class_name).fills_masked and any(each.new is not None for each in firsts):
        if inside:
            result.refused.append(row.name)
        result.bare.add((row.name, number))
        firsts = [Pair(each.old, None) for each in firsts]
    if class_name == "TimeDistributed" and firsts and firsts[0] != _NONE and _has_users(config.get("layer")):
        result.refused.append(row.name)  # masks of single steps are not followed
    _set(result, here, _outputs(class_name, config, call, firsts, here))


_MASKS_OF_CALLS = ("mask", "attention_mask", "query_mask", "key_mask", "value_mask")


def softens(class_name: Any, config: Any, call: Call) -> bool:
    """Whether a layer has a softmax that gives zeros for a fully masked row in Keras 3, and equal parts in Keras 2.

    ``MultiHeadAttention`` without dropout is one operation in Keras 3, which gives equal parts. This does not hold if
    it returns its scores, or attends along several axes: by default all between the first and the last of its query.
    """
    if class_name != "MultiHeadAttention" or not isinstance(config, dict):
        return bool(class_name == "Softmax")
    axes, shape = config.get("attention_axes"), config.get("query_shape")
    one_axis = axes in ([1], 1) or (axes is None and isinstance(shape, list) and len(shape) == 3)
    return not one_axis or bool(call.kwargs.get("return_attention_scores"))


def has_a_mask(call: Call) -> bool:
    """Whether a call is given a mask."""
    return any(call.kwargs.get(name) is not None for name in _MASKS_OF_CALLS)


def drops(entry: Entry) -> bool:
    """Whether a layer is a ``MultiHeadAttention`` with dropout."""
    config = entry.get("config")
    if entry.get("class_name") != "MultiHeadAttention" or not isinstance(config, dict):
        return False
    return config.get("dropout") not in (None, 0)


def _use(
    row: Layered,
    number: int,
    call: Call,
    class_name: str,
    firsts: list[Pair],
    everything: list[Pair],
    result: Flow,
    inside: bool,
    pair: Callable[[Any], Pair],
) -> list[Pair]:
    """Compare the masks that a user gets in Keras 2 and 3. Returns the resulting masks of its first argument."""
    if class_name not in _TAKE_ONE:
        if any(each.old != each.new for each in everything):
            needed = None if inside else _of_attention(class_name, call, firsts, pair)
            if needed is None:
                result.refused.append(row.name)
            else:
                result.given[row.name, number] = needed
        return firsts
    first = firsts[0] if firsts else _NONE
    stated = isinstance(call.kwargs.get("mask"), Old)
    has_state = isinstance(call.first, list) or call.kwargs.get("initial_state") is not None
    arrives = first.new if stated or not has_state else None
    if arrives == first.old:
        return firsts
    if inside or not _expressible(first.old):
        result.refused.append(row.name)
        return firsts
    result.given[row.name, number] = first.old
    return [Pair(first.old, first.old)]


def _of_attention(class_name: str, call: Call, firsts: list[Pair], pair: Callable[[Any], Pair]) -> Mask:
    """The mask argument that gives attention the masks of Keras 2 if some do not arrive; None if there is none.

    ``MultiHeadAttention`` combines the masks of query, value and key with its own. Source:
    ``_compute_attention_mask`` (tf_keras 2.21) and ``call`` of Keras 3.15, which takes the mask of the query from the
    query alone.
    """
    if call.kwargs.get("mask") is not None:
        return None
    if class_name in _ATTENTION:
        kind, pairs = "operands", firsts
        if not isinstance(call.first, list) or len(pairs) not in (2, 3):
            return None
    else:
        named = [call.kwargs.get(name) for name in ("value", "key")]
        operands = [call.first, *(each for each in named if each is not None)]
        if class_name != "MultiHeadAttention" or not all(isinstance(each, Old) for each in operands):
            return None
        kind, pairs = "attention", [pair(each) for each in operands]
    old = [each.old for each in pairs]
    if any(_surely(each.new) not in (None, each.old) for each in pairs):
        return None
    if not all(mask is None or _expressible(mask) for mask in old):
        return None
    if kind == "operands":
        return kind, tuple(old[:2])
    return kind, old[0], tuple(dict.fromkeys(old[1:])), call.kwargs.get("attention_mask")


def _outputs(
    class_name: str, config: dict[str, Any], call: Call, firsts: list[Pair], here: Old
) -> list[Pair]:
    first = firsts[0] if firsts else _NONE
    found: Mask
    if class_name == "Embedding":
        found = ("embedding", call.first) if config.get("mask_zero") is True else None
        return [Pair(found, found)]
    if class_name == "Masking":
        found = ("masking", call.first, config.get("mask_value", 0.0))
        return [Pair(found, found)]
    if class_name in _PASS:
        return [first, _NONE]
    if class_name in _PASS_SINCE_3:
        return [Pair(None, first.new)]
    if class_name in _MERGES:
        return [_merged(firsts)]
    if class_name == "Concatenate":
        return [_joined(firsts, config.get("axis", -1))]
    if class_name in _ATTENTION:
        return [first, _NONE]
    if class_name in _RECURRENT:
        inner = config.get("layer") if class_name == "Bidirectional" else {"config": config}
        settings = inner.get("config") if isinstance(inner, dict) else None
        goes_on = isinstance(settings, dict) and settings.get("return_sequences") is True
        both = class_name == "Bidirectional" and config.get("merge_mode") is None
        return [first, first if both else _NONE] if goes_on else [_NONE]
    if class_name == "TimeDistributed":
        return [_each_step(config.get("layer"), first, here)]
    return [_NONE]


def _each_step(held: Any, first: Pair, here: Old) -> Pair:
    """The masks after a ``TimeDistributed``. An inner layer that makes, uses or drops a mask is not followed."""
    class_name = held.get("class_name") if isinstance(held, dict) else None
    class_name = CLASSES.get(str(class_name), str(class_name))
    if class_name in _USERS or class_name == "Masking" or has_sources(held):
        return Pair(("steps of Keras 2", here), ("steps of Keras 3", here))
    return first


def _merged(firsts: list[Pair]) -> Pair:
    old = frozenset(each.old for each in firsts if each.old is not None)
    new = frozenset(_surely(each.new) for each in firsts)
    if None in new:
        return Pair(_of("and", old), None)
    found = _of("or", new)
    lost = found is not None and any(each.new != _surely(each.new) for each in firsts)
    return Pair(_of("and", old), _perhaps(found) if lost else found)


def _of(kind: str, masks: frozenset[Mask]) -> Mask:
    if len(masks) < 2:
        return next(iter(masks), None)
    return kind, masks


def _joined(firsts: list[Pair], axis: Any) -> Pair:
    old, new = [each.old for each in firsts], [each.new for each in firsts]
    if not any(old) and not any(new):
        return _NONE
    if axis == 1 and None not in old and old == new:
        found = ("one after the other", tuple(old))
        return Pair(found, found)
    if len(set(old)) == 1 and old == new and axis != 1:
        return Pair(old[0], old[0])
    kept = frozenset(mask for mask in old if mask is not None)
    return Pair(
        _of("and", kept) if axis != 1 else ("joined in Keras 2", tuple(old)),
        ("joined in Keras 3", tuple(new)),
    )


def _into_model(
    row: Layered, number: int, call: Call, result: Flow, read: Read, pair: Callable[[Any], Pair]
) -> None:
    rows, inputs, ends = read(row.entry)
    arriving = [pair(leaf) for leaf in leaves(call.first)]
    given = {ref: arriving[k] if k < len(arriving) else _NONE for k, ref in enumerate(inputs)}
    inner = flow(rows, given, read)
    if any(each != _NONE for each in arriving) and (inner.refused or inner.given or inner.dropping):
        result.refused.append(row.name)
    outside = {mask for each in arriving for mask in each}

    def renamed(mask: Mask) -> Mask:
        return mask if mask is None or mask in outside else ("inside", row.name, number, mask)

    found = [inner.outputs.get(ref, _NONE) for ref in leaves(ends)]
    for each, outer in enumerate(found):
        result.outputs[Old(row.name, number, each)] = Pair(renamed(outer.old), renamed(outer.new))
    result.outputs.setdefault(Old(row.name, number, 0), _NONE)


def _set(result: Flow, here: Old, found: list[Pair]) -> None:
    for output, pair in enumerate(found):
        result.outputs[here._replace(output=output)] = pair


def _expressible(mask: Mask) -> bool:
    if mask is None:
        return False  # no argument means "no mask"
    if mask[0] == "and":
        return all(_expressible(part) for part in mask[1])
    return mask[0] == "given" or (mask[0] in ("embedding", "masking") and isinstance(mask[1], Old))


def argument(mask: Mask, emitter: Any) -> dict[str, Any]:
    """The keyword argument that passes a mask of ``Flow.given`` to a call."""
    if mask[0] == "operands":
        return {"mask": [None if each is None else emitted(each, emitter) for each in mask[1]]}
    if mask[0] != "attention":
        return {"mask": emitted(mask, emitter)}
    _, query, others, own = mask
    parts = [] if query is None else [emitter.op("ExpandDims", emitted(query, emitter), config={"axis": -1})]
    parts += [
        emitter.op("ExpandDims", emitted(each, emitter), config={"axis": 1})
        for each in others
        if each is not None
    ]
    if own is not None:
        parts.append(emitter.op("Cast", own, config={"dtype": "bool"}))
    total = parts[0]
    for part in parts[1:]:
        total = emitter.op("LogicalAnd", total, part)
    return {"attention_mask": total}


def emitted(mask: Mask, emitter: Any) -> Any:
    """The tensor of a mask, computed by appended operations."""
    if mask[0] == "given":
        return mask[1]
    if mask[0] == "embedding":
        return emitter.op("NotEqual", mask[1], 0)
    if mask[0] == "masking":
        return emitter.op(
            "Any", emitter.op("NotEqual", mask[1], mask[2]), config={"axis": -1, "keepdims": False}
        )
    first, *rest = sorted(mask[1], key=repr)
    total = emitted(first, emitter)
    for part in rest:
        total = emitter.op("LogicalAnd", total, emitted(part, emitter))
    return total
