#include "proto/json_write.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* DEL is allowed in JSON, and escaped as terminals like to eat it. */
static bool is_plain(unsigned char c) { return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f; }

static void add_escaped(struct bytes *out, unsigned char c)
{
    static const char plain[] = "\"\\\n\r\t", letter[] = "\"\\nrt";
    static const char hex[] = "0123456789abcdef";
    const char *known = c != '\0' ? strchr(plain, c) : NULL;
    if (known != NULL) {
        const char two[] = {'\\', letter[known - plain]};
        bytes_add(out, two, sizeof two);
    } else {
        const char six[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        bytes_add(out, six, sizeof six);
    }
}

static void add_valid(struct bytes *out, const char *text, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t end = at;
        while (end < n && is_plain((unsigned char)text[end]))
            end++;
        bytes_add(out, text + at, end - at);
        if (end < n)
            add_escaped(out, (unsigned char)text[end++]);
        at = end;
    }
}

static void add_text(struct bytes *out, struct json_text text)
{
    if (utf8_valid_bytes(text.data, text.n_bytes) == text.n_bytes) {
        add_valid(out, text.data, text.n_bytes);
        return;
    }
    struct utf8_stream stream = {0};
    struct bytes whole = {0};
    utf8_stream_add(&stream, text.data, text.n_bytes, &whole);
    utf8_stream_flush(&stream, &whole);
    add_valid(out, whole.data, whole.len);
    bytes_release(&whole);
}

void json_write_text(struct bytes *out, struct json_text text)
{
    bytes_add_char(out, '"');
    add_text(out, text);
    bytes_add_char(out, '"');
}

void json_write_joined(struct bytes *out, struct json_text first, struct json_text second)
{
    bytes_add_char(out, '"');
    add_text(out, first);
    add_text(out, second);
    bytes_add_char(out, '"');
}

void json_write_string(struct bytes *out, const char *text)
{
    if (text == NULL)
        bytes_add_text(out, "null");
    else
        json_write_text(out, (struct json_text){text, strlen(text)});
}

void json_write_int(struct bytes *out, int64_t value)
{
    char digits[20];
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        bytes_add_char(out, '-');
    bytes_add(out, digits + at, sizeof digits - at);
}

void json_write_float(struct bytes *out, double value)
{
    char number[32];
    const int n = snprintf(number, sizeof number, "%.9g", value);
    if (isfinite(value))
        bytes_add(out, number, (size_t)n);
    else
        bytes_add_text(out, "null");
}

void json_write_logprob(struct bytes *out, double value)
{
    json_write_float(out, value >= -9999 ? value : -9999.0);
}

void json_write_ids(struct bytes *out, const int32_t *id, int n)
{
    bytes_add_char(out, '[');
    for (int i = 0; i < n; i++) {
        if (i > 0)
            bytes_add_char(out, ',');
        json_write_int(out, id[i]);
    }
    bytes_add_char(out, ']');
}
