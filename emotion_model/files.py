"""Files that stand under their name only when they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """The path of a partial file beside the target: renamed to it at the end, removed if anything goes wrong.

    An interrupted run so leaves neither a broken file under the target's name nor a lost older one.

        with whole_file(Path("out.csv")) as partial:
            partial.write_text(...)
    """
    partial = target.with_name(f".partial-{target.name}")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
