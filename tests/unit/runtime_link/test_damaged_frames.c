/* Honest frames with a few bytes changed, cut or doubled: each is taken or refused, and what is
 * taken can be read to its last element, which the sanitizers watch. */
#include "base/memory.h"
#include "tests/test.h"
#include "tests/unit/runtime_link/ends.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_BYTES = 4096 };

struct frame {
    uint8_t bytes[MOST_BYTES];
    size_t n;
};

static uint64_t random_state = 1;

static uint32_t random_below(size_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % n);
}

/* What one end of a link has sent, without the length before it. */
static void read_frame(struct frame *out, int fd)
{
    uint8_t bytes[MOST_BYTES];
    const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    CHECK(n > 4 && n < MOST_BYTES);
    out->n = (size_t)n - 4;
    memcpy(out->bytes, bytes + 4, out->n);
}

static struct frame damaged(const struct frame *frame)
{
    struct frame out = *frame;
    for (uint32_t i = 0; i < 1 + random_below(3); i++) {
        const uint32_t at = random_below(out.n), kind = random_below(4);
        if (kind == 0)
            out.bytes[at] = (uint8_t)random_below(256);
        else if (kind == 1)
            out.bytes[at] ^= (uint8_t)(1 << random_below(8));
        else if (kind == 2)
            out.n = at > 0 ? at : 1;
        else if (out.n < MOST_BYTES) {
            memmove(out.bytes + at + 1, out.bytes + at, out.n - at);
            out.n++;
        }
    }
    return out;
}

static int64_t sum_of(const int32_t *value, int n)
{
    int64_t sum = 0;
    CHECK(n >= 0);
    for (int i = 0; i < n; i++)
        sum += value[i];
    return sum;
}

static int64_t read_all_of_command(const struct link_command *command)
{
    CHECK(command->sleep <= LINK_NO_WEIGHTS);
    if (command->kind != LINK_SUBMIT)
        return 0;
    const struct link_submit *s = &command->submit;
    const struct sampling_params *p = &s->params;
    const int n_bad_ids = p->n_bad_words > 0 ? p->bad_end[p->n_bad_words - 1] : 0;
    int64_t sum = sum_of(s->prompt, s->n_prompt) + sum_of(s->output, s->n_output) +
                  sum_of(p->stop_id, p->n_stop_ids) + sum_of(p->allowed_id, p->n_allowed_ids) +
                  sum_of(p->bad_end, p->n_bad_words) + sum_of(p->bad_id, n_bad_ids);
    for (int i = 0; i < p->n_biases; i++)
        sum += p->bias[i].token;
    for (int i = 0; i < s->n_cache_key; i++)
        sum += s->cache_key[i];
    CHECK(p->pooling <= POOLING_MEAN);
    return sum;
}

