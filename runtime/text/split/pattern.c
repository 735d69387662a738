#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/text/split/pattern.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"

#include <pcre2.h>
#include <string.h>

enum {
    SHOWN_BYTES = 120, /* of a pattern, in messages */
    /* Steps of one search: real patterns walk a run of characters of one kind a few times. */
    STEPS_PER_BYTE = 16,
    FIRST_STEPS = 1 << 16,
    /* Of all searches together, those that are short not counted; about a second. Patterns in use
     * have (?=(\d{3})*$), which goes to the end of the digits from every third of them. */
    SHORT_STEPS = 1 << 10,
    LONG_STEPS = 1 << 26,
    JIT_STACK_FIRST_BYTES = 32 << 10,
    JIT_STACK_MAX_BYTES = 1 << 20,
    MAX_NESTED_GROUPS = 64,
};

struct pattern {
    pcre2_code *code; /* NULL: the text itself is searched for */
    char *source;
};

struct pattern_work {
    pcre2_match_data *match;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    uint32_t max_steps;  /* of one search */
    uint64_t steps_left; /* of all */
};

static bool compile(struct pattern *p, const char *translated, struct error *err)
{
    int code;
    PCRE2_SIZE at;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    check(context != NULL);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF); /* its default is a choice of the distribution */
    pcre2_set_parens_nest_limit(context, MAX_NESTED_GROUPS);
    /* Ruby: '^' and '$' are at every line; \s, \d and classes are Unicode's. */
    p->code = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &code, &at, context);
    pcre2_compile_context_free(context);
    if (p->code == NULL) {
        char why[128] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        return error_set(err, ERROR_UNSUPPORTED, "%s, in the pattern \"%.*s\"", why, SHOWN_BYTES,
                         p->source);
    }
    /* Where it cannot be compiled to machine code it is interpreted: slower, and the same. */
    pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
    return true;
}

bool pattern_create(struct pattern **out, const char *regex, struct error *err)
{
    if (strlen(regex) > PATTERN_MAX_BYTES)
        return error_set(err, ERROR_INPUT, "a pattern of %zu bytes, at most %d are supported",
                         strlen(regex), PATTERN_MAX_BYTES);
    struct bytes translated = {0};
    struct pattern *p = memory_alloc(1, sizeof *p);
    p->source = memory_copy_text(regex);
    bool ok = pattern_translate(regex, &translated, err);
    ok = ok && compile(p, translated.data ? translated.data : "", err);
    bytes_release(&translated);
    if (ok)
        *out = p;
    else
        pattern_destroy(p);
    return ok;
}

struct pattern *pattern_of_text(const char *text)
{
    struct pattern *p = memory_alloc(1, sizeof *p);
    p->source = memory_copy_text(text);
    return p;
}

bool pattern_parse(struct pattern **out, const json_t *value, struct error *err)
{
    const char *regex = NULL, *text = NULL;
    if (!json_get_text(value, "Regex", false, &regex, err) ||
        !json_get_text(value, "String", false, &text, err))
        return error_in(err, "\"pattern\"");
    if (regex != NULL)
        return pattern_create(out, regex, err);
    if (text == NULL)
        return error_set(err, ERROR_INPUT, "\"pattern\" has neither \"Regex\" nor \"String\"");
    if (*text == '\0')
        return pattern_create(out, text, err);
    *out = pattern_of_text(text);
    return true;
}

void pattern_destroy(struct pattern *p)
{
    if (p == NULL)
        return;
    pcre2_code_free(p->code);
    memory_free(p->source);
    memory_free(p);
}

bool pattern_is_regex(const struct pattern *p) { return p->code != NULL; }

const char *pattern_text(const struct pattern *p) { return p->code ? NULL : p->source; }

