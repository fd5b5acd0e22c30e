"""Scripts of the page: written as ES modules, handed to Gradio as one script."""

from __future__ import annotations

import re
from pathlib import Path

_IMPORT = re.compile(r"^import \{[\w, ]+\} from '(\.{1,2}/[\w/-]+\.js)';\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def bundle(entry: Path) -> str:
    """The module and all that it imports, as one script.

    Gradio runs a component's script as the body of a function, where nothing can be imported. So the modules stand one
    after another there, what is imported before what imports it, and share their names: no two may use the same one.
    """
    parts: dict[Path, str] = {}

    def add(path: Path) -> None:
        if path in parts:
            return
        parts[path] = ""  # of a module that imports itself by way of another, the text is not there yet
        text = path.read_text(encoding="utf-8")
        for name in _IMPORT.findall(text):
            add((path.parent / name).resolve())
        del parts[path]
        parts[path] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(entry.resolve())
    return "\n".join(parts.values())
