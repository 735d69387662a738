#include "runtime/text/decode/decoder.h"

#include "base/bytes.h"
#include "base/hex.h"
#include "base/utf8.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/decode/decoder_text.h"

#include <string.h>

bool decoder_byte_level(const char *token, size_t n_bytes, struct bytes *out)
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

bool decoder_is_byte_level(const char *token, size_t n_bytes)
{
    for (size_t at = 0; at < n_bytes;)
        if (byte_alphabet_byte(utf8_read(token, &at)) < 0)
            return false;
    return true;
}

/* "<0x+4>" is a byte too: the reference reads a number there, and a number may have a sign. */
int decoder_fallback_byte(const char *token, size_t n_bytes)
{
    if (n_bytes != 6 || memcmp(token, "<0x", 3) != 0 || token[5] != '>')
        return -1;
    const int high = token[3] == '+' ? 0 : hex_digit(token[3]), low = hex_digit(token[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool decoder_strip(const struct decoder_step *step, const char *token, size_t n_bytes,
                   struct bytes *out)
{
    size_t begin = 0, end = n_bytes;
    for (int64_t n = 0; n < step->start && begin < n_bytes; n++) {
        size_t behind = begin;
        if (utf8_read(token, &behind) != step->character)
            break;
        begin = behind;
    }
    for (int64_t n = 0; n < step->stop && end > begin; n++) {
        const size_t before = utf8_before(token, end);
        size_t at = before;
        if (utf8_read(token, &at) != step->character)
            break;
        end = before;
    }
    return bytes_add(out, token + begin, end - begin);
}

bool decoder_metaspace(const struct decoder_step *step, const char *token, size_t n_bytes,
                       bool drop, struct bytes *out)
{
    bool ok = true;
    for (size_t at = 0; ok && at < n_bytes;) {
        const size_t begin = at;
        if (utf8_read(token, &at) != step->character)
            ok = bytes_add(out, token + begin, at - begin);
        else if (!drop)
            ok = bytes_add_char(out, ' ');
    }
    return ok;
}

bool decoder_word_piece(const struct decoder_step *step, const char *token, size_t n_bytes,
                        struct bytes *out)
{
    const size_t n_prefix = strlen(step->text);
    if (n_bytes >= n_prefix && memcmp(token, step->text, n_prefix) == 0)
        return bytes_add(out, token + n_prefix, n_bytes - n_prefix);
    return bytes_add_char(out, ' ') && bytes_add(out, token, n_bytes);
}
