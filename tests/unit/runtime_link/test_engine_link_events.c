#include "base/memory.h"
#include "tests/test.h"
#include "tests/unit/runtime_link/ends.h"

#include <string.h>

static const struct link_logprob logprob[] = {{5, -0.25f, 1}, {6, -1.5f, 2}, {7, -3, 9}};

static struct link_event send_and_receive(struct ends *ends, const struct link_event *sent)
{
    struct error err = {0};
    CHECK(link_send_event(ends->engine, sent, &err));
    const struct link_event got = receive_event(ends->gateway);
    CHECK_EQ(got.kind, sent->kind);
    return got;
}

TEST(tokens_of_a_step_arrive_with_logprobs_and_stop_tokens)
{
    struct ends ends = ends_make();
    const struct link_token token[] = {
        {.id = 1,
         .token = 5,
         .logprob = logprob,
         .n_logprobs = 2,
         .stop_token = -1,
         .cached_tokens = 64,
         .n_drafted = 12,
         .n_accepted = 7},
        {.id = 2, .token = 0, .finish = FINISH_STOP, .stop_token = 0},
    };
    const struct link_event got = send_and_receive(
        &ends, &(struct link_event){.kind = LINK_TOKENS, .token = token, .n_tokens = 2});
    CHECK_EQ(got.n_tokens, 2);
    CHECK_EQ(got.token[0].token, 5);
    CHECK_EQ(got.token[0].finish, FINISH_NONE);
    CHECK_EQ(got.token[0].stop_token, -1);
    CHECK_EQ(got.token[0].cached_tokens, 64);
    CHECK_EQ(got.token[0].n_drafted, 12);
    CHECK_EQ(got.token[0].n_accepted, 7);
    CHECK_EQ(got.token[0].n_logprobs, 2);
    CHECK(memcmp(got.token[0].logprob, logprob, 2 * sizeof *logprob) == 0);
    CHECK_EQ(got.token[1].finish, FINISH_STOP);
    CHECK_EQ(got.token[1].stop_token, 0); /* token 0 is a token, not an absent field */
    ends_release(&ends);
}

TEST(ids_of_requests_that_have_begun_arrive)
{
    struct ends ends = ends_make();
    const uint64_t id[] = {UINT64_MAX, 0, 7};
    const struct link_event got = send_and_receive(
        &ends, &(struct link_event){.kind = LINK_BEGUN, .begun_id = id, .n_begun = 3});
    CHECK_EQ(got.n_begun, 3);
    CHECK(memcmp(got.begun_id, id, sizeof id) == 0);
    ends_release(&ends);
}

TEST(ready_arrives)
{
    struct ends ends = ends_make();
    const int32_t eos[] = {2, 3};
    const struct link_event got =
        send_and_receive(&ends, &(struct link_event){.kind = LINK_READY,
                                                     .ready = {.build = "b",
                                                               .model = "m",
                                                               .kernels = "avx2",
                                                               .gpu = "a GPU",
                                                               .comm = "shm",
                                                               .dtype = "bf16",
                                                               .vocab = 2048,
                                                               .max_model_len = 512,
                                                               .tp = 2,
                                                               .pp = 1,
                                                               .threads = 3,
                                                               .kv_tokens = 1 << 20,
                                                               .weight_bytes = 5,
                                                               .memory_bytes = 6,
                                                               .eos_id = eos,
                                                               .n_eos_ids = 2,
                                                               .hidden_size = 96,
                                                               .n_labels = 4,
                                                               .max_num_seqs = 256,
                                                               .model_mark = UINT64_MAX}});
    CHECK_STR(got.ready.kernels, "avx2");
    CHECK_STR(got.ready.gpu, "a GPU");
    CHECK_EQ(got.ready.vocab, 2048);
    CHECK_EQ(got.ready.n_eos_ids, 2);
    CHECK_EQ(got.ready.eos_id[1], 3);
    CHECK_EQ(got.ready.hidden_size, 96);
    CHECK_EQ(got.ready.n_labels, 4);
    CHECK_EQ(got.ready.max_num_seqs, 256);
    CHECK(got.ready.model_mark == UINT64_MAX);
    CHECK_EQ(got.ready.weight_bytes, 5);
    CHECK_EQ(got.ready.memory_bytes, 6);
    ends_release(&ends);
}

TEST(a_failure_arrives)
{
    struct ends ends = ends_make();
    struct link_event failed = {.kind = LINK_FAILED, .failed_id = 17};
    error_set(&failed.failure, ERROR_INPUT, "top_p is 2");
    error_param(&failed.failure, "top_p");
    error_code(&failed.failure, "out_of_range");
    const struct link_event got = send_and_receive(&ends, &failed);
    CHECK_EQ(got.failed_id, 17);
    CHECK_EQ(got.failure.kind, ERROR_INPUT);
    CHECK_STR(got.failure.text, "top_p is 2");
    CHECK_STR(got.failure.param, "top_p");
    CHECK_STR(got.failure.code, "out_of_range");
    ends_release(&ends);
}

