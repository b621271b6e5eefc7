"""Every way to break a valid model before one of its products, found by walking the graph in its config.json.

A mutation is an edit of a parsed config. Nodes are found by class and position, never by name. The removed or altered
node is upstream of an operand of a binary node, with only elementwise layers in between. Recorded shapes are updated
up to the product; downstream they keep the old values, as in a file that was edited.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.mutation.edits import (
    MERGES,
    OPS,
    Config,
    contract,
    locate,
    references,
    refresh_build_config,
    turn,
)

Shape = list[int | None]
Edit = Callable[[Config], None]

KINDS = ("drop", "alter", "layout", "squeeze", "turn", "contraction", "several")
CONTRACTIONS = ("Matmul", "Dot", "Einsum")
SHAPERS = frozenset(
    [
        "Reshape",
        "Permute",
        "RepeatVector",
        "Flatten",
        "UpSampling1D",
        "UpSampling2D",
        "UpSampling3D",
        "Transpose",
        "ExpandDims",
        "Squeeze",
        "Tile",
        "Repeat",
        "Moveaxis",
        "Swapaxes",
        "BroadcastTo",
        "GetItem",
    ]
)
ELEMENTWISE = frozenset(
    [
        "Activation",
        "ReLU",
        "LeakyReLU",
        "ELU",
        "Dropout",
        "Rescaling",
        "Sigmoid",
        "HardSigmoid",
        "Tanh",
        "Relu",
        "Relu6",
        "Exp",
        "Negative",
        "Cast",
        "Square",
        "Sqrt",
        "Rsqrt",
    ]
)
_MOST_ALTERATIONS = 2


@dataclass(frozen=True)
class Mutation:
    """An edit: its kind, the paths of its products, a description, and its parts if it combines mutations."""

    kind: str
    at: tuple[str, ...]
    what: str
    edit: Edit
    parts: tuple[Mutation, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.kind} at {', '.join(self.at)}: {self.what}"


@dataclass(frozen=True)
class Spot:
    """One operand of one call of a node."""

    path: str
    call: int
    operand: int


@dataclass
class Chain:
    """The path to an operand: references and elementwise nodes, nearest first, up to a node that changes the shape.

    ``shaper`` is that node, ``source`` the reference to its input.
    """

    links: list[Config]
    users: list[Config]
    shaper: Config
    source: Config

    def reshaped(self, shape: Shape) -> None:
        """Record this shape in the references between the node and the operand."""
        for link in self.links:
            link["shape"] = list(shape)
        for user in self.users[1:]:
            user.pop("build_config", None)
        refresh_build_config(self.users[0])


def mutations(config: Config, ops: str = "multiply") -> list[Mutation]:
    """Every mutation of a model.

    Args:
        ops: `multiply`, or `all`: also before the other merges, contractions and Concatenate.
    """
    found: list[Mutation] = []
    wanted = MERGES[:1] if ops == "multiply" else (*MERGES, *CONTRACTIONS, "Concatenate")
    for path, node in nodes(config):
        kind = node["class_name"]
        if kind in wanted and all(len(list(references(c))) > 1 for c in node["inbound_nodes"]):
            found += _at_product(config, path, node)
        if kind in CONTRACTIONS and len(node["inbound_nodes"]) == 1:
            found += _with_turn([Mutation("contraction", (path,), kind, partial(_contract, path))])
    found += _several(found)
    return found


def nodes(config: Config, prefix: str = "") -> Iterator[tuple[str, Config]]:
    """Every called node of a model and of its nested models, with its path."""
    for node in config["config"].get("layers", ()):
        path = prefix + node["config"]["name"]
        if "input_layers" in node["config"]:
            yield from nodes(node, path + "/")
        elif node.get("inbound_nodes"):
            yield path, node


# -- mutations at a product -----------------------------
def _at_product(config: Config, path: str, node: Config) -> Iterator[Mutation]:
    base: list[Mutation] = []
    for call, entry in enumerate(node["inbound_nodes"]):
        refs = list(references(entry))
        drops: list[Edit] = []
        for operand, reference in enumerate(refs):
            spot = Spot(path, call, operand)
            chain = find_chain(config, spot)
            if chain is not None:
                name = chain.shaper["class_name"]
                drops.append(partial(_drop, spot))
                base.append(Mutation("drop", (path,), f"{name} of operand {operand}", drops[-1]))
                if _second(config, chain) is not None:
                    both = f"{name} and what it takes of operand {operand}"
                    base.append(Mutation("drop", (path,), both, _all([drops[-1], drops[-1]])))
                for text, edit in itertools.islice(_alterations(spot, chain), _MOST_ALTERATIONS):
                    base.append(Mutation("alter", (path,), f"{name} of operand {operand} to {text}", edit))
            if find_chain(config, spot, _keeps_axes) is not None:
                base.append(
                    Mutation("squeeze", (path,), f"keepdims of operand {operand}", partial(_lose, spot))
                )
            shape = reference["shape"]
            if 1 in shape[1:]:
                base.append(Mutation("squeeze", (path,), f"operand {operand}", partial(_squeeze, spot)))
            if len(shape) > 2 and any(n != 1 for n in shape[1:]):
                base.append(Mutation("layout", (path,), f"operand {operand}", partial(_turn_layout, spot)))
        if len(drops) > 1:
            base.append(Mutation("drop", (path,), "before every operand", _all(drops)))
    yield from _with_turn(base) if _turns(node) else base
    if _turns(node):
        yield Mutation("turn", (path,), "layer or operation", partial(_turn, path))


def _turns(node: Config) -> bool:
    return node["class_name"] in MERGES and all(
        len(list(references(call))) == 2 for call in node["inbound_nodes"]
    )


def _with_turn(base: list[Mutation]) -> list[Mutation]:
    """Each mutation as it is, and with the product turned from a layer to an operation or back."""
    turned = [
        Mutation(m.kind, m.at, f"{m.what}, turned", _all([m.edit, partial(_turn, m.at[0])])) for m in base
    ]
    return [*base, *turned]


def _several(found: list[Mutation]) -> Iterator[Mutation]:
    """Combined mutations: the first removal at every product, all at once."""
    for kinds in (("drop",), ("squeeze",), ("drop", "squeeze", "contraction")):
        for turned in (False, True):
            chosen = [m for m in found if m.kind in kinds and m.what.endswith(", turned") is turned]
            first = {m.at: m for m in reversed(chosen)}
            if len(first) > 1:
                yield Mutation(
                    "several",
                    tuple(at for (at,) in first),
                    " or ".join(kinds) + (", turned" if turned else ""),
                    _all([m.edit for m in first.values()]),
                    tuple(first.values()),
                )


def _all(edits: list[Edit]) -> Edit:
    def edit(config: Config) -> None:
        for one in edits:
            one(config)

    return edit


# -- the path to an operand -----------------------------
def _makes_shape(node: Config) -> bool:
    """Whether a node only reshapes its input. A node that selects elements does not count: shapes cannot restore it."""
    return node["class_name"] in SHAPERS and not (node["class_name"] == "GetItem" and _selects(node))


def _selects(node: Config) -> bool:
    """Whether an index of a GetItem is a number, or a slice with an end."""
    (call,) = node["inbound_nodes"]
    _, key = (*call["args"], call["kwargs"].get("key"))[:2]
    for item in key if isinstance(key, list) else [key]:
        if isinstance(item, dict) and item.get("class_name") == "__slice__":
            item = next((end for end in item["config"].values() if end is not None), None)
        if isinstance(item, int):
            return True
    return False


def _keeps_axes(node: Config) -> bool:
    return node["config"].get("keepdims") is True


def find_chain(config: Config, spot: Spot, wanted: Callable[[Config], bool] = _makes_shape) -> Chain | None:
    """The nearest wanted node upstream of an operand, with the chain between them, or None."""
    scope, node = locate(config, spot.path)
    links = [list(references(node["inbound_nodes"][spot.call]))[spot.operand]]
    users = [node]
    while True:
        producer = _producer(scope, links[-1])
        taken = list(references(producer["inbound_nodes"][links[-1]["keras_history"][1] :][:1]))
        if len(taken) != 1:
            return None
        if wanted(producer):
            return Chain(links, users, producer, taken[0])
        if producer["class_name"] not in ELEMENTWISE or _uses(scope, producer["config"]["name"]) > 1:
            return None
        links.append(taken[0])
        users.append(producer)


def _second(config: Config, chain: Chain) -> Config | None:
    """The shape-changing node directly before that of the chain, or None."""
    name = chain.source["keras_history"][0]
    found = [node for _, node in nodes(config) if node["config"]["name"] == name]
    return found[0] if found and _makes_shape(found[0]) else None


def _producer(scope: Config, reference: Config) -> Config:
    name = reference["keras_history"][0]
    return next(node for node in scope["layers"] if node["config"]["name"] == name)


def _uses(scope: Config, name: str) -> int:
    """How often a node's result is used, also as a model output."""
    taken = sum(
        r["keras_history"][0] == name for n in scope["layers"] for r in references(n["inbound_nodes"])
    )
    return taken + str(scope["output_layers"]).count(repr(name))


