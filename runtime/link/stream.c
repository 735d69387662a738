#include "runtime/link/stream.h"

#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { HEADER_BYTES = 4, READ_BYTES = 64 << 10 };

void link_stream_init(struct link_stream *stream, int fd)
{
    *stream = (struct link_stream){.fd = fd};
    stream->out.max = LINK_MAX_UNSENT_BYTES;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void link_stream_release(struct link_stream *stream)
{
    close(stream->fd);
    bytes_release(&stream->in);
    bytes_release(&stream->out);
}

bool link_stream_send(struct link_stream *stream, const void *frame, size_t n_bytes,
                      struct error *err)
{
    check(n_bytes <= LINK_MAX_FRAME_BYTES);
    const uint8_t header[HEADER_BYTES] = {(uint8_t)n_bytes, (uint8_t)(n_bytes >> 8),
                                          (uint8_t)(n_bytes >> 16), (uint8_t)(n_bytes >> 24)};
    if (!bytes_reserve(&stream->out, HEADER_BYTES + n_bytes))
        return error_set(err, ERROR_PEER, "the other end of the link reads nothing: %zu bytes wait",
                         stream->out.len);
    bytes_add(&stream->out, header, HEADER_BYTES);
    bytes_add(&stream->out, frame, n_bytes);
    bool all_sent;
    return link_stream_flush(stream, &all_sent, err);
}

bool link_stream_flush(struct link_stream *stream, bool *all_sent, struct error *err)
{
    size_t sent = 0;
    *all_sent = true;
    while (sent < stream->out.len) {
        const ssize_t n =
            send(stream->fd, stream->out.data + sent, stream->out.len - sent, MSG_NOSIGNAL);
        if (n >= 0) {
            sent += (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            *all_sent = false;
            break;
        } else if (errno != EINTR) {
            return error_set(err, ERROR_PEER, "the other end of the link is gone: %s",
                             strerror(errno));
        }
    }
    bytes_remove_front(&stream->out, sent);
    return true;
}

/* Whether a whole frame follows the consumed bytes; *whole is false when more are needed. */
static bool find_frame(const struct link_stream *stream, size_t *n_bytes, bool *whole,
                       struct error *err)
{
    const size_t here = stream->in.len - stream->consumed;
    *whole = false;
    if (here < HEADER_BYTES)
        return true;
    const uint8_t *h = (const uint8_t *)stream->in.data + stream->consumed;
    *n_bytes = (size_t)h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16 | (size_t)h[3] << 24;
    if (*n_bytes > LINK_MAX_FRAME_BYTES)
        return error_set(err, ERROR_PEER,
                         "a frame of %zu bytes on the link, at most %d are allowed", *n_bytes,
                         LINK_MAX_FRAME_BYTES);
    *whole = here - HEADER_BYTES >= *n_bytes;
    return true;
}

bool link_stream_receive(struct link_stream *stream, const uint8_t **frame, size_t *n_bytes,
                         struct error *err)
{
    *frame = NULL;
    for (;;) {
        bool whole;
        if (!find_frame(stream, n_bytes, &whole, err))
            return false;
        if (whole) {
            *frame = (const uint8_t *)stream->in.data + stream->consumed + HEADER_BYTES;
            stream->consumed += HEADER_BYTES + *n_bytes;
            return true;
        }
        bytes_remove_front(&stream->in, stream->consumed);
        stream->consumed = 0;
        check(bytes_reserve(&stream->in, READ_BYTES));
        const ssize_t n = recv(stream->fd, stream->in.data + stream->in.len, READ_BYTES, 0);
        if (n > 0)
            stream->in.len += (size_t)n;
        else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        else if (n == 0 || errno != EINTR)
            return error_set(err, ERROR_PEER, "the other end of the link is gone%s%s",
                             n < 0 ? ": " : "", n < 0 ? strerror(errno) : "");
    }
}

bool link_stream_has_frame(const struct link_stream *stream)
{
    struct error ignored = {0};
    size_t n_bytes;
    bool whole;
    return !find_frame(stream, &n_bytes, &whole, &ignored) || whole;
}

static bool address_of(struct sockaddr_un *address, const char *path, struct error *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path)
        return error_set(err, ERROR_INPUT, "%s: a socket path has at most %zu characters", path,
                         sizeof address->sun_path - 1);
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

bool link_listen(int *fd, const char *path, struct error *err)
{
    struct sockaddr_un address;
    if (!address_of(&address, path, err))
        return false;
    const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0)
        return error_errno(err, "cannot make a socket");
    if (bind(listener, (const struct sockaddr *)&address, sizeof address) < 0 ||
        listen(listener, 1) < 0) {
        error_errno(err, "cannot listen on %s", path);
        close(listener);
        return false;
    }
    *fd = listener;
    return true;
}

bool link_accept(int listener, int *fd, struct error *err)
{
    *fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    return *fd >= 0 || error_errno(err, "cannot accept the engine's connection");
}

/* "fd:N": the number of a socket that this program was started with. */
static bool take_inherited(const char *text, int *fd, struct error *err)
{
    char *rest;
    const long number = strtol(text, &rest, 10);
    int kind = 0;
    socklen_t n_bytes = sizeof kind;
    if (rest == text || *rest != '\0' || number < 0 || number > INT_MAX ||
        getsockopt((int)number, SOL_SOCKET, SO_TYPE, &kind, &n_bytes) != 0 || kind != SOCK_STREAM)
        return error_set(err, ERROR_INPUT, "link fd:%.20s: no socket with that number is open",
                         text);
    *fd = (int)number;
    return true;
}

bool link_connect(const char *path, int *fd, struct error *err)
{
    if (strncmp(path, "fd:", 3) == 0)
        return take_inherited(path + 3, fd, err);
    struct sockaddr_un address;
    if (!address_of(&address, path, err))
        return false;
    *fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0)
        return error_errno(err, "cannot make a socket");
    if (connect(*fd, (const struct sockaddr *)&address, sizeof address) < 0) {
        error_errno(err, "cannot connect to the gateway at %s", path);
        close(*fd);
        return false;
    }
    return true;
}
