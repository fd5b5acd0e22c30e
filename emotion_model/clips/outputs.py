"""The files that become of a clip: which there are, and how those are written for which its frames are not needed."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, fields
from functools import partial
from io import BytesIO
from pathlib import Path

from emotion_model.clips.limits import MediaError
from emotion_model.clips.writing import require_mp4, writing
from emotion_model.files import place, spelled_out, whole_file, write_json
from emotion_model.timelines.subtitles import subtitles
from emotion_model.timelines.summary import ClipSummary


@dataclass(frozen=True)
class VideoOutputs:
    """The files to write; None for those that are not wanted.

    Raises:
        ValueError: nothing but a zip is wanted, which would be empty; two are one file; or `annotated` or `plot` ends
            like the name of another kind of file.
    """

    annotated: str | Path | None = None  # .mp4
    csv: str | Path | None = None
    json: str | Path | None = None
    vtt: str | Path | None = None
    srt: str | Path | None = None
    plot: str | Path | None = None  # .png
    summary: str | Path | None = None  # .json
    page: str | Path | None = None  # .html, to look at and to print
    zip: str | Path | None = None  # with all the others in it

    def __post_init__(self) -> None:
        if self.zip is not None and len(self.written()) == 1:
            raise ValueError(f"{self.zip}: a zip packs the other files: ask for at least one of them too.")
        places: set[str] = set()
        for path in self.written():
            if place(path) in places:
                raise ValueError(f"{path}: two results cannot have one name: give each its own.")
            places.add(place(path))
        if (annotated := self.path("annotated")) is not None:
            require_mp4(annotated)
        if (plot := self.path("plot")) is not None and plot.suffix.lower() != ".png":
            raise MediaError("unwritable", f"{plot}: the timeline is a PNG picture; use a name ending in .png.")

    def path(self, name: str) -> Path | None:
        """Where one of them goes."""
        path = getattr(self, name)
        return None if path is None else Path(path)

    def written(self) -> list[Path]:
        """The paths of those that are wanted."""
        return [path for one in fields(self) if (path := self.path(one.name)) is not None]


def write_results(outputs: VideoOutputs, summary: ClipSummary, title: str, model: str, begin: float) -> None:
    """Write what a finished summary tells, and in the end the zip: what has a line for each frame lies there by then.

    Args:
        outputs: those that are wanted.
        summary: of the whole clip.
        title: what the clip is called.
        model: the name of what read it.
        begin: of the clip beside which subtitles are shown, in seconds.
    """
    cues = partial(subtitles, summary.people, summary.labels, begin=begin)
    for path, write in (
        (outputs.path("vtt"), lambda p: p.write_text(cues("vtt"), encoding="utf-8")),
        (outputs.path("srt"), lambda p: p.write_text(cues("srt"), encoding="utf-8")),
        (outputs.path("plot"), lambda p: _save_plot(summary, p)),
        (outputs.path("summary"), lambda p: write_json(p, summary.to_dict())),
        (outputs.path("page"), lambda p: _save_page(summary, outputs.path("plot"), title, model, p)),
        (outputs.path("zip"), lambda p: _save_zip(outputs, p)),
    ):
        if path is not None:
            with writing(path), whole_file(path) as unfinished:
                write(unfinished)


def _save_plot(summary: ClipSummary, path: Path | BytesIO) -> None:
    from emotion_model.drawing.plot import save_timeline  # matplotlib takes a while to import

    save_timeline(summary, path)


def _save_page(summary: ClipSummary, plot: Path | None, title: str, model: str, path: Path) -> None:
    from emotion_model.drawing.page import save_page

    timeline = BytesIO()
    if plot is not None:
        timeline.write(plot.read_bytes())
    else:
        _save_plot(summary, timeline)
    save_page(summary, timeline.getvalue(), title, model, path)


def _save_zip(outputs: VideoOutputs, target: Path) -> None:
    compressed = (outputs.path("annotated"), outputs.path("plot"))  # already: to deflate them would take time in vain
    taken: set[str] = set()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in outputs.written():
            if path == outputs.path("zip"):
                continue
            name, number = spelled_out(path.name), 2
            while name.casefold() in taken:  # a/out.json and b/Out.json, which not every disk tells apart
                name, number = spelled_out(f"{path.stem}_{number}{path.suffix}"), number + 1
            taken.add(name.casefold())
            archive.write(path, name, zipfile.ZIP_STORED if path in compressed else zipfile.ZIP_DEFLATED)
