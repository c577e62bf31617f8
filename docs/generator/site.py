"""Hooks of MkDocs (https://www.mkdocs.org/user-guide/configuration/#hooks): files of the repository that pages link to
(`../schemas/…`, `../deploy/…`) come along into the site.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
#: Where such files lie in the site.
BESIDE = "files/"
OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name in sorted({name for file in files.documentation_pages() for name in OUTSIDE.findall(file.content_string)}):
        if (ROOT / name).is_file():  # one that is missing is a broken link, which the build tells
            files.append(File.generated(config, BESIDE + _shown(name), abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    return OUTSIDE.sub(lambda found: f"]({BESIDE}{_shown(found[1])}", markdown)


def _shown(name: str) -> str:
    """Markdown would become a page."""
    return name + ".txt" if name.endswith(".md") else name
