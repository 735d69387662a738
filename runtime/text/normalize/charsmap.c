#include "runtime/text/normalize/charsmap.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/normalize/grapheme.h"

#include <string.h>

enum {
    MAX_CLUSTER_BYTES = 5, /* longer clusters are mapped character by character */
    UNIT_BYTES = 4,
    /* of a unit */
    HAS_VALUE = 1 << 8,
    WIDE_OFFSET = 1 << 9,
    OFFSET_SHIFT = 10,
    WIDE_SHIFT = 8,
};
static const uint32_t LABEL = 0x800000FF, VALUE = 0x7FFFFFFF;

static int base64_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c ? strchr(digits, c) : NULL;
    return found ? (int)(found - digits) : -1;
}

static bool base64_decode(struct bytes *out, const char *text, struct error *err)
{
    const size_t n = strlen(text);
    size_t n_digits = n;
    while (n_digits > 0 && n - n_digits < 2 && text[n_digits - 1] == '=')
        n_digits--;
    bool ok = n % 4 == 0;
    uint32_t bits = 0;
    for (size_t i = 0; ok && i < n_digits; i++) {
        const int digit = base64_digit(text[i]);
        ok = digit >= 0;
        bits = bits << 6 | (uint32_t)(digit & 63);
        if (i % 4 > 0)
            bytes_add_char(out, (char)(bits >> (6 - 2 * (i % 4)) & 0xFF));
    }
    return ok || error_set(err, ERROR_INPUT, "\"precompiled_charsmap\" is no base64");
}

