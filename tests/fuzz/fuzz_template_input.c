/* Bytes as the JSON of a request's variables, rendered by templates as checkpoints have them.
 *
 * Besides that nothing breaks: users cannot write a control token. Whatever they send, the text has
 * as many "<|begin|>" that no mark touches as the template wrote. */
#include "tests/fuzz/fuzz.h"

#include "base/json.h"
#include "base/utf8.h"

#include <string.h>

static const struct {
    bool counts; /* writes "<|begin|>" once for each message, and once more */
    const char *source;
} templates[] = {
    {true, "{% for m in messages %}<|begin|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n"
           "{% endfor %}<|begin|>assistant\n"},
    {true, "{%- for m in messages -%}\n"
           "  {%- set text = m.content|string|trim -%}\n"
           "  {{- '<|begin|>' ~ m.role ~ '\\n' ~ text.split('</think>')[-1].lstrip('\\n') -}}\n"
           "  {{- text[:5] + text[-5:] + '<|end|>' -}}\n"
           "{%- endfor -%}<|begin|>{{ messages|length }}"},
    {false,
     "{% macro show(v, depth=0) %}{% if v is mapping %}{% for k, x in v|items %}"
     "{{ '  ' * depth }}{{ k }}:{{ show(x, depth + 1) }}{% endfor %}"
     "{% elif v is iterable and v is not string %}{% for x in v %}{{ show(x, depth + 1) }}"
     "{{ ', ' if not loop.last }}{% endfor %}{% else %}{{ v|tojson }}{% endif %}{% endmacro %}"
     "{{ show(messages) }}{{ show(tools) }}{{ messages|tojson(indent=2) }}"},
    {false, "{% set ns = namespace(system='', last=-1) %}{% for m in messages %}"
            "{% if m.role == 'system' %}{% set ns.system = ns.system + m.content %}"
            "{% elif (m.role == 'user') != (loop.index0 % 2 == 0) %}"
            "{{ raise_exception('roles must alternate, not ' ~ m.role) }}"
            "{% elif m.tool_calls is defined %}{% for c in m.tool_calls %}"
            "<call>{{ c.function.name }}({{ c.function.arguments|dictsort|join(', ') }})</call>"
            "{% endfor %}{% else %}{{ m.content|replace('<', '[')|upper|title|indent(2)|e }}"
            "{% endif %}{% endfor %}{{ ns.system }}{{ strftime_now('%d %b %Y') }}"},
    {false, "{% for m in messages|selectattr('content', 'defined')|reject('none')|list %}"
            "{{ m.content[0].text if m.content is not string else m.content[::-1] }}"
            "{{ '%s|%5.2f|%r' % (m.role, n|default(1)|float, m.content) }}"
            "{{ '{:>10}{!r}'.format(m.role, m) }}{{ m.content|wordwrap(9)|truncate(20) }}"
            "{{ loop.previtem.role }}{% endfor %}{{ messages|groupby('role')|map('first')|join }}"
            "{{ messages|map(attribute='content')|map('string')|sort|unique|batch(2)|list }}"},
};

enum { N_TEMPLATES = sizeof templates / sizeof *templates };

/* How often `token` stands in the text where no mark touches it. */
static size_t count_unmarked(const struct jinja_output *out, const char *token)
{
    const size_t n = strlen(token);
    size_t found = 0, mark = 0;
    for (size_t at = 0; at + n <= out->text.len; at++) {
        while (mark < out->n_users && out->users[mark].end <= at)
            mark++;
        const bool touches = mark < out->n_users && out->users[mark].begin < at + n;
        found += !touches && memcmp(out->text.data + at, token, n) == 0;
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    static const struct json_limits limits = {
        .max_bytes = 1 << 20, .max_depth = 64, .max_values = 10000};
    struct error err = {0};
    json_t *users = NULL;
    if (!json_parse(&users, (const char *)data, n_bytes, &limits, &err)) {
        check_error(&err);
        return 0;
    }
    const json_t *messages = json_object_get(users, "messages");
    for (int i = 0; json_is_object(users) && i < N_TEMPLATES; i++) {
        struct jinja_template *t = NULL;
        struct jinja_output out;
        check(jinja_compile(&t, templates[i].source, strlen(templates[i].source), &err));
        const bool good = render_checked(t, users, &out);
        if (good && templates[i].counts && json_is_array(messages))
            check(count_unmarked(&out, "<|begin|>") == json_array_size(messages) + 1);
        jinja_output_release(&out);
        jinja_destroy(t);
    }
    json_decref(users);
    return 0;
}
