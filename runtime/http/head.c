#include "runtime/http/head.h"

#include <string.h>
#include <strings.h>

#include "base/memory.h"
#include "runtime/http/http_server.h"
#include "runtime/http/refusal.h"
#include "runtime/http/target.h"

static const char too_large[] = "the headers are larger than this server allows";

static const char bad_length[] =
    "Content-Length must be one number, and not beside Transfer-Encoding";

static bool refuse(struct refusal *why, int status, const char *text)
{
    *why = (struct refusal){status, text};
    return false;
}

static const char *text_at(const struct head *head, uint32_t offset)
{
    return head->text.data + offset;
}

/* ---- what the parser finds ---- */

/* White space behind a value is no part of it. */
static void end_text(struct head *head)
{
    struct bytes *text = &head->text;
    while (head->part == HEAD_VALUE && text->len > head->fields[head->n_fields - 1].value &&
           (text->data[text->len - 1] == ' ' || text->data[text->len - 1] == '\t'))
        text->len--;
    bytes_add_char(text, '\0');
}

static int on_target(http_parser *parser, const char *at, size_t n)
{
    struct head *head = parser->data;
    bytes_add(&head->text, at, n);
    return 0;
}

/* tchar of RFC 9110, section 5.6.2. The parser, as distributions build it, takes a space, too. */
static bool is_token(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Ends the text before, and makes room for another field. */
static bool begin_field(struct head *head)
{
    end_text(head);
    if (head->n_fields == head->max_fields)
        return refuse(head->why, 431, "the request has too many headers");
    enum { GROW = 16 };
    if (head->n_fields % GROW == 0)
        head->fields =
            memory_resize(head->fields, (size_t)head->n_fields + GROW, sizeof(*head->fields));
    head->fields[head->n_fields++].name = (uint32_t)head->text.len;
    head->part = HEAD_NAME;
    return true;
}

static int on_name(http_parser *parser, const char *at, size_t n)
{
    struct head *head = parser->data;
    if (head->part != HEAD_NAME && !begin_field(head))
        return 1;
    for (size_t i = 0; i < n; i++) {
        const char c = at[i] >= 'A' && at[i] <= 'Z' ? (char)(at[i] + 'a' - 'A') : at[i];
        if (!is_token(c)) {
            refuse(head->why, 400, "the name of a header has a character that names cannot have");
            return 1;
        }
        bytes_add_char(&head->text, c);
    }
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t n)
{
    struct head *head = parser->data;
    if (head->part == HEAD_NAME) {
        end_text(head);
        head->fields[head->n_fields - 1].value = (uint32_t)head->text.len;
        head->part = HEAD_VALUE;
    }
    bytes_add(&head->text, at, n);
    return 0;
}

/* 1: no body for the parser, it ends here. */
static int on_end(http_parser *parser)
{
    struct head *head = parser->data;
    end_text(head);
    head->is_complete = true;
    return 1;
}

static const http_parser_settings callbacks = {.on_url = on_target,
                                               .on_header_field = on_name,
                                               .on_header_value = on_value,
                                               .on_headers_complete = on_end};

/* ---- what it means ---- */

/* How many fields have the name; *value is the last. */
static int count_fields(const struct head *head, const char *name, const char **value)
{
    int n = 0;
    for (int i = 0; i < head->n_fields; i++) {
        if (strcmp(text_at(head, head->fields[i].name), name) == 0) {
            *value = text_at(head, head->fields[i].value);
            n++;
        }
    }
    return n;
}

/* Digits alone: no sign, no list, no white space, nothing that overflows. */
static bool read_length(uint64_t *out, const char *text)
{
    const size_t n = strlen(text);
    if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
        return false;
    *out = 0;
    for (size_t i = 0; i < n; i++)
        *out = *out * 10 + (uint64_t)(text[i] - '0');
    return true;
}

/* Where the body ends: section 6.3, without the cases in which two readers could disagree. */
static bool frame_body(struct head *head, const struct http_limits *limits, struct refusal *why)
{
    const char *length = NULL, *encoding = NULL;
    const int n_lengths = count_fields(head, "content-length", &length);
    const int n_encodings = count_fields(head, "transfer-encoding", &encoding);
    if (n_lengths > 0 && n_encodings > 0)
        return refuse(why, 400, bad_length);
    if (n_lengths > 1 || (length != NULL && !read_length(&head->n_body, length)))
        return refuse(why, 400, bad_length);
    if (n_encodings > 1 || (encoding != NULL && strcasecmp(encoding, "chunked") != 0))
        return refuse(why, 400, "Transfer-Encoding can only be chunked");
    if (encoding != NULL && head->is_http_1_0)
        return refuse(why, 400, "HTTP/1.0 has no Transfer-Encoding");
    head->is_chunked = encoding != NULL;
    if (head->n_body > limits->max_body_bytes)
        return refuse(why, 413, "the body is larger than this server allows");
    return true;
}

static bool understand(struct head *head, const struct http_limits *limits, struct refusal *why)
{
    if (head->parser.http_major != 1)
        return refuse(why, 505, "this server speaks HTTP/1.1");
    head->is_http_1_0 = head->parser.http_minor == 0;
    head->keeps_alive = http_should_keep_alive(&head->parser);
    head->method = http_method_str(head->parser.method);
    const char *host = NULL, *expectation = NULL;
    const int n_hosts = count_fields(head, "host", &host);
    if (n_hosts > 1 || (n_hosts == 0 && !head->is_http_1_0))
        return refuse(why, 400, "a request has one Host header");
    if (count_fields(head, "expect", &expectation) > 0 && !head->is_http_1_0) {
        if (strcasecmp(expectation, "100-continue") != 0)
            return refuse(why, 417, "the only expectation that is known is 100-continue");
        head->expects_continue = true;
    }
    return frame_body(head, limits, why);
}

static bool is_same_name(const struct head *head, int a, int b)
{
    return strcmp(text_at(head, head->fields[a].name), text_at(head, head->fields[b].name)) == 0;
}

/* Adds the values of all fields that are called as the first of them, which gets the text. */
static void join_values(struct head *head, int first)
{
    const uint32_t joined = (uint32_t)head->text.len;
    for (int i = first; i < head->n_fields; i++) {
        if (!is_same_name(head, i, first))
            continue;
        if (i > first)
            bytes_add_text(&head->text, ", ");
        bytes_add_text(&head->text, text_at(head, head->fields[i].value));
    }
    end_text(head);
    head->fields[first].value = joined;
}

/* Fields of one name become one. Their texts are copied once, so this is bounded as the head is. */
static void join_fields(struct head *head)
{
    enum { ROOM_EACH = sizeof(", ") };
    int n_kept = 0;
    bytes_reserve(&head->text, head->text.len + (size_t)head->n_fields * ROOM_EACH); /* no moves */
    for (int i = 0; i < head->n_fields; i++) {
        int same = 0;
        while (same < i && !is_same_name(head, same, i))
            same++;
        if (same < i)
            continue;
        int next = i + 1;
        while (next < head->n_fields && !is_same_name(head, next, i))
            next++;
        if (next < head->n_fields)
            join_values(head, i);
    }
    for (int i = 0; i < head->n_fields; i++) {
        int same = 0;
        while (same < n_kept && !is_same_name(head, same, i))
            same++;
        if (same == n_kept)
            head->fields[n_kept++] = head->fields[i];
    }
    head->n_fields = n_kept;
}

/* ---- reading ---- */

void head_init(struct head *head, const struct http_limits *limits)
{
    *head = (struct head){.max_fields = limits->max_headers};
    http_parser_init(&head->parser, HTTP_REQUEST);
    head->parser.data = head;
}

void head_release(struct head *head)
{
    bytes_release(&head->text);
    memory_free(head->fields);
    memory_free(head->path);
}

/* Says why the parser stopped, unless one of the callbacks has said it. */
static bool refuse_as_parser(const struct head *head, char first, struct refusal *why)
{
    if (why->status != 0)
        return false;
    switch (HTTP_PARSER_ERRNO(&head->parser)) {
    case HPE_HEADER_OVERFLOW:
        return refuse(why, 431, too_large);
    case HPE_INVALID_METHOD:
        if (first >= 'A' && first <= 'Z')
            return refuse(why, 405, "this server does not know the method");
        return refuse(why, 400, "this is not HTTP");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return refuse(why, 400, bad_length);
    case HPE_INVALID_VERSION:
        return refuse(why, 505, "this server speaks HTTP/1.1");
    default:
        return refuse(why, 400, "the request is malformed");
    }
}

bool head_read(struct head *head, const struct http_limits *limits, const char *data, size_t n,
               size_t *n_used, struct refusal *why)
{
    const size_t n_allowed = limits->max_header_bytes - head->n_bytes;
    const bool is_over = n > n_allowed;
    if (n_allowed == 0)
        return refuse(why, 431, too_large);
    *why = (struct refusal){0};
    head->why = why;
    const unsigned n_lines = head->lines.n_lines;
    size_t n_scanned = 0;
    const enum lines_result result =
        lines_scan(&head->lines, data, is_over ? n_allowed : n, &n_scanned);
    /* A client that speaks another protocol is told so, whatever its bytes look like. */
    if (result == LINES_BAD)
        return refuse(why, 400, n_lines > 0 ? "a header line is malformed" : "this is not HTTP");
    const size_t n_parsed = http_parser_execute(&head->parser, &callbacks, data, n_scanned);
    if (HTTP_PARSER_ERRNO(&head->parser) != HPE_OK || n_parsed != n_scanned)
        return refuse_as_parser(head, data[0], why);
    head->n_bytes += n_scanned;
    *n_used = n_scanned;
    if (is_over && !head->is_complete && result == LINES_MORE)
        return refuse(why, 431, too_large);
    if (!head->is_complete) /* an empty line before the request is skipped, the parser does that */
        return result == LINES_MORE || head->lines.n_lines == 0 ||
               refuse(why, 400, "the request is malformed");
    if (!understand(head, limits, why))
        return false;
    join_fields(head); /* the last to move the texts */
    return target_split(head->text.data, &head->path, &head->query) ||
           refuse(why, 400, "the path cannot be read");
}

const char *head_find(const struct head *head, const char *name)
{
    const char *value = NULL;
    count_fields(head, name, &value);
    return value;
}
