"""Four doubles at once, where the compiler does not find the vector by itself."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
from llvmlite import ir
from numba.extending import intrinsic
from numpy.typing import NDArray

_FOUR = ir.VectorType(ir.DoubleType(), 4)


def _add_rows(
    typing_context: Any, table: Any, start: Any, stride: Any, sums: Any, weights: Any
) -> Any:
    """Type and generate ``add_rows``; see there."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, start, stride, sums, weights = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        total = ir.Constant(_FOUR, ir.Undefined)
        for lane in range(4):
            value = builder.extract_value(sums, lane)
            total = builder.insert_element(total, value, ir.IntType(32)(lane))
        for row in range(4):
            at = builder.add(start, builder.mul(stride, stride.type(row)))
            address = builder.bitcast(builder.gep(data, [at]), _FOUR.as_pointer())
            values = builder.load(address, align=8)
            weight = builder.extract_value(weights, row)
            wide = builder.insert_element(
                ir.Constant(_FOUR, ir.Undefined), weight, ir.IntType(32)(0)
            )
            wide = builder.shuffle_vector(
                wide,
                ir.Constant(_FOUR, ir.Undefined),
                ir.Constant(ir.VectorType(ir.IntType(32), 4), [0] * 4),
            )
            term = builder.fmul(wide, values, flags=("contract",))
            total = builder.fadd(total, term, flags=("contract",))
        result = ir.Constant(ir.ArrayType(ir.DoubleType(), 4), ir.Undefined)
        for lane in range(4):
            value = builder.extract_element(total, ir.IntType(32)(lane))
            result = builder.insert_value(result, value, lane)
        return result

    return sums(table, start, stride, sums, weights), codegen


Four = tuple[float, float, float, float]

add_rows = cast(Callable[[NDArray[np.float64], int, int, Four, Four], Four], intrinsic(_add_rows))
"""``add_rows(table, start, stride, sums, weights)`` adds four rows of four values to four sums:
sums + Σ_r weights[r]·table[start + r·stride + 0 … 3].

``table`` is contiguous and the indices are inside it; nothing is checked.
"""
