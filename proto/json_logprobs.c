#include "proto/json_logprobs.h"

#include "base/utf8.h"

#include <math.h>
#include <string.h>

struct row {
    const struct json_logprob *entry;
    int n;
};

static struct row row_of(const struct json_logprob_rows *rows, int i)
{
    const int begin = i > 0 ? rows->end[i - 1] : 0;
    return (struct row){rows->entry + begin, rows->end[i] - begin};
}

/* The chosen token comes first, and again where it is among the best. */
static bool is_again(const struct row *row, int i)
{
    for (int k = 0; k < i; k++)
        if (row->entry[k].token == row->entry[i].token)
            return true;
    return false;
}

/* Two tokens may have the same text, and an object has a key once: the likelier one stays. */
static bool has_text_again(const struct row *row, int i)
{
    const struct json_text text = row->entry[i].decoded_token;
    for (int k = 0; k < i; k++) {
        const struct json_text other = row->entry[k].decoded_token;
        if (other.n_bytes == text.n_bytes && memcmp(other.data, text.data, text.n_bytes) == 0)
            return true;
    }
    return false;
}

static void separate(struct bytes *out, bool *is_first)
{
    if (!*is_first)
        bytes_add_char(out, ',');
    *is_first = false;
}

/* ---- chat ---- */

static void add_token(struct bytes *out, const struct json_logprob *entry)
{
    bytes_add_text(out, "{\"token\":");
    json_write_text(out, entry->decoded_token);
    bytes_add_text(out, ",\"logprob\":");
    json_write_logprob(out, (double)entry->logprob);
    bytes_add_text(out, ",\"bytes\":[");
    for (size_t i = 0; i < entry->decoded_token.n_bytes; i++) {
        if (i > 0)
            bytes_add_char(out, ',');
        json_write_int(out, (unsigned char)entry->decoded_token.data[i]);
    }
    bytes_add_char(out, ']');
}

void json_logprobs_write_chat(struct bytes *out, const struct json_logprob_rows *rows, int n_top)
{
    bytes_add_text(out, "{\"content\":[");
    for (int i = 0; i < rows->n_rows; i++) {
        const struct row row = row_of(rows, i);
        bool is_first = true;
        int n = 0;
        if (i > 0)
            bytes_add_char(out, ',');
        add_token(out, &row.entry[0]);
        bytes_add_text(out, ",\"top_logprobs\":[");
        for (int k = 0; k < row.n && n < n_top; k++) {
            if (is_again(&row, k))
                continue;
            separate(out, &is_first);
            add_token(out, &row.entry[k]);
            bytes_add_char(out, '}');
            n++;
        }
        bytes_add_text(out, "]}");
    }
    bytes_add_text(out, "]}");
}

/* ---- completions ---- */

static void add_top(struct bytes *out, const struct row *row, int n_top)
{
    bool is_first = true;
    int n = 0;
    if (isnan(row->entry[0].logprob)) {
        bytes_add_text(out, "null");
        return;
    }
    bytes_add_char(out, '{');
    for (int k = 0; k < row->n && n <= n_top; k++) {
        if (is_again(row, k))
            continue;
        n++;
        if (has_text_again(row, k))
            continue;
        separate(out, &is_first);
        json_write_text(out, row->entry[k].decoded_token);
        bytes_add_char(out, ':');
        json_write_logprob(out, (double)row->entry[k].logprob);
    }
    bytes_add_char(out, '}');
}

static void add_chosen(struct bytes *out, const struct json_logprob *chosen)
{
    if (isnan(chosen->logprob))
        bytes_add_text(out, "null");
    else
        json_write_logprob(out, (double)chosen->logprob);
}

static int64_t characters_of(const struct row *row)
{
    return (int64_t)utf8_count(row->entry->decoded_token.data, row->entry->decoded_token.n_bytes);
}

int64_t json_logprobs_characters(const struct json_logprob_rows *rows)
{
    int64_t n = 0;
    for (int i = 0; i < rows->n_rows; i++) {
        const struct row row = row_of(rows, i);
        n += characters_of(&row);
    }
    return n;
}

void json_logprobs_write_text(struct bytes *out, const struct json_logprob_rows *rows, int n_top,
                              int64_t offset)
{
    bytes_add_text(out, "{\"text_offset\":[");
    for (int i = 0; i < rows->n_rows; i++) {
        const struct row row = row_of(rows, i);
        bytes_add_text(out, i > 0 ? "," : "");
        json_write_int(out, offset);
        offset += characters_of(&row);
    }
    bytes_add_text(out, "],\"token_logprobs\":[");
    for (int i = 0; i < rows->n_rows; i++) {
        bytes_add_text(out, i > 0 ? "," : "");
        add_chosen(out, row_of(rows, i).entry);
    }
    bytes_add_text(out, "],\"tokens\":[");
    for (int i = 0; i < rows->n_rows; i++) {
        bytes_add_text(out, i > 0 ? "," : "");
        json_write_text(out, row_of(rows, i).entry->decoded_token);
    }
    bytes_add_text(out, "],\"top_logprobs\":[");
    for (int i = 0; i < rows->n_rows; i++) {
        const struct row row = row_of(rows, i);
        bytes_add_text(out, i > 0 ? "," : "");
        add_top(out, &row, n_top);
    }
    bytes_add_text(out, "]}");
}

/* ---- prompts ---- */

void json_logprobs_write_prompt(struct bytes *out, const struct json_logprob_rows *rows)
{
    bytes_add_char(out, '[');
    for (int i = 0; i < rows->n_rows; i++) {
        const struct row row = row_of(rows, i);
        bytes_add_text(out, i > 0 ? "," : "");
        if (isnan(row.entry[0].logprob)) {
            bytes_add_text(out, "null");
            continue;
        }
        bool is_first = true;
        bytes_add_char(out, '{');
        for (int k = 0; k < row.n; k++) {
            if (is_again(&row, k))
                continue;
            separate(out, &is_first);
            bytes_printf(out, "\"%d\":{\"logprob\":", row.entry[k].token);
            json_write_logprob(out, (double)row.entry[k].logprob);
            bytes_printf(out, ",\"rank\":%d,\"decoded_token\":", row.entry[k].rank);
            json_write_text(out, row.entry[k].decoded_token);
            bytes_add_char(out, '}');
        }
        bytes_add_char(out, '}');
    }
    bytes_add_char(out, ']');
}
