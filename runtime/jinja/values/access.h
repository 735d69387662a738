/* runtime/jinja/values/access.h: a.b, a[b], calls, operators and texts of values: what the nodes of
 * a template do with values, and filters too.
 *
 * Source: jinja2.sandbox.SandboxedEnvironment (getattr, getitem, is_safe_attribute, call) and
 * ImmutableSandboxedEnvironment: names that begin with an underscore and methods that change a
 * list or a dict are refused with SecurityError when they are called or used.
 */
#pragma once
#include "runtime/jinja/values/value.h"

/* a.name: the attribute (a method), else the item; else undefined. */
bool value_attribute(struct run *r, struct value v, const struct string *name, struct value *out);
/* a[key]: the item, else for a text the attribute; else undefined. Slices are value_slice(). */
bool value_item(struct run *r, struct value v, struct value key, struct value *out);
/* a[start:stop:step]; VALUE_NONE where absent. */
bool value_slice(struct run *r, struct value v, struct value start, struct value stop,
                 struct value step, struct value *out);
/* callee(args): TypeError "'int' object is not callable", UndefinedError. */
bool value_call(struct run *r, struct value callee, const struct arguments *args,
                struct value *out);

bool value_make_undefined(struct run *r, struct value owner, struct value name, struct value *out);
/* Raises UndefinedError with the text that the reference has for this one. Always false. */
bool run_raise_undefined(struct run *r, struct value undefined);

enum arithmetic { OP_ADD, OP_SUB, OP_MUL, OP_DIV, OP_FLOORDIV, OP_MOD, OP_POW };
/* Python's arithmetic on numbers, texts and lists, with its TypeErrors. */
bool value_binary(struct run *r, enum arithmetic op, struct value a, struct value b,
                  struct value *out);
bool value_negative(struct run *r, struct value v, struct value *out);
bool value_positive(struct run *r, struct value v, struct value *out);

/* str(v) as a string value (a string is itself, Markup stays); undefined is "". */
bool value_text(struct run *r, struct value v, struct value *out);
/* repr(v) */
bool value_repr(struct run *r, struct value v, struct value *out);
/* ascii(v): repr(v) with everything beyond ASCII escaped */
bool value_ascii(struct run *r, struct value v, struct value *out);
bool text_ascii(struct run *r, const struct string *s, struct value *out); /* the escaping alone */
struct builder;
bool builder_add_repr(struct builder *b, struct value v); /* into a text that is being built */
/* text % values, as Python's printf formats */
bool string_percent(struct run *r, const struct string *format, struct value values,
                    struct value *out);
/* format(v, spec): numbers and texts in Python's format mini-language */
bool value_format(struct run *r, struct value v, const struct string *spec, struct value *out);
/* format.format(args…): str.format with its mini language, attributes as the sandbox allows */
bool string_format(struct run *r, const struct string *format, const struct arguments *args,
                   struct value *out);
/* A float as Python writes it: the shortest text that reads back. Room for 32 bytes. */
size_t float_repr(double d, char out[32]);
/* int(d), with Python's errors for what is no number */
bool float_truncate(struct run *r, double d, int64_t *out);
/* As printf's e, f and g (E, F, G) write it; "inf" and "nan" as Python. */
bool builder_add_float(struct builder *b, double d, char type, int precision, bool alternate);
/* json.dumps(v, ensure_ascii=False, …) as transformers' tojson. indent -1: none. */
struct json_style {
    int indent;
    const struct string *item_separator, *key_separator; /* NULL: Python's defaults */
    bool ensure_ascii, sort_keys;
    const struct string *indent_text; /* NULL: `indent` spaces */
};
bool value_json(struct run *r, struct value v, const struct json_style *style, struct value *out);
