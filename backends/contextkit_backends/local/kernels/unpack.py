"""Small whole numbers to floats inside a kernel: 4-bit codes and bytes.

Reference: `low, high = (x & 15).half(), (x >> 4).half()` for bytes of two codes; `x.half()` for int8.

On a GPU a code is put into the mantissa of 1024.0 in fp16 by byte permutation (two numbers an instruction)
and what was added is taken off: conversion instructions would cost more than reading the page. To take it
off a whole sum of values instead is cheaper still, and wrong by 6 % where 131,072 keys weigh alike.
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

_NIBBLES = tl.constexpr("""
{
.reg .b32 low, high, magic, less;
mov.b32 magic, 0x64646464;
mov.b32 less, 0x64006400;
and.b32 low, $4, 0x0F0F0F0F;
shr.u32 high, $4, 4;
and.b32 high, high, 0x0F0F0F0F;
prmt.b32 $0, low, magic, 0x4140;
prmt.b32 $1, low, magic, 0x4342;
prmt.b32 $2, high, magic, 0x4140;
prmt.b32 $3, high, magic, 0x4342;
sub.f16x2 $0, $0, less;
sub.f16x2 $1, $1, less;
sub.f16x2 $2, $2, less;
sub.f16x2 $3, $3, less;
}
""")
_BYTES = tl.constexpr("""
{
.reg .b32 biased, magic, less;
mov.b32 magic, 0x64646464;
mov.b32 less, 0x64806480;
xor.b32 biased, $2, 0x80808080;
prmt.b32 $0, biased, magic, 0x4140;
prmt.b32 $1, biased, magic, 0x4342;
sub.f16x2 $0, $0, less;
sub.f16x2 $1, $1, less;
}
""")


@triton.jit
def nibbles(packed, UPCAST: tl.constexpr):
    """The low and the high 4-bit codes of every byte, as floats."""
    if UPCAST:
        return (packed & 15).to(tl.float32), (packed >> 4).to(tl.float32)
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
def signed_bytes(values, UPCAST: tl.constexpr):
    """Signed bytes as floats."""
    if UPCAST:
        return values.to(tl.float32)
    else:  # noqa: RET505
        return tl.inline_asm_elementwise(
            _BYTES, "=r,=r,r", [values], dtype=tl.float16, is_pure=True, pack=4
        )