static int64_t read_all_of_event(const struct link_event *e)
{
    int64_t sum = 0;
    switch (e->kind) {
    case LINK_READY:
        sum +=
            (int64_t)(strlen(e->ready.build) + strlen(e->ready.model) + strlen(e->ready.kernels));
        return sum + sum_of(e->ready.eos_id, e->ready.n_eos_ids);
    case LINK_BEGUN:
        CHECK(e->n_begun >= 0);
        for (int i = 0; i < e->n_begun; i++)
            sum += e->begun_id[i] != 0;
        return sum;
    case LINK_TOKENS:
        for (int i = 0; i < e->n_tokens; i++) {
            CHECK(e->token[i].finish <= FINISH_ERROR);
            for (int k = 0; k < e->token[i].n_logprobs; k++)
                sum += e->token[i].logprob[k].token;
        }
        return sum;
    case LINK_FAILED:
        return (int64_t)strlen(e->failure.text);
    case LINK_PROMPT_LOGPROBS:
        for (int i = 0; i < e->prompt_logprobs.n_positions; i++)
            for (int k = i > 0 ? e->prompt_logprobs.end[i - 1] : 0; k < e->prompt_logprobs.end[i];
                 k++)
                sum += e->prompt_logprobs.logprob[k].token;
        return sum;
    case LINK_BEAMS:
        for (int i = 0; i < e->beams.n_beams; i++)
            sum += sum_of(e->beams.beam[i].token, e->beams.beam[i].n_tokens);
        return sum;
    case LINK_POOLED:
        for (int i = 0; i < e->pooled.n_values; i++)
            sum += e->pooled.value[i] > 0;
        return sum;
    case LINK_STATS:
        CHECK(e->stats.n_ranks >= 0 && e->stats.kv_blocks_used <= e->stats.kv_blocks);
        for (int i = 0; i < e->stats.n_ranks; i++)
            sum += e->stats.rank_work_ns[i] > 0;
        return sum;
    case LINK_PULSE:
        CHECK(e->progress_ns >= 0);
        return e->progress_ns > 0;
    case LINK_ASLEEP:
        CHECK(e->sleep <= LINK_NO_WEIGHTS);
        return 1;
    case LINK_LOADING:
        CHECK(e->loading.done <= e->loading.all);
        return e->loading.done > 0;
    }
    test_fail(__FILE__, __LINE__, "an event of kind %d", (int)e->kind);
}

/* Both must come up: else the test tests little. */
static void check_counts(int n_taken, int n_refused)
{
    CHECK(n_taken > 0);
    CHECK(n_refused > 0);
}

TEST(damaged_commands_are_taken_or_refused)
{
    static const int32_t ids[] = {1, 200, 30000, 4}, ends[] = {1, 2, 4};
    static const struct token_bias bias[] = {{7, 1}, {9, -1}};
    struct link_command command = {.kind = LINK_SUBMIT};
    command.submit = (struct link_submit){
        .id = 77,
        .prompt = ids,
        .n_prompt = 4,
        .output = ids,
        .n_output = 3,
        .cache_key = (const uint8_t *)"salt",
        .n_cache_key = 4,
        .tenant = 5,
        .deadline_ns = 1 << 30,
    };
    struct sampling_params *p = &command.submit.params;
    p->allowed_id = p->bad_id = ids;
    p->bad_end = ends;
    p->bias = bias;
    p->n_allowed_ids = 4;
    p->n_bad_words = 3;
    p->n_biases = 2;
    p->n_stop_ids = 1;

    int fd[2], n_taken = 0, n_refused = 0;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct link *sender = link_create(fd[0]);
    struct frame frame;
    struct error err = {0};
    CHECK(link_send_command(sender, &command, &err));
    read_frame(&frame, fd[1]);
    int64_t sum = 0;
    for (int round = 0; round < (SANITIZED ? 20000 : 60000); round++) {
        const struct frame bad = damaged(&frame);
        struct link *link = link_with_frame(bad.bytes, bad.n);
        struct link_command got;
        err = (struct error){0};
        const bool taken = takes_command(link, &got, &err);
        sum += taken ? read_all_of_command(&got) : 0;
        n_taken += taken;
        n_refused += !taken;
        link_destroy(link);
    }
    CHECK(sum != 0);
    check_counts(n_taken, n_refused);
    link_destroy(sender);
    close(fd[1]);
}