# -- edits -----------------------------
def _drop(spot: Spot, config: Config) -> None:
    scope, _ = locate(config, spot.path)
    chain = find_chain(config, spot)
    if chain is None:
        raise ValueError(f"{spot.path}: nothing makes the shape of operand {spot.operand}")
    chain.links[-1].update(copy.deepcopy(chain.source))
    chain.reshaped(chain.source["shape"])
    if not _uses(scope, chain.shaper["config"]["name"]):
        scope["layers"].remove(chain.shaper)


def _alter(spot: Spot, key: str, value: Any, shape: Shape, config: Config) -> None:
    scope, _ = locate(config, spot.path)
    chain = find_chain(config, spot)
    assert chain is not None
    _own_copy(scope, chain)["config"][key] = value
    chain.reshaped(shape)


def _alterations(spot: Spot, chain: Chain) -> Iterator[tuple[str, Edit]]:
    """Other arguments for a shape-changing node, without those that give the same result."""
    now, before = chain.links[-1]["shape"], chain.source["shape"]
    for key, value, shape in _other_arguments(chain.shaper, before, now):
        if shape != now or chain.shaper["class_name"] in ("Permute", "Transpose"):
            yield f"{key}={value}", partial(_alter, spot, key, value, shape)


def _other_arguments(shaper: Config, before: Shape, now: Shape) -> Iterator[tuple[str, Any, Shape]]:
    config = shaper["config"]
    kind = shaper["class_name"]
    if kind == "Reshape":
        key = "target_shape" if "target_shape" in config else "newshape"
        first = 0 if key == "target_shape" else 1
        target = list(config[key])
        for order in _orders(len(target) - first):
            tail = [target[first + i] for i in order]
            yield key, target[:first] + tail, [now[0], *(now[1 + i] for i in order)]
    elif kind == "Permute":
        for order in _orders(len(now) - 1):
            dims = [i + 1 for i in order]
            if dims != list(config["dims"]):
                yield "dims", dims, [before[0], *(before[d] for d in dims)]
    elif kind == "Transpose" and config.get("axes"):
        for order in _orders(len(now) - 1):
            axes = [0, *(i + 1 for i in order)]
            if axes != list(config["axes"]):
                yield "axes", axes, [before[a] for a in axes]
    elif kind == "ExpandDims":
        for axis in range(1, len(now)):
            yield "axis", axis, [*before[:axis], 1, *before[axis:]]
    elif kind.startswith("UpSampling"):
        size = config["size"]
        each = [size] if isinstance(size, int) else list(size)
        if all(n % 2 == 0 for n in each) and max(each) > 2:
            half = [n // 2 for n in each]
            first = 2 if config.get("data_format") == "channels_first" else 1
            shape = list(now)
            for i, n in enumerate(half):
                shape[first + i] = None if before[first + i] is None else before[first + i] * n
            yield "size", half[0] if isinstance(size, int) else half, shape


def _orders(rank: int) -> list[tuple[int, ...]]:
    """Orders of the axes other than the identity: the two changes of layout first, then the rest."""
    layouts = [(rank - 1, *range(rank - 1)), (*range(1, rank), 0)]
    rest = itertools.islice(itertools.permutations(range(rank)), 24)
    return [o for o in dict.fromkeys([*layouts, *rest]) if o != tuple(range(rank))]


def _lose(spot: Spot, config: Config) -> None:
    """Set keepdims of a reduction to False; other users of it keep the old node."""
    scope, _ = locate(config, spot.path)
    chain = find_chain(config, spot, _keeps_axes)
    assert chain is not None
    lost = _own_copy(scope, chain)
    lost["config"]["keepdims"] = False
    rank = len(chain.links[-1]["shape"])
    axes = lost["config"].get("axis")
    if "axis" not in lost["config"]:  # a pooling layer
        axes = range(2, rank) if lost["config"].get("data_format") == "channels_first" else range(1, rank - 1)
    gone = {a % rank for a in ([axes] if isinstance(axes, int) else axes or range(rank))}
    chain.reshaped([n for i, n in enumerate(chain.links[-1]["shape"]) if i not in gone])


def _own_copy(scope: Config, chain: Chain) -> Config:
    """The node of the chain, as a copy if it has other users."""
    node = chain.shaper
    if _uses(scope, node["config"]["name"]) > 1:
        node = copy.deepcopy(node)
        node["name"] = node["config"]["name"] = node["config"]["name"] + "_altered"
        chain.links[-1]["keras_history"][0] = node["name"]
        scope["layers"].append(node)
    node.pop("build_config", None)
    return node


def _squeeze(spot: Spot, config: Config) -> None:
    scope, node = locate(config, spot.path)
    reference = list(references(node["inbound_nodes"][spot.call]))[spot.operand]
    axes = [i for i, n in enumerate(reference["shape"]) if i and n == 1]
    kept = [n for i, n in enumerate(reference["shape"]) if i not in axes]
    _insert(scope, node, reference, "Squeeze", {"axis": axes}, kept)


def _turn_layout(spot: Spot, config: Config) -> None:
    """Transpose an operand from channels last to channels first, or back if the model is channels first."""
    scope, node = locate(config, spot.path)
    reference = list(references(node["inbound_nodes"][spot.call]))[spot.operand]
    rank = len(reference["shape"])
    formats = [n["config"].get("data_format") for _, n in nodes(config)]
    if formats.count("channels_first") > formats.count("channels_last"):
        axes = [0, *range(2, rank), 1]
    else:
        axes = [0, rank - 1, *range(1, rank - 1)]
    _insert(scope, node, reference, "Transpose", {"axes": axes}, [reference["shape"][a] for a in axes])


def _insert(
    scope: Config, node: Config, reference: Config, kind: str, arguments: Config, shape: Shape
) -> None:
    """Insert an operation before one operand."""
    names = {n["config"]["name"] for n in scope["layers"]}
    name = next(n for k in itertools.count() if (n := f"{kind.lower()}_{k}") not in names)
    source = {"class_name": "__keras_tensor__", "config": copy.deepcopy(reference)}
    scope["layers"].append(
        {
            "module": OPS,
            "class_name": kind,
            "config": {"name": name, **arguments},
            "registered_name": kind,
            "name": name,
            "inbound_nodes": [{"args": [source], "kwargs": {}}],
        }
    )
    reference.update({"shape": shape, "keras_history": [name, 0, 0]})
    refresh_build_config(node)


def _turn(path: str, config: Config) -> None:
    turn(locate(config, path)[1])


def _contract(path: str, config: Config) -> None:
    contract(locate(config, path)[1])
