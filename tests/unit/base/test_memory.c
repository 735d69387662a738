#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "tests/files.h"
#include "tests/test.h"

#include <signal.h>
#include <stdint.h>
#include <string.h>

/* The sanitizers end the process at a refused allocation unless told that a NULL is wanted. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

static bool all_zero(const unsigned char *p, size_t n_bytes)
{
    for (size_t i = 0; i < n_bytes; i++)
        if (p[i] != 0)
            return false;
    return true;
}

TEST(memory_is_zeroed_and_never_null)
{
    unsigned char *p = memory_alloc(1000, 3);
    CHECK(all_zero(p, 3000));
    memory_free(p);
    void *nothing = memory_alloc(0, 8);
    CHECK(nothing != NULL);
    memory_free(nothing);
    memory_free(NULL);
}

TEST(memory_keeps_its_bytes_when_it_grows)
{
    char *p = memory_resize(NULL, 4, 1);
    memcpy(p, "abc", 4);
    p = memory_resize(p, 1 << 20, 1);
    CHECK_STR(p, "abc");
    memory_free(p);
}

static void ask_for_too_much(void *context)
{
    (void)context;
    memory_alloc(SIZE_MAX / 2, 1);
}

static void overflow_a_product(void *context)
{
    (void)context;
    memory_alloc(SIZE_MAX / 2, 3);
}

TEST(memory_that_is_refused_ends_the_process_with_its_own_code)
{
    CHECK_EQ(outcome_of(ask_for_too_much, NULL), MEMORY_EXIT_CODE);
}

TEST(memory_whose_size_overflows_is_a_bug)
{
    CHECK_EQ(outcome_of(overflow_a_product, NULL), -SIGABRT);
}

TEST(the_account_has_what_is_held_and_no_more)
{
    const struct memory_account before = memory_account();
    struct error err = {0};
    struct arena arena = {0};
    void *map, *p = memory_alloc(1000, 3), *grown = memory_resize(NULL, 10, 1);
    grown = memory_resize(grown, 500, 100);
    arena_alloc(&arena, 1000, 100);
    CHECK(memory_map(&map, 5000, &err));
    const struct memory_account now = memory_account();
    const int64_t allocated = now.allocated - before.allocated;
    CHECK(allocated >= 3000 + 50000 + 100000);
    CHECK(allocated < 3000 + 50000 + 100000 + 4 * 4096); /* the allocator's own rounding */
    CHECK_EQ(now.mapped - before.mapped, 2 * (int64_t)system_page_bytes());

    memory_free(p);
    memory_free(grown);
    memory_free(NULL);
    arena_release(&arena);
    memory_unmap(map, 5000);
    const struct memory_account after = memory_account();
    CHECK_EQ(after.allocated, before.allocated);
    CHECK_EQ(after.mapped, before.mapped);
}

TEST(mapped_memory_is_zeroed_writable_and_aligned_for_huge_pages)
{
    const size_t sizes[] = {1, 4096, 4097, (2 << 20) - 1, 2 << 20, (5 << 20) + 12345};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct error err = {0};
        void *p;
        CHECK(memory_map(&p, sizes[i], &err));
        CHECK_EQ((uintptr_t)p % (sizes[i] < 2 << 20 ? system_page_bytes() : 2 << 20), 0);
        CHECK(all_zero(p, sizes[i]));
        memset(p, 0xff, sizes[i]);
        memory_unmap(p, sizes[i]);
    }
}

TEST(mapped_memory_of_no_bytes_is_null)
{
    struct error err = {0};
    void *p = &err;
    CHECK(memory_map(&p, 0, &err));
    CHECK(p == NULL);
    memory_unmap(p, 0);
}

TEST(mapped_memory_that_cannot_be_had_is_an_error_of_the_system)
{
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 4096, (size_t)1 << 60};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct error err = {0};
        void *p;
        CHECK(!memory_map(&p, sizes[i], &err));
        CHECK_EQ(err.kind, ERROR_SYSTEM);
        CHECK(strstr(err.text, "bytes of memory"));
    }
}

TEST(arena_gives_zeroed_aligned_pieces_that_do_not_touch)
{
    struct arena arena = {0};
    unsigned char *pieces[200];
    size_t n_bytes[200], total = 0;
    for (int i = 0; i < 200; i++) {
        n_bytes[i] = (size_t)i * i * 37 % 20000; /* some need a block of their own size */
        pieces[i] = arena_alloc(&arena, n_bytes[i], 1);
        CHECK_EQ((uintptr_t)pieces[i] % 64, 0);
        CHECK(all_zero(pieces[i], n_bytes[i]));
        memset(pieces[i], i, n_bytes[i]);
        total += n_bytes[i];
    }
    for (int i = 0; i < 200; i++)
        for (size_t k = 0; k < n_bytes[i]; k++)
            CHECK_EQ(pieces[i][k], i);
    CHECK(arena.total_bytes >= total && arena.total_bytes <= total + 200 * 64);
    arena_release(&arena);
    CHECK_EQ(arena.total_bytes, 0);
}

TEST(an_arena_that_was_reset_gives_zeroed_pieces_from_the_memory_that_it_has)
{
    struct arena arena = {0};
    enum { N = 40, BYTES = 9000 }; /* several blocks, the first time */
    for (int round = 0; round < 4; round++) {
        unsigned char *first = NULL;
        for (int i = 0; i < N; i++) {
            unsigned char *piece = arena_alloc(&arena, BYTES, 1);
            CHECK_EQ((uintptr_t)piece % 64, 0);
            CHECK(all_zero(piece, BYTES));
            memset(piece, 0xff, BYTES);
            first = i == 0 ? piece : first;
            if (round > 0) /* one block: each follows the one before */
                CHECK(piece == first + (size_t)i * (BYTES + 24));
        }
        arena_reset(&arena);
        CHECK_EQ(arena.total_bytes, 0);
    }
    arena_release(&arena);
    arena_reset(&arena); /* empty: nothing to do */
    CHECK(arena.last == NULL);
}

TEST(arena_can_be_used_again_after_release)
{
    struct arena arena = {0};
    for (int round = 0; round < 3; round++) {
        unsigned char *large = arena_alloc(&arena, 3 << 20, 1);
        CHECK(all_zero(large, 3 << 20));
        memset(large, 1, 3 << 20);
        CHECK_STR(arena_copy_text(&arena, "phalanx of ranks", 7), "phalanx");
        CHECK_STR(arena_copy_text(&arena, NULL, 0), "");
        arena_release(&arena);
    }
    arena_release(&arena); /* empty: nothing to do */
}
