"""Polynomials for the lattice factors, which compilers turn into vector instructions.

Interpolated at Chebyshev nodes with 40 digits.  The CUDA kernel is given the same numbers.
"""

from typing import Final

SINPI: Final = (
    3.1415926535897927,
    -5.1677127800497855,
    2.5501640398618677,
    -0.599264528825224,
    0.08214587881631043,
    -0.0073703643265304155,
    0.0004659870158043378,
    -2.113362735205297e-05,
)
"""sin(πx)/x in powers of x², |x| ≤ ½: relative error 2.4e-16."""

COSPI: Final = (
    1.0,
    -4.934802200544679,
    4.058712126416768,
    -1.3352627688545549,
    0.235330630357995,
    -0.025806891376592964,
    0.0019295741872812349,
    -0.00010463741681752138,
    4.300724172734847e-06,
    -1.34352129509532e-07,
)
"""cos(πx) in powers of x², |x| ≤ ½: absolute error below 1e-16."""

EXP: Final = (
    1.0,
    1.0,
    0.5000000000000019,
    0.1666666666666668,
    0.0416666666664881,
    0.008333333333319601,
    0.0013888888952314775,
    0.00019841269890047113,
    2.4801485482328494e-05,
    2.755724091857897e-06,
    2.763263963904103e-07,
    2.5110037605963777e-08,
)
"""exp(x) in powers of x, |x| ≤ ln(2)/2: relative error 1.7e-17."""

SINC3: Final = (1.0, -0.1, 1.0 / 280.0, -1.0 / 15120.0, 1.0 / 1330560.0)
"""3(sin x/x − cos x)/x² in powers of x², |x| ≤ 0.3: relative error below 1e-14."""

SINPI_SINGLE: Final = (
    3.141592636895393,
    -5.167709684798941,
    2.5500697263351313,
    -0.5982421264211114,
    0.07756038699820401,
)
"""sin(πx)/x in powers of x², |x| ≤ ½, for float32: minimax, relative error 5.3e-9."""

COSPI_SINGLE: Final = (
    0.9999999997806517,
    -4.934802137228388,
    4.058709164343242,
    -1.33521205667153,
    0.23493755896653157,
    -0.02439671662181353,
)
"""cos(πx) in powers of x², |x| ≤ ½, for float32: minimax, absolute error 2.2e-10."""

EXP_UNDERFLOW: Final = 745.13321910194122
"""exp(−x) is 0 in float64 above this, −ln 2⁻¹⁰⁷⁵, and so is the lattice factor of `gauss`: where a
running product is formed, a step of which it is 0 does not count, and any other does."""

FAINTEST: Final = 700.0
"""The square of a `gauss` lattice factor is not made smaller than exp(−700) of its peak as long as
the factor itself is not 0: in float64 the square would be 0 long before."""

SINC3_CANCELS: Final = 2.0**-53
"""sin x/x − cos x is 0 in float64 for 0 < x² < 2⁻⁵³ (quirk sinc3_cancellation)."""

LN2_HIGH: Final = 6.93147180369123816490e-01
LN2_LOW: Final = 1.90821492927058770002e-10
"""ln 2 in two parts; the first has 33 bits, so that whole multiples of it are exact."""
