#include "tests/unit/runtime_link/ends.h"

#include "base/memory.h"
#include "tests/test.h"

#include <string.h>
#include <sys/socket.h>

struct ends ends_make(void)
{
    int fd[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    return (struct ends){link_create(fd[0]), link_create(fd[1])};
}

void ends_release(struct ends *ends)
{
    link_destroy(ends->gateway);
    link_destroy(ends->engine);
}

struct link_command receive_command(struct link *link)
{
    struct link_command command;
    struct error err = {0};
    bool got;
    CHECK(link_receive_command(link, &command, &got, &err));
    CHECK(got);
    return command;
}

struct link_event receive_event(struct link *link)
{
    struct link_event event;
    struct error err = {0};
    bool got;
    CHECK(link_receive_event(link, &event, &got, &err));
    CHECK(got);
    return event;
}

struct link *link_with_frame(const void *bytes, size_t n)
{
    int fd[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct link_stream peer;
    struct error err = {0};
    link_stream_init(&peer, fd[0]);
    CHECK(link_stream_send(&peer, bytes, n, &err));
    link_stream_release(&peer);
    return link_create(fd[1]);
}

static bool check_taken(bool good, bool got, const struct error *err)
{
    CHECK_EQ(got, good);
    CHECK_EQ(err->kind, good ? ERROR_NONE : ERROR_PEER);
    return good;
}

bool takes_command(struct link *link, struct link_command *out, struct error *err)
{
    bool got;
    const bool good = link_receive_command(link, out, &got, err);
    return check_taken(good, got, err);
}

bool takes_event(struct link *link, struct link_event *out, struct error *err)
{
    bool got;
    const bool good = link_receive_event(link, out, &got, err);
    return check_taken(good, got, err);
}

static struct link *link_with_message(const ProtobufCMessage *message)
{
    const size_t n = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = memory_alloc(n, 1);
    protobuf_c_message_pack(message, bytes);
    struct link *link = link_with_frame(bytes, n);
    memory_free(bytes);
    return link;
}

static void check_text(const struct error *err, const char *why)
{
    if (strstr(err->text, why) == NULL)
        test_fail(__FILE__, __LINE__, "refused with \"%s\", want \"%s\"", err->text, why);
}

void check_command_refused(const Phalanx__Engine__V1__ToEngine *message, const char *why)
{
    struct link *link = link_with_message(&message->base);
    struct link_command command;
    struct error err = {0};
    if (takes_command(link, &command, &err))
        test_fail(__FILE__, __LINE__, "taken, want \"%s\"", why);
    check_text(&err, why);
    link_destroy(link);
}

void check_event_refused(const Phalanx__Engine__V1__FromEngine *message, const char *why)
{
    struct link *link = link_with_message(&message->base);
    struct link_event event;
    struct error err = {0};
    if (takes_event(link, &event, &err))
        test_fail(__FILE__, __LINE__, "taken, want \"%s\"", why);
    check_text(&err, why);
    link_destroy(link);
}
