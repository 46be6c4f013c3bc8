"""Small whole numbers to floats inside a kernel: 4-bit codes, bytes, and the grid of a page's keys.

Numbers come back in units of `UNIT`: on a GPU the bits of a code are put where they are the mantissa of a
subnormal fp16 number, `n * 2**-24`, which a matrix product reads exactly. So a code costs half an
instruction and no conversion, and a sum is brought back to 1 once. High nibbles stay where they are in
their byte: they count 16 times as much.
"""

from __future__ import annotations

# pyright: reportUnknownParameterType=false, reportMissingParameterType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportMissingTypeArgument=false
# pyright: reportMissingTypeStubs=false, reportCallIssue=false, reportArgumentType=false
# pyright: reportGeneralTypeIssues=false, reportAttributeAccessIssue=false, reportIndexIssue=false
# pyright: reportOperatorIssue=false, reportUntypedFunctionDecorator=false, reportReturnType=false
# pyright: reportAssignmentType=false
# mypy: disable-error-code="untyped-decorator, no-untyped-def, import-untyped, no-untyped-call"
import triton
import triton.language as tl

UNIT = tl.constexpr(2.0**24)
"""What a product of unpacked numbers is multiplied by on a GPU."""

_NIBBLES = tl.constexpr("""
{
.reg .b32 even, odd;
prmt.b32 even, $4, $4, 0x3120;
shr.u32 odd, even, 8;
and.b32 $0, even, 0x000F000F;
and.b32 $1, odd, 0x000F000F;
and.b32 $2, even, 0x00F000F0;
and.b32 $3, odd, 0x00F000F0;
}
""")
_BYTES = tl.constexpr("""
{
prmt.b32 $0, $2, 0, 0x4140;
prmt.b32 $1, $2, 0, 0x4342;
}
""")
_GRID = tl.constexpr("""
{
.reg .b32 scales, zeros, low, high, less, times, shifted;
prmt.b32 scales, $4, $5, 0x5410;
prmt.b32 zeros, $4, $5, 0x7632;
and.b32 low, scales, 0x00FF00FF;
and.b32 high, scales, 0xFF00FF00;
shl.b32 $0, low, 7;
shr.u32 $1, high, 1;
and.b32 low, zeros, 0x00FF00FF;
prmt.b32 high, zeros, 0, 0x4341;
mov.b32 less, 0x00800080;
mov.b32 times, 0x4C004C00;
mov.b32 shifted, 0x88008800;
sub.f16x2 $2, low, less;
fma.rn.f16x2 $3, high, times, shifted;
}
""")


@triton.jit
def nibbles(packed, UPCAST: tl.constexpr):
    """The low 4-bit code of every byte, and 16 times the high one."""
    if UPCAST:
        return (packed & 15).to(tl.float32), (packed & 240).to(tl.float32)
    else:  # noqa: RET505  the branch not taken must not be compiled
        return tl.inline_asm_elementwise(
            _NIBBLES,
            "=r,=r,=r,=r,r",
            [packed],
            dtype=(tl.float16, tl.float16),
            is_pure=True,
            pack=4,
        )


@triton.jit
def unsigned_bytes(values, UPCAST: tl.constexpr):
    """Bytes 0 … 255."""
    if UPCAST:
        return values.to(tl.float32)
    else:  # noqa: RET505
        return tl.inline_asm_elementwise(
            _BYTES, "=r,=r,r", [values], dtype=tl.float16, is_pure=True, pack=4
        )


@triton.jit
def key_grid(words, UPCAST: tl.constexpr):
    """Of words of four bytes: the scales of the low and high channels, and where their codes begin.

    Scales are in units of 1; 16 times as much of the high channels' zero, as of their codes.
    """
    if UPCAST:
        low = ((words & 255) << 7).to(tl.int16).to(tl.float16, bitcast=True)
        high = (((words >> 8) & 255) << 7).to(tl.int16).to(tl.float16, bitcast=True)
        zero_low = ((words >> 16) & 255).to(tl.float32) - 128.0
        zero_high = ((words >> 24) & 255).to(tl.float32) * 16.0 - 2048.0
        return low.to(tl.float32), high.to(tl.float32), zero_low, zero_high
    else:  # noqa: RET505
        return tl.inline_asm_elementwise(
            _GRID,
            "=r,=r,=r,=r,r,r",
            [words],
            dtype=(tl.float16, tl.float16, tl.float16, tl.float16),
            is_pure=True,
            pack=2,
        )
