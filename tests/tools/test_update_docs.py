"""The documentation matches the code: tables, references, pictures, and every transcript, run in full."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import rewriter
from rewriter.passes.codes import Kind
from tools import update_docs
from tools.pages import sections, transcripts

ROOT = Path(__file__).resolve().parents[2]
PAGES = {page.relative_to(ROOT).as_posix(): page for page in update_docs.PAGES}
TEXTS = {name: page.read_text(encoding="utf-8") for name, page in PAGES.items()}
LINKED = {**TEXTS, **{path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("*.md")}}
UPDATE = "run python tools/update_docs.py"


@pytest.fixture
def numerical_proof() -> None:
    """Replace the fixture that skips the proof: a reader's run has the proof."""


# -- the generated parts -----------------------------
def test_every_generated_part_has_a_page():
    found = [name for text in TEXTS.values() for name in sections.names(text)]
    assert sorted(found) == sorted(sections.SECTIONS)


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if sections.names(text)])
def test_what_is_generated_is_current(name: str):
    assert sections.current(TEXTS[name]) == TEXTS[name], UPDATE


def test_the_pictures_are_current():
    stale = list(update_docs.stale([update_docs.PICTURES], []))
    assert [path.name for path, _ in stale] == [], UPDATE


def test_every_command_and_option_is_in_the_reference():
    from rewriter import arguments

    _, commands = arguments.parsers(dict.fromkeys(_commands(), print))
    text = TEXTS["docs/cli.md"]
    for name, command in commands.items():
        section = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for option in (o for action in command._actions for o in action.option_strings):
            assert option in ("-h", "--help") or f"`{option}" in section, (name, option)


def _commands() -> list[str]:
    from rewriter.cli import _COMMANDS

    return list(_COMMANDS)


def test_every_code_has_a_section_to_link_to():
    headings = re.findall(r"^## (RW\d+)$", TEXTS["docs/findings.md"], re.MULTILINE)
    assert headings == [kind.code for kind in Kind]
    texts = [text for kind in Kind for text in (kind.text, kind.harm, kind.example, kind.remedy)]
    assert [text for text in texts if text not in TEXTS["docs/findings.md"]] == []


def test_a_generated_part_without_its_end_is_an_error():
    with pytest.raises(ValueError, match="end"):
        sections.current("<!-- begin: rules -->\n")


# -- the transcripts ------------------------------
def _shown(name: str) -> Any:
    """A page; of the tutorials, whose commands prove repairs, only one is tried in a usual run."""
    seldom = name.startswith("docs/tutorials/") and not name.endswith("/repair-h5.md")
    return pytest.param(name, marks=pytest.mark.slow if seldom else ())


@pytest.mark.parametrize(
    "name", [_shown(name) for name, text in TEXTS.items() if list(transcripts.steps(text))]
)
def test_the_transcripts_are_what_the_commands_print(name: str):
    assert transcripts.current(TEXTS[name]) == TEXTS[name], UPDATE


def test_every_page_that_shows_a_command_shows_what_it_prints():
    for name, text in TEXTS.items():
        for fence, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            assert fence == "console" or not re.search(r"^\$ ", body, re.MULTILINE), (name, body)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("Keras 3.15.1 on TensorFlow 2.21.0", "Keras 3.16.0 on TensorFlow 2.22.0", True),
        ("off by 2e-07 at most", "off by 1.3e-08 at most", True),
        ("1 passed in 8.1s", "1 passed in 0.92s", True),
        ("run in Keras 3.15.1 at\nbatch 1", "run in Keras 3.9.0\nat batch 1", True),
        ("run in Keras 3.15.1 at\nbatch 1", "run in Keras 3.9.0\nat batch 2", False),
        ("batch 1, 2, 3", "batch 1, 2", False),
        ("a  b", "a b", False),
        ("opset 26", "opset 25", False),
        ("(B, 10, 12, 16)", "(B, 1, 1, 16)", False),
        ("1 finding", "2 findings", False),
    ],
)
def test_only_what_varies_may_differ(one: str, other: str, equal: bool):
    assert transcripts.same(one.split("\n"), other.split("\n")) is equal


