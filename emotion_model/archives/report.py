"""The page that sums up an archive: one HTML file that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from emotion_model.archives.folder import ArchiveFolder
from emotion_model.drawing.page import PLAIN_STYLE
from emotion_model.files import whole_file
from emotion_model.labels import UNCLEAR, Label
from emotion_model.timelines.clock import clock

PAGE_NAME = "summary.html"
COLUMNS = 240  # of the chart over all clips; more clips share one
LISTED = 200  # files that were not read, and such as were read in part; the table of files has them all
SLOWEST = 10

STYLE = """
body { padding-bottom: 4rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; } p, figcaption { color: var(--soft); }
.figures { display: flex; flex-wrap: wrap; gap: .5rem 2rem; padding: 0; list-style: none; }
.figures b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.bars { display: grid; grid-template-columns: max-content 1fr max-content; gap: .35rem .8rem; align-items: center; }
.bars i { height: 1.1rem; border-radius: .25rem; }
figure { margin: 1rem 0; }
svg { shape-rendering: crispEdges; width: 100%; height: 10rem; display: block; border-radius: .4rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .35rem .8rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { overflow-wrap: anywhere; } .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
"""


def write_page(folder: ArchiveFolder, labels: Sequence[Label]) -> None:
    """Write the summary page of an archive, from its tables, into its folder."""
    shown, record = (*labels, UNCLEAR), folder.record
    clips = _clip_shares(folder.table("people"), shown)
    photos = _photo_counts(folder.table("faces"), shown)
    with whole_file(folder.path / PAGE_NAME) as partial:
        page = "".join(_page(list(folder.files.values()), record, shown, clips, photos))
        partial.write_text(page, encoding="utf-8")


def _clip_shares(people: ds.Dataset, shown: Sequence[Label]) -> dict[str, np.ndarray]:
    """Of each clip with people: for how many seconds each emotion was somebody's, float64 `(emotions and unclear,)`."""
    shares = [f"share_{label.name}" for label in shown]
    found: dict[str, np.ndarray] = {}
    for batch in people.to_batches(columns=["source", "seconds", *shares]):
        seconds = batch["seconds"].to_numpy()[:, None]
        values = np.stack([batch[name].to_numpy() for name in shares], axis=1) * seconds
        for source, one in zip(batch["source"].to_pylist(), values, strict=True):
            found[source] = found.get(source, 0) + one
    return found


def _photo_counts(faces: ds.Dataset, shown: Sequence[Label]) -> np.ndarray:
    """How many faces of photos show each emotion, int64 `(emotions and unclear,)`."""
    counts = dict.fromkeys((label.name for label in shown), 0)
    wanted = (pc.field("kind") == "photo") & pc.field("emotion").is_valid()
    for batch in faces.to_batches(columns=["emotion", "clear"], filter=wanted):
        words = pc.if_else(batch["clear"], batch["emotion"], UNCLEAR.name)
        for one in pc.value_counts(words).to_pylist():
            counts[one["values"]] += one["counts"]
    return np.array(list(counts.values()))


def _page(
    rows: list[dict[str, Any]],
    record: dict[str, Any],
    shown: Sequence[Label],
    clips: dict[str, np.ndarray],
    photos: np.ndarray,
) -> Iterable[str]:
    done = sorted((row for row in rows if row["status"] == "done"), key=lambda row: row["source"])
    failed = [row for row in rows if row["status"] == "failed"]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Emotions of an archive</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{PLAIN_STYLE}{STYLE}</style></head><body><main><h1>Emotions of an archive</h1><ul class=figures>"
    seconds = sum(row["duration"] or 0.0 for row in done)
    for value, what in (
        (sum(row["kind"] == "photo" for row in done), "photos"),
        (sum(row["kind"] == "clip" for row in done), "clips"),
        (clock(seconds), "of clips"),
        (sum(row["people"] or 0 for row in done), "people in clips"),
        (sum(row["faces"] or 0 for row in done if row["kind"] == "photo"), "faces in photos"),
        (len(failed), "files not read"),
    ):
        yield f"<li><b>{value:,}</b>{what}</li>" if isinstance(value, int) else f"<li><b>{value}</b>{what}</li>"
    yield "</ul>"
    if clips:
        yield "<h2>In clips, by the time that people show it</h2>"
        yield _bars(shown, sum(clips.values(), np.zeros(len(shown))))
        yield "<h2>From clip to clip</h2>"
        yield _chart(shown, [clips[row["source"]] for row in done if row["source"] in clips])
    if photos.sum():
        yield "<h2>In photos, by faces</h2>"
        yield _bars(shown, photos)
    slowest = sorted(done, key=lambda row: -(row["seconds"] or 0))[:SLOWEST]
    if slowest:
        yield "<h2>What took longest</h2>"
        yield _table(
            ("seconds", "length", "faces", "file"),
            (
                (f"{row['seconds']:.1f}", clock(row["duration"] or 0), f"{row['faces']:,}", row["source"])
                for row in slowest
            ),
        )
    yield from _named("Not read", failed)
    yield from _named("Read as far as they go", [row for row in done if row["error"]])
    rate = "every frame" if record["rate"] is None else f"{record['rate']:g} frames per second"
    yield f"<p>Model {html.escape(record['model'])} ({record['model_digest']}), "
    yield f"face detector {record['detector']}, {rate}. What a face shows is not what somebody feels.</p>"
    yield "</main></body></html>\n"


def _named(title: str, rows: Sequence[dict[str, Any]]) -> Iterable[str]:
    """The files of which there is something to say, and what."""
    if rows:
        yield f"<h2>{title}: {len(rows):,}</h2>"
        yield _table(("file", "why"), ((row["source"], row["error"]) for row in rows[:LISTED]))
    if len(rows) > LISTED:
        yield f"<p>And {len(rows) - LISTED:,} more: the table of files names them all.</p>"


def _bars(shown: Sequence[Label], values: np.ndarray) -> str:
    shares = values / max(values.sum(), 1e-9)
    return (
        "<div class=bars>"
        + "".join(
            f"<span>{html.escape(f'{label.emoji} {label.name}')}</span>"
            f'<i style="background:{label.colour};width:{share / max(shares.max(), 1e-9):.2%}"></i>'
            f"<span>{share:.1%}</span>"
            for label, share in zip(shown, shares, strict=True)
        )
        + "</div>"
    )


def _chart(shown: Sequence[Label], clips: Sequence[np.ndarray]) -> str:
    """A column for each clip, or for several neighbours, with the share of each emotion one above the other."""
    count = min(len(clips), COLUMNS)
    bounds = np.linspace(0, len(clips), count + 1).round().astype(int)
    parts = []
    for column, (first, last) in enumerate(pairwise(bounds)):
        shares = np.mean([one / one.sum() for one in clips[first:last]], axis=0)
        top = 0.0
        for label, share in zip(shown, shares, strict=True):
            if share > 0.002:
                parts.append(
                    f'<rect x="{column}" y="{top:.3f}" width="1.02" height="{share:.3f}" fill="{label.colour}"/>'
                )
            top += share
    each = "a column for each" if count == len(clips) else f"{len(clips) / count:.1f} of them share a column"
    told = f"The shares of the emotions in {len(clips):,} clips, in the order of their names; {each}."
    return (
        f'<figure><svg viewBox="0 0 {count} 1" preserveAspectRatio="none" role="img" aria-label="{told}">'
        f"{''.join(parts)}</svg><figcaption>{told}</figcaption></figure>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    kinds = ["" if name in ("file", "why") else ' class="number"' for name in head]
    cells = "".join(f"<th{kind}>{name}</th>" for name, kind in zip(head, kinds, strict=True))
    lines = (
        "".join(f"<td{kind}>{html.escape(value)}</td>" for value, kind in zip(row, kinds, strict=True)) for row in rows
    )
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'
