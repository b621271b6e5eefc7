"""Models from one format to another: between those in which Keras keeps models, from old to new, and to ONNX."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import UnsupportedError, shown
from .files.atomic import provisional
from .formats.registry import Format, format_of, write_as, written_as
from .ir.graph import path_text
from .requests import Path, check_files, check_onnx, is_onnx, wrong_suffix

if TYPE_CHECKING:
    from .export.onnx import Exported
    from .formats.keras.upgrade import Refusal, Remark
    from .formats.model_file import ModelFile

_MOST = 3  # constructs without a form that a message names


@dataclass(slots=True)
class Converted:
    """What ``convert`` wrote.

    Attributes:
        path, format: the model that was read.
        output, to: the model that was written.
        remarks: what became of constructs that the new format writes otherwise.
        verified: how far the two are apart on the same inputs, or why that is not known; None where it was left out.
        exported: the account of the ONNX file, where that was written.
    """

    path: str
    format: str
    output: str
    to: str
    remarks: list[Remark] = field(default_factory=list)
    verified: dict[str, Any] | None = None
    exported: Exported | None = None


def convert(source: ModelFile, output: Path, verify: bool | None, options: Mapping[str, Any]) -> Converted:
    """Write an opened model in the format that a name says. Arguments and errors as ``api.convert``."""
    if is_onnx(output) and source.format != "onnx":
        return _to_onnx(source, output, verify, options)
    form = written_as(source.format, output)
    if form is None:
        raise wrong_suffix(output, source.format, weights=False)
    target = os.fspath(output) if form.suffixes else os.fspath(output).rstrip("/" + os.sep)
    check_files(source, {}, {"the output": target})
    remarks, refusals = _account(source, form)
    if refusals:
        raise UnsupportedError(f"it cannot be brought to Keras 3: {_named(refusals)}")
    result = Converted(source.path, source.format, target, form.name, remarks)
    with provisional(target, form.suffix) as path:
        write_as(source, form, path)
        if verify is not False:
            from .proof.converted import compared

            result.verified = compared(source, path, form.name)
            if verify and "skipped" in result.verified:
                why = result.verified["skipped"]
                raise UnsupportedError(f"it was to be verified, which could not be done: {why}")
    return result


def _to_onnx(source: ModelFile, output: Path, verify: bool | None, options: Mapping[str, Any]) -> Converted:
    from .export.onnx import Options, export

    check_onnx(output, source)
    asked = Options(**options, verify=verify)
    beside = f"{os.fspath(output)}.data" if asked.external_data else None
    check_files(source, {}, {"the output": output, "the file of its weights": beside})
    source.load_weights()
    exported = export(source, output, asked)
    remarks, _ = _account(source, format_of("onnx"))
    verified = exported.verified
    return Converted(source.path, source.format, exported.path, "onnx", remarks, verified, exported)


def _account(source: ModelFile, form: Format) -> tuple[list[Remark], list[Refusal]]:
    """What became of an old model's constructs, and what has no form; nothing where the format stays what it is."""
    configuration = getattr(source, "configuration", None)
    if configuration is None or form.name == source.format:
        return [], []
    return list(configuration.remarks), list(configuration.refusals)


def _named(refusals: list[Refusal]) -> str:
    parts = [f"{shown(path_text(r.path))!r}: {r.construct}: {r.reason}" for r in refusals[:_MOST]]
    more = f"; and {len(refusals) - _MOST} more" if len(refusals) > _MOST else ""
    return "; ".join(parts) + more
