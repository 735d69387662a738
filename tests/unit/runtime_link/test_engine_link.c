/* Both ends of the link over a socketpair, and what a broken peer may send. */
#include "base/memory.h"
#include "tests/test.h"
#include "tests/unit/runtime_link/ends.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

TEST(a_message_larger_than_the_socket_arrives_in_parts)
{
    struct ends ends = ends_make();
    enum { N = 3000000 }; /* about 9 MB on the wire, far more than a socket buffer */
    int32_t *prompt = memory_alloc(N, sizeof *prompt);
    for (int i = 0; i < N; i++)
        prompt[i] = i;
    struct link_command sent = {.kind = LINK_SUBMIT,
                                .submit = {.id = 1, .prompt = prompt, .n_prompt = N}};
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
