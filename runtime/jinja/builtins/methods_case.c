/* Methods of texts that change letters, and format. */
#include "runtime/jinja/builtins/methods.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/letter_case.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

static bool text_lower(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    (void)slots;
    return text_to_case(r, self.as.string, CASE_LOWER, out);
}

static bool text_upper(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    (void)slots;
    return text_to_case(r, self.as.string, CASE_UPPER, out);
}

static bool text_casefold(struct run *r, struct value self, const struct value *slots,
                          struct value *out)
{
    (void)slots;
    return text_to_case(r, self.as.string, CASE_FOLD, out);
}

static bool text_title(struct run *r, struct value self, const struct value *slots,
                       struct value *out)
{
    (void)slots;
    return text_to_case(r, self.as.string, CASE_WORDS, out);
}

static bool text_capitalize(struct run *r, struct value self, const struct value *slots,
                            struct value *out)
{
    (void)slots;
    return text_to_case(r, self.as.string, CASE_SENTENCE, out);
}

static bool text_swapcase(struct run *r, struct value self, const struct value *slots,
                          struct value *out)
{
    (void)slots;
    return text_to_case(r, self.as.string, CASE_SWAPPED, out);
}

static bool text_format(struct run *r, struct value self, const struct arguments *args,
                        struct value *out)
{
    return string_format(r, self.as.string, args, out);
}

/* The sandbox's own counting: whether keywords came is part of the number. */
static bool text_format_map(struct run *r, struct value self, const struct arguments *args,
                            struct value *out)
{
    if (args->n_positional != 1 || args->n_keywords > 0)
        return run_raise(r, TYPE_ERROR, "format_map() takes exactly one argument %d given",
                         args->n_positional + 1);
    if (args->positional[0].kind != VALUE_DICT)
        return run_raise(r, TYPE_ERROR, "'%s' object is not subscriptable",
                         value_type_name(args->positional[0]));
    const struct dict *dict = args->positional[0].as.dict;
    struct keyword *keywords = run_alloc(r, dict->n, sizeof *keywords);
    if (keywords == NULL || !run_step(r, dict->n))
        return false;
    int n = 0;
    for (uint32_t i = 0; i < dict->n; i++)
        if (dict->items[i].key.kind == VALUE_STRING)
            keywords[n++] = (struct keyword){dict->items[i].key.as.string, dict->items[i].value};
    const struct arguments named = {.keywords = keywords, .n_keywords = n};
    return string_format(r, self.as.string, &named, out);
}

static bool text_no_bytes(struct run *r, struct value self, const struct arguments *args,
                          struct value *out)
{
    (void)self, (void)args, (void)out;
    return run_raise(r, NOT_SUPPORTED, "there are no bytes in templates here: encode()");
}

static bool text_no_translate(struct run *r, struct value self, const struct arguments *args,
                              struct value *out)
{
    (void)self, (void)args, (void)out;
    return run_raise(r, NOT_SUPPORTED, "translate() and maketrans() are not supported");
}

static const struct method case_list[] = {
    {.signature = {.name = "capitalize", .style = CALL_NONE},
     .call = text_capitalize,
     .markup = ""},
    {.signature = {.name = "casefold", .style = CALL_NONE}, .call = text_casefold, .markup = ""},
    {.signature = {.name = "encode", .style = CALL_ANY}, .call_any = text_no_bytes},
    {.signature = {.name = "format", .style = CALL_ANY}, .call_any = text_format},
    {.signature = {.name = "format_map", .style = CALL_ANY}, .call_any = text_format_map},
    {.signature = {.name = "lower", .style = CALL_NONE}, .call = text_lower, .markup = ""},
    {.signature = {.name = "maketrans", .style = CALL_ANY}, .call_any = text_no_translate},
    {.signature = {.name = "swapcase", .style = CALL_NONE}, .call = text_swapcase, .markup = ""},
    {.signature = {.name = "title", .style = CALL_NONE}, .call = text_title, .markup = ""},
    {.signature = {.name = "translate", .style = CALL_ANY}, .call_any = text_no_translate},
    {.signature = {.name = "upper", .style = CALL_NONE}, .call = text_upper, .markup = ""},
};
const struct method_table text_case_methods = {case_list, sizeof case_list / sizeof *case_list};
