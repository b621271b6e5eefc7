"""The stages at which findings are decided, in their real order, and the words for each.

``STAGES`` is the one table of them: the documentation, ``explain``, the JSON and every ``why`` are made from it.
``REMARKS`` words the reasons why the best reading is not chosen, and the notes that are added to a decision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .candidate import Remark
from .decision import Decision, Stage, quoted

Details = Mapping[str, Any]


def why(decision: Decision) -> str:
    """A decision in words, its notes at the end."""
    return "; ".join(
        text for text in (decision.stage.sentence(decision), *map(worded, decision.notes)) if text
    )


def worded(item: Remark) -> str:
    return REMARKS[item.name](item.details)


# -- the sentences of the stages -----------------------------
def _rule(decision: Decision) -> str:
    assert decision.candidate is not None
    return decision.candidate.rule


def _unproven(decision: Decision) -> str:
    told = ", or --at" if decision.details.get("readings") else ""
    return f"it may be right as written; a repair needs evidence{told}"


def _only(decision: Decision) -> str:
    assert decision.candidate is not None
    others = decision.details.get("unless_asked", ())
    fits = f"is the only {'other ' if decision.details.get('runs') else ''}placement that fits"
    if others:
        fits += f" unless --at states {' or '.join(c.rule for c in others)}"
    return f"{_rule(decision)} {fits}; {decision.candidate.evidence[0]}"


def _preferred(decision: Decision) -> str:
    best, second = decision.candidate, decision.rivals[0]
    assert best is not None
    assert decision.evidence is not None
    ours, theirs = (best.rule, second.rule) if best.rule != second.rule else (best.equation, second.equation)
    return f"{ours} is preferred over {theirs}: {decision.evidence.prefers}; {best.evidence[0]}"


def _tie(decision: Decision) -> str:
    assert decision.candidate is not None
    readings = dict.fromkeys(f"'{c.equation}'" for c in (decision.candidate, *decision.rivals))
    return f"a tie: {' and '.join(readings)} fit equally well, and no evidence separates them"


def _not_chosen(decision: Decision) -> str:
    """The best reading, and why it is not chosen."""
    assert decision.reason is not None
    return f"{_rule(decision)} fits best, but {worded(decision.reason)}"


def _joint_tie(decision: Decision) -> str:
    answers = decision.details["answers"]
    texts = [" with ".join(f"{c.equation} at {quoted(path)}" for path, c in a.items()) for a in answers[:2]]
    more = f" (and {len(answers) - 2} more)" if len(answers) > 2 else ""
    tie = "a joint tie" if len(answers[0]) > 1 else "a tie"
    return f"{tie}: {' or '.join(texts)}{more}: both run downstream"


def _together(decision: Decision) -> str:
    names = ", ".join(map(quoted, decision.nodes))
    return f" (decided together with {names})" if names else ""


def _batches(decision: Decision) -> str:
    d = decision.details
    said = (
        f"nothing shows which of the {d['number']} samples of {_operand(d['fixed'])} go with which of "
        f"{_operand(d['other'])}"
    )
    batch = f"give every input the batch {d['number']}"
    if d["fixed"] is None:
        return f"{said}: store one sample of it, which can be repeated, or {batch}"
    return f"{said}: leave the batch of both open (batch_size=None), or {batch}"


def _operand(source: str | None) -> str:
    return "the constant" if source is None else quoted(source)


def _lost(decision: Decision) -> str:
    sources = " and ".join(map(quoted, decision.details["sources"]))
    stated = "; ".join(decision.details["stated"])
    text = f"a Reshape is missing between {sources} and it: {stated}"
    return f"{text}; {worded(decision.reason)}" if decision.reason is not None else text


def _best(decision: Decision) -> str:
    return f"first-ranked of {1 + len(decision.rivals)} candidates (best mode): {_before(decision)}"


def _before(decision: Decision) -> str:
    assert decision.before is not None
    return why(decision.before)


def _says(text: str) -> Callable[[Decision], str]:
    return lambda decision: text


# -- at the node, from its operands -----------------------------
FOUND = Stage("found", "a fault is found", _says(""))
UNPROVEN = Stage(
    "unproven",
    "nothing proves that the operands fit, or that they do not",
    _unproven,
)
NOT_ANALYSED = Stage(
    "not-analysed",
    "an operand is not known",
    _says("nothing can be said without knowing its operands"),
)
BATCHES = Stage("batches", "batches of several samples that nothing shows to belong together", _batches)
UNLISTED = Stage(
    "no-reading", "no reading fits the operands", _says("no rule describes a product of such operands")
)
NO_EVIDENCE = Stage(
    "no-evidence",
    "every reading transposes, regroups or sums an operand, and only sizes are evidence for it",
    _says(
        "every reading sums, transposes an operand or changes the rank, and no recorded shape or downstream layer "
        "requires its result"
    ),
)
TIE = Stage("tie", "several readings that no evidence separates", _tie)
CLAIMED = Stage("claimed", "the best reading rests on a shape that only the file states", _not_chosen)
DOUBTED = Stage("doubted", "a reason against the best reading that only the user can judge", _not_chosen)
ONLY = Stage("only", "one reading is left", _only, chooses=True)
EVIDENCE = Stage(
    "evidence",
    "one reading is ahead of all others in the first kind of evidence in which they differ",
    _preferred,
    chooses=True,
)
CONTEXTS = Stage(
    "contexts",
    "the nested model around the node is called on shapes that need different repairs",
    _says("the model that it is in is called on operands of different shapes, which need different repairs"),
)

OPAQUE = Stage(
    "opaque",
    "the node's code is not in the file, or is not run",
    _says("its code is not in the file, or is not run; its recorded shape is used"),
    stays=True,
)
UNTRACED = Stage(
    "untraced",
    "the node's code was run (`--trust`), and could not be traced",
    _says("its code was run, and could not be traced; its recorded shape is used"),
    stays=True,
)
CALLED_BY_CODE = Stage(
    "called-by-code",
    "code of a model in memory, not its graph, determines what it computes",
    _says("code is not run: check it yourself"),
    stays=True,
)

# -- from the nodes downstream -----------------------------
JOINT_TIE = Stage("joint-tie", "several readings with which everything downstream runs", _joint_tie)
FILE_AGAINST = Stage(
    "file-against", "the shapes of `build_config`, or the losses, agree with another reading", _not_chosen
)
DOWNSTREAM = Stage(
    "downstream",
    "all other readings leave a node downstream that cannot run with its trained weights; nodes that reach the same "
    "ones are decided together",
    lambda d: f"every other reading fails downstream: at {d.fault}{_together(d)}",
    chooses=True,
)
CONFLICTS = Stage(
    "conflicts",
    "all other readings cause more role conflicts downstream",
    lambda d: f"every other reading causes a role conflict downstream: at {d.fault}{_together(d)}",
    chooses=True,
)
REOPENED = Stage(
    "reopened", "a choice above a node that cannot run is searched again together with it", _before
)
REFUTED = Stage("refuted", "a choice with which a node downstream cannot run is withdrawn", _not_chosen)
TURNED = Stage(
    "turned",
    "a choice is withdrawn where layers downstream take the axes of its result in another order",
    _not_chosen,
)
WAITS = Stage(
    "waits",
    "the operands rest on a node above that is not decided",
    lambda d: f"{quoted(d.nodes[0])} above it is not decided; each of its readings gives this shape",
)
MENDS = Stage(
    "mends",
    "a contraction runs, and is the only one whose other reading leaves no fault downstream",
    lambda d: f"no other contraction above the fault repairs it (at {d.fault}); {_before(d)}",
    chooses=True,
)

# -- nodes at which nothing is inserted, or a lost Reshape -----------------------------
OTHER_FAMILY = Stage(
    "other-operation",
    "a sum, a contraction or a join is not changed without `--ops all`",
    lambda d: (
        "it is not a multiply: nothing is inserted here; "
        + ("--ops all may change it: " if d.details["candidates"] else "")
        + _before(d)
    ),
    stays=True,
)
OTHER_NODE = Stage(
    "other-node",
    "a node of another kind cannot run",
    _says("nothing is inserted at a node of its kind"),
    stays=True,
)
LOST = Stage(
    "lost-reshape",
    "a node of another kind lost its Reshape: the call and `build_config` record the same shape",
    _lost,
    chooses=True,
)
LOST_DOUBTED = Stage("lost-reshape-doubted", "the same, and not both of them record it", _lost)
LOST_UNASKED = Stage(
    "lost-reshape-unasked", "the same, without `--ops all` or with no node to write", _lost, stays=True
)

# -- choices of the user -----------------------------
IN_A_BODY = Stage(
    "in-a-body",
    "the node is in the body of an If, a Loop or a Scan, where nothing is inserted",
    lambda d: f"{NOTHING_IN_A_BODY}; {_before(d)}",
    stays=True,
)
IN_CODE = Stage(
    "in-code",
    "the code of a layer computes the node (`--trust`), and no code is changed",
    lambda d: f"{in_code(d.details['line'])}; {_before(d)}",
    stays=True,
)
BEST = Stage("best", "`--mode best` takes the first reading that can be written", _best, chooses=True)
STATED = Stage("stated", "`--at` or a plan states the reading", _says("stated by the user"), chooses=True)
LEFT = Stage("left", "a plan leaves the node as it is", _says("the plan leaves it unchanged"))
NOT_PLANNED = Stage("not-planned", "a plan does not decide the node", _says("the plan does not decide it"))
LEAVES_A_FAULT = Stage(
    "leaves-a-fault",
    "the node has a fault even with its repair: the choice is withdrawn",
    lambda d: f"a fault remains after the best reading: {d.details['message']}",
)

NOTHING_IN_A_BODY = "it is in the body of an If, a Loop or a Scan, where nothing is inserted"


def in_code(line: str) -> str:
    """Why nothing is inserted at a node that code computes, at this place (``file:line``)."""
    return f"the code of a layer computes it{f' ({line})' if line else ''}: change it there"


# -- two shapes without a model (``suggest``) -----------------------------
RUNS = Stage(
    "runs",
    "it runs unchanged",
    lambda d: (
        "it runs unchanged" + (f", joined along axis {d.details['joined']}" if "joined" in d.details else "")
    ),
)
PAIRS_OF_SAMPLES = Stage(
    "pairs-of-samples",
    "it runs on every pair of samples: the reading with one batch on both sides is preferred",
    lambda d: f"it runs, but on every pair of samples; with one batch on both sides it is {_rule(d)}",
    chooses=True,
)
REPEATS = Stage(
    "repeats",
    "the best reading repeats data",
    lambda d: f"{_rule(d)} fits, but only the producers can tell whether repeating data is meant",
)
OUTGROWS = Stage(
    "outgrows",
    "the result of the best reading is larger than the first operand",
    lambda d: (
        f"{_rule(d)} fits, but its result is larger than the first operand: nothing shows which operand is the data"
    ),
)
ONE_PRODUCT = Stage(
    "one-product",
    "all products that fit have one shape",
    lambda d: f"{_rule(d)} is the only product that fits",
    chooses=True,
)
SEVERAL_PRODUCTS = Stage(
    "several-products",
    "products of several shapes fit",
    _says("several products fit, and no evidence separates them"),
)
NO_PRODUCT = Stage("no-product", "no product fits", _says("no product of such operands is known"))
NOT_JOINED = Stage("not-joined", "the tensors cannot be joined", lambda d: str(d.details["message"]))

# Every stage, in the order in which findings reach it. A later one overrules earlier ones.
GROUPS: dict[str, tuple[Stage, ...]] = {
    "A node from its operands": (
        *(FOUND, UNPROVEN, NOT_ANALYSED, BATCHES, UNLISTED, NO_EVIDENCE, TIE),
        *(CLAIMED, DOUBTED, ONLY, EVIDENCE, CONTEXTS, OPAQUE, UNTRACED, CALLED_BY_CODE),
    ),
    "From the nodes downstream": (
        *(JOINT_TIE, FILE_AGAINST, DOWNSTREAM, CONFLICTS, REOPENED, REFUTED, TURNED, WAITS, MENDS),
    ),
    "Nodes that are not changed, and lost Reshapes": (
        *(OTHER_FAMILY, OTHER_NODE, LOST, LOST_DOUBTED, LOST_UNASKED),
    ),
    "Choices of the user": (IN_A_BODY, IN_CODE, BEST, LEFT, NOT_PLANNED, STATED),
    "After the repair": (LEAVES_A_FAULT,),
    "Two shapes without a model (`suggest`)": (
        *(RUNS, PAIRS_OF_SAMPLES, REPEATS, OUTGROWS, ONE_PRODUCT, SEVERAL_PRODUCTS, NO_PRODUCT, NOT_JOINED),
    ),
}
STAGES = tuple(stage for group in GROUPS.values() for stage in group)

# The decision of a new finding.
NOTHING_YET = Decision(FOUND)


# -- reasons and notes -----------------------------
def _names(items: Sequence[object]) -> str:
    return ", ".join(map(str, items))


def _value(value: Any) -> str:
    return f"({_names(value)})" if isinstance(value, (list, tuple)) else str(value)


def _arguments(d: Details) -> str:
    texts = [
        f"{a.argument} {_value(a.after)} in place of {_value(a.before)} at {quoted(a.path)}"
        for a in d["arguments"]
    ]
    texts += [f"{d['more']} more"] if d["more"] else []
    return f"the model would run with {' or with '.join(texts)}"


def _made(d: Details) -> str:
    makers = " and ".join(map(quoted, d["makers"]))
    if d["itself"]:
        return f"{makers} makes the {d['axis']} itself"
    return f"the {d['axis']} of {quoted(d['operand'])} comes from {makers}"


def _limit(d: Details) -> str:
    return worded(d["limit"])


REMARKS: dict[str, Callable[[Details], str]] = {
    # Why the best reading is not chosen.
    "assumed": lambda d: f"nothing proves that {_names(d['names'])} has one size on both sides",
    "against": lambda d: str(d["text"]),
    "claimed": lambda d: f"only the file states the shape of {quoted(d['node'])}: nothing proves it",
    "cropped": lambda d: "it drops entries, and nothing shows at which end",
    "sliced": lambda d: (
        "neither batch is a whole multiple of the other: nothing shows which samples belong together"
    ),
    "factors": lambda d: f"its axes are repeated by different factors ({_names(d['factors'])})",
    "repeated-kind": lambda d: (
        f"nothing shows that {d['axes'][0]} and {d['axes'][1]} are the same kind of axis"
    ),
    "one-sample": lambda d: (
        "an input states a batch of 1: it may be meant to be open, with a sample for each of the others"
    ),
    "only-sizes": lambda d: "only sizes are evidence for transposing an operand",
    "joins-elsewhere": lambda d: "joining along another axis fits as well as a transposed operand",
    "stale": lambda d: (
        "an operand that it transposes does not have the recorded shape: the fault may be above"
    ),
    "split": lambda d: "a Reshape made the axes that it reorders: that Reshape may be wrong instead",
    "empty-unit": lambda d: (
        "an operand's axis of size 1 was moved on purpose, and this reading does not use it"
    ),
    "changed-above": lambda d: (
        f"the file records ({', '.join(map(str, d['recorded']))}) for {quoted(d['operand'])} here, which it does not "
        "restore: an argument above may have changed"
    ),
    "stretch-unrecorded": lambda d: (
        "nothing shows whether the shorter side was stretched or the longer one cut"
    ),
    "stretch-made-above": lambda d: (
        f"{quoted(d['operand'])} makes the axis that it repeats: its strides may have changed instead"
    ),
    "turned-back": lambda d: "transposing the other operand back keeps the author's axis of size 1",
    "filled-elsewhere": lambda d: "another reading uses the author's axis of size 1",
    "restored-elsewhere": lambda d: "another reading gives an operand the shape that the file records for it",
    "before-or-after": lambda d: (
        f"its Transpose may belong before {quoted(d['node'])}, whose factors would then be for another axis"
    ),
    "steps-apart": lambda d: (
        "its result has the steps on two axes and another axis between them: the heads may belong in front"
    ),
    "turned-unit": lambda d: "transposed back, an operand has its axis of size 1 where the author wrote it",
    "moved-batch": lambda d: (
        "the author moved the batch of the operand that it transposes: pairs of samples may be meant"
    ),
    "fits-without": lambda d: "the operands also fit without the author's axis of size 1",
    "split-instead": lambda d: (
        f"{d['sizes'][1]} divides {d['sizes'][0]}: a Reshape that split this axis may be lost instead"
    ),
    "moved-unit": lambda d: (
        "it moves an axis of size 1 that the author wrote, and little else is evidence for it"
    ),
    "unit-of-layout": lambda d: "the author's axes of size 1 are for the other layout of the data",
    "fixes-size": lambda d: f"downstream an open size would have to be a number: at {d['fault']}",
    "recorded-otherwise": lambda d: f"at {d['fault']}; another reading gives what is recorded there",
    "cannot-run": lambda d: f"it fails downstream: at {d['fault']}; no evidence separates the others",
    "turned": lambda d: (
        f"its result has the axes in another order than downstream layers take them: at {d['fault']}"
    ),
    "regroups-the-other": lambda d: "flattening the other operand fits as well",
    "no-batch": lambda d: (
        f"the output {' and '.join(map(quoted, d['outputs']))} then has no batch: something downstream sums it"
    ),
    "twins": lambda d: (
        f"{quoted(d['kept'])} has one of several axes of {quoted(d['data'])} that have one size and role: factors "
        "along one are used along the other too"
    ),
    # Why a lost Reshape is not inserted.
    "lost-unwritten": lambda d: "nothing is inserted at such a node",
    "lost-claimed": lambda d: "only the file states the operand's own shape",
    "lost-regroups": lambda d: (
        "it would regroup the operand's axes, and only recorded shapes are evidence for that"
    ),
    "lost-other-record": lambda d: "the call itself records another shape",
    "lost-one-record": lambda d: "only the call records it, and no build_config does",
    "lost-above": lambda d: (
        f"{quoted(d['node'])} above was built on another rank too: it may be missing before that"
    ),
    "lost-softmax": lambda d: "a softmax over one entry gives 1 only: it may be missing before that",
    "lost-unasked": lambda d: "--ops all inserts it",
    # Possible repairs that insert no node.
    "many-axes": lambda d: (
        f"with {d['axes']} axes only the rules are tried, not every placement: state yours with --at"
    ),
    "several-operands": lambda d: (
        "each of three or more operands has to fit the largest: state another equation with --at"
    ),
    "projection": lambda d: (
        f"a projection from {d['sizes'][0]} to {d['sizes'][1]} would be a new Dense layer, whose weights the file does "
        "not have"
    ),
    "positions": lambda d: (
        f"{' and '.join(f'{a} against {b}' for a, b in d['sizes'])}: one side may be cropped or padded, or have lost a "
        "stride, and nothing shows which"
    ),
    "batches": lambda d: (
        f"batches of {d['sizes'][0]} and {d['sizes'][1]} samples: neither is a multiple of the other"
    ),
    # Limits of the search downstream.
    "not-searched": lambda d: f"the search downstream stopped early: {_limit(d)}",
    "no-reading-runs": lambda d: f"every reading fails downstream: at {d['fault']}",
    "orders-not-tried": lambda d: f"not every order of the result's axes was tried: {_limit(d)}",
    "readings-not-tried": lambda d: f"the readings were not all tried on the rest of the model: {_limit(d)}",
    "many-choices-above": lambda d: "too many choices above it to search them together",
    "most-nodes": lambda d: f"the limit of {d['nodes']} inferred nodes is reached",
    "most-answers": lambda d: f"there are more than {d['answers']} answers",
    "most-combinations": lambda d: (
        f"there are too many combinations of readings, {d['combinations']} were tried"
    ),
    "most-results": lambda d: f"{quoted(d['node'])} has readings with {d['results']} different results",
    # Further facts about the node.
    "rests-on-a-claim": lambda d: (
        f"it depends on the shape of {quoted(d['node'])}, which only the file states"
    ),
    "as-recorded": lambda d: "downstream nodes are analysed with the recorded shape of its result",
    "as-if-there": lambda d: "downstream nodes are analysed as if it were inserted",
    "what-follows-tells": lambda d: "only downstream nodes can show what is meant",
    "made-by": _made,
    "arguments-not-tried": lambda d: f"only {d['tried']} of the arguments above it were tried",
    "arguments": _arguments,
}


def markdown(criteria: Sequence[str]) -> str:
    """The stages as a table, with the kinds of evidence under the stage that compares by them."""
    lines = ["| stage | when | then |", "|---|---|---|"]
    for title, group in GROUPS.items():
        lines.append(f"| *{title}* | | |")
        for stage in group:
            when = stage.account
            if stage is EVIDENCE:
                when += ":<br>" + "<br>".join(criteria)
            lines.append(f"| `{stage.name}` | {when} | {_outcome(stage)} |")
    return "\n".join(lines)


def _outcome(stage: Stage) -> str:
    if stage.chooses:
        return "chosen"
    return "reported" if stage.stays else "left" if stage is LEFT else "not decided"
