"""The README as package indexes show it, and the project's links: both made of the one address in pyproject.toml.

`[tool.hatch.metadata.hooks.custom] repository` is that address. While it is empty, the README stays as it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(!?)\[([^\[\]]*)\]\((?!https?:|#)([^)\s]+)\)")
URLS = {
    "Homepage": "",
    "Documentation": "/blob/main/docs/index.md",
    "Changelog": "/blob/main/CHANGELOG.md",
    "Issues": "/issues",
}


class CustomMetadataHook(MetadataHookInterface):
    """Fill in `readme` and `urls`."""

    def update(self, metadata: dict[str, object]) -> None:
        """Hatchling calls this when it reads pyproject.toml."""
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        repository = str(self.config["repository"]).rstrip("/")
        if repository:
            text = with_absolute_links(text, f"{repository}/%s/v{metadata['version']}")
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
        metadata["urls"] = {name: repository + path for name, path in URLS.items()} if repository else {}


def with_absolute_links(text: str, address: str) -> str:
    """`text` with every link into the repository made absolute; `address` has a ``%s`` for ``raw`` or ``blob``."""

    def absolute(link: re.Match[str]) -> str:
        picture, words, target = link.groups()
        return f"{picture}[{words}]({address % ('raw' if picture else 'blob')}/{target})"

    return LINK.sub(absolute, text)
