#include "runtime/text/decoder.h"

#include "base/bytes.h"
#include "base/error.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/stage.h"
#include "runtime/text/utf8.h"

static bool parse_byte_level(void *context, const json_t *value, struct error *err)
{
    (void)value, (void)err; /* its settings are for encoding */
    ((struct decoder *)context)->byte_level = true;
    return true;
}

bool decoder_parse(struct decoder *d, const json_t *value, struct error *err)
{
    static const struct stage_type types[] = {{"ByteLevel", parse_byte_level}, {NULL, NULL}};
    *d = (struct decoder){0};
    return stage_parse(d, value, types, "decoders", err);
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

bool decoder_token(const struct decoder *d, const char *token, size_t n_bytes, bool first,
                   struct bytes *out)
{
    if (d->byte_level)
        return byte_level_token(token, n_bytes, out);
    return (first || bytes_add_char(out, ' ')) && bytes_add(out, token, n_bytes);
}
