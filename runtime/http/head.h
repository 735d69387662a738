/* runtime/http/head.h: the first part of a request, from its first byte to the empty line.
 *
 * Tokens are read by http-parser; what decides where a request ends (its lines, lengths and
 * encodings) is looked at again here, because there the parser forgives (RFC 9112, section 11.2).
 */
#pragma once
#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "runtime/http/lines.h"

struct http_limits;
struct refusal;

struct head_field { /* begins of texts in `text` */
    uint32_t name, value;
};

struct head {
    /* While it is read. */
    http_parser parser;
    struct lines lines;
    size_t n_bytes;
    enum { HEAD_TARGET, HEAD_NAME, HEAD_VALUE } part;
    int max_fields;
    struct refusal *why; /* of the call that runs */
    struct bytes text;   /* the target, then names (in lower case) and values; each with a NUL */
    struct head_field *fields;
    int n_fields;

    /* Once it is complete. */
    bool is_complete;
    const char *method;
    char *path;        /* decoded */
    const char *query; /* as sent */
    bool is_http_1_0, keeps_alive, is_chunked, expects_continue;
    uint64_t n_body; /* bytes, when not chunked */
};

void head_init(struct head *head, const struct http_limits *limits);
void head_release(struct head *head);

/* Reads on. True: *n_used bytes were read; is_complete when the head ends there. */
bool head_read(struct head *head, const struct http_limits *limits, const char *data, size_t n,
               size_t *n_used, struct refusal *why);
/* Of a complete head; NULL: absent. Several are joined with ", ". */
const char *head_find(const struct head *head, const char *name);
