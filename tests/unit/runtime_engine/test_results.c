/* What a plan gave comes home as it was, and rank 0 believes nothing that the plan did not ask for:
 * rank 1 is the last stage, and sends what a test says. */
#include "runtime/result_message.h"

#include "base/memory.h"
#include "kernels/device.h"
#include "parallel/ranks.h"
#include "runtime/result_receiver.h"
#include "runtime/result_sender.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <math.h>
#include <string.h>
#include <sys/mman.h>

enum { VOCAB = 100, HIDDEN = 6, N_ROWS = 4, N_HIDDEN = 2 };

static const struct plan_limits limits = {.max_tokens = 8,
                                          .max_sequences = 4,
                                          .max_logits = N_ROWS,
                                          .block_tokens = 16,
                                          .n_kv_blocks = 4,
                                          .n_kv_groups = 1,
                                          .max_model_len = 32,
                                          .vocab = VOCAB};

/* Row 2 is wanted whole, of the others a token, three log-probabilities, two candidates. */
static const struct plan_pick picks[N_ROWS] = {
    {.kind = PICK_SAMPLE, .position = 3, .n_best = -1, .top_p = 1},
    {.kind = PICK_PROMPT, .position = 4, .token = 7, .n_best = 2},
    {.kind = PICK_ROW},
    {.kind = PICK_BEAM, .position = 9, .n_best = 2},
};
static const struct step_plan plan = {.step = 41, .n_logits = N_ROWS, .n_hidden = N_HIDDEN};
static const struct step_view view = {.pick = picks};

static float logits[N_ROWS][VOCAB], hidden[N_HIDDEN][HIDDEN];

static void fill_rows(void)
{
    for (int i = 0; i < N_ROWS; i++)
        for (int t = 0; t < VOCAB; t++)
            logits[i][t] = (float)((t * 37 + i * 11) % VOCAB);
    for (int i = 0; i < N_HIDDEN * HIDDEN; i++)
        hidden[i / HIDDEN][i % HIDDEN] = (float)i;
}

/* ---- two ranks ---- */

struct scene {
    void *memory;
    bool (*send)(const struct ranks *ranks, struct error *err); /* what rank 1 does */
    struct home_memory home;
    struct step_home got;
};

static bool run_rank(void *context, int rank, struct error *err)
{
    struct scene *scene = context;
    const struct ranks_settings settings = {
        .tp_size = 1,
        .pp_stages = 2,
        .comm = "shm",
        .settings = {.deadline_ns = 300LL * 1000 * 1000},
    };
    struct ranks ranks;
    if (!ranks_open_threads(&ranks, scene->memory, rank, &settings, err))
        return false;
    bool good;
    if (rank == 1) {
        good = scene->send(&ranks, err);
    } else {
        struct result_receiver *receiver;
        result_receiver_create(&receiver, &ranks, &limits, HIDDEN);
        good = result_receiver_run(receiver, &plan, &view, &scene->home, &scene->got, err);
        result_receiver_destroy(receiver);
    }
    ranks_close(&ranks, !good);
    return good;
}

/* What rank 0 says to it. */
static struct error receive(struct scene *scene,
                            bool (*send)(const struct ranks *ranks, struct error *err))
{
    struct error err[MAX_TEST_RANKS];
    *scene = (struct scene){.memory = shared_memory_map(ranks_threads_bytes(1, 2)), .send = send};
    home_memory_init(&scene->home, &limits, HIDDEN);
    run_ranks(2, run_rank, scene, err);
    munmap(scene->memory, ranks_threads_bytes(1, 2));
    return err[0];
}

/* ---- as it should be ---- */

static bool send_well(const struct ranks *ranks, struct error *err)
{
    const struct step_result result = {.logits = logits[0],
                                       .n_logits = N_ROWS,
                                       .vocab = VOCAB,
                                       .hidden = hidden[0],
                                       .n_hidden = N_HIDDEN,
                                       .hidden_size = HIDDEN};
    struct result_sender *sender;
    struct device *device = NULL;
    if (!device_open_cpu(&device, "scalar", 1, 0, err))
        return false;
    const struct row_picker_settings settings = {.device = device, .limits = &limits};
    result_sender_create(&sender, ranks, &settings);
    const bool good = result_sender_run(sender, &plan, &view, &result, err);
    result_sender_destroy(sender);
    device_close(device);
    return good;
}

TEST(picks_whole_rows_and_hidden_states_come_home)
{
    static struct scene scene;
    fill_rows();
    const struct error err = receive(&scene, send_well);
    if (err.kind != ERROR_NONE)
        test_fail(__FILE__, __LINE__, "%s", err.text);
    const struct step_home *got = &scene.got;
    CHECK_EQ(got->rows.n_logits, 1);
    CHECK(memcmp(got->rows.logits, logits[2], sizeof logits[2]) == 0);
    CHECK_EQ(got->rows.n_hidden, N_HIDDEN);
    CHECK(memcmp(got->rows.hidden, hidden, sizeof hidden) == 0);
    for (int i = 0; i < N_ROWS; i++)
        CHECK_EQ(got->is_picked[i], i != 2);
    CHECK(logits[0][got->picked[0].token] == VOCAB - 1); /* greedy */
    CHECK_EQ(got->picked[0].n_logprobs, 0);
    CHECK_EQ(got->picked[1].token, 7);
    CHECK(got->picked[1].n_logprobs == 3 && got->picked[1].logprob[0].token == 7);
    CHECK(got->picked[1].logprob[1].rank == 1 && isfinite(got->picked[1].lse));
    CHECK_EQ(got->picked[3].n_logprobs, 2);
    CHECK_EQ(got->picked[3].token, got->picked[3].logprob[0].token);
    home_memory_release(&scene.home);
}

