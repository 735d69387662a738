/* Instructions for numbers. */
#include "tests/cuda_emulator/block.h"
#include "tests/test.h"

#include "kernels/dtype.h"

#include <float.h>
#include <math.h>

TEST(every_half_widens_as_dtype_says)
{
    for (int bits = 0; bits < 65536; bits++) {
        const float got = emulated_f16_f32((uint16_t)bits), want = f16_to_f32((uint16_t)bits);
        CHECK(got == want || (isnan(got) && isnan(want)));
    }
}

TEST(every_half_narrows_to_itself)
{
    for (int bits = 0; bits < 65536; bits++) {
        const float f = f16_to_f32((uint16_t)bits);
        CHECK_EQ(emulated_f32_f16(f), isnan(f) ? 0x7fff : bits);
    }
}

/* Between two neighbours; the last one has infinity for its neighbour. */
TEST(numbers_narrow_to_the_nearest_half_and_ties_to_even)
{
    for (int bits = 0; bits < 0x7c00; bits++) {
        const float low = f16_to_f32((uint16_t)bits);
        const float high = bits == 0x7bff ? 65536.0f : f16_to_f32((uint16_t)(bits + 1));
        const float middle = low / 2 + high / 2;
        const int even = bits % 2 == 0 ? bits : bits + 1;
        CHECK_EQ(emulated_f32_f16(middle), even);
        CHECK_EQ(emulated_f32_f16(-middle), 0x8000 | even);
        CHECK_EQ(emulated_f32_f16(nextafterf(middle, low)), bits);
        CHECK_EQ(emulated_f32_f16(nextafterf(middle, high)), bits + 1);
    }
}

TEST(exp2_is_the_nearest_float_or_its_neighbour)
{
    for (float x = -125.9f; x < 127.9f; x += 0.00913f) {
        const double want = exp2((double)x);
        CHECK(fabs((double)emulated_exp2(x) - want) <= want * (double)FLT_EPSILON);
    }
}

TEST(exp2_has_the_ends_of_the_instruction)
{
    CHECK(emulated_exp2(0.0f) == 1.0f);
    CHECK(emulated_exp2(-3.0f) == 0.125f);
    CHECK(emulated_exp2(-200.0f) == 0.0f);
    CHECK(emulated_exp2(-INFINITY) == 0.0f);
    CHECK(emulated_exp2(128.0f) == INFINITY);
    CHECK(emulated_exp2(INFINITY) == INFINITY);
    CHECK(isnan(emulated_exp2(NAN)));
}
