/* What the outbox sends of a batch, in which order and in pieces of which size. */
#include "runtime/outbox.h"

#include "base/memory.h"
#include "runtime/sample/sampler.h"
#include "runtime/schedule/scheduler.h"
#include "tests/test.h"
#include "tests/unit/runtime_link/ends.h"

enum { ROWS = 1200 };

struct scene {
    struct ends ends;
    struct outbox *outbox;
    struct step_plan plan;
    struct batch batch;
    struct request request[3];
    struct batch_row row[ROWS];
    struct picked *picked;
    struct outcome outcome[ROWS];
};

static struct scene *open_scene(void)
{
    struct scene *s = memory_alloc(1, sizeof *s);
    const struct plan_limits limits = {.max_logits = ROWS};
    s->ends = ends_make();
    outbox_create(&s->outbox, s->ends.engine, &limits);
    s->picked = memory_alloc(ROWS, sizeof *s->picked);
    s->batch = (struct batch){.plan = &s->plan, .row = s->row};
    for (int i = 0; i < 3; i++)
        s->request[i] = (struct request){.id = 11 + (uint64_t)i, .state = REQUEST_RUNNING};
    return s;
}

static void close_scene(struct scene *s)
{
    outbox_destroy(s->outbox);
    ends_release(&s->ends);
    memory_free(s->picked);
    memory_free(s);
}

/* One more row of the batch, whose token is its number. */
static void add_row(struct scene *s, int request, int position, bool is_prompt)
{
    const int i = s->plan.n_logits++;
    s->row[i] = (struct batch_row){
        .request = &s->request[request], .position = position, .is_prompt = is_prompt};
    s->picked[i] =
        (struct picked){.token = i, .is_finite = true, .n_logprobs = 1, .logprob = {{i, -0.5f, 1}}};
    s->outcome[i] = (struct outcome){.id = s->request[request].id, .token = i, .stop_token = -1};
}

static void send_outcomes(struct scene *s)
{
    struct error err = {0};
    CHECK(outbox_send_outcomes(s->outbox, &s->batch, s->outcome, s->picked, &err));
}

static void check_piece(struct scene *s, uint64_t id, int position, int n, int first_token)
{
    const struct link_event event = receive_event(s->ends.gateway);
    CHECK_EQ(event.kind, LINK_PROMPT_LOGPROBS);
    CHECK_EQ(event.prompt_logprobs.id, id);
    CHECK_EQ(event.prompt_logprobs.position, position);
    CHECK_EQ(event.prompt_logprobs.n_positions, n);
    for (int i = 0; i < n; i++) {
        CHECK_EQ(event.prompt_logprobs.end[i], i + 1);
        CHECK_EQ(event.prompt_logprobs.logprob[i].token, first_token + i);
    }
}

TEST(log_probabilities_of_prompts_come_in_bounded_pieces_of_one_request_each)
{
    struct scene *s = open_scene();
    struct error err = {0};
    for (int i = 0; i < OUTBOX_POSITIONS + 88; i++)
        add_row(s, 0, 1 + i, true);
    add_row(s, 1, 40, false); /* decodes: no row of a prompt */
    for (int i = 0; i < 20; i++)
        add_row(s, 2, 7 + i, true);
    s->request[1].state = REQUEST_RUNNING;
    CHECK(outbox_send_prompts(s->outbox, &s->batch, s->picked, &err));
    check_piece(s, 11, 1, OUTBOX_POSITIONS, 0);
    check_piece(s, 11, 1 + OUTBOX_POSITIONS, 88, OUTBOX_POSITIONS);
    check_piece(s, 13, 7, 20, OUTBOX_POSITIONS + 89);
    send_outcomes(s);
    const struct link_event tokens = receive_event(s->ends.gateway);
    CHECK_EQ(tokens.kind, LINK_TOKENS); /* and the rows of prompts are no tokens */
    CHECK_EQ(tokens.n_tokens, 1);
    CHECK_EQ(tokens.token[0].id, 12);
    close_scene(s);
}

TEST(nothing_is_said_about_the_prompt_of_a_request_that_was_cancelled)
{
    struct scene *s = open_scene();
    struct error err = {0};
    for (int i = 0; i < 3; i++)
        add_row(s, 0, 1 + i, true);
    for (int i = 0; i < 2; i++)
        add_row(s, 1, 1 + i, true);
    s->request[0].state = REQUEST_FINISHED;
    CHECK(outbox_send_prompts(s->outbox, &s->batch, s->picked, &err));
    check_piece(s, 12, 1, 2, 3);
    close_scene(s);
}

TEST(several_tokens_of_one_request_are_in_one_message_before_its_failure)
{
    struct scene *s = open_scene();
    for (int i = 0; i < 3; i++)
        add_row(s, 0, 5 + i, false);
    add_row(s, 1, 9, false);
    s->outcome[1].n_drafted = 4;
    s->outcome[1].n_accepted = 3;
    s->outcome[2].finish = FINISH_ERROR; /* finite: its rules left nothing */
    s->outcome[3].id = 0;                /* a wrong draft */
    send_outcomes(s);
    const struct link_event tokens = receive_event(s->ends.gateway);
    CHECK_EQ(tokens.n_tokens, 2);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(tokens.token[i].id, 11);
        CHECK_EQ(tokens.token[i].token, i);
        CHECK_EQ(tokens.token[i].logprob[0].token, i);
    }
    CHECK_EQ(tokens.token[1].n_drafted, 4);
    CHECK_EQ(tokens.token[1].n_accepted, 3);
    const struct link_event failure = receive_event(s->ends.gateway);
    CHECK_EQ(failure.kind, LINK_FAILED);
    CHECK_EQ(failure.failed_id, 11);
    CHECK_EQ(failure.failure.kind, ERROR_INPUT);
    close_scene(s);
}

TEST(those_that_begin_with_a_step_are_in_one_message)
{
    struct scene *s = open_scene();
    struct error err = {0};
    uint64_t id[] = {12, 11};
    s->batch.begun = id;
    CHECK(outbox_send_begun(s->outbox, &s->batch, &err)); /* none: no message */
    s->batch.n_begun = 2;
    CHECK(outbox_send_begun(s->outbox, &s->batch, &err));
    const struct link_event begun = receive_event(s->ends.gateway);
    CHECK_EQ(begun.kind, LINK_BEGUN);
    CHECK_EQ(begun.n_begun, 2);
    CHECK(begun.begun_id[0] == 12 && begun.begun_id[1] == 11);
    close_scene(s);
}

TEST(a_step_without_tokens_sends_no_message)
{
    struct scene *s = open_scene();
    struct error err = {0};
    add_row(s, 0, 5, false);
    s->outcome[0].id = 0;
    send_outcomes(s);
    CHECK(outbox_send_abort(s->outbox, 77, &err));
    const struct link_event end = receive_event(s->ends.gateway); /* the first there is */
    CHECK_EQ(end.kind, LINK_TOKENS);
    CHECK_EQ(end.token[0].id, 77);
    CHECK_EQ(end.token[0].token, -1);
    CHECK_EQ(end.token[0].finish, FINISH_ABORT);
    close_scene(s);
}
