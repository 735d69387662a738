#include "base/bytes.h"
#include "tests/test.h"

#include <string.h>

TEST(bytes_are_text_with_a_nul_after_every_addition)
{
    struct bytes b = {0};
    CHECK(bytes_add(&b, "", 0));
    CHECK_STR(b.data, "");
    CHECK(bytes_add_text(&b, "rank"));
    CHECK(bytes_add_char(&b, ' '));
    CHECK(bytes_printf(&b, "%d of %d", 1, 4));
    CHECK_STR(b.data, "rank 1 of 4");
    CHECK_EQ(b.len, 11);
    bytes_release(&b);
    CHECK(b.data == NULL && b.len == 0);
}

TEST(bytes_may_hold_nul)
{
    struct bytes b = {0};
    CHECK(bytes_add(&b, "a\0b", 3));
    CHECK_EQ(b.len, 3);
    CHECK(memcmp(b.data, "a\0b", 4) == 0);
    bytes_release(&b);
}

TEST(bytes_over_the_maximum_are_refused_whole)
{
    struct bytes b = {.max = 8};
    CHECK(bytes_add_text(&b, "12345"));
    CHECK(!bytes_add_text(&b, "6789"));
    CHECK(!bytes_printf(&b, "%d", 6789));
    CHECK(!bytes_reserve(&b, (size_t)-1)); /* must not overflow into a yes */
    CHECK_STR(b.data, "12345");
    CHECK(bytes_printf(&b, "%s", "678")); /* exactly full */
    CHECK(!bytes_add_char(&b, '9'));
    CHECK(bytes_add(&b, NULL, 0));
    CHECK_STR(b.data, "12345678");
    CHECK(b.len <= b.max);
    bytes_release(&b);
    CHECK_EQ(b.max, 8);
    CHECK(!bytes_add_text(&b, "123456789"));
    bytes_release(&b);
}

TEST(bytes_leave_from_the_front)
{
    struct bytes b = {0};
    bytes_remove_front(&b, 0); /* of an empty one */
    CHECK(bytes_add_text(&b, "header body"));
    bytes_remove_front(&b, 7);
    CHECK_STR(b.data, "body");
    bytes_remove_front(&b, 4);
    CHECK_STR(b.data, "");
    CHECK_EQ(b.len, 0);
    bytes_release(&b);
}

TEST(bytes_cleared_keep_their_memory)
{
    struct bytes b = {0};
    bytes_clear(&b);
    CHECK(bytes_reserve(&b, 1000));
    const size_t capacity = b.capacity;
    CHECK(bytes_add_text(&b, "x"));
    bytes_clear(&b);
    CHECK_EQ(b.len, 0);
    CHECK_EQ(b.capacity, capacity);
    CHECK_STR(b.data, "");
    bytes_release(&b);
}

TEST(bytes_grow_over_many_small_additions)
{
    struct bytes b = {0};
    for (int i = 0; i < 100000; i++)
        CHECK(bytes_add_char(&b, (char)('a' + i % 26)));
    for (int i = 0; i < 100000; i++)
        CHECK_EQ(b.data[i], 'a' + i % 26);
    CHECK(b.capacity <= 4 * b.len);
    bytes_release(&b);
}
