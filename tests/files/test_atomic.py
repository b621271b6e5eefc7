"""Files are written whole or not at all: the file that an error names."""

from __future__ import annotations

import pytest

from rewriter.errors import OutputError
from rewriter.files.atomic import provisional, staged


@pytest.mark.parametrize("beside", [lambda path: staged(path), lambda path: provisional(path, ".onnx")])
def test_an_error_names_the_file_that_was_asked_for(beside, tmp_path):
    """It does not name the temporary file, and the temporary file is removed."""
    with pytest.raises(OutputError) as caught, beside(tmp_path / "out.onnx") as path:
        raise OutputError("cannot be written", path)
    assert caught.value.about == str(tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []
