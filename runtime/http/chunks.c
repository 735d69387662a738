#include "runtime/http/chunks.h"

#include "base/bytes.h"
#include "base/hex.h"
#include "runtime/http/refusal.h"

static const struct refusal malformed = {400, "the chunks of the body are malformed"};
static const struct refusal too_large = {413, "the body is larger than this server allows"};

/* One byte of the line before a chunk: hexadecimal digits, what nobody needs, CR LF. */
static bool read_size(struct chunks *chunks, char c)
{
    if (++chunks->n_line > CHUNKS_MAX_LINE)
        return false;
    if (chunks->state == CHUNKS_SIZE_LF) {
        if (c != '\n')
            return false;
        chunks->state = chunks->n_left > 0 ? CHUNKS_DATA : CHUNKS_TRAILERS;
        chunks->n_line = 0;
        return true;
    }
    const int digit = hex_digit(c);
    if (chunks->state == CHUNKS_SIZE && digit >= 0) {
        chunks->n_left = chunks->n_left * 16 + (uint64_t)digit;
        return ++chunks->n_digits <= 15; /* of 60 bits, which cannot overflow */
    }
    if (chunks->n_digits == 0)
        return false;
    if (c == '\r') {
        chunks->state = CHUNKS_SIZE_LF;
        return true;
    }
    if (chunks->state == CHUNKS_SIZE) {
        chunks->state = CHUNKS_EXTENSION;
        return c == ';';
    }
    return (unsigned char)c >= 0x20 || c == '\t';
}

static bool read_data(struct chunks *chunks, struct bytes *body, size_t max_body_bytes,
                      const char *data, size_t n, size_t *n_used)
{
    const size_t n_more = n < chunks->n_left ? n : (size_t)chunks->n_left;
    if (chunks->n_left > max_body_bytes - body->len)
        return false; /* said by the chunk's size, so before any of it is kept */
    bytes_add(body, data, n_more);
    chunks->n_left -= n_more;
    if (chunks->n_left == 0)
        chunks->state = CHUNKS_DATA_CR;
    *n_used = n_more;
    return true;
}

static bool read_trailers(struct chunks *chunks, const char *data, size_t n, size_t *n_used)
{
    const enum lines_result result = lines_scan(&chunks->trailers, data, n, n_used);
    if (result == LINES_BAD)
        return false;
    if (result == LINES_END)
        chunks->state = CHUNKS_END;
    chunks->n_line += *n_used;
    return chunks->n_line <= CHUNKS_MAX_TRAILERS;
}

/* The CR LF after the data of a chunk. */
static bool read_data_end(struct chunks *chunks, char c)
{
    if (chunks->state == CHUNKS_DATA_CR) {
        chunks->state = CHUNKS_DATA_LF;
        return c == '\r';
    }
    chunks->state = CHUNKS_SIZE;
    chunks->n_digits = 0;
    return c == '\n';
}

bool chunks_read(struct chunks *chunks, struct bytes *body, size_t max_body_bytes, const char *data,
                 size_t n, size_t *n_used, struct refusal *why)
{
    size_t at = 0;
    while (at < n && chunks->state != CHUNKS_END) {
        size_t n_more = 1;
        bool is_right;
        if (chunks->state == CHUNKS_DATA) {
            if (!read_data(chunks, body, max_body_bytes, data + at, n - at, &n_more)) {
                *why = too_large;
                return false;
            }
            is_right = true;
        } else if (chunks->state == CHUNKS_TRAILERS) {
            is_right = read_trailers(chunks, data + at, n - at, &n_more);
        } else if (chunks->state == CHUNKS_DATA_CR || chunks->state == CHUNKS_DATA_LF) {
            is_right = read_data_end(chunks, data[at]);
        } else {
            is_right = read_size(chunks, data[at]);
        }
        if (!is_right) {
            *why = malformed;
            return false;
        }
        at += n_more;
    }
    *n_used = at;
    return true;
}
