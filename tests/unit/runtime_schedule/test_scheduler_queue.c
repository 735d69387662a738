/* Who runs first, who must give way, and who is out of time. */
#include "runtime/schedule/fair_share.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/fixture.h"

static void submit_as(struct fixture *f, uint64_t id, int n_prompt, int priority, uint64_t tenant)
{
    struct request_source source = fixture_source(f, id, n_prompt);
    source.priority = priority;
    source.tenant = tenant;
    must_submit_source(f, &source);
}

/* Ids in the order in which they run, one after the other. */
static void check_order(struct fixture *f, const uint64_t *id, int n)
{
    for (int i = 0; i < n; i++) {
        plan_any(f);
        commit(f, EOS);
        CHECK_EQ(f->outcome[0].id, id[i]);
    }
}

TEST(priorities_count_only_with_their_policy)
{
    for (int by_priority = 0; by_priority < 2; by_priority++) {
        struct fixture f;
        struct scheduler_settings settings = fixture_settings(16, 1, 64);
        settings.by_priority = by_priority;
        fixture_open_with(&f, &settings);
        submit_as(&f, 1, 4, 5, 0);
        submit_as(&f, 2, 4, -1, 0);
        submit_as(&f, 3, 4, 5, 0);
        check_order(&f, by_priority ? (uint64_t[]){2, 1, 3} : (uint64_t[]){1, 2, 3}, 3);
        fixture_close(&f);
    }
}

TEST(who_sends_much_queues_behind_himself)
{
    struct fixture f;
    fixture_open(&f, 16, 1, 64);
    submit_as(&f, 1, 8, 0, 7);
    submit_as(&f, 2, 8, 0, 7);
    submit_as(&f, 3, 8, 0, 7);
    submit_as(&f, 4, 8, 0, 9); /* another tenant, and it came last */
    check_order(&f, (uint64_t[]){1, 4, 2, 3}, 4);
    fixture_close(&f);
}

TEST(shares_are_of_tokens_and_not_of_requests)
{
    struct fixture f;
    fixture_open(&f, 128, 1, 64);
    for (uint64_t id = 1; id <= 2; id++)
        submit_as(&f, id, 112, 0, 7); /* with its output 128 tokens each */
    for (uint64_t id = 11; id <= 15; id++)
        submit_as(&f, id, 16, 0, 9); /* 32 each */
    check_order(&f, (uint64_t[]){1, 11, 12, 13, 14, 2, 15}, 7);
    fixture_close(&f);
}

TEST(requests_without_a_tenant_come_in_order_of_arrival)
{
    struct fixture f;
    fixture_open(&f, 16, 1, 64);
    submit_as(&f, 1, 8, 0, 0);
    submit_as(&f, 2, 8, 0, 7);
    submit_as(&f, 3, 8, 0, 0);
    submit_as(&f, 4, 8, 0, 7);
    check_order(&f, (uint64_t[]){1, 2, 3, 4}, 4);
    fixture_close(&f);
}

TEST(an_output_that_ends_early_is_settled_with_its_tenant)
{
    struct fair_share fair;
    fair_share_init(&fair);
    const int cost = fair_share_cost(100, 1000);
    CHECK_EQ(cost, 100 + FAIR_GUESS);
    CHECK_EQ(fair_share_queue(&fair, 7, cost), 0);
    fair_share_settle(&fair, 7, cost, 110);
    CHECK_EQ(fair_share_queue(&fair, 7, 10), 110);
    fair_share_settle(&fair, 7, 10, 500); /* longer than it was charged for */
    CHECK_EQ(fair_share_queue(&fair, 7, 10), 610);
    fair_share_release(&fair);
}

TEST(a_pause_is_not_given_back)
{
    struct fair_share fair;
    fair_share_init(&fair);
    fair_share_queue(&fair, 7, 1000);
    fair_share_serve(&fair, fair_share_queue(&fair, 7, 1000));
    CHECK_EQ(fair_share_queue(&fair, 9, 10), 1000); /* now, and not at 0 */
    fair_share_rest(&fair);
    CHECK_EQ(fair_share_queue(&fair, 9, 10), 2000);
    fair_share_release(&fair);
}

