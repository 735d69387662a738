#include "launcher/bench/trace.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "launcher/line_input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_LINE_BYTES = 1 << 20, MAX_DEPTH = 16, MAX_VALUES = 1 << 18, N_COLUMNS = 3 };
static const char *const names[N_COLUMNS] = {"timestamp", "input_length", "output_length"};
static const double MAX_MS = 1e13;

struct reader {
    struct trace *out;
    size_t capacity, n_lines;
    int column[N_COLUMNS]; /* of CSV: where each name stands */
    bool is_json, begun;
    double first_ms, last_ms;
};

static bool add(struct reader *r, const double value[N_COLUMNS], struct error *err)
{
    struct trace *out = r->out;
    if (out->n > 0 && value[0] < r->last_ms)
        return error_set(err, ERROR_INPUT, "timestamp %.15g is before that of the line before",
                         value[0]);
    for (int i = 1; i < N_COLUMNS; i++)
        if (value[i] < 1 || value[i] > TRACE_MAX_TOKENS || value[i] != (double)(int)value[i])
            return error_set(err, ERROR_INPUT, "%s: %.15g is no whole number from 1 to %d",
                             names[i], value[i], TRACE_MAX_TOKENS);
    if (out->n == r->capacity) {
        r->capacity = 2 * r->capacity + 64;
        out->row = memory_resize(out->row, r->capacity, sizeof *out->row);
    }
    r->first_ms = out->n == 0 ? value[0] : r->first_ms;
    r->last_ms = value[0];
    out->row[out->n++] = (struct trace_row){.arrival_s = (value[0] - r->first_ms) / 1e3,
                                            .n_input = (int)value[1],
                                            .n_output = (int)value[2]};
    return true;
}

static bool take_json(struct reader *r, const struct bytes *line, struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = MAX_LINE_BYTES, .max_depth = MAX_DEPTH, .max_values = MAX_VALUES};
    double value[N_COLUMNS] = {0};
    json_t *object;
    if (!json_parse_line(&object, line->data, line->len, &limits, err))
        return false;
    bool good = true;
    for (int i = 0; good && i < N_COLUMNS; i++)
        good = json_get_number(object, names[i], true, 0, MAX_MS, &value[i], err);
    json_decref(object);
    return good && add(r, value, err);
}

/* ---- CSV ---- */

/* The next field without blanks and quotes around it; NULL: there are no more. */
static char *next_field(char **rest)
{
    char *field = strsep(rest, ",");
    if (field == NULL)
        return NULL;
    field += strspn(field, " \t\"");
    size_t n = strlen(field);
    while (n > 0 && strchr(" \t\"\r", field[n - 1]) != NULL)
        n--;
    field[n] = '\0';
    return field;
}

static bool take_names(struct reader *r, char *line, struct error *err)
{
    for (int i = 0; i < N_COLUMNS; i++)
        r->column[i] = -1;
    int at = 0;
    for (char *field; (field = next_field(&line)) != NULL; at++)
        for (int i = 0; i < N_COLUMNS; i++)
            if (strcmp(field, names[i]) == 0)
                r->column[i] = at;
    for (int i = 0; i < N_COLUMNS; i++)
        if (r->column[i] < 0)
            return error_set(err, ERROR_INPUT, "no column %s: the first line names the columns",
                             names[i]);
    return true;
}

static bool take_fields(struct reader *r, char *line, struct error *err)
{
    double value[N_COLUMNS] = {-1, -1, -1};
    int at = 0;
    for (char *field; (field = next_field(&line)) != NULL; at++)
        for (int i = 0; i < N_COLUMNS; i++) {
            char *end;
            if (r->column[i] != at)
                continue;
            value[i] = strtod(field, &end);
            if (end == field || *end != '\0' || !(value[i] >= 0 && value[i] <= MAX_MS))
                return error_set(err, ERROR_INPUT, "%s: '%.40s' is no number from 0 on", names[i],
                                 field);
        }
    for (int i = 0; i < N_COLUMNS; i++)
        if (value[i] < 0)
            return error_set(err, ERROR_INPUT, "%s is missing", names[i]);
    return add(r, value, err);
}

/* ---- lines ---- */

static bool take_line(struct reader *r, struct bytes *line, struct error *err)
{
    if (line->len == 0 || strspn(line->data, " \t\r") == line->len)
        return true;
    const bool is_first = !r->begun;
    r->begun = true;
    r->is_json = is_first ? line->data[strspn(line->data, " \t")] == '{' : r->is_json;
    if (r->is_json)
        return take_json(r, line, err);
    return is_first ? take_names(r, line->data, err) : take_fields(r, line->data, err);
}

static bool read_lines(struct reader *r, struct line_input *input, size_t max, struct error *err)
{
    struct bytes line = {.max = MAX_LINE_BYTES};
    bool good = true, more = true;
    while (good && more && r->out->n < max) {
        switch (line_input_read(input, &line, err)) {
        case LINE_READ:
            r->n_lines++;
            good = take_line(r, &line, err) || error_in(err, "line %zu", r->n_lines);
            break;
        case LINE_STOPPED:
            good = error_set(err, ERROR_LIMIT, "interrupted");
            break;
        case LINE_FAILED:
            good = error_in(err, "line %zu", r->n_lines + 1);
            break;
        default:
            more = false;
        }
    }
    bytes_release(&line);
    return good;
}

bool trace_read(struct trace *out, const char *path, size_t max,
                const volatile sig_atomic_t *interrupt, struct error *err)
{
    struct reader reader = {.out = out};
    struct line_input input = {.interrupt = interrupt, .fd = open(path, O_RDONLY | O_CLOEXEC)};
    *out = (struct trace){0};
    if (input.fd < 0)
        return error_set(err, ERROR_INPUT, "--trace: %s: %s", path, strerror(errno));
    bool good = read_lines(&reader, &input, max < TRACE_MAX_ROWS ? max : TRACE_MAX_ROWS, err);
    if (good && out->n == 0)
        good = error_set(err, ERROR_INPUT, "no request in it");
    close(input.fd);
    bytes_release(&input.rest);
    return good || error_in(err, "--trace: %s", path);
}

void trace_release(struct trace *trace)
{
    memory_free(trace->row);
    *trace = (struct trace){0};
}