def test_a_transcript_that_is_not_true_is_rewritten():
    page = "`a.txt`:\n\n```text\n7\n```\n\n```console\n$ cat a.txt\n8\n$ false\n$ echo $?\n0\n```\n"
    assert transcripts.current(page) == page.replace("8", "7").replace("\n0\n", "\n1\n")


def test_a_command_in_this_process_is_the_installed_one():
    command = "rewriter check models/batch_misaligned.keras"
    with transcripts._folder():
        inside = transcripts.run(command)
        outside = transcripts.run(f"{command} | cat; exit ${{PIPESTATUS[0]}}")
    assert inside == outside
    assert inside[1] == 1


# -- the README ----------------------------------
def test_the_readme_is_short():
    assert len(TEXTS["README.md"].splitlines()) <= 200


def test_the_two_commands():
    first, second = commands()
    assert second == [
        "python3 -m venv .venv",
        ".venv/bin/pip install -q -e '.[test]'",
        ".venv/bin/python -m pytest -q -n 3 --dist worksteal",
    ]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    asked = re.search(r"\.\[([\w,]+)\]", first[1])
    assert asked is not None
    assert set(asked[1].split(",")) <= set(extras)
    program, *words = shlex.split(first[2])
    assert program == ".venv/bin/rewriter"
    with transcripts._folder():
        lines, status = transcripts.run(shlex.join(["rewriter", *words, "--no-verify"]))
        assert status == 0, lines
        assert all(Path(word).exists() for word in words if word.startswith("fixed."))
        assert sum(word.startswith("fixed.") for word in words) >= 2


def commands() -> list[list[str]]:
    """The steps of each command of the README."""
    return [line.split(" && ") for line in re.findall(r"```sh\n(python3 .*)\n```", TEXTS["README.md"])]


@pytest.mark.slow
def test_the_first_command_on_a_fresh_machine(tmp_path: Path):
    copy = tmp_path / "checkout"
    files = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, files.split("\0")):
        if not name.startswith("tests/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((ROOT / name).read_bytes())
    line = " && ".join(commands()[0]).replace("python3", sys.executable, 1)
    done = subprocess.run(["bash", "-c", line], cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (copy / "fixed.html").read_text(encoding="utf-8")
    assert re.search(r">Proven</span> <span[^>]*>in Keras \d[\d.]* on JAX", page)
    assert (copy / "fixed.keras").exists()
    assert (copy / "fixed.onnx").exists()


# -- statements of the prose about the code ---------------
OF_TOOLS = {"--check", "--here", "--saved-models", "--update"}


def test_every_option_that_a_page_names_is_one():
    known = {o for c in _all_parsers() for action in c._actions for o in action.option_strings} | OF_TOOLS
    named = {
        (name, option)
        for name, text in TEXTS.items()
        for code in re.findall(r"`([^`\n]+)`", text)
        for option in re.findall(r"^--[\w-]+", code)
    }
    assert named
    assert [(name, option) for name, option in sorted(named) if option not in known] == []


def _all_parsers():
    from rewriter import arguments

    main, commands = arguments.parsers(dict.fromkeys(_commands(), print))
    return [main, *commands.values()]


WITH_PYTHON = [name for name, text in TEXTS.items() if "```python\n" in text and name != "docs/api.md"]


@pytest.mark.parametrize("name", WITH_PYTHON)
def test_python_in_a_page_is_python_and_names_what_there_is(name: str):
    for block in re.findall(r"^```python\n(.*?)^```$", TEXTS[name], re.MULTILINE | re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "rewriter"
            ):
                assert node.attr in rewriter.__all__, node.attr


# -- links ---------------------------------------
@pytest.mark.parametrize("name", LINKED)
def test_every_link_leads_somewhere(name: str):
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(LINKED[name])):
        if re.match(r"\w+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (folder / path).resolve() if path else ROOT / name
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as in MkDocs and GitHub."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_site():
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    pages = [name.removeprefix("docs/") for name in TEXTS if name.startswith("docs/")]
    assert sorted(listed) == sorted(pages)


def test_every_extra_is_in_the_instructions():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    assert [name for name in extras if f"| `{name}` |" not in TEXTS["docs/install.md"]] == []
