"""Hooks of MkDocs: README as the first page, and a page for each file outside docs/ that a page links to.

So links are written as a code host needs them (``../configs/_base_/hyperparameters.csv``) and work on the site, too.
"""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files, InclusionLevel

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
LINK = re.compile(r"""(?<=\]\()([^)\s#:]+)(?=[)#])|(?<=src=")([^"\s:]+)(?=")""")
LANGUAGES = {".py": "python", ".sh": "shell", ".yml": "yaml", ".toml": "toml", "": "text"}


def links(text: str) -> list[str]:
    """Return the relative links of a page, those of images included."""
    return [found[1] or found[2] for found in LINK.finditer(text)]


def target(link: str, folder: Path) -> Path | None:
    """Return the file that a page in a folder links to, where it is outside of docs/."""
    path = Path(os.path.normpath(folder / link))
    return path if path.is_file() and ROOT in path.parents and DOCS not in path.parents else None


def address(path: Path) -> str:
    """Return the place of a file outside of docs/ on the site."""
    return "index.md" if path == README else f"source/{path.relative_to(ROOT)}.md"


def source_page(path: Path) -> str:
    """Return a page with the text of a file."""
    language = LANGUAGES.get(path.suffix, "text")
    front = "---\nsearch:\n  exclude: true\nhide: [toc]\n---\n"
    return f"{front}# `{path.relative_to(ROOT)}`\n\n`````{language}\n{path.read_text()}\n`````\n"


def folder_of(uri: str) -> Path:
    """Return the folder that a page's links start from."""
    return ROOT if uri == "index.md" else (DOCS / uri).parent


def on_files(files: Files, config: Any) -> Files:
    """Add README and the linked files as pages."""
    texts = {file.src_uri: file.content_string for file in files if file.src_uri.endswith(".md")}
    texts["index.md"] = README.read_text()
    linked = ((link, folder_of(uri)) for uri, text in texts.items() for link in links(text))
    outside = {found for link, folder in linked if (found := target(link, folder))}
    for path in sorted(outside - {README}):
        file = File.generated(config, address(path), content=source_page(path))
        file.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(file)
    files.append(File.generated(config, "index.md", content=texts["index.md"]))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links out of docs/ into links of the site, and indent list items as Python-Markdown needs it."""
    uri = page.file.src_uri
    folder, here = folder_of(uri), os.path.dirname(uri)

    def on_site(found: re.Match[str]) -> str:
        link = found[1] or found[2]
        path = Path(os.path.normpath(folder / link))
        if path.is_relative_to(DOCS):
            place = path.relative_to(DOCS).as_posix()
        elif outside := target(link, folder):
            place = address(outside)
        else:
            return link
        return os.path.relpath(place, here or ".")

    return indented(LINK.sub(on_site, markdown))


def indented(markdown: str) -> str:
    """Indent what belongs to a list item by four spaces; CommonMark allows two and three."""
    lines, in_block, before = [], False, ""
    for line in markdown.split("\n"):
        in_block ^= line.startswith("```")
        if not in_block and not line.startswith("    "):
            if before.strip():
                line = re.sub(r"^( {2,3}(?!1\.)\d+)\. ", r"\1\\. ", line)  # a sentence's end: no list begins at 14
            line = re.sub(r"^ {2,3}(?=\S)", "    ", line)
        lines.append(line)
        before = line
    return "\n".join(lines)