static uint32_t unit_at(const char *blob)
{
    const unsigned char *b = (const unsigned char *)blob;
    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

/* Where the children of a unit are, relative to it. */
static uint32_t offset_of(uint32_t unit)
{
    return unit >> OFFSET_SHIFT << (unit & WIDE_OFFSET ? WIDE_SHIFT : 0);
}

/* The place of the text for the shortest prefix in the map; -1: none. */
static int32_t find(const struct charsmap *map, const char *text, size_t n_bytes)
{
    if (map->n_units == 0)
        return -1;
    uint32_t place = offset_of(map->units[0]);
    for (size_t i = 0; i < n_bytes && text[i] != '\0'; i++) {
        const unsigned char byte = (unsigned char)text[i];
        place ^= byte;
        if (place >= map->n_units || (map->units[place] & LABEL) != byte)
            return -1;
        const uint32_t unit = map->units[place];
        place ^= offset_of(unit);
        if (!(unit & HAS_VALUE))
            continue;
        const uint32_t value = place < map->n_units ? map->units[place] & VALUE : UINT32_MAX;
        /* in the middle of a character there is no text */
        const bool fits = value < map->n_texts && (map->texts[value] & 0xC0) != 0x80;
        return fits ? (int32_t)value : -1;
    }
    return -1;
}

static bool read_blob(struct charsmap *map, const struct bytes *blob, struct error *err)
{
    const size_t n_trie = blob->len >= UNIT_BYTES ? unit_at(blob->data) : SIZE_MAX;
    if (blob->len < UNIT_BYTES || n_trie > blob->len - UNIT_BYTES || n_trie % UNIT_BYTES != 0)
        return error_set(err, ERROR_INPUT,
                         "\"precompiled_charsmap\" has %zu bytes, and its trie "
                         "is longer",
                         blob->len);
    const char *texts = blob->data + UNIT_BYTES + n_trie;
    map->n_texts = blob->len - UNIT_BYTES - n_trie;
    if (utf8_valid_bytes(texts, map->n_texts) < map->n_texts)
        return error_set(err, ERROR_INPUT, "\"precompiled_charsmap\" has texts that are not UTF-8");
    map->n_units = n_trie / UNIT_BYTES;
    map->units = memory_alloc(map->n_units, sizeof *map->units);
    for (size_t i = 0; i < map->n_units; i++)
        map->units[i] = unit_at(blob->data + UNIT_BYTES + i * UNIT_BYTES);
    map->texts = memory_alloc(map->n_texts + 1, 1);
    memcpy(map->texts, texts, map->n_texts);
    for (int c = 0; c < 128; c++) {
        const char text = (char)c;
        map->ascii[c] = find(map, &text, 1);
    }
    return true;
}

bool charsmap_parse(struct charsmap *map, const char *base64, struct error *err)
{
    struct bytes blob = {0};
    *map = (struct charsmap){0};
    const bool ok = base64_decode(&blob, base64, err) && read_blob(map, &blob, err);
    bytes_release(&blob);
    return ok;
}

void charsmap_release(struct charsmap *map)
{
    memory_free(map->units);
    memory_free(map->texts);
    *map = (struct charsmap){0};
}

/* Where the new text stands in the old one, as the reference counts: in characters, one for one as
 * far as both go. What was left out before there is any new text is not counted, so all that
 * follows seems to begin earlier. Only "the begin of the text" depends on it, and that only until
 * the place has left the begin. */
struct begin {
    size_t place, n_chars; /* in characters of the old text */
    size_t n_bytes;        /* of the new one */
    bool open, has_text;
};

/* Also appends the new text. False: over the maximum of `out`. */
static bool put(struct begin *b, const char *old, size_t n_old_bytes, const char *new,
                size_t n_new_bytes, struct bytes *out)
{
    if (!bytes_add(out, new, n_new_bytes))
        return false;
    if (!b->open)
        return true;
    const size_t n_old = utf8_count(old, n_old_bytes);
    size_t i = 0;
    for (size_t at = 0; b->open && at < n_new_bytes; i++) {
        const size_t from = at;
        utf8_read(new, &at);
        const bool added = i >= n_old; /* counts as the one before */
        b->open = (added && b->place > 0 ? b->place - 1 : b->place) < b->n_chars;
        b->n_bytes += b->open ? at - from : 0;
        b->place += !added;
        b->has_text = true;
    }
    if (i < n_old && b->has_text)
        b->place += n_old - i;
    return true;
}

/* One cluster. *changed is left as it is where nothing is mapped. False: over the maximum. */
static bool map_cluster(const struct charsmap *map, const char *text, size_t n_bytes,
                        struct begin *begin, struct bytes *out, bool *changed)
{
    int32_t found = n_bytes <= MAX_CLUSTER_BYTES ? find(map, text, n_bytes) : -1;
    const bool whole = found >= 0;
    bool ok = true;
    for (size_t at = 0; ok && at < n_bytes;) {
        const size_t from = at;
        if (whole) {
            at = n_bytes;
        } else {
            utf8_read(text, &at);
            found = find(map, text + from, at - from);
        }
        const char *new = found >= 0 ? map->texts + found : text + from;
        *changed = *changed || found >= 0;
        ok = put(begin, text + from, at - from, new, found >= 0 ? strlen(new) : at - from, out);
    }
    return ok;
}

bool charsmap_run(const struct charsmap *map, const char *text, size_t n_bytes, size_t *n_first,
                  struct bytes *out, bool *changed)
{
    const size_t before = out->len;
    struct begin begin = {.n_chars = utf8_count(text, *n_first), .open = *n_first > 0};
    bool ok = true;
    *changed = false;
    for (size_t at = 0; ok && at < n_bytes;) {
        const unsigned char c = (unsigned char)text[at];
        const bool alone = c < 0x80 && c != '\r' && at + 1 < n_bytes &&
                           (unsigned char)text[at + 1] < 0x80; /* nothing joins it */
        if (alone && map->ascii[c] < 0) {
            ok = put(&begin, text + at, 1, text + at, 1, out);
            at++;
            continue;
        }
        const size_t end = alone ? at + 1 : grapheme_end(text, n_bytes, at);
        ok = map_cluster(map, text + at, end - at, &begin, out, changed);
        at = end;
    }
    if (*changed)
        *n_first = begin.n_bytes;
    else
        out->len = before;
    return ok;
}
