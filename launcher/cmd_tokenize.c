#include "launcher/cmd_tokenize.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "launcher/text_lines.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/file/json_cursor.h"
#include "runtime/text/ids.h"
#include "runtime/text/tokenizer.h"

#include <stdio.h>

enum {
    MAX_LINE_BYTES = ENCODER_MAX_TEXT_BYTES, /* longer than any text that we could encode */
    MAX_IDS = 4 << 20,                       /* of a line: four times the longest context in use */
};

struct tool { /* what a line needs; kept from line to line */
    struct tokenizer *tokenizer;
    struct encoder *encoder;
    bool add_special_tokens;
    struct bytes text;
    struct ids ids;
};

static bool tokenize_line(void *context, const struct bytes *line, FILE *out, struct error *err)
{
    struct tool *tool = context;
    const struct encode_options options = {.add_special_tokens = tool->add_special_tokens};
    struct json_cursor cursor = {.text = line->data, .n_bytes = line->len};
    size_t n_bytes;
    bytes_clear(&tool->text);
    ids_clear(&tool->ids);
    bytes_reserve(&tool->text, line->len);
    if (!json_cursor_string(&cursor, tool->text.data, &n_bytes, err))
        return false;
    if (json_cursor_peek(&cursor) != '\0')
        return json_cursor_fail(&cursor, err, "more behind the string");
    if (!encoder_encode(tool->encoder, tool->text.data, n_bytes, &options, &tool->ids, err))
        return false;
    for (size_t i = 0; i < tool->ids.n; i++)
        fprintf(out, "%s%d", i ? "," : "[", tool->ids.data[i]);
    fprintf(out, tool->ids.n ? "]\n" : "[]\n");
    return true;
}

static bool read_ids(struct tool *tool, const struct bytes *line, struct error *err)
{
    static const struct json_limits limits = {MAX_LINE_BYTES, 1, MAX_IDS};
    const int32_t vocab = tokenizer_vocab(tool->tokenizer);
    json_t *list;
    if (!json_parse_line(&list, line->data ? line->data : "", line->len, &limits, err))
        return false;
    bool ok = json_is_array(list) || error_set(err, ERROR_INPUT, "not a list of ids");
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const json_t *id = json_array_get(list, i);
        ok = (json_is_integer(id) && json_integer_value(id) >= 0 &&
              json_integer_value(id) < vocab) ||
             error_set(err, ERROR_INPUT, "item %zu is no id, want 0 to %d", i, vocab - 1);
        if (ok)
            ids_add(&tool->ids, (int32_t)json_integer_value(id));
    }
    json_decref(list);
    return ok;
}

static bool detokenize_line(void *context, const struct bytes *line, FILE *out, struct error *err)
{
    struct tool *tool = context;
    bytes_clear(&tool->text);
    ids_clear(&tool->ids);
    if (!read_ids(tool, line, err) ||
        !detokenizer_decode(tool->tokenizer, tool->ids.data, tool->ids.n, false, &tool->text))
        return false;
    text_lines_write(out, &tool->text);
    return true;
}

static bool run(const char *model_dir, bool add_special_tokens, text_line_fn *answer, FILE *in,
                FILE *out, struct error *err)
{
    struct tool tool = {.add_special_tokens = add_special_tokens};
    struct bytes path = {0};
    bytes_printf(&path, "%s/tokenizer.json", model_dir);
    bool ok = tokenizer_open(&tool.tokenizer, path.data, err);
    bytes_release(&path);
    if (ok) {
        tool.encoder = encoder_create(tool.tokenizer);
        ok = text_lines_run(in, out, MAX_LINE_BYTES, answer, &tool, err);
    }
    encoder_destroy(tool.encoder);
    tokenizer_close(tool.tokenizer);
    bytes_release(&tool.text);
    ids_release(&tool.ids);
    return ok;
}

bool cmd_tokenize_run(const char *model_dir, bool add_special_tokens, FILE *in, FILE *out,
                      struct error *err)
{
    return run(model_dir, add_special_tokens, tokenize_line, in, out, err);
}

bool cmd_detokenize_run(const char *model_dir, FILE *in, FILE *out, struct error *err)
{
    return run(model_dir, false, detokenize_line, in, out, err);
}
