#include "runtime/sample/philox.h"
#include "tests/test.h"

#include <string.h>

/* The known answers that the authors publish with Random123 (kat_vectors, philox4x32 10). */
TEST(philox_gives_the_published_answers)
{
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } known[] = {
        {{0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[4];
        philox4x32(out, known[i].counter, known[i].key);
        CHECK(memcmp(out, known[i].want, sizeof out) == 0);
    }
}

TEST(a_run_of_philox_is_that_of_each_counter)
{
    static const uint32_t key[2] = {0xa4093822, 0x299f31d0};
    uint32_t second[PHILOX_RUN], out[4 * PHILOX_RUN], one[4];
    for (int j = 0; j < PHILOX_RUN; j++)
        second[j] = (uint32_t)j * 0x9e3779b9u;
    philox4x32_run(out, (uint32_t[]){77, 5, 3, 0xffffffff}, second, key);
    for (int j = 0; j < PHILOX_RUN; j++) {
        philox4x32(one, (uint32_t[]){77, second[j], 3, 0xffffffff}, key);
        for (int w = 0; w < 4; w++)
            CHECK_EQ(out[w * PHILOX_RUN + j], one[w]);
    }
}