TEST(the_last_is_preempted_and_computes_its_tokens_anew)
{
    struct fixture f;
    fixture_open(&f, 16, 4, 4);
    must_submit(&f, 1, 8, 8);
    must_submit(&f, 2, 7, 8);
    plan(&f, (int[]){8, 7, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 0}); /* a third block for the first, and none for the second's 8th token */
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 1);
    CHECK_EQ(scheduler_counts(f.scheduler).n_waiting, 1);
    commit(&f, EOS);
    struct step_view view = plan(&f, (int[]){8, 0});
    CHECK_EQ(view.n_computed[0], 0);
    CHECK_EQ(view.token[7], WORD);
    CHECK_EQ(view.logits_row[0], 7);
    commit(&f, EOS);
    CHECK_EQ(f.outcome[0].id, 2);
    fixture_close(&f);
}

TEST(a_request_begins_with_its_first_rows_and_not_again_after_a_preemption)
{
    struct fixture f;
    fixture_open(&f, 12, 4, 5);
    must_submit(&f, 1, 8, 8);
    must_submit(&f, 2, 7, 8);
    plan(&f, (int[]){8, 4, 0});
    CHECK_EQ(f.batch.n_begun, 2);
    CHECK(f.batch.begun[0] == 1 && f.batch.begun[1] == 2);
    while (scheduler_counts(f.scheduler).n_preemptions == 0) { /* the second gives way */
        commit(&f, WORD);
        plan_any(&f);
        CHECK_EQ(f.batch.n_begun, 0);
    }
    commit(&f, EOS);
    must_submit(&f, 3, 2, 8);
    plan_any(&f);
    CHECK_EQ(f.batch.sequence[0]->id, 2);
    CHECK_EQ(f.batch.n_begun, 1);
    CHECK_EQ(f.batch.begun[0], 3);
    fixture_close(&f);
}

TEST(the_one_of_least_priority_gives_way)
{
    struct fixture f;
    struct scheduler_settings settings = fixture_settings(32, 4, 6);
    settings.by_priority = true;
    fixture_open_with(&f, &settings);
    f.params.max_tokens = 8;
    submit_as(&f, 1, 8, 9, 0);
    plan(&f, (int[]){8, 0});
    commit(&f, WORD);
    submit_as(&f, 2, 12, 1, 0); /* comes later and matters more */
    plan(&f, (int[]){1, 12, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 0}); /* 13 tokens are 4 blocks: those of the other one */
    CHECK_EQ(f.batch.sequence[0]->id, 2);
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 1);
    fixture_close(&f);
}

static void swap(struct batch *a, struct batch *b)
{
    const struct batch c = *a;
    *a = *b;
    *b = c;
}

TEST(a_token_on_its_way_still_counts_when_its_request_is_preempted)
{
    struct fixture f;
    struct batch other;
    fixture_open(&f, 16, 4, 4);
    batch_init(&other, &f.settings.limits);
    must_submit(&f, 1, 8, 8);
    plan(&f, (int[]){8, 0});
    swap(&f.batch, &other);
    must_submit(&f, 2, 7, 8);
    plan(&f, (int[]){7, 0}); /* the first one awaits its token */
    swap(&f.batch, &other);
    commit(&f, WORD);
    plan(&f, (int[]){1, 0}); /* takes the blocks of the second one, which is in flight */
    CHECK_EQ(scheduler_counts(f.scheduler).n_preemptions, 1);
    swap(&f.batch, &other);
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].id, 2);
    CHECK_EQ(f.outcome[0].token, WORD);
    CHECK_EQ(f.outcome[0].finish, FINISH_NONE);
    swap(&f.batch, &other);
    commit(&f, EOS);
    const struct step_view view = plan(&f, (int[]){8, 0});
    CHECK_EQ(view.token[7], WORD);
    batch_release(&other);
    fixture_close(&f);
}

TEST(a_request_may_end_while_it_waits_again)
{
    struct fixture f;
    struct batch other;
    fixture_open(&f, 16, 4, 4);
    batch_init(&other, &f.settings.limits);
    must_submit(&f, 1, 8, 8);
    plan(&f, (int[]){8, 0});
    swap(&f.batch, &other);
    must_submit(&f, 2, 7, 1); /* its only token is in flight */
    plan(&f, (int[]){7, 0});
    swap(&f.batch, &other);
    commit(&f, WORD);
    plan(&f, (int[]){1, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_waiting, 1);
    swap(&f.batch, &other);
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].finish, FINISH_LENGTH);
    CHECK_EQ(scheduler_counts(f.scheduler).n_waiting, 0);
    batch_release(&other);
    fixture_close(&f);
}

