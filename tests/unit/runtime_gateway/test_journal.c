#include "runtime/gateway/journal.h"
#include "tests/test.h"

#include <string.h>

static const struct dispatch_listener nobody;

static struct journal_entry *add(struct journal *journal, int n_prompt)
{
    static const int32_t prompt[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct link_submit submit = {
        .prompt = prompt, .n_prompt = n_prompt, .params = params_default()};
    submit.params.prompt_logprobs = 1;
    return journal_add(journal, &submit, &nobody);
}

TEST(a_request_is_sent_again_with_what_came_of_it_under_another_id)
{
    struct journal *journal = journal_create(2);
    struct journal_entry *entry = add(journal, 3);
    struct link_submit sent;
    journal_send(journal, entry, 0, &sent);
    CHECK_EQ(sent.id, entry->id);
    CHECK_EQ(sent.n_output, 0);
    for (int32_t t = 7; t < 9; t++) {
        struct link_token token = {.token = t, .finish = FINISH_NONE};
        journal_hear_token(entry, &token);
    }
    const uint64_t old = entry->wire_id;
    journal_lose(journal, 0);
    CHECK(journal_find(journal, old) == NULL);
    CHECK(journal_waiting(journal, false) == entry);
    journal_send(journal, entry, 1, &sent);
    CHECK(sent.id != old);
    CHECK(journal_find(journal, sent.id) == entry);
    CHECK_EQ(sent.n_output, 2);
    CHECK(sent.output[0] == 7 && sent.output[1] == 8);
    CHECK_EQ(sent.n_prompt, 3);
    journal_destroy(journal);
}

TEST(lists_and_keys_are_copies)
{
    struct journal *journal = journal_create(1);
    int32_t prompt[] = {1}, allowed[] = {2}, bad[] = {3, 4}, bad_end[] = {2};
    struct token_bias bias[] = {{5, 1.5f}};
    uint8_t key[] = {6};
    struct link_submit submit = {.prompt = prompt,
                                 .n_prompt = 1,
                                 .cache_key = key,
                                 .n_cache_key = 1,
                                 .deadline_ns = 77,
                                 .priority = -3,
                                 .params = params_default()};
    submit.params.allowed_id = allowed;
    submit.params.bias = bias;
    submit.params.bad_id = bad;
    submit.params.bad_end = bad_end;
    submit.params.n_allowed_ids = submit.params.n_biases = submit.params.n_bad_words = 1;
    struct journal_entry *entry = journal_add(journal, &submit, &nobody);
    prompt[0] = allowed[0] = bad[0] = bad[1] = bad_end[0] = bias[0].token = key[0] = 99;

    struct link_submit sent;
    journal_send(journal, entry, 0, &sent);
    CHECK_EQ(sent.prompt[0], 1);
    CHECK_EQ(sent.params.allowed_id[0], 2);
    CHECK(sent.params.bad_id[0] == 3 && sent.params.bad_id[1] == 4);
    CHECK_EQ(sent.params.bad_end[0], 2);
    CHECK_EQ(sent.params.bias[0].token, 5);
    CHECK_EQ(sent.cache_key[0], 6);
    CHECK_EQ(sent.deadline_ns, 77);
    CHECK_EQ(sent.priority, -3);
    journal_destroy(journal);
}

/* Rows [position, position + n) of a prompt, of two entries each: tokens 10 * position, and + 1. */
static struct link_prompt_logprobs rows_from(int position, int n)
{
    static struct link_logprob logprob[16];
    static int32_t end[8];
    for (int i = 0; i < n; i++) {
        logprob[2 * i].token = 10 * (position + i);
        logprob[2 * i + 1].token = 10 * (position + i) + 1;
        end[i] = 2 * (i + 1);
    }
    return (struct link_prompt_logprobs){
        .position = position, .logprob = logprob, .end = end, .n_positions = n};
}

TEST(rows_of_a_prompt_that_came_are_not_told_again)
{
    struct journal *journal = journal_create(1);
    struct journal_entry *entry = add(journal, 8);
    struct link_submit sent;
    journal_send(journal, entry, 0, &sent);
    struct link_prompt_logprobs rows = rows_from(1, 3);
    CHECK(journal_hear_prompt(journal, entry, &rows));
    CHECK_EQ(rows.n_positions, 3);
    journal_lose(journal, 0);

    journal_send(journal, entry, 0, &sent);
    CHECK_EQ(sent.params.prompt_logprobs, 1); /* not all are there */
    rows = rows_from(1, 2);
    CHECK(!journal_hear_prompt(journal, entry, &rows));
    rows = rows_from(3, 4);
    CHECK(journal_hear_prompt(journal, entry, &rows));
    CHECK_EQ(rows.position, 4);
    CHECK_EQ(rows.n_positions, 3);
    CHECK_EQ(rows.logprob[0].token, 40);
    CHECK(rows.end[0] == 2 && rows.end[2] == 6);
    rows = rows_from(7, 1);
    CHECK(journal_hear_prompt(journal, entry, &rows));
    journal_lose(journal, 0);

    journal_send(journal, entry, 0, &sent);
    CHECK_EQ(sent.params.prompt_logprobs, LOGPROBS_OFF);
    journal_destroy(journal);
}

TEST(only_a_crash_without_anything_counts_and_anything_clears)
{
    struct journal *journal = journal_create(1);
    struct journal_entry *entry = add(journal, 1);
    struct link_submit sent;
    struct link_token token = {.token = 5};
    for (int crashes = 1; crashes <= JOURNAL_SUSPECT; crashes++) {
        CHECK(!journal_is_suspect(entry));
        journal_send(journal, entry, 0, &sent);
        journal_lose(journal, 0);
        CHECK_EQ(entry->n_crashes, crashes);
    }
    CHECK(journal_is_suspect(entry));
    CHECK(journal_waiting(journal, true) == entry);
    CHECK(journal_waiting(journal, false) == NULL);
    journal_send(journal, entry, 0, &sent);
    journal_hear_token(entry, &token);
    CHECK(!journal_is_suspect(entry));
    journal_lose(journal, 0);
    CHECK_EQ(entry->n_crashes, 0);
    journal_destroy(journal);
}

/* Else a request that kills its engine in the third chunk of its prompt would do so for ever. */
TEST(rows_of_a_prompt_that_came_before_clear_nobody)
{
    struct journal *journal = journal_create(1);
    struct journal_entry *entry = add(journal, 8);
    struct link_submit sent;
    for (int life = 0; life <= JOURNAL_SUSPECT; life++) {
        struct link_prompt_logprobs rows = rows_from(1, 3);
        CHECK_EQ(entry->n_crashes, life > 0 ? life - 1 : 0);
        journal_send(journal, entry, 0, &sent);
        CHECK_EQ(journal_hear_prompt(journal, entry, &rows), life == 0);
        journal_lose(journal, 0);
    }
    CHECK(journal_is_suspect(entry));
    journal_destroy(journal);
}

TEST(what_waits_again_waits_in_the_order_it_came)
{
    struct journal *journal = journal_create(1);
    struct journal_entry *entry[5];
    struct link_submit sent;
    for (int i = 0; i < 5; i++)
        entry[i] = add(journal, 1);
    journal_send(journal, entry[1], 0, &sent);
    journal_send(journal, entry[0], 0, &sent);
    journal_send(journal, entry[3], 0, &sent);
    CHECK(journal_at(journal, 0) == entry[0]);
    journal_recall(journal, entry[3]);
    journal_lose(journal, 0);
    for (int i = 0; i < 5; i++) {
        CHECK(journal_waiting(journal, false) == entry[i]);
        journal_remove(journal, entry[i]);
    }
    CHECK_EQ(journal_count(journal), 0);
    journal_destroy(journal);
}

TEST(drafts_count_over_all_engines)
{
    struct journal *journal = journal_create(1);
    struct journal_entry *entry = add(journal, 1);
    struct link_submit sent;
    for (int life = 1; life <= 2; life++) {
        struct link_token token = {.token = 5, .n_drafted = 4, .n_accepted = 3};
        journal_send(journal, entry, 0, &sent);
        journal_hear_token(entry, &token);
        CHECK_EQ(token.n_drafted, 4 * life);
        CHECK_EQ(token.n_accepted, 3 * life);
        journal_lose(journal, 0);
    }
    journal_destroy(journal);
}
