/* Kernel tests cannot see a wrong conversion, because the reference reads the converted numbers
 * too. There are few enough of them to try all. */
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "tests/test.h"

#include <math.h>

TEST(every_bf16_survives_a_round_trip)
{
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        const float value = bf16_to_f32((bf16){(uint16_t)bits});
        const bf16 back = bf16_from_f32(value);
        if (isnan(value))
            CHECK(isnan(bf16_to_f32(back)));
        else
            CHECK_EQ(back.bits, bits);
    }
}

/* Between two neighbours of BF16 lie 65,535 float32: the nearest must win. Three of them decide. */
TEST(f32_to_bf16_rounds_to_nearest_with_ties_to_even)
{
    for (unsigned upper = 0; upper < 0x7f80; upper++)
        for (unsigned sign = 0; sign <= 0x8000; sign += 0x8000) {
            static const struct {
                unsigned lower;
                bool up_if_even, up_if_odd;
            } cases[] = {{0x7fff, false, false}, {0x8000, false, true}, {0x8001, true, true}};
            for (int i = 0; i < 3; i++) {
                const uint32_t bits = (sign | upper) << 16 | cases[i].lower;
                float value;
                memcpy(&value, &bits, sizeof value);
                const bool up = upper & 1 ? cases[i].up_if_odd : cases[i].up_if_even;
                CHECK_EQ(bf16_from_f32(value).bits, (sign | upper) + up);
            }
        }
}

TEST(every_f16_is_exact_also_when_denormals_are_flushed)
{
    cpu_float_mode_set();
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        const unsigned exponent = bits >> 10 & 31, mantissa = bits & 0x3ff;
        const float got = f16_to_f32((uint16_t)bits);
        if (exponent == 31 && mantissa != 0) {
            CHECK(isnan(got));
            continue;
        }
        double want = exponent == 31  ? INFINITY
                      : exponent == 0 ? ldexp(mantissa, -24)
                                      : ldexp(1024 + mantissa, (int)exponent - 25);
        want = bits & 0x8000 ? -want : want;
        CHECK((double)got == want);
        CHECK_EQ(signbit(got) != 0, bits >> 15);
    }
}

TEST(every_f16_survives_a_round_trip)
{
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        const float value = f16_to_f32((uint16_t)bits);
        if (isnan(value))
            CHECK(isnan(f16_to_f32(f16_from_f32(value))));
        else
            CHECK_EQ(f16_from_f32(value), bits);
    }
}

/* As for BF16: the middle between two neighbours, and what is just beside it. In double, because
 * the middle of two denormals is exact there. */
TEST(f32_to_f16_rounds_to_nearest_with_ties_to_even)
{
    for (unsigned lower = 0; lower < 0x7c00; lower++) {
        const double a = (double)f16_to_f32((uint16_t)lower);
        const double b = lower == 0x7bff ? 65536 : (double)f16_to_f32((uint16_t)(lower + 1));
        const float middle = (float)((a + b) / 2); /* exact: one bit more than a half has */
        CHECK_EQ(f16_from_f32(middle), lower + (lower & 1));
        CHECK_EQ(f16_from_f32(nextafterf(middle, 0)), lower);
        CHECK_EQ(f16_from_f32(nextafterf(middle, INFINITY)), lower + 1);
        CHECK_EQ(f16_from_f32(-middle), 0x8000 + lower + (lower & 1));
    }
    CHECK_EQ(f16_from_f32(1e30f), 0x7c00);
    CHECK_EQ(f16_from_f32(1e-30f), 0);
}

TEST(formats_have_the_names_and_widths_of_checkpoints)
{
    CHECK_STR(dtype_name(DTYPE_F32), "F32");
    CHECK_STR(dtype_name(DTYPE_BF16), "BF16");
    CHECK_STR(dtype_name(DTYPE_F16), "F16");
    CHECK_STR(dtype_name(DTYPE_I8), "I8");
    CHECK_EQ(dtype_bytes(DTYPE_F32), 4);
    CHECK_EQ(dtype_bytes(DTYPE_BF16), 2);
    CHECK_EQ(dtype_bytes(DTYPE_F16), 2);
    CHECK_EQ(dtype_bytes(DTYPE_I8), 1);
}