TEST(logprobs_of_a_prompt_arrive_position_by_position)
{
    struct ends ends = ends_make();
    const int32_t end[] = {2, 3};
    const struct link_prompt_logprobs got =
        send_and_receive(&ends, &(struct link_event){.kind = LINK_PROMPT_LOGPROBS,
                                                     .prompt_logprobs = {.id = 9,
                                                                         .position = 4,
                                                                         .logprob = logprob,
                                                                         .end = end,
                                                                         .n_positions = 2}})
            .prompt_logprobs;
    CHECK_EQ(got.id, 9);
    CHECK_EQ(got.position, 4);
    CHECK_EQ(got.n_positions, 2);
    CHECK(memcmp(got.end, end, sizeof end) == 0);
    CHECK(memcmp(got.logprob, logprob, sizeof logprob) == 0);
    ends_release(&ends);
}

TEST(beams_arrive_best_first)
{
    struct ends ends = ends_make();
    const int32_t token[] = {3, 4, 2};
    const struct link_beam beam[] = {
        {token, 3, -1.25, -0.1, FINISH_STOP},
        {token, 2, -1e-300, -7, FINISH_LENGTH},
    };
    const struct link_beams got =
        send_and_receive(&ends, &(struct link_event){.kind = LINK_BEAMS,
                                                     .beams = {.id = 8,
                                                               .beam = beam,
                                                               .n_beams = 2,
                                                               .cached_tokens = 32,
                                                               .first_ns = 1LL << 40}})
            .beams;
    CHECK_EQ(got.id, 8);
    CHECK_EQ(got.cached_tokens, 32);
    CHECK(got.first_ns == 1LL << 40);
    CHECK_EQ(got.n_beams, 2);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(got.beam[i].n_tokens, beam[i].n_tokens);
        CHECK(memcmp(got.beam[i].token, token, (size_t)beam[i].n_tokens * sizeof *token) == 0);
        CHECK(got.beam[i].cumulative_logprob == beam[i].cumulative_logprob);
        CHECK(got.beam[i].score == beam[i].score);
        CHECK_EQ(got.beam[i].finish, beam[i].finish);
    }
    ends_release(&ends);
}

TEST(a_pooled_vector_arrives)
{
    struct ends ends = ends_make();
    const float value[] = {0.5f, -0.0f, 3e38f};
    const struct link_pooled got =
        send_and_receive(
            &ends,
            &(struct link_event){
                .kind = LINK_POOLED,
                .pooled = {.id = 6, .value = value, .n_values = 3, .cached_tokens = 16}})
            .pooled;
    CHECK_EQ(got.id, 6);
    CHECK_EQ(got.n_values, 3);
    CHECK(memcmp(got.value, value, sizeof value) == 0);
    CHECK_EQ(got.cached_tokens, 16);
    ends_release(&ends);
}

TEST(a_ready_of_another_build_or_of_no_model_is_refused)
{
    Phalanx__Engine__V1__FromEngine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Ready ready = PHALANX__ENGINE__V1__READY__INIT;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_READY;
    message.ready = &ready;
    check_event_refused(&message, "link protocol 0");
    ready.protocol = LINK_PROTOCOL;
    ready.vocab = 5;
    check_event_refused(&message, "an empty model");
    ready.max_model_len = 5;
    ready.n_labels = -1;
    check_event_refused(&message, "a count below 0");
}