TEST(damaged_events_are_taken_or_refused)
{
    static const struct link_logprob logprob[] = {{5, -0.25f, 1}, {6, -1.5f, 2}, {7, -3, 9}};
    static const int32_t ids[] = {1, 200, 30000}, end[] = {1, 3};
    static const struct link_token token[] = {
        {.id = 1, .token = 5, .logprob = logprob, .n_logprobs = 3, .finish = FINISH_STOP},
        {.id = 2, .token = 6, .logprob = logprob, .n_logprobs = 2, .n_drafted = 4}};
    static const struct link_beam beam[] = {{ids, 3, -1, -2, FINISH_STOP},
                                            {ids, 2, -1, -3, FINISH_LENGTH}};
    static const float value[] = {1, 2, 3};
    static const int64_t work[] = {100, 20000, 3};
    static const uint64_t begun[] = {1, 1 << 20, 3};
    const struct link_event events[] = {
        {.kind = LINK_READY,
         .ready = {.build = "build",
                   .model = "m",
                   .kernels = "k",
                   .comm = "c",
                   .dtype = "d",
                   .vocab = 5,
                   .max_model_len = 9,
                   .eos_id = ids,
                   .n_eos_ids = 3}},
        {.kind = LINK_BEGUN, .begun_id = begun, .n_begun = 3},
        {.kind = LINK_TOKENS, .token = token, .n_tokens = 2},
        {.kind = LINK_FAILED,
         .failed_id = 3,
         .failure = {.kind = ERROR_INPUT, .text = "it is wrong", .param = "p", .code = "c"}},
        {.kind = LINK_PROMPT_LOGPROBS, .prompt_logprobs = {3, 1, logprob, end, 2}},
        {.kind = LINK_BEAMS, .beams = {3, beam, 2, 16, 1}},
        {.kind = LINK_POOLED, .pooled = {3, value, 3, 16}},
        {.kind = LINK_STATS,
         .stats = {.running = 1,
                   .kv_blocks = 9,
                   .kv_blocks_used = 4,
                   .plans = 12,
                   .rank_work_ns = work,
                   .n_ranks = 3}},
        {.kind = LINK_PULSE, .progress_ns = 1 << 30},
        {.kind = LINK_ASLEEP, .sleep = LINK_NO_WEIGHTS},
    };
    int fd[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct link *sender = link_create(fd[0]);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct frame frame;
        struct error err = {0};
        int n_taken = 0, n_refused = 0;
        int64_t sum = 0;
        CHECK(link_send_event(sender, &events[i], &err));
        read_frame(&frame, fd[1]);
        for (int round = 0; round < (SANITIZED ? 5000 : 20000); round++) {
            const struct frame bad = damaged(&frame);
            struct link *link = link_with_frame(bad.bytes, bad.n);
            struct link_event got;
            err = (struct error){0};
            const bool taken = takes_event(link, &got, &err);
            sum += taken ? read_all_of_event(&got) : 0;
            n_taken += taken;
            n_refused += !taken;
            link_destroy(link);
        }
        CHECK(sum != 0);
        check_counts(n_taken, n_refused);
    }
    link_destroy(sender);
    close(fd[1]);
}

/* 40 MB of empty tokens would be many times as large in memory. */
TEST(a_frame_that_swells_when_it_is_unpacked_is_refused)
{
    const size_t n = 40 << 20, n_header = 5;
    uint8_t *bytes = memory_alloc(n + n_header, 1);
    bytes[0] = 2 << 3 | 2; /* FromEngine.tokens, with its length as a varint */
    for (size_t i = 0; i < 4; i++)
        bytes[1 + i] = (uint8_t)((n >> 7 * i & 127) | (i < 3 ? 128 : 0));
    for (size_t i = 0; i < n; i += 2)
        bytes[n_header + i] = 1 << 3 | 2; /* Tokens.token, of 0 bytes */
    struct link_stream peer;
    struct link_event event;
    struct error err = {0};
    int fd[2];
    bool all_sent, got = false, good = true;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct link *link = link_create(fd[1]);
    link_stream_init(&peer, fd[0]);
    CHECK(link_stream_send(&peer, bytes, n + n_header, &err));
    while (good && !got) {
        CHECK(link_stream_flush(&peer, &all_sent, &err));
        good = link_receive_event(link, &event, &got, &err);
    }
    CHECK(!good);
    CHECK_EQ(err.kind, ERROR_PEER);
    link_stream_release(&peer);
    link_destroy(link);
    memory_free(bytes);
}
