/* Both ends of the link over a socketpair, and what a broken peer may send. */
#include "base/memory.h"
#include "runtime/engine_link.h"
#include "tests/test.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct ends {
    struct link *gateway, *engine;
};

static struct ends ends_make(void)
{
    int fd[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    return (struct ends){link_create(fd[0]), link_create(fd[1])};
}

static void ends_release(struct ends *ends)
{
    link_destroy(ends->gateway);
    link_destroy(ends->engine);
}

static struct link_command receive_command(struct link *link)
{
    struct link_command command;
    struct error err = {0};
    bool got;
    CHECK(link_receive_command(link, &command, &got, &err));
    CHECK(got);
    return command;
}

static struct link_event receive_event(struct link *link)
{
    struct link_event event;
    struct error err = {0};
    bool got;
    CHECK(link_receive_event(link, &event, &got, &err));
    CHECK(got);
    return event;
}

TEST(a_submit_arrives_with_every_field)
{
    struct ends ends = ends_make();
    const int32_t prompt[] = {1, 2047, 0, 5}, output[] = {7, 8};
    struct link_command sent = {.kind = LINK_SUBMIT};
    sent.submit = (struct link_submit){.id = 0xfedcba9876543210,
                                       .prompt = prompt,
                                       .n_prompt = 4,
                                       .output = output,
                                       .n_output = 2,
                                       .choice = 3};
    sent.submit.params = (struct sampling_params){.temperature = 0.7f,
                                                  .top_p = 0.9f,
                                                  .min_p = 0.05f,
                                                  .top_k = -1,
                                                  .repetition_penalty = 1.1f,
                                                  .frequency_penalty = -0.5f,
                                                  .presence_penalty = 2.0f,
                                                  .seed = 0xffffffffffffffff,
                                                  .max_tokens = 100,
                                                  .min_tokens = 3,
                                                  .logprobs = LOGPROBS_OFF,
                                                  .ignore_eos = true,
                                                  .n_stop_ids = 2,
                                                  .stop_id = {11, 12}};
    struct error err = {0};
    CHECK(link_send_command(ends.gateway, &sent, &err));

    const struct link_command got = receive_command(ends.engine);
    CHECK_EQ(got.kind, LINK_SUBMIT);
    CHECK(got.submit.id == sent.submit.id);
    CHECK_EQ(got.submit.n_prompt, 4);
    CHECK(memcmp(got.submit.prompt, prompt, sizeof prompt) == 0);
    CHECK_EQ(got.submit.n_output, 2);
    CHECK(memcmp(got.submit.output, output, sizeof output) == 0);
    CHECK_EQ(got.submit.choice, 3);
    CHECK(memcmp(&got.submit.params, &sent.submit.params, sizeof sent.submit.params) == 0);
    ends_release(&ends);
}

TEST(tokens_of_a_step_arrive_with_logprobs_and_stop_tokens)
{
    struct ends ends = ends_make();
    const struct link_logprob logprob[] = {{5, -0.25f, 1}, {6, -1.5f, 2}};
    const struct link_token token[] = {
        {.id = 1,
         .token = 5,
         .logprob = logprob,
         .n_logprobs = 2,
         .stop_token = -1,
         .cached_tokens = 64},
        {.id = 2, .token = 0, .finish = FINISH_STOP, .stop_token = 0},
    };
    const struct link_event sent = {.kind = LINK_TOKENS, .token = token, .n_tokens = 2};
    struct error err = {0};
    CHECK(link_send_event(ends.engine, &sent, &err));

    const struct link_event got = receive_event(ends.gateway);
    CHECK_EQ(got.kind, LINK_TOKENS);
    CHECK_EQ(got.n_tokens, 2);
    CHECK_EQ(got.token[0].token, 5);
    CHECK_EQ(got.token[0].finish, FINISH_NONE);
    CHECK_EQ(got.token[0].stop_token, -1);
    CHECK_EQ(got.token[0].cached_tokens, 64);
    CHECK_EQ(got.token[0].n_logprobs, 2);
    CHECK(memcmp(got.token[0].logprob, logprob, sizeof logprob) == 0);
    CHECK_EQ(got.token[1].finish, FINISH_STOP);
    CHECK_EQ(got.token[1].stop_token, 0); /* token 0 is a token, not an absent field */
    ends_release(&ends);
}

TEST(ready_and_failure_arrive)
{
    struct ends ends = ends_make();
    const int32_t eos[] = {2, 3};
    const struct link_event ready = {.kind = LINK_READY,
                                     .ready = {.build = "b",
                                               .model = "m",
                                               .kernels = "avx2",
                                               .comm = "shm",
                                               .dtype = "bf16",
                                               .vocab = 2048,
                                               .max_model_len = 512,
                                               .tp = 2,
                                               .pp = 1,
                                               .threads = 3,
                                               .kv_tokens = 1 << 20,
                                               .weight_bytes = 5,
                                               .eos_id = eos,
                                               .n_eos_ids = 2}};
    struct link_event failed = {.kind = LINK_FAILED, .failed_id = 17};
    struct error err = {0};
    error_set(&failed.failure, ERROR_INPUT, "top_p is 2");
    CHECK(link_send_event(ends.engine, &ready, &err));
    CHECK(link_send_event(ends.engine, &failed, &err));

    struct link_event got = receive_event(ends.gateway);
    CHECK_EQ(got.kind, LINK_READY);
    CHECK_STR(got.ready.kernels, "avx2");
    CHECK_EQ(got.ready.vocab, 2048);
    CHECK_EQ(got.ready.n_eos_ids, 2);
    CHECK_EQ(got.ready.eos_id[1], 3);
    got = receive_event(ends.gateway);
    CHECK_EQ(got.kind, LINK_FAILED);
    CHECK_EQ(got.failed_id, 17);
    CHECK_EQ(got.failure.kind, ERROR_INPUT);
    CHECK_STR(got.failure.text, "top_p is 2");
    ends_release(&ends);
}

TEST(a_message_larger_than_the_socket_arrives_in_parts)
{
    struct ends ends = ends_make();
    enum { N = 3000000 }; /* about 9 MB on the wire, far more than a socket buffer */
    int32_t *prompt = memory_alloc(N, sizeof *prompt);
    for (int i = 0; i < N; i++)
        prompt[i] = i;
    struct link_command sent = {.kind = LINK_SUBMIT, .submit = {.prompt = prompt, .n_prompt = N}};
    struct error err = {0};
    bool all_sent, got = false;
    CHECK(link_send_command(ends.gateway, &sent, &err));
    CHECK(link_flush(ends.gateway, &all_sent, &err));
    CHECK(!all_sent);
    struct link_command command;
    while (!got) {
        CHECK(link_flush(ends.gateway, &all_sent, &err));
        CHECK(link_receive_command(ends.engine, &command, &got, &err));
    }
    CHECK_EQ(command.submit.n_prompt, N);
    CHECK(memcmp(command.submit.prompt, prompt, N * sizeof *prompt) == 0);
    memory_free(prompt);
    ends_release(&ends);
}

TEST(nothing_to_read_is_no_message_and_no_error)
{
    struct ends ends = ends_make();
    struct link_command command;
    struct error err = {0};
    bool got = true;
    CHECK(link_receive_command(ends.engine, &command, &got, &err));
    CHECK(!got);
    ends_release(&ends);
}

static enum error_kind kind_after_bytes(const void *bytes, size_t n, bool close_after)
{
    int fd[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct link *engine = link_create(fd[1]);
    CHECK_EQ(send(fd[0], bytes, n, 0), (long long)n);
    if (close_after)
        close(fd[0]);
    struct link_command command;
    struct error err = {0};
    bool got;
    const bool good = link_receive_command(engine, &command, &got, &err);
    CHECK(!good || !got);
    link_destroy(engine);
    if (!close_after)
        close(fd[0]);
    return err.kind;
}

TEST(a_broken_peer_ends_the_link)
{
    CHECK_EQ(kind_after_bytes("\xff\xff\xff\xff", 4, false), ERROR_PEER);       /* 4 GB frame */
    CHECK_EQ(kind_after_bytes("\x03\0\0\0\xff\xff\xff", 7, false), ERROR_PEER); /* no message */
    CHECK_EQ(kind_after_bytes("\0\0\0\0", 4, false), ERROR_PEER);               /* no kind */
    CHECK_EQ(kind_after_bytes("\x02\0\0\0\x0a\0", 6, false), ERROR_PEER);       /* no params */
    CHECK_EQ(kind_after_bytes("\x09\0\0\0half", 8, true), ERROR_PEER);          /* cut off */
    CHECK_EQ(kind_after_bytes("\x09\0\0\0half", 8, false), ERROR_NONE);         /* still coming */
}
