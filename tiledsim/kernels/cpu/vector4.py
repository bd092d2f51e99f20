"""Four doubles at once, where the compiler does not find the vector by itself."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tiledsim.jit import instructions


def _interpolated(
    typing_context: Any, table: Any, corner: Any, row: Any, plane: Any, weights: Any, first: Any,
    apart: Any,
) -> Any:  # fmt: skip
    """Type and generate ``interpolated``; see there."""
    from llvmlite import ir
    from numba.core import types

    four = ir.VectorType(ir.DoubleType(), 4)
    fused = ("contract",)

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, corner, row, plane, held, first, apart = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        kept = context.make_array(signature.args[4])(context, builder, held).data

        def weight(number: int) -> Any:
            at = builder.add(first, builder.mul(apart, apart.type(number)))
            return builder.load(builder.gep(kept, [at]))

        def all_four(value: Any) -> Any:
            undefined = ir.Constant(four, ir.Undefined)
            alone = builder.insert_element(undefined, value, ir.IntType(32)(0))
            return builder.shuffle_vector(
                alone, undefined, ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4)
            )

        def scaled_sum(terms: list[tuple[Any, Any]]) -> Any:
            (value, scale), *others = terms
            total = builder.fmul(value, scale, flags=fused)
            for value, scale in others:
                total = builder.fadd(total, builder.fmul(value, scale, flags=fused), flags=fused)
            return total

        def values(i: int, j: int) -> Any:
            at = builder.add(corner, builder.mul(plane, plane.type(i)))
            at = builder.add(at, builder.mul(row, row.type(j)))
            address = builder.bitcast(builder.gep(data, [at]), four.as_pointer())
            return builder.load(address, align=8)

        along_k = [all_four(weight(4 + j)) for j in range(4)]
        planes = [scaled_sum([(values(i, j), along_k[j]) for j in range(4)]) for i in range(4)]
        line = scaled_sum([(planes[i], all_four(weight(i))) for i in range(4)])
        ends = [(builder.extract_element(line, ir.IntType(32)(k)), weight(8 + k)) for k in range(4)]
        return scaled_sum(ends)

    return types.float64(table, corner, row, plane, weights, first, apart), codegen


interpolated = cast(
    Callable[[NDArray[np.float64], int, int, int, NDArray[np.float64], int, int], float],
    instructions(_interpolated),
)
"""``interpolated(table, corner, row, plane, weights, first, apart)`` sums 64 values of a table:
Σ_ijk a_i·b_j·c_k·table[corner + i·plane + j·row + k], with a, b, c the twelve numbers
weights[first + n·apart].

``table`` is contiguous and the indices are inside it; nothing is checked.
"""
