/* runtime/link/stream.h: whole frames over a Unix stream socket that never blocks.
 *
 * A frame is its length (4 bytes, little endian) and that many bytes. Sending queues what the
 * socket does not take; receiving gives one frame when all of it is here. The lengths come from
 * the peer: a frame over LINK_MAX_FRAME_BYTES ends the stream before anything is allocated.
 */
#pragma once
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum {
    LINK_MAX_FRAME_BYTES = 64 << 20,   /* a prompt of 10 M tokens; nothing honest is larger */
    LINK_MAX_UNSENT_BYTES = 256 << 20, /* a peer that reads nothing for so long is dead */
};

struct link_stream {
    int fd;
    struct bytes in, out;
    size_t consumed; /* bytes of `in` that belong to frames already handed out */
};

/* Takes over `fd`, a connected stream socket, and makes it non-blocking. */
void link_stream_init(struct link_stream *stream, int fd);
void link_stream_release(struct link_stream *stream);

/* Queues a frame and sends what goes. ERROR_PEER when the other end is gone or reads nothing. */
bool link_stream_send(struct link_stream *stream, const void *frame, size_t n_bytes,
                      struct error *err);
bool link_stream_flush(struct link_stream *stream, bool *all_sent, struct error *err);
/* *frame is NULL when no whole frame is here yet; it lives until the next call. */
bool link_stream_receive(struct link_stream *stream, const uint8_t **frame, size_t *n_bytes,
                         struct error *err);
/* Whether the next link_stream_receive() needs no more bytes of the socket. */
bool link_stream_has_frame(const struct link_stream *stream);

/* A listening socket at `path` (in a private folder of the caller's), one connection to it,
 * and the other end. ERROR_SYSTEM names the path. link_connect() also takes "fd:N", a connected
 * socket that this program was started with; ERROR_INPUT when N is none. */
bool link_listen(int *fd, const char *path, struct error *err);
bool link_accept(int listener, int *fd, struct error *err);
bool link_connect(const char *path, int *fd, struct error *err);
