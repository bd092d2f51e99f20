"""How scenes are cut for processors and for GPUs."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tiledsim.scheduler.store.layout import GPU_TILE_PIXELS, choose_layout, usual_tile


@dataclass(frozen=True)
class Cut:
    shape: tuple[int, int, int, int]
    steps_per_pixel: int
    stored_dtype: str = "float32"


CUTS = st.builds(
    lambda slow, fast, steps: Cut((1, 1, slow, fast), steps),
    st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 10**7),
)  # fmt: skip


@given(CUTS)
def test_a_gpus_tile_is_large_and_the_bytes_are_the_same(cut: Cut) -> None:
    plain = choose_layout(cut)
    large = choose_layout(cut, usual_tile(cut, "cuda"))
    assert (plain.chunk, plain.shard) == (large.chunk, large.shard)
    _, _, slow, fast = cut.shape
    rows, cols = large.tile
    covers_the_panel = rows >= slow and cols >= fast
    held = min(rows, slow) * min(cols, fast)
    assert covers_the_panel or GPU_TILE_PIXELS <= held < 4 * GPU_TILE_PIXELS
    assert held <= 4 * GPU_TILE_PIXELS


@given(CUTS)
def test_a_processors_tile_is_one_shard(cut: Cut) -> None:
    assert usual_tile(cut, "cpu") is None
    layout = choose_layout(cut)
    assert layout.tile == layout.shard
