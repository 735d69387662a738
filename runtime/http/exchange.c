/* What a handler asks about a request. */
#include "runtime/http/connection.h"

const char *http_method(const struct http_exchange *x) { return x->head.method; }

const char *http_path(const struct http_exchange *x) { return x->head.path; }

const char *http_query(const struct http_exchange *x) { return x->head.query; }

const char *http_header(const struct http_exchange *x, const char *name)
{
    return head_find(&x->head, name);
}

const char *http_body(const struct http_exchange *x, size_t *n_bytes)
{
    *n_bytes = x->body.len;
    return x->body.data != NULL ? x->body.data : "";
}

const char *http_peer(const struct http_exchange *x) { return x->connection->peer; }

void http_set_data(struct http_exchange *x, void *data) { x->data = data; }

void *http_data(const struct http_exchange *x) { return x->data; }
