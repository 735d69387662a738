/* Bytes as what a client sends: whatever pieces they come in, the same request is read, and it ends
 * at the same byte, or it is refused. */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "runtime/http/chunks.h"
#include "runtime/http/head.h"
#include "runtime/http/http_server.h"
#include "runtime/http/refusal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes); /* called by libFuzzer */

enum { MAX_BODY = 1000 };
static const struct http_limits limits = {
    .max_header_bytes = 2000, .max_headers = 20, .max_body_bytes = MAX_BODY};

struct request {
    struct head head;
    struct bytes body;
    bool is_refused, is_whole;
    size_t n_used;
};

static size_t piece(size_t n_left, size_t n_piece) { return n_left < n_piece ? n_left : n_piece; }

static void check_refusal(const struct refusal *why)
{
    check(why->status >= 400 && why->status <= 505);
    check(why->why != NULL && strpbrk(why->why, "\"\\") == NULL);
}

static void read_body(struct request *r, const char *data, size_t n, size_t n_piece)
{
    struct chunks chunks = {0};
    while (r->n_used < n && chunks.state != CHUNKS_END) {
        struct refusal why = {0};
        size_t n_used = 0;
        if (!chunks_read(&chunks, &r->body, MAX_BODY, data + r->n_used,
                         piece(n - r->n_used, n_piece), &n_used, &why)) {
            check_refusal(&why);
            r->is_refused = true;
            return;
        }
        check(n_used > 0);
        r->n_used += n_used;
    }
    check(r->body.len <= MAX_BODY);
    r->is_whole = chunks.state == CHUNKS_END;
}

static void read_request(struct request *r, const char *data, size_t n, size_t n_piece)
{
    *r = (struct request){0};
    head_init(&r->head, &limits);
    while (r->n_used < n && !r->head.is_complete) {
        struct refusal why = {0};
        size_t n_used = 0;
        if (!head_read(&r->head, &limits, data + r->n_used, piece(n - r->n_used, n_piece), &n_used,
                       &why)) {
            check_refusal(&why);
            r->is_refused = true;
            return;
        }
        check(n_used > 0);
        r->n_used += n_used;
    }
    check(r->n_used <= limits.max_header_bytes);
    if (!r->head.is_complete)
        return;
    check(r->head.path[0] == '/' && r->head.n_body <= MAX_BODY);
    if (r->head.is_chunked)
        read_body(r, data, n, n_piece);
    else
        r->is_whole = true;
}

static void check_same(const struct request *a, const struct request *b)
{
    check(a->is_refused == b->is_refused);
    if (a->is_refused)
        return;
    check(a->is_whole == b->is_whole && a->n_used == b->n_used && a->body.len == b->body.len);
    check(a->body.len == 0 || memcmp(a->body.data, b->body.data, a->body.len) == 0);
    if (!a->head.is_complete)
        return;
    check(strcmp(a->head.path, b->head.path) == 0 && strcmp(a->head.query, b->head.query) == 0);
    check(a->head.n_body == b->head.n_body && a->head.n_fields == b->head.n_fields);
    for (int i = 0; i < a->head.n_fields; i++) {
        const char *name = a->head.text.data + a->head.fields[i].name;
        check(strcmp(head_find(&a->head, name), head_find(&b->head, name)) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct request whole;
    read_request(&whole, (const char *)data, n_bytes, n_bytes);
    for (size_t n_piece = 1; n_piece <= 7; n_piece += 3) {
        struct request pieces;
        read_request(&pieces, (const char *)data, n_bytes, n_piece);
        check_same(&whole, &pieces);
        head_release(&pieces.head);
        bytes_release(&pieces.body);
    }
    head_release(&whole.head);
    bytes_release(&whole.body);
    return 0;
}