TEST(deadlines_end_requests_one_by_one)
{
    struct fixture f;
    fixture_open(&f, 16, 1, 64);
    CHECK_EQ(scheduler_next_deadline(f.scheduler), INT64_MAX);
    for (uint64_t id = 1; id <= 4; id++) {
        struct request_source source = fixture_source(&f, id, 4);
        source.deadline_ns = id == 4 ? 0 : 1000 - 100 * (int64_t)id;
        must_submit_source(&f, &source);
    }
    plan(&f, (int[]){4, 0}); /* the first one runs */
    CHECK_EQ(scheduler_next_deadline(f.scheduler), 700);
    CHECK_EQ(scheduler_expire(f.scheduler, 699), 0);
    CHECK_EQ(scheduler_expire(f.scheduler, 900), 3);
    CHECK_EQ(scheduler_expire(f.scheduler, 900), 2);
    CHECK_EQ(scheduler_expire(f.scheduler, 900), 1);
    CHECK_EQ(scheduler_expire(f.scheduler, INT64_MAX), 0);
    commit(&f, WORD);
    CHECK_EQ(f.outcome[0].id, 0);
    check_order(&f, (uint64_t[]){4}, 1);
    fixture_close(&f);
}

TEST(what_never_ran_is_not_charged)
{
    struct fixture f;
    fixture_open(&f, 16, 1, 64);
    submit_as(&f, 1, 8, 0, 0); /* keeps the scheduler from resting */
    submit_as(&f, 2, 8, 0, 7);
    CHECK(scheduler_cancel(f.scheduler, 2));
    submit_as(&f, 3, 8, 0, 7);
    submit_as(&f, 4, 8, 0, 9);
    check_order(&f, (uint64_t[]){1, 3, 4}, 3);
    fixture_close(&f);
}

TEST(nobody_overtakes_his_own_by_a_cancel)
{
    struct fixture f;
    fixture_open(&f, 16, 1, 64);
    submit_as(&f, 1, 8, 0, 9);
    submit_as(&f, 2, 100, 0, 7);
    submit_as(&f, 3, 8, 0, 7); /* behind a long one */
    CHECK(scheduler_cancel(f.scheduler, 2));
    submit_as(&f, 4, 8, 0, 7);
    check_order(&f, (uint64_t[]){1, 3, 4}, 3);
    fixture_close(&f);
}

TEST(those_without_a_tenant_do_not_keep_others_out)
{
    struct fixture f;
    uint64_t id = 3;
    fixture_open(&f, 16, 1, 64);
    submit_as(&f, 1, 8, 0, 7);
    submit_as(&f, 2, 8, 0, 7);
    do {
        submit_as(&f, id++, 8, 0, 0);
        submit_as(&f, id++, 8, 0, 0);
        plan_any(&f);
        commit(&f, EOS);
    } while (f.outcome[0].id != 2 && id < 14);
    CHECK_EQ(f.outcome[0].id, 2);
    fixture_close(&f);
}

TEST(who_found_no_room_is_asked_again_when_there_is_some)
{
    struct fixture f;
    fixture_open(&f, 32, 4, 6);
    must_submit(&f, 1, 12, 4);
    must_submit(&f, 2, 14, 4); /* 4 blocks, and 3 are left */
    plan(&f, (int[]){12, 0});
    commit(&f, WORD);
    plan(&f, (int[]){1, 0});
    CHECK_EQ(scheduler_counts(f.scheduler).n_waiting, 1);
    commit(&f, EOS);
    plan(&f, (int[]){14, 0}); /* at once */
    fixture_close(&f);
}

TEST(who_awaits_a_token_is_not_admitted_again_before_it_is_there)
{
    for (int width = 0; width <= 1; width++) { /* a beam search too */
        struct fixture f;
        struct batch other;
        struct scheduler_settings settings = fixture_settings(16, 4, 4);
        settings.limits.max_copies = 1;
        fixture_open_with(&f, &settings);
        batch_init(&other, &f.settings.limits);
        must_submit(&f, 1, 8, 8);
        plan(&f, (int[]){8, 0});
        swap(&f.batch, &other);
        f.params.beam_width = width;
        must_submit(&f, 2, 7, 8);
        plan(&f, (int[]){7, 0});
        swap(&f.batch, &other);
        commit(&f, WORD);
        plan(&f, (int[]){1, 0}); /* preempts the second one */
        CHECK(scheduler_cancel(f.scheduler, 1));
        struct batch third;
        batch_init(&third, &f.settings.limits);
        CHECK(!scheduler_choose(f.scheduler, &third));
        CHECK_EQ(scheduler_counts(f.scheduler).n_running, 0);
        batch_release(&third);
        batch_release(&other);
        fixture_close(&f);
    }
}