struct pattern_work *pattern_work_create(void)
{
    struct pattern_work *work = memory_alloc(1, sizeof *work);
    work->match = pcre2_match_data_create(1, NULL); /* only the whole match is asked for */
    work->context = pcre2_match_context_create(NULL);
    check(work->match != NULL && work->context != NULL);
    work->stack = pcre2_jit_stack_create(JIT_STACK_FIRST_BYTES, JIT_STACK_MAX_BYTES, NULL);
    if (work->stack != NULL) /* NULL: no machine code here */
        pcre2_jit_stack_assign(work->context, NULL, work->stack);
    return work;
}

void pattern_work_destroy(struct pattern_work *work)
{
    if (work == NULL)
        return;
    pcre2_match_data_free(work->match);
    pcre2_match_context_free(work->context);
    pcre2_jit_stack_free(work->stack);
    memory_free(work);
}

void pattern_work_limit(struct pattern_work *work, size_t n_bytes)
{
    const size_t steps = FIRST_STEPS + STEPS_PER_BYTE * n_bytes;
    work->max_steps = steps < UINT32_MAX ? (uint32_t)steps : UINT32_MAX;
    work->steps_left = LONG_STEPS + (uint64_t)steps;
}

static bool find_text(const struct pattern *p, const char *text, size_t n_bytes, size_t from,
                      struct span *match)
{
    const size_t n_source = strlen(p->source); /* not 0 */
    const char *found = memmem(text + from, n_bytes - from, p->source, n_source);
    if (found == NULL)
        return false;
    match->begin = (uint32_t)(found - text);
    match->end = match->begin + (uint32_t)n_source;
    return true;
}

/* PCRE2 does not say how many steps a search took. So it gets few, and when they were not enough
 * eight times as many, which costs an eighth more. */
static int search(const struct pattern *p, struct pattern_work *work, const char *text,
                  size_t n_bytes, size_t from)
{
    for (uint32_t steps = SHORT_STEPS;;
         steps = steps < work->max_steps / 8 ? steps * 8 : work->max_steps) {
        pcre2_set_match_limit(work->context, steps);
        /* without PCRE2_NO_UTF_CHECK each search would check the rest of the text first */
        const int n = pcre2_match(p->code, (PCRE2_SPTR)text, n_bytes, from, PCRE2_NO_UTF_CHECK,
                                  work->match, work->context);
        if (n != PCRE2_ERROR_MATCHLIMIT || steps >= work->max_steps || steps > work->steps_left)
            return n;
        work->steps_left -= steps;
    }
}

/* The first match at `from` or later. */
static bool find(const struct pattern *p, struct pattern_work *work, const char *text,
                 size_t n_bytes, size_t from, struct span *match, bool *found, struct error *err)
{
    if (p->code == NULL) {
        *found = find_text(p, text, n_bytes, from, match);
        return true;
    }
    const int n = search(p, work, text, n_bytes, from);
    *found = n >= 0;
    if (n >= 0) {
        const PCRE2_SIZE *place = pcre2_get_ovector_pointer(work->match);
        match->begin = (uint32_t)place[0];
        match->end = (uint32_t)place[1];
        return true;
    }
    if (n == PCRE2_ERROR_NOMATCH)
        return true;
    char why[128] = "";
    pcre2_get_error_message(n, (PCRE2_UCHAR *)why, sizeof why);
    return error_set(err, ERROR_INPUT, "%s at byte %zu of the text, in the pattern \"%.*s\"", why,
                     from, SHOWN_BYTES, p->source);
}

bool pattern_next(const struct pattern *p, struct pattern_work *work, const char *text,
                  size_t n_bytes, struct pattern_scan *scan, struct span *match, bool *found,
                  struct error *err)
{
    while (scan->from <= n_bytes) {
        if (!find(p, work, text, n_bytes, scan->from, match, found, err))
            return false;
        if (!*found)
            break;
        const bool counts =
            match->begin < match->end || !scan->after_match || match->end != scan->done;
        if (counts) {
            scan->done = scan->from = match->end;
            scan->after_match = true;
            return true;
        }
        if (scan->from == n_bytes)
            break;
        utf8_read(text, &scan->from);
    }
    *match = (struct span){(uint32_t)n_bytes, (uint32_t)n_bytes};
    *found = false;
    return true;
}