TEST(a_ready_with_numbers_that_no_engine_has_is_refused)
{
    static const struct {
        Phalanx__Engine__V1__Ready ready;
        const char *why;
    } wrong[] = {
        {{.tp = -1}, "a count below 0"},
        {{.pp = -1}, "a count below 0"},
        {{.threads = -1}, "a count below 0"},
        {{.kv_tokens = -1}, "a count below 0"},
        {{.weight_bytes = -1}, "a count below 0"},
        {{.memory_bytes = -1}, "a count below 0"},
        {{.tp = LINK_MAX_RANKS + 1}, "more ranks or threads"},
        {{.pp = LINK_MAX_RANKS + 1}, "more ranks or threads"},
        {{.tp = 4096, .pp = 4096, .threads = 128}, "more ranks or threads"},
        {{.max_num_seqs = INT32_MAX}, "more sequences or memory"},
        {{.memory_bytes = INT64_MAX}, "more sequences or memory"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const Phalanx__Engine__V1__Ready *from = &wrong[i].ready;
        Phalanx__Engine__V1__FromEngine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
        Phalanx__Engine__V1__Ready ready = PHALANX__ENGINE__V1__READY__INIT;
        ready.protocol = LINK_PROTOCOL;
        ready.vocab = ready.max_model_len = 5;
        ready.tp = from->tp;
        ready.pp = from->pp;
        ready.threads = from->threads;
        ready.kv_tokens = from->kv_tokens;
        ready.weight_bytes = from->weight_bytes;
        ready.memory_bytes = from->memory_bytes;
        ready.max_num_seqs = from->max_num_seqs;
        message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_READY;
        message.ready = &ready;
        check_event_refused(&message, wrong[i].why);
    }
}

TEST(tokens_with_values_out_of_their_range_are_refused)
{
    Phalanx__Engine__V1__FromEngine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Tokens tokens = PHALANX__ENGINE__V1__TOKENS__INIT;
    Phalanx__Engine__V1__Token token = PHALANX__ENGINE__V1__TOKEN__INIT, *list = &token;
    Phalanx__Engine__V1__Logprob one = PHALANX__ENGINE__V1__LOGPROB__INIT;
    Phalanx__Engine__V1__Logprob *many[PARAMS_MAX_LOGPROBS + 2];
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_TOKENS;
    message.tokens = &tokens;
    tokens.token = &list;
    tokens.n_token = 1;
    token.finish = FINISH_ERROR + 1;
    check_event_refused(&message, "unknown finish reason");
    token.finish = 0;
    token.token = -1;
    check_event_refused(&message, "a token that is none");
    token.token = -2;
    token.finish = FINISH_ABORT;
    check_event_refused(&message, "a token that is none");
    token.token = token.finish = 0;
    token.n_accepted = -1;
    check_event_refused(&message, "a count below 0");
    token.n_accepted = 0;
    for (int i = 0; i < PARAMS_MAX_LOGPROBS + 2; i++)
        many[i] = &one;
    token.logprobs = many;
    token.n_logprobs = PARAMS_MAX_LOGPROBS + 2;
    check_event_refused(&message, "too many log-probabilities");
}

TEST(logprobs_of_a_prompt_out_of_their_range_are_refused)
{
    Phalanx__Engine__V1__FromEngine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__PromptLogprobs prompt = PHALANX__ENGINE__V1__PROMPT_LOGPROBS__INIT;
    Phalanx__Engine__V1__LogprobList position = PHALANX__ENGINE__V1__LOGPROB_LIST__INIT;
    Phalanx__Engine__V1__LogprobList *list = &position;
    Phalanx__Engine__V1__Logprob one = PHALANX__ENGINE__V1__LOGPROB__INIT;
    Phalanx__Engine__V1__Logprob *many[PARAMS_MAX_LOGPROBS + 2];
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_PROMPT_LOGPROBS;
    message.prompt_logprobs = &prompt;
    check_event_refused(&message, "before its second token");
    prompt.position = INT32_MAX;
    prompt.list = &list;
    prompt.n_list = 1;
    check_event_refused(&message, "longer than any");
    prompt.position = 1;
    check_event_refused(&message, "without log-probability");
    for (int i = 0; i < PARAMS_MAX_LOGPROBS + 2; i++)
        many[i] = &one;
    position.logprobs = many;
    position.n_logprobs = PARAMS_MAX_LOGPROBS + 2;
    check_event_refused(&message, "too many log-probabilities");
}

TEST(beams_and_vectors_out_of_their_range_are_refused)
{
    Phalanx__Engine__V1__FromEngine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Beams beams = PHALANX__ENGINE__V1__BEAMS__INIT;
    Phalanx__Engine__V1__Beam one = PHALANX__ENGINE__V1__BEAM__INIT;
    Phalanx__Engine__V1__Beam *many[PARAMS_MAX_BEAMS + 1];
    for (int i = 0; i <= PARAMS_MAX_BEAMS; i++)
        many[i] = &one;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_BEAMS;
    message.beams = &beams;
    beams.beam = many;
    beams.n_beam = PARAMS_MAX_BEAMS + 1;
    check_event_refused(&message, "too many beams");
    beams.n_beam = 1;
    one.finish = 5;
    check_event_refused(&message, "unknown finish reason");
    one.finish = FINISH_STOP;
    beams.cached_tokens = -1;
    check_event_refused(&message, "a count below 0");
    beams.cached_tokens = 0;
    beams.first_ns = -1;
    check_event_refused(&message, "a count below 0");

    Phalanx__Engine__V1__Pooled pooled = PHALANX__ENGINE__V1__POOLED__INIT;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_POOLED;
    message.pooled = &pooled;
    check_event_refused(&message, "empty or too long");
}

TEST(a_failure_of_an_unknown_kind_is_refused)
{
    Phalanx__Engine__V1__FromEngine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Failed failed = PHALANX__ENGINE__V1__FAILED__INIT;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_FAILED;
    message.failed = &failed;
    check_event_refused(&message, "unknown kind of error");
    failed.kind = ERROR_PEER + 1;
    check_event_refused(&message, "unknown kind of error");
}

TEST(statistics_arrive_with_every_counter)
{
    struct ends ends = ends_make();
    const int64_t work[] = {7, 0, 1LL << 62};
    const struct link_stats sent = {.running = 1,
                                    .waiting = 2,
                                    .kv_blocks = 1LL << 40,
                                    .kv_blocks_used = 4,
                                    .cache_queries = 5,
                                    .cache_hits = 6,
                                    .preemptions = 7,
                                    .prompt_tokens = 8,
                                    .generated_tokens = 9,
                                    .drafted = 10,
                                    .accepted = 11,
                                    .plans = 12,
                                    .busy_ns = UINT64_MAX,
                                    .comm_calls = 14,
                                    .comm_bytes = 15,
                                    .comm_ns = 16,
                                    .rank_work_ns = work,
                                    .n_ranks = 3};
    struct link_stats got =
        send_and_receive(&ends, &(struct link_event){.kind = LINK_STATS, .stats = sent}).stats;
    CHECK(memcmp(got.rank_work_ns, work, sizeof work) == 0);
    got.rank_work_ns = work;
    CHECK(memcmp(&got, &sent, sizeof got) == 0);
    ends_release(&ends);
}

TEST(pulses_and_ends_of_sleep_arrive)
{
    struct ends ends = ends_make();
    struct link_event event = {.kind = LINK_PULSE, .progress_ns = INT64_MAX};
    CHECK_EQ(send_and_receive(&ends, &event).progress_ns, INT64_MAX);
    event = (struct link_event){.kind = LINK_ASLEEP, .sleep = LINK_NO_WEIGHTS};
    CHECK_EQ(send_and_receive(&ends, &event).sleep, LINK_NO_WEIGHTS);
    event.sleep = LINK_NOT_ASLEEP;
    CHECK_EQ(send_and_receive(&ends, &event).sleep, LINK_NOT_ASLEEP);
    ends_release(&ends);
}

TEST(how_far_weights_are_arrives_and_more_than_all_is_refused)
{
    struct ends ends = ends_make();
    struct link_event event = {.kind = LINK_LOADING, .loading = {5, UINT64_MAX}}, got;
    struct error err = {0};
    bool is_there;
    const struct link_loading arrived = send_and_receive(&ends, &event).loading;
    CHECK(arrived.done == 5 && arrived.all == UINT64_MAX);
    event.loading = (struct link_loading){6, 5};
    CHECK(link_send_event(ends.engine, &event, &err));
    CHECK(!link_receive_event(ends.gateway, &got, &is_there, &err));
    CHECK_EQ(err.kind, ERROR_PEER);
    ends_release(&ends);
}

TEST(statistics_out_of_their_range_are_refused)
{
    static int64_t work[LINK_MAX_RANKS + 1];
    Phalanx__Engine__V1__FromEngine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Stats stats = PHALANX__ENGINE__V1__STATS__INIT;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_STATS;
    message.stats = &stats;
    stats.waiting = -1;
    check_event_refused(&message, "a count below 0");
    stats.waiting = 0;
    stats.kv_blocks_used = 1;
    check_event_refused(&message, "more KV blocks in use than there are");
    stats.kv_blocks = 1;
    stats.rank_work_ns = work;
    stats.n_rank_work_ns = LINK_MAX_RANKS + 1;
    check_event_refused(&message, "too many ranks");
    stats.n_rank_work_ns = 2;
    work[1] = -1;
    check_event_refused(&message, "a time below 0");
}

TEST(pulses_and_levels_out_of_their_range_are_refused)
{
    Phalanx__Engine__V1__FromEngine message = PHALANX__ENGINE__V1__FROM_ENGINE__INIT;
    Phalanx__Engine__V1__Pulse pulse = PHALANX__ENGINE__V1__PULSE__INIT;
    Phalanx__Engine__V1__Sleep asleep = PHALANX__ENGINE__V1__SLEEP__INIT;
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_PULSE;
    message.pulse = &pulse;
    pulse.progress_ns = -1;
    check_event_refused(&message, "a time below 0");
    message.kind_case = PHALANX__ENGINE__V1__FROM_ENGINE__KIND_ASLEEP;
    message.asleep = &asleep;
    asleep.level = 3;
    check_event_refused(&message, "unknown level of sleep");
}