/* ---- as it should not be ---- */

static struct result_header good_header(void)
{
    return (struct result_header){.step = 41,
                                  .n_picks = 3,
                                  .n_rows = 1,
                                  .n_hidden = N_HIDDEN,
                                  .n_pick_bytes = 3 * sizeof(struct result_pick)};
}

static bool send_header(const struct ranks *ranks, struct result_header header, struct error *err)
{
    return ranks->world->ops->send(ranks->world, NULL, &header, sizeof header, 0, err);
}

static bool of_another_step(const struct ranks *ranks, struct error *err)
{
    struct result_header header = good_header();
    header.step++;
    return send_header(ranks, header, err);
}

static bool without_a_row(const struct ranks *ranks, struct error *err)
{
    struct result_header header = good_header();
    header.n_rows = 0;
    return send_header(ranks, header, err);
}

static bool with_too_many_picks(const struct ranks *ranks, struct error *err)
{
    struct result_header header = good_header();
    header.n_picks = UINT32_MAX;
    return send_header(ranks, header, err);
}

static bool with_too_many_bytes(const struct ranks *ranks, struct error *err)
{
    struct result_header header = good_header();
    header.n_pick_bytes = UINT32_MAX;
    return send_header(ranks, header, err);
}

static bool with_too_many_hidden(const struct ranks *ranks, struct error *err)
{
    struct result_header header = good_header();
    header.n_hidden = 1 << 30;
    return send_header(ranks, header, err);
}

static bool send_picks(const struct ranks *ranks, const void *bytes, size_t n_bytes,
                       struct error *err)
{
    struct result_header header = good_header();
    header.n_pick_bytes = (uint32_t)n_bytes;
    return send_header(ranks, header, err) &&
           ranks->world->ops->send(ranks->world, NULL, bytes, n_bytes, 0, err);
}

static bool with_a_strange_token(const struct ranks *ranks, struct error *err)
{
    const struct result_pick pick[3] = {{.token = VOCAB}};
    return send_picks(ranks, pick, sizeof pick, err);
}

static bool with_more_logprobs_than_asked(const struct ranks *ranks, struct error *err)
{
    const struct result_pick pick[3] = {{.n_logprobs = 1}};
    return send_picks(ranks, pick, sizeof pick, err);
}

static bool with_negative_logprobs(const struct ranks *ranks, struct error *err)
{
    const struct result_pick pick[3] = {{.n_logprobs = INT32_MIN}};
    return send_picks(ranks, pick, sizeof pick, err);
}

static bool cut_short(const struct ranks *ranks, struct error *err)
{
    const struct result_pick pick[3] = {{.token = 1}, {.token = 7}, {.n_logprobs = 2}};
    return send_picks(ranks, pick, sizeof pick, err);
}

static bool with_a_strange_candidate(const struct ranks *ranks, struct error *err)
{
    struct {
        struct result_pick pick[3];
        struct token_logprob logprob[2];
    } bytes = {{{.token = 1}, {.token = 7}, {.n_logprobs = 2}}, {{.token = 5}, {.token = -1}}};
    return send_picks(ranks, &bytes, sizeof bytes, err);
}

static bool too_long(const struct ranks *ranks, struct error *err)
{
    const struct result_pick pick[4] = {{.token = 1}, {.token = 7}};
    return send_picks(ranks, pick, sizeof pick, err);
}

static bool nothing(const struct ranks *ranks, struct error *err)
{
    (void)ranks;
    (void)err;
    return true;
}

TEST(rank_0_refuses_results_that_the_plan_did_not_ask_for)
{
    static const struct {
        bool (*send)(const struct ranks *ranks, struct error *err);
        const char *named;
    } cases[] = {
        {of_another_step, "of step 42"},
        {without_a_row, "the number of rows is 0, want 1"},
        {with_too_many_picks, "the number of picks"},
        {with_too_many_bytes, "the size of the picks"},
        {with_too_many_hidden, "the number of hidden states"},
        {with_a_strange_token, "the pick of row 0: a token is 100"},
        {with_more_logprobs_than_asked, "the number of log-probabilities is 1, want 0 to 0"},
        {with_negative_logprobs, "the number of log-probabilities"},
        {cut_short, "the pick of row 3: its bytes end early"},
        {with_a_strange_candidate, "the pick of row 3: a token is -1"},
        {too_long, "16 bytes follow the last pick"},
        {nothing, "receive"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct scene scene;
        const struct error err = receive(&scene, cases[i].send);
        home_memory_release(&scene.home);
        CHECK_EQ(err.kind, ERROR_PEER);
        if (strstr(err.text, cases[i].named) == NULL ||
            strstr(err.text, "results of step 41 from stage 1 (rank 1): ") == NULL)
            test_fail(__FILE__, __LINE__, "\"%s\" does not say %s", err.text, cases[i].named);
    }
}
