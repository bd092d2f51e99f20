"""The page of the viewer: a Bokeh document that reads what is in sight as people move."""

from typing import Any

import numpy as np

from tiledsim.cli.viewer.session import Shown, Sight
from tiledsim.errors import TiledsimError
from tiledsim.image_files.pictures.colours import MAPS, SCALES, choose_contrast

LIVE_MS = 2000
"""Between looks at a store that is still being written."""
OVERLAYS = ("rings", "spots", "tiles")


class Page:
    """One viewer in one browser."""

    def __init__(self, shown: Shown, document: Any) -> None:
        from bokeh.models import (
            Button,
            CheckboxButtonGroup,
            ColumnDataSource,
            Div,
            LogColorMapper,
            NumericInput,
            PreText,
            RadioButtonGroup,
            Range1d,
            Select,
            Slider,
        )  # fmt: skip
        from bokeh.plotting import figure

        self._shown = shown
        self._document = document
        shots, panels, _, _ = shown.shape
        edge = max(shown.width, shown.height)
        self.figure: Any = figure(
            width=900, height=900, match_aspect=True, tools="pan,wheel_zoom,box_zoom,reset,save",
            active_scroll="wheel_zoom", x_range=Range1d(0, edge), y_range=Range1d(edge, 0),
            x_axis_label="fast pixel" if panels == 1 else "pixels across the beam",
            y_axis_label="slow pixel" if panels == 1 else "pixels across the beam", name="image",
            output_backend="canvas",
        )  # fmt: skip
        self.figure.grid.visible = False
        self.figure.background_fill_color = "#eef0f3"
        self._image: Any = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
        self._mapper: Any = LogColorMapper("Greys256", low=1, high=10, nan_color="#cdd6e0")
        self._glyph: Any = self.figure.image(
            "image", x="x", y="y", dw="dw", dh="dh", source=self._image,
            color_mapper=self._mapper, level="image",
        )  # fmt: skip
        self._bar: Any = self._glyph.construct_color_bar(width=12)
        self.figure.add_layout(self._bar, "right")
        self._rings: Any = ColumnDataSource({"xs": [], "ys": []})
        self._ring_labels: Any = ColumnDataSource({"x": [], "y": [], "text": []})
        self._spots: Any = ColumnDataSource({"x": [], "y": [], "text": []})
        self._tiles: Any = ColumnDataSource({"xs": [], "ys": [], "x": [], "y": [], "text": []})
        self.figure.multi_line("xs", "ys", source=self._rings, color="#1e6ec8")
        self.figure.text("x", "y", "text", source=self._ring_labels, text_color="#1e6ec8",
                         text_font_size="12px")  # fmt: skip
        self.figure.scatter("x", "y", source=self._spots, size=12, fill_alpha=0,
                            line_color="#d22828")  # fmt: skip
        self.figure.text("x", "y", "text", source=self._spots, text_color="#d22828",
                         text_font_size="11px", y_offset=-8, text_align="center")  # fmt: skip
        self.figure.patches("xs", "ys", source=self._tiles, fill_alpha=0,
                            line_color="#2a8a4a")  # fmt: skip
        self.figure.text("x", "y", "text", source=self._tiles, text_color="#2a8a4a", x_offset=3,
                         y_offset=14, text_font_size="11px")  # fmt: skip
        self.pointer: Any = Div(text="move the pointer over the image", name="pointer", width=900)
        self.table: Any = PreText(text="click a pixel to trace it", name="trace", width=620)
        self.shot: Any = Slider(start=0, end=max(shots - 1, 1), value=0, title="shot", step=1,
                           disabled=shots == 1, name="shot")  # fmt: skip
        self.scale: Any = RadioButtonGroup(labels=list(SCALES), active=0, name="scale")
        self.low: Any = NumericInput(title="lightest", mode="float", name="low", width=90)
        self.high: Any = NumericInput(title="darkest", mode="float", name="high", width=90)
        self.colours: Any = Select(title="colours", value="grey", options=list(MAPS), width=110)
        self.limits: Any = Button(label="limits from what is in sight", name="limits")
        self.overlays: Any = CheckboxButtonGroup(labels=list(OVERLAYS), active=[0], name="overlays")
        self.difference: Any = CheckboxButtonGroup(
            labels=["difference"], active=[], disabled=shown.other is None
        )
        self._sight: Sight | None = None
        self._wanted: tuple[tuple[float, float], tuple[float, float]] | None = None
        self._connect()
        self._look()
        self._choose_limits(None)
        self._draw_rings()

    def layout(self) -> Any:
        """Return the page as one layout of Bokeh."""
        from bokeh.layouts import column, row

        controls = column(
            self.shot,
            row(self.scale, self.overlays, self.difference),
            row(self.low, self.high, self.colours, self.limits),
            self.table,
        )
        return row(column(self.pointer, self.figure), controls)

    def _connect(self) -> None:
        from bokeh.events import MouseMove, RangesUpdate, Tap

        self.figure.on_event(RangesUpdate, self._look_soon)
        self.figure.on_event(MouseMove, self._point)
        self.figure.on_event(Tap, self._trace)
        self.shot.on_change("value", lambda attr, old, new: self._another_image())
        self.scale.on_change("active", lambda attr, old, new: self._rescale())
        for widget in (self.low, self.high, self.colours):
            widget.on_change("value", lambda attr, old, new: self._recolour())
        self.limits.on_click(self._choose_limits)
        self.overlays.on_change("active", lambda attr, old, new: self._draw_overlays())
        self.difference.on_change("active", lambda attr, old, new: self._rescale())

    @property
    def _shot(self) -> int:
        return int(self.shot.value)

    def _another_image(self) -> None:
        self._look()
        self._draw_overlays()

    def _look_soon(self, event: Any) -> None:
        """Read what is in sight when all that has come from the page is known.

        While someone drags, events come faster than images: only the latest place is read.
        """
        waiting = self._wanted is not None
        self._wanted = (event.x0, event.x1), (event.y0, event.y1)
        if not waiting:
            self._document.add_next_tick_callback(self._look)

    def _look(self) -> None:
        """Read what is in sight."""
        x, y = self._wanted or (
            (self.figure.x_range.start, self.figure.x_range.end),
            (self.figure.y_range.start, self.figure.y_range.end),
        )
        self._wanted = None
        sight = self._shown.sight(
            self._shot, (min(x), max(x)), (min(y), max(y)), difference=bool(self.difference.active)
        )
        self._sight = sight
        rows, cols = sight.cells.shape
        self._image.data = {
            "image": [sight.cells], "x": [sight.x], "y": [sight.y],
            "dw": [cols * sight.cell], "dh": [rows * sight.cell],
        }  # fmt: skip
        self._draw_tiles()

    def look_again(self) -> None:
        """Show what a run has finished since; called while it goes on."""
        if not self._shown.finished and self._shown.refresh():
            self._look()

    def _point(self, event: Any) -> None:
        if event.x is not None:
            said = self._shown.under_pointer(self._shot, event.x, event.y)
            self.pointer.text = said or "beside the detector"

    def _trace(self, event: Any) -> None:
        try:
            self.table.text = self._shown.traced(self._shot, event.x, event.y)
        except TiledsimError as error:
            self.table.text = str(error)

    def _rescale(self) -> None:
        self._look()
        self._choose_limits(None)

    def _choose_limits(self, _: Any) -> None:
        assert self._sight is not None
        contrast = choose_contrast(self._sight.cells, SCALES[self.scale.active])
        self.low.value, self.high.value = float(contrast.low), float(contrast.high)
        self._recolour()

    def _recolour(self) -> None:
        """Colour the image by the limits of the page; those that make no scale change nothing."""
        from bokeh import palettes
        from bokeh.models import LinearColorMapper, LogColorMapper

        try:
            contrast = choose_contrast(
                np.ones(1), SCALES[self.scale.active], self.low.value, self.high.value
            )
        except TiledsimError:
            return
        name = self.colours.value
        palette = (
            palettes.Greys256[::-1] if name == "grey"
            else getattr(palettes, f"{name.capitalize()}256")
        )  # fmt: skip
        kind = LogColorMapper if contrast.scale == "log" else LinearColorMapper
        mapper = kind(palette=palette, low=contrast.low, high=contrast.high, nan_color="#cdd6e0")
        self._glyph.glyph.color_mapper = mapper
        self._bar.color_mapper = mapper

    def _on(self, overlay: str) -> bool:
        return OVERLAYS.index(overlay) in self.overlays.active

    def _draw_overlays(self) -> None:
        self._draw_rings()
        self._draw_spots()
        self._draw_tiles()

    def _draw_rings(self) -> None:
        rings = self._shown.rings(self._shot) if self._on("rings") else []
        xs = [s[:, 0].tolist() for _, segments in rings for s in segments]
        ys = [s[:, 1].tolist() for _, segments in rings for s in segments]
        self._rings.data = {"xs": xs, "ys": ys}
        tops = [
            (label, segments.reshape(-1, 2)[segments.reshape(-1, 2)[:, 1].argmin()])
            for label, segments in rings if len(segments)
        ]  # fmt: skip
        self._ring_labels.data = {
            "x": [float(top[0]) for _, top in tops], "y": [float(top[1]) for _, top in tops],
            "text": [label for label, _ in tops],
        }  # fmt: skip

    def _draw_spots(self) -> None:
        data: dict[str, Any] = {"x": [], "y": [], "text": []}
        if self._on("spots"):
            x, y, hkl = self._shown.spots(self._shot)
            data = {"x": x.tolist(), "y": y.tolist(), "text": hkl}
        self._spots.data = data

    def _draw_tiles(self) -> None:
        tiles = []
        if self._on("tiles") and self._sight is not None:
            tiles = self._shown.tiles(self._shot, self._sight)
        self._tiles.data = {
            "xs": [corners[:, 0].tolist() for corners, _ in tiles],
            "ys": [corners[:, 1].tolist() for corners, _ in tiles],
            "x": [float(corners[0, 0]) for corners, _ in tiles],
            "y": [float(corners[0, 1]) for corners, _ in tiles],
            "text": [seconds for _, seconds in tiles],
        }  # fmt: skip


def add_page(document: Any, shown: Shown) -> None:
    """Put a viewer into a Bokeh document."""
    page = Page(shown, document)
    document.title = f"tiledsim view {shown.stored.url.rsplit('/', 1)[-1]}"
    document.add_root(page.layout())
    if not shown.finished:
        document.add_periodic_callback(page.look_again, LIVE_MS)
