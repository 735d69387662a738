#include "launcher/stream.h"

#include "base/system.h"
#include "launcher/generation.h"

#include <stdio.h>

/* A model can be made to write escape sequences; a terminal would obey them. UTF-8 has C1 controls
 * as C2 80 … C2 9F, and an answer is UTF-8. */
static void write_for_terminal(const char *text, size_t n_bytes)
{
    static const char instead[] = "\xEF\xBF\xBD"; /* U+FFFD */
    for (size_t i = 0; i < n_bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        const bool is_c1 =
            c == 0xC2 && i + 1 < n_bytes && ((unsigned char)text[i + 1] & 0xE0) == 0x80;
        if ((c < 0x20 && c != '\n' && c != '\t') || c == 0x7F || is_c1)
            fputs(instead, stdout);
        else
            fputc(c, stdout);
        i += is_c1;
    }
}

bool stream_show(void *context, const struct generation_item *item, int choice)
{
    struct stream *stream = context;
    const struct output *output = &item->answer.output[choice];
    stream->last_ns = clock_now_ns();
    if (stream->first_ns == 0)
        stream->first_ns = stream->last_ns;
    if (output->n_released == stream->written)
        return true;
    const char *text = output->text.data + stream->written;
    const size_t n_bytes = output->n_released - stream->written;
    if (stream->for_a_terminal)
        write_for_terminal(text, n_bytes);
    else
        fwrite(text, 1, n_bytes, stdout);
    stream->written = output->n_released;
    return fflush(stdout) == 0;
}

void stream_describe(char *out, size_t n_bytes, const struct stream *stream, size_t n_tokens)
{
    const double decode_s = (double)(stream->last_ns - stream->first_ns) * 1e-9;
    int used =
        snprintf(out, n_bytes, "%zu token%s, first after %.0f ms", n_tokens,
                 n_tokens == 1 ? "" : "s", (double)(stream->first_ns - stream->begin_ns) * 1e-6);
    if (n_tokens > 1 && decode_s > 0 && used > 0 && (size_t)used < n_bytes)
        snprintf(out + used, n_bytes - (size_t)used, ", then %.0f tokens/s",
                 (double)(n_tokens - 1) / decode_s);
}
