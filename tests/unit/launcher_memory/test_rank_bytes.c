/* Sizes as people read them. */
#include "launcher/bytes_text.h"
#include "launcher/rank/bytes.h"
#include "tests/test.h"

TEST(sizes_have_three_digits_and_a_unit)
{
    static const struct {
        int64_t n_bytes;
        const char *text;
    } cases[] = {{0, "0"},
                 {1, "1 B"},
                 {999, "999 B"},
                 {1000, "1.00 KB"},
                 {9994, "9.99 KB"},
                 {9996, "10.0 KB"},
                 {123456, "123 KB"},
                 {999499, "999 KB"},
                 {999500, "1.00 MB"},
                 {17179869184, "17.2 GB"},
                 {9000000000000000, "9.00 PB"},
                 {INT64_MAX, "9.22 EB"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[BYTES_TEXT];
        CHECK_STR(bytes_text(text, cases[i].n_bytes), cases[i].text);
    }
}

TEST(the_total_counts_every_kind_once)
{
    const struct rank_bytes bytes = {.mapped = 1,
                                     .copied = 10,
                                     .kv = 100,
                                     .activations = 1000,
                                     .communication = 10000,
                                     .threads = 100000,
                                     .tables = 1000000};
    CHECK_EQ(rank_bytes_total(&bytes), 1111111);
    CHECK_EQ(rank_bytes_weights(&bytes), 11);
}
