#include "runtime/schedule/ngram.h"
#include "tests/test.h"

#include <string.h>

#define PROPOSE(draft, most, lo, hi, ...)                      \
    ngram_propose(draft, most, (const int32_t[]){__VA_ARGS__}, \
                  sizeof((const int32_t[]){__VA_ARGS__}) / 4, lo, hi)

TEST(what_followed_the_end_before_is_proposed)
{
    int32_t draft[8] = {0};
    CHECK_EQ(PROPOSE(draft, 3, 2, 4, 1, 2, 3, 4, 5, 6, 2, 3), 3);
    CHECK(memcmp(draft, (int32_t[]){4, 5, 6}, 12) == 0);
    CHECK_EQ(PROPOSE(draft, 1, 2, 4, 1, 2, 3, 4, 5, 6, 2, 3), 1);
    CHECK_EQ(PROPOSE(draft, 8, 2, 4, 1, 2, 3, 4, 2, 3), 3); /* no more have followed */
    CHECK(memcmp(draft, (int32_t[]){4, 2, 3}, 12) == 0);
    CHECK_EQ(PROPOSE(draft, 0, 1, 4, 1, 1, 1), 0);
}

TEST(an_end_that_is_new_or_too_short_proposes_nothing)
{
    int32_t draft[8];
    CHECK_EQ(PROPOSE(draft, 3, 1, 4, 1, 2, 3, 4), 0);
    CHECK_EQ(PROPOSE(draft, 3, 2, 4, 1, 3, 9, 2, 3), 0); /* 3 was there, 2 3 was not */
    CHECK_EQ(PROPOSE(draft, 3, 1, 4, 1), 0);
    CHECK_EQ(ngram_propose(draft, 3, draft, 0, 1, 4), 0);
}

TEST(the_longest_match_wins_and_of_equal_ones_the_first)
{
    int32_t draft[1];
    CHECK_EQ(PROPOSE(draft, 1, 1, 4, 3, 10, 2, 3, 11, 1, 2, 3, 12, 2, 3, 13, 1, 2, 3), 1);
    CHECK_EQ(draft[0], 12);
    CHECK_EQ(PROPOSE(draft, 1, 1, 2, 3, 10, 2, 3, 11, 1, 2, 3, 12, 2, 3, 13, 1, 2, 3), 1);
    CHECK_EQ(draft[0], 11); /* longer matches than ngram_max do not count as longer */
}

TEST(a_match_may_overlap_the_end)
{
    int32_t draft[4];
    CHECK_EQ(PROPOSE(draft, 4, 3, 3, 7, 7, 7, 7), 1);
    CHECK_EQ(draft[0], 7);
    CHECK_EQ(PROPOSE(draft, 4, 2, 4, 1, 2, 1, 2, 1, 2), 2);
    CHECK(memcmp(draft, (int32_t[]){1, 2}, 8) == 0);
}

/* Every length from the longest, every place from the first. */
static int propose_plainly(int32_t *draft, int most, const int32_t *token, int n, int lo, int hi)
{
    for (int length = hi; length >= lo; length--)
        for (int at = 0; at + length < n; at++)
            if (memcmp(token + at, token + n - length, (size_t)length * sizeof *token) == 0) {
                int n_drafts = 0;
                for (int i = at + length; i < n && n_drafts < most; i++)
                    draft[n_drafts++] = token[i];
                return n_drafts;
            }
    return 0;
}

TEST(random_sequences_propose_what_the_plain_search_proposes)
{
    enum { MOST = 300 };
    int n_hits = 0;
    uint32_t random = 3;
    for (int round = 0; round < 20000; round++) {
        int32_t token[MOST + 8], want[8];
        const int n = (int)(random % (round % 4 ? 20 : MOST));
        const int vocab = 1 + round % 7 * (round % 3 ? 1 : 20), most = round % 8;
        const int lo = 1 + round % 3, hi = lo + round % 5;
        for (int i = 0; i < n; i++) {
            random = random * 1664525 + 1013904223;
            token[i] = (int32_t)(random >> 16) % vocab;
        }
        random = random * 1664525 + 1013904223;
        const int n_want = propose_plainly(want, most, token, n, lo, hi);
        CHECK_EQ(ngram_propose(token + n, most, token, n, lo, hi), n_want);
        CHECK(memcmp(token + n, want, (size_t)n_want * sizeof *want) == 0);
        n_hits += n_want > 0;
    }
    CHECK(n_hits > 5000 && n_hits < 19000);
}
