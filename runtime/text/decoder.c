#include "runtime/text/decoder.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/replace.h"
#include "runtime/text/stage.h"

#include <string.h>

static bool misplaced(struct error *err)
{
    return error_set(err, ERROR_UNSUPPORTED, "not supported in this place of the sequence");
}

static bool parse_byte_level(void *context, const json_t *value, struct error *err)
{
    struct decoder *d = context;
    (void)value; /* its settings are for encoding */
    if (d->n_replaces > 0 || d->byte_fallback || d->fuse || d->n_strip > 0)
        return misplaced(err);
    d->byte_level = true;
    return true;
}

static bool parse_replace(void *context, const json_t *value, struct error *err)
{
    struct decoder *d = context;
    if (d->byte_level || d->byte_fallback || d->fuse || d->n_strip > 0 ||
        d->n_replaces == DECODER_MAX_REPLACES)
        return misplaced(err);
    d->n_replaces++;
    return replace_parse(&d->replaces[d->n_replaces - 1].from, &d->replaces[d->n_replaces - 1].to,
                         value, err);
}

static bool parse_byte_fallback(void *context, const json_t *value, struct error *err)
{
    struct decoder *d = context;
    (void)value; /* no settings */
    if (d->byte_level || d->fuse || d->n_strip > 0)
        return misplaced(err);
    d->byte_fallback = true;
    return true;
}

static bool parse_fuse(void *context, const json_t *value, struct error *err)
{
    struct decoder *d = context;
    (void)value; /* no settings */
    if (d->n_strip > 0)
        return misplaced(err);
    d->fuse = true; /* behind ByteLevel it changes nothing */
    return true;
}

static bool parse_strip(void *context, const json_t *value, struct error *err)
{
    struct decoder *d = context;
    const char *content;
    int64_t start, stop;
    if (!json_get_text(value, "content", true, &content, err) ||
        !json_get_int(value, "start", true, 0, 64, &start, err) ||
        !json_get_int(value, "stop", true, 0, 64, &stop, err))
        return false;
    /* before Fuse it would strip every token, and at the end it would hold back every stream */
    if (!d->fuse || d->byte_level || d->n_strip > 0)
        return misplaced(err);
    if (stop > 0 || strlen(content) != 1)
        return error_set(err, ERROR_UNSUPPORTED,
                         "only one ASCII character at the begin can be stripped");
    d->n_strip = (int)start;
    d->strip = content[0];
    return true;
}

bool decoder_parse(struct decoder *d, const json_t *value, struct error *err)
{
    static const struct stage_type types[] = {
        {"ByteFallback", parse_byte_fallback},
        {"ByteLevel", parse_byte_level},
        {"Fuse", parse_fuse},
        {"Replace", parse_replace},
        {"Strip", parse_strip},
        {NULL, NULL},
    };
    *d = (struct decoder){.join_by_spaces = value == NULL || json_is_null(value)};
    return stage_parse(d, value, types, "decoders", err);
}

void decoder_release(struct decoder *d)
{
    for (int i = 0; i < d->n_replaces; i++) {
        memory_free(d->replaces[i].from);
        memory_free(d->replaces[i].to);
    }
    d->n_replaces = 0;
}

/* A token with any character outside of the alphabet (an added token, mostly) is text as it is. */
static bool byte_level_token(const char *token, size_t n_bytes, struct bytes *out)
{
    const size_t before = out->len;
    if (!bytes_reserve(out, n_bytes))
        return false;
    for (size_t at = 0; at < n_bytes;) {
        const int byte = byte_alphabet_byte(utf8_read(token, &at));
        if (byte < 0) {
            out->len = before;
            return bytes_add(out, token, n_bytes);
        }
        bytes_add_char(out, (char)byte);
    }
    return true;
}

static int hex_digit(char c)
{
    const char lower = (char)(c | 0x20);
    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte of "<0xE4>", or -1. */
static int fallback_byte(const char *token, size_t n_bytes)
{
    if (n_bytes != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>')
        return -1;
    const int high = hex_digit(token[3]), low = hex_digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool decoder_token(const struct decoder *d, const char *token, size_t n_bytes, bool *fallback,
                   struct bytes *out)
{
    *fallback = false;
    if (d->byte_level)
        return byte_level_token(token, n_bytes, out);

    const size_t before = out->len;
    bool ok = bytes_add(out, token, n_bytes);
    for (int i = 0; ok && i < d->n_replaces; i++) {
        struct bytes replaced = {.max = out->max};
        ok = replace_all(out->data + before, out->len - before, d->replaces[i].from,
                         d->replaces[i].to, &replaced);
        out->len = before;
        ok = ok && bytes_add(out, replaced.data, replaced.len);
        bytes_release(&replaced);
    }
    const int byte =
        ok && d->byte_fallback ? fallback_byte(out->data + before, out->len - before) : -1;
    if (byte >= 0) {
        *fallback = true;
        out->len = before;
        bytes_add_char(out, (char)byte);
    }
    return ok;
}
