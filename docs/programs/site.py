"""What MkDocs does beside its own: pages made from the code, links into the repository, and marks that only tests read."""

import logging
import posixpath
import re
import runpy
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PROJECT = Path(__file__).parents[2]
LOG = logging.getLogger("mkdocs.hooks.site")
OUTSIDE = re.compile(r"(!?)\[([^\]]*)\]\(((?:\.\./)+[^)#\s]*)(#[^)\s]*)?\)")
RUNNABLE = re.compile(r"^```(\w+) runnable\b.*$", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference."""
    made = runpy.run_path(str(PROJECT / "docs" / "programs" / "reference.py"))
    for path, write in (("reference/verbs.md", made["verbs"]), ("reference/params.md", made["parameters"])):
        files.append(File.generated(config, path, content=write()))
    return files


def on_page_markdown(markdown: str, page: Any, config: MkDocsConfig, **_: Any) -> str:
    """Links that leave docs/ lead to the repository, where it is known (`repo_url`), else they are names of files; dead ones are errors."""
    folder = posixpath.join("docs", posixpath.dirname(page.file.src_uri))

    def link(match: re.Match[str]) -> str:
        picture, text, target, part = match.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        if path.startswith("docs/") or picture:
            return match[0]
        if not (PROJECT / path).exists():
            LOG.warning("%s: links to %s, which is not there", page.file.src_uri, path)
        if not config.repo_url:
            return text if text.startswith("`") else f"{text} (`{path}`)"
        return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path}{part or ''})"

    return RUNNABLE.sub(r"```\1", OUTSIDE.sub(link, markdown))
