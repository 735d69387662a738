/* Every rule about what is well-formed stands in second_byte(): a lead byte fixes the length and
 * the range of the byte after it, and all further bytes are 80..BF. */
#include "base/utf8.h"

#include "base/bytes.h"

#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */

struct lead {
    int n_bytes;             /* of the whole character; 0: no character begins so */
    unsigned char low, high; /* of the second byte */
};

static struct lead second_byte(unsigned char first)
{
    if (first < 0x80)
        return (struct lead){1, 0, 0};
    if (first < 0xC2) /* a continuation, or a longer form than needed */
        return (struct lead){0, 0, 0};
    if (first < 0xE0)
        return (struct lead){2, 0x80, 0xBF};
    if (first < 0xF0) /* E0: no longer form than needed; ED: no surrogates */
        return (struct lead){3, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF};
    if (first < 0xF5) /* F4: at most U+10FFFF */
        return (struct lead){4, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF};
    return (struct lead){0, 0, 0};
}

static bool may_follow(const struct lead *lead, int place, unsigned char byte)
{
    return place == 1 ? byte >= lead->low && byte <= lead->high : (byte & 0xC0) == 0x80;
}

size_t utf8_valid_bytes(const char *text, size_t n_bytes)
{
    size_t at = 0;
    while (at < n_bytes) {
        uint64_t eight;
        if (n_bytes - at >= sizeof eight) {
            memcpy(&eight, text + at, sizeof eight);
            if ((eight & 0x8080808080808080) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        const struct lead lead = second_byte((unsigned char)text[at]);
        if (lead.n_bytes == 0 || (size_t)lead.n_bytes > n_bytes - at)
            return at;
        for (int i = 1; i < lead.n_bytes; i++)
            if (!may_follow(&lead, i, (unsigned char)text[at + i]))
                return at;
        at += (size_t)lead.n_bytes;
    }
    return at;
}

uint32_t utf8_read(const char *text, size_t *at)
{
    const unsigned char *p = (const unsigned char *)text + *at;
    if (p[0] < 0x80) {
        *at += 1;
        return p[0];
    }
    if (p[0] < 0xE0) {
        *at += 2;
        return (p[0] & 0x1FU) << 6 | (p[1] & 0x3FU);
    }
    if (p[0] < 0xF0) {
        *at += 3;
        return (p[0] & 0x0FU) << 12 | (p[1] & 0x3FU) << 6 | (p[2] & 0x3FU);
    }
    *at += 4;
    return (p[0] & 0x07U) << 18 | (p[1] & 0x3FU) << 12 | (p[2] & 0x3FU) << 6 | (p[3] & 0x3FU);
}

void utf8_make_plain(char *text)
{
    const size_t n_bytes = utf8_valid_bytes(text, strlen(text));
    text[n_bytes] = '\0';
    for (size_t at = 0; at < n_bytes;) {
        const size_t begin = at;
        const uint32_t c = utf8_read(text, &at);
        if (c < 0x20 || (c >= 0x7F && c < 0xA0))
            memset(text + begin, ' ', at - begin);
    }
}

size_t utf8_before(const char *text, size_t at)
{
    do
        at--;
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80);
    return at;
}

size_t utf8_count(const char *text, size_t n_bytes)
{
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++)
        n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

size_t utf8_write(char out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* One byte behind those that are pending, which are the beginning of a character. */
static bool stream_byte(struct utf8_stream *s, unsigned char byte, struct bytes *out)
{
    if (s->n_pending > 0) {
        const struct lead lead = second_byte(s->pending[0]);
        if (may_follow(&lead, s->n_pending, byte)) {
            s->pending[s->n_pending++] = byte;
            if (s->n_pending < lead.n_bytes)
                return true;
            s->n_pending = 0;
            return bytes_add(out, s->pending, (size_t)lead.n_bytes);
        }
        s->n_pending = 0;
        if (!bytes_add(out, replacement, 3))
            return false;
    }
    const struct lead lead = second_byte(byte);
    if (lead.n_bytes == 1)
        return bytes_add(out, &byte, 1);
    if (lead.n_bytes == 0)
        return bytes_add(out, replacement, 3);
    s->pending[0] = byte;
    s->n_pending = 1;
    return true;
}

bool utf8_stream_add(struct utf8_stream *s, const char *data, size_t n_bytes, struct bytes *out)
{
    size_t at = 0;
    while (at < n_bytes) {
        if (s->n_pending == 0) { /* whole characters go in one piece */
            const size_t valid = utf8_valid_bytes(data + at, n_bytes - at);
            if (!bytes_add(out, data + at, valid))
                return false;
            at += valid;
            if (at == n_bytes)
                break;
        }
        if (!stream_byte(s, (unsigned char)data[at++], out))
            return false;
    }
    return true;
}

bool utf8_stream_flush(struct utf8_stream *s, struct bytes *out)
{
    if (s->n_pending == 0)
        return true;
    s->n_pending = 0;
    return bytes_add(out, replacement, 3);
}
