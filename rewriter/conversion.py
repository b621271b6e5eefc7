"""Conversion of models: between Keras formats, from an old Keras to Keras 3, and to ONNX."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .errors import UnverifiedError
from .files.atomic import provisional
from .formats.model_file import TRAINING, ModelFile, Remark
from .formats.registry import Format, as_exported, as_keras, format_of, newest_of, written_as
from .presentation import Presentable, brief
from .progress import stage
from .requests import Path, check_export, check_files, is_onnx, wrong_suffix

if TYPE_CHECKING:
    from .export.onnx import Exported, Options


@dataclass(slots=True, repr=False)
class Converted(Presentable):
    """What ``convert`` wrote.

    Attributes:
        path, format: the model that was read.
        output, to: the model that was written.
        remarks: constructs that the new format writes in another form, and their new form.
        verified: the difference of the two models on the same inputs, or why it is not known; None if not compared.
        exported: the result of the export, if ONNX was written.
    """

    path: str
    format: str
    output: str
    to: str
    remarks: list[Remark] = field(default_factory=list)
    verified: dict[str, Any] | None = None
    exported: Exported | None = None

    def _summary(self) -> str:
        return f"{brief(self.path)} ({self.format}) -> {brief(self.output)} ({self.to})"


def convert(source: ModelFile, output: Path, options: Options) -> Converted:
    """Write an opened model in the format of the output's name. Arguments and errors as in ``api.convert``."""
    if is_onnx(output) and source.format != "onnx":
        found, unable = as_exported(source, options.fallback)
        return _to_onnx(found, output, options, unable)
    verify = options.verify
    source = as_keras(source)
    form = written_as(source.format, output)
    if form is None:
        raise wrong_suffix(output, source.format, weights=False)
    if source.older:
        form = newest_of(form)
    target = os.fspath(output) if form.suffixes else os.fspath(output).rstrip("/" + os.sep)
    check_files(source, {}, {"the output": target})
    write = form.write if source.outdated or form.name != source.format else None
    remarks = _remarks(source, form) if write is not None else []
    result = Converted(source.path, source.format, target, form.name, remarks)
    stage("writing")
    with provisional(target, form.suffix) as path:
        if write is not None:
            write(source, path)
        else:
            source.write(path)
        if verify is not False:
            stage("comparing")
            from .proof.converted import compared

            result.verified = compared(source, path, form.name)
            if verify and "skipped" in result.verified:
                raise UnverifiedError(result.verified["skipped"])
    return result


def _to_onnx(source: ModelFile, output: Path, options: Options, unable: str) -> Converted:
    from .export.onnx import export

    check_export(output, source)
    source.load_weights()
    exported = export(source, output, options, unable=unable)
    remarks, verified = _remarks(source, format_of("onnx")), exported.verified
    return Converted(source.path, source.format, exported.path, "onnx", remarks, verified, exported)


def _remarks(source: ModelFile, form: Format) -> list[Remark]:
    """What becomes of a model's constructs in another format."""
    remarks = [each for each in source.remarks if form.name != "onnx" or each.construct not in TRAINING]
    remarks += source.training_remarks(form.name)
    if source.out_of_order:
        became = (
            "every layer has the weights that the file names for it; Keras would load them into other layers"
        )
        remarks.append(Remark((), "layers that are not in the order of Keras", became))
    return remarks
