"""Published advisories against libraries that read the same files, and the rows of the table that test each."""

from __future__ import annotations

LINKS = (
    "weights-soft-link",
    "weights-link-to-another-file",
    "weights-link-cycle",
    "h5-soft-link",
    "h5-link-to-another-file",
    "h5-link-cycle",
)
BOMBS = ("weights-bomb", "weights-bomb-in-chunks", "h5-bomb", "h5-bomb-in-chunks")
MEMBERS = ("member-'../x'", "member-'/x'", "member-'a/../b'", "member-a-link")
CODE = ("lambda", "lambda-activation", "recurrent-activation")
NAMES = ("os", "another-package", "module-'evil.keras.layers'", "module-'keras.evil'", "custom-activation")
KEPT = (
    "kept-in-'/etc/passwd'",
    "kept-in-'../w.bin'",
    "kept-in-'a/../../w.bin'",
    "kept-in-'*/_ORT_MEM_ADDR_/*'",
)

# Advisory -> its subject, and the rows.
ADVISORIES: dict[str, tuple[str, tuple[str, ...]]] = {
    "CVE-2024-3660": ("bytecode in a Lambda", CODE),
    "CVE-2025-9905": ("bytecode in a Lambda of an HDF5 file", (*CODE, "h5-lambda")),
    "CVE-2026-12481": ("bytecode in a Lambda that is cloned", CODE),
    "CVE-2025-1550": ("a configuration names modules and functions", NAMES),
    "CVE-2025-8747": ("a configuration names functions of Keras that fetch files", NAMES),
    "CVE-2025-9906": ("a configuration turns the safe mode off", NAMES),
    "CVE-2025-49655": ("a pickle in a TorchModuleWrapper", ("torch",)),
    "CVE-2026-12484": ("a pickle in a TorchModuleWrapper", ("torch",)),
    "CVE-2025-12058": (
        "a vocabulary is the path or address of a file",
        ("vocabulary-path", "vocabulary-address"),
    ),
    "CVE-2026-1462": ("a TFSMLayer loads a path", ("savedmodel",)),
    "CVE-2025-12060": ("members of an archive lead out of it", MEMBERS),
    "CVE-2024-55459": ("members of an archive lead out of it", MEMBERS),
    "CVE-2026-11816": ("members of an archive lead out of it", MEMBERS),
    "CVE-2026-12482": ("members of an archive lead out of it", MEMBERS),
    "CVE-2026-0897": ("a dataset declares more than it stores", BOMBS),
    "CVE-2026-12570": ("a dataset declares more than it stores", BOMBS),
    "CVE-2026-1669": (
        "a dataset is stored in another file",
        ("weights-in-another-file", "h5-in-another-file"),
    ),
    "CVE-2026-9335": ("links in a weights file", LINKS),
    "CVE-2026-12480": ("virtual datasets", ("weights-virtual", "h5-virtual")),
    "CVE-2026-12479": ("the name of a layer is a path", ("name-slash",)),
    "HDF5 1.14.6, the series of 2025": (
        "27 faults of libhdf5, which reads no file here",
        ("weights-empty", "weights-garbage", "weights-cut"),
    ),
    "CVE-2022-25882": ("ONNX: data in a file outside the folder", KEPT),
    "CVE-2024-27318": ("ONNX: data in a file outside the folder", KEPT),
    "CVE-2025-51480": ("ONNX: data in a file outside the folder", KEPT),
    "CVE-2026-27489": ("ONNX: data in a file outside the folder, by a link", KEPT),
    "CVE-2026-34445": (
        "ONNX: the external data that a tensor names",
        ("offset-negative", "offset-huge", "length-short"),
    ),
    "CVE-2026-34446": (
        "ONNX: the external data that a tensor names",
        ("kept-in-no-place", "kept-in-two-places"),
    ),
    "CVE-2026-34447": ("ONNX: the external data that a tensor names", ("length-a-text", "length-short")),
    "CVE-2022-23583": ("a SavedModel whose operands are of another type", ("savedmodel-types-that-differ",)),
    "CVE-2022-23591": (
        "a SavedModel whose functions call themselves",
        ("savedmodel-function-calls-itself", "savedmodel-functions-call-one-another"),
    ),
}
