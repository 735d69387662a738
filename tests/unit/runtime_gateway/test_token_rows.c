#include "runtime/gateway/token_rows.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/gateway/output.h"
#include "tests/test.h"
#include "tests/unit/runtime_gateway/demo_intake.h"

#include <string.h>

enum { N_BYTES = 4 };

/* The tokens of U+1F600, one for each of its bytes. */
static void byte_tokens(int32_t token[N_BYTES])
{
    struct intake *intake = demo_intake();
    struct ids ids = {0};
    struct error err = {0};
    if (!intake_text(intake, "\xf0\x9f\x98\x80", N_BYTES, &ids, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    CHECK(ids.n >= N_BYTES);
    memcpy(token, ids.data + ids.n - N_BYTES, N_BYTES * sizeof *token);
    ids_release(&ids);
}

/* Rows of tokens 1 .. 3 behind a first one, as of a prompt, or behind rows of another. */
static const char *last_text(struct arena *arena, bool behind_other_rows)
{
    int32_t token[N_BYTES], end[N_BYTES - 1];
    struct link_logprob entry[N_BYTES - 1];
    byte_tokens(token);
    for (int i = 0; i < N_BYTES - 1; i++) {
        entry[i] = (struct link_logprob){.token = token[i + 1], .logprob = -1, .rank = 1};
        end[i] = i + 1;
    }
    const struct logprob_rows from = {
        .entry = entry, .n_entries = N_BYTES - 1, .end = {.data = end, .n = N_BYTES - 1}};
    struct token_rows rows = {.arena = arena, .tokenizer = demo_intake()->tokenizer};
    token_rows_add_first(&rows, token[0]);
    if (behind_other_rows)
        token_rows_add(&rows, &from, 0, 1);
    token_rows_add(&rows, &from, 0, N_BYTES - 1);
    const struct json_logprob_rows view = token_rows_view(&rows);
    const struct json_text text = view.entry[view.end[view.n_rows - 1] - 1].decoded_token;
    return arena_copy_text(arena, text.data, text.n_bytes);
}

TEST(a_character_that_begins_with_the_first_token_of_a_prompt_is_whole)
{
    struct arena arena = {0};
    CHECK_STR(last_text(&arena, false), "\xf0\x9f\x98\x80");
    arena_release(&arena);
}

TEST(the_first_token_of_a_prompt_stands_before_no_other_rows)
{
    struct arena arena = {0};
    CHECK_STR(last_text(&arena, true), "");
    arena_release(&arena);
}
