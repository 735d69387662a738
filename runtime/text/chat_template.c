/* A request's own variables win over what the checkpoint has, and jinja_render() lets `ours` win
 * over `users`; so a name that a request gives is taken out of `ours` first, and its text stays the
 * users'. */
#include "runtime/text/chat_template.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "runtime/text/chat_template_files.h"
#include "runtime/text/unicode.h"

#include <string.h>

struct chat_template {
    struct template_files files;
    struct jinja_template **compiled; /* [files.n] */
    enum content_format *format;      /* [files.n] */
};

/* ---- which template ---------------------------------------------------------------------------*/

static int find_named(const struct chat_template *t, const char *name)
{
    int i = t->files.n - 1; /* of two with one name the later counts */
    while (i >= 0 && strcmp(t->files.item[i].name, name) != 0)
        i--;
    return i;
}

static bool refuse_choice(const struct chat_template *t, struct error *err)
{
    struct bytes names = {0};
    if (t->files.n == 0)
        return error_set(err, ERROR_INPUT, "the model has no chat template");
    for (int i = 0; i < t->files.n; i++)
        bytes_printf(&names, "%s%s", i > 0 ? ", " : "", t->files.item[i].name);
    error_set(err, ERROR_INPUT, "the model has several chat templates and none is the default: %s",
              names.data);
    bytes_release(&names);
    return false;
}

/* -1: none fits. */
static int choose(const struct chat_template *t, bool has_tools)
{
    const int for_tools = has_tools ? find_named(t, "tool_use") : -1;
    return for_tools >= 0 ? for_tools : find_named(t, "default");
}

/* ---- opening ----------------------------------------------------------------------------------*/

/* Whether the contents of a conversation of one message come out: the words A and B, and not the
 * word C, which is there when a list is written as it is. */
static bool takes(const struct jinja_template *compiled, const json_t *special_tokens,
                  const char *content)
{
    struct bytes probe = {0};
    bytes_printf(&probe,
                 "{\"messages\": [{\"role\": \"user\", \"content\": %s}], \"tools\": null, "
                 "\"documents\": null, \"add_generation_prompt\": false}",
                 content);
    struct error ignored = {0};
    json_t *users = json_loads(probe.data, 0, NULL);
    struct jinja_output out = {0};
    const struct jinja_input input = {.ours = special_tokens, .users = users};
    const bool rendered = jinja_render(compiled, &input, &out, &ignored) && out.text.len > 0;
    const bool takes = rendered && strstr(out.text.data, "QProbeA") != NULL &&
                       strstr(out.text.data, "QProbeB") != NULL &&
                       strstr(out.text.data, "QProbeC") == NULL;
    jinja_output_release(&out);
    json_decref(users);
    bytes_release(&probe);
    return takes;
}

static enum content_format find_format(const struct jinja_template *compiled,
                                       const json_t *special_tokens)
{
    static const char parts[] = "[{\"type\": \"text\", \"text\": \"QProbeA\", \"QProbeC\": 1}, "
                                "{\"type\": \"text\", \"text\": \"QProbeB\", \"QProbeC\": 1}]";
    if (!takes(compiled, special_tokens, parts))
        return CONTENT_AS_TEXT;
    return takes(compiled, special_tokens, "\"QProbeA QProbeB\"") ? CONTENT_AS_EITHER
                                                                  : CONTENT_AS_PARTS;
}

static bool compile(struct chat_template *t, struct error *err)
{
    t->compiled = memory_alloc((size_t)t->files.n, sizeof(struct jinja_template *));
    t->format = memory_alloc((size_t)t->files.n, sizeof *t->format);
    for (int i = 0; i < t->files.n; i++) {
        const struct template_source *source = &t->files.item[i];
        if (!jinja_compile(&t->compiled[i], source->text, source->n_bytes, err))
            return error_in(err, "%s", source->where);
        t->format[i] = find_format(t->compiled[i], t->files.special_tokens);
    }
    return true;
}

bool chat_template_open(struct chat_template **out, const char *model_folder, const char *file,
                        struct error *err)
{
    struct chat_template *t = memory_alloc(1, sizeof *t);
    if (!template_files_read(&t->files, model_folder, file, err) || !compile(t, err)) {
        chat_template_close(t);
        return false;
    }
    *out = t;
    return true;
}

void chat_template_close(struct chat_template *t)
{
    if (t == NULL)
        return;
    for (int i = 0; t->compiled != NULL && i < t->files.n; i++)
        jinja_destroy(t->compiled[i]);
    memory_free(t->compiled);
    memory_free(t->format);
    template_files_release(&t->files);
    memory_free(t);
}

bool chat_template_exists(const struct chat_template *t) { return t->files.n > 0; }

enum content_format chat_template_format(const struct chat_template *t, bool has_tools,
                                         const char *name)
{
    if (name != NULL && strcmp(name, "string") == 0)
        return CONTENT_AS_TEXT;
    if (name != NULL && strcmp(name, "openai") == 0)
        return CONTENT_AS_PARTS;
    const int i = choose(t, has_tools);
    return i >= 0 ? t->format[i] : CONTENT_AS_TEXT;
}

/* ---- what a request gives ---------------------------------------------------------------------*/

static bool check_objects(const json_t *list, const char *name, struct error *err)
{
    if (list == NULL || json_is_null(list))
        return true;
    if (!json_is_array(list)) {
        error_set(err, ERROR_INPUT, "%s is no list", name);
        return error_param(err, name);
    }
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!json_is_object(json_array_get(list, i))) {
            error_set(err, ERROR_INPUT, "%s: item %zu is no object", name, i);
            return error_param(err, name);
        }
    return true;
}

/* A flag among the variables is the flag itself, as where both are arguments of one call. */
static void take_flag(bool *flag, const json_t *variables, const char *name)
{
    const json_t *given = json_object_get(variables, name);
    if (json_is_boolean(given))
        *flag = json_is_true(given);
}

static bool check_variables(const json_t *variables, struct error *err)
{
    if (variables != NULL && !json_is_object(variables))
        error_set(err, ERROR_INPUT, "the variables of the template are no object");
    else if (json_object_get(variables, "messages") != NULL)
        error_set(err, ERROR_INPUT, "messages cannot be a variable of the template too");
    else
        return true;
    return error_param(err, "chat_template_kwargs");
}

static bool check_request(const struct chat_request *request, struct error *err)
{
    if (!check_objects(request->messages, "messages", err) ||
        !check_objects(request->tools, "tools", err) ||
        !check_objects(request->documents, "documents", err))
        return false;
    if (json_array_size(request->messages) == 0) {
        error_set(err, ERROR_INPUT, "messages: there is none");
        return error_param(err, "messages");
    }
    if (!check_variables(request->variables, err))
        return false;
    if (!request->continue_final_message || !request->add_generation_prompt)
        return true;
    error_set(err, ERROR_INPUT,
              "continue_final_message and add_generation_prompt exclude each other: a prompt ends "
              "inside the last message, or at the start of a new one");
    return error_param(err, "continue_final_message");
}

/* A reference of our own to what is borrowed; jansson only counts. */
static json_t *keep(const json_t *value)
{
    return value != NULL ? json_incref((json_t *)value) : json_null();
}

static json_t *make_ours(const struct chat_template *t, const struct chat_request *request)
{
    json_t *ours = json_copy(t->files.special_tokens);
    json_object_set_new(ours, "add_generation_prompt",
                        json_boolean(request->add_generation_prompt));
    if (request->tools == NULL)
        json_object_set_new(ours, "tools", json_null());
    if (request->documents == NULL)
        json_object_set_new(ours, "documents", json_null());
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)request->variables, name, value) json_object_del(ours, name);
    return ours;
}

static json_t *make_users(const struct chat_request *request)
{
    json_t *users = json_object();
    json_object_set_new(users, "messages", keep(request->messages));
    if (request->tools != NULL)
        json_object_set_new(users, "tools", keep(request->tools));
    if (request->documents != NULL)
        json_object_set_new(users, "documents", keep(request->documents));
    if (request->variables != NULL)
        json_object_update(users, (json_t *)request->variables);
    json_object_del(users, "continue_final_message"); /* no variable: it says what is done after */
    return users;
}

/* ---- continuing the last message --------------------------------------------------------------*/

/* Put behind the text that goes on, and looked for in the output: the prompt ends where it comes
 * out. The space behind it tells whether the template strips its messages. */
static const char mark[] = "PHALANX_GOES_ON_FROM_HERE ";
enum { MARK_BYTES = sizeof mark - 1, WORD_BYTES = MARK_BYTES - 1 };

static json_t *with_mark(const json_t *text)
{
    struct bytes marked = {0};
    bytes_add(&marked, json_string_value(text), json_string_length(text));
    bytes_add(&marked, mark, MARK_BYTES);
    json_t *out = json_stringn(marked.data, marked.len);
    bytes_release(&marked);
    return out;
}

/* The content with the mark behind its text, or behind the last text of its parts; *text borrows
 * that text. NULL: there is none. */
static json_t *mark_content(const json_t *content, const json_t **text)
{
    *text = content;
    if (json_is_string(content))
        return with_mark(content);
    for (size_t i = json_array_size(content); i-- > 0;) {
        const json_t *part = json_array_get(content, i);
        *text = json_object_get(part, "text");
        if (!json_is_string(*text))
            continue;
        json_t *marked = json_copy((json_t *)content), *marked_part = json_copy((json_t *)part);
        json_object_set_new(marked_part, "text", with_mark(*text));
        json_array_set_new(marked, i, marked_part);
        return marked;
    }
    return NULL;
}

/* The messages with the mark in the last one; *text borrows the text that goes on. */
static bool mark_messages(json_t **out, const json_t **text, const json_t *messages,
                          struct error *err)
{
    const size_t last = json_array_size(messages) - 1;
    const json_t *message = json_array_get(messages, last);
    json_t *content = mark_content(json_object_get(message, "content"), text);
    if (content == NULL) {
        error_set(err, ERROR_INPUT,
                  "continue_final_message: the last message has no text to continue");
        return error_param(err, "continue_final_message");
    }
    json_t *marked = json_copy((json_t *)message);
    json_object_set_new(marked, "content", content);
    *out = json_copy((json_t *)messages);
    json_array_set_new(*out, last, marked);
    return true;
}

/* Python's str.isspace() of one character. */
static bool is_python_space(uint32_t c) { return unicode_is_space(c) || (c >= 0x1C && c <= 0x1F); }

static size_t end_without_space(const char *text, size_t end)
{
    while (end > 0) {
        size_t before = utf8_before(text, end), at = before;
        if (!is_python_space(utf8_read(text, &at)))
            break;
        end = before;
    }
    return end;
}

static size_t begin_without_space(const char *text, size_t end)
{
    size_t begin = 0;
    while (begin < end) {
        size_t at = begin;
        if (!is_python_space(utf8_read(text, &at)))
            break;
        begin = at;
    }
    return begin;
}

/* Where the last one begins; SIZE_MAX: there is none. */
static size_t find_last(const struct bytes *text, const char *word, size_t n_bytes)
{
    for (size_t at = text->len < n_bytes ? 0 : text->len - n_bytes + 1; at-- > 0;)
        if (memcmp(text->data + at, word, n_bytes) == 0)
            return at;
    return SIZE_MAX;
}

static void cut(struct jinja_output *out, size_t n_bytes)
{
    out->text.len = n_bytes;
    out->text.data[n_bytes] = '\0';
    while (out->n_users > 0 && out->users[out->n_users - 1].begin >= n_bytes)
        out->n_users--;
    if (out->n_users > 0 && out->users[out->n_users - 1].end > n_bytes)
        out->users[out->n_users - 1].end = n_bytes;
}

static bool cut_at_mark(struct jinja_output *out, const json_t *text, struct error *err)
{
    const char *message = json_string_value(text);
    const size_t end = end_without_space(message, json_string_length(text));
    const size_t begin = begin_without_space(message, end);
    const size_t at = find_last(&out->text, mark, WORD_BYTES);
    if (at == SIZE_MAX ||
        memmem(out->text.data, out->text.len, message + begin, end - begin) == NULL) {
        error_set(err, ERROR_INPUT,
                  "continue_final_message: the template changes the last message, so no prompt can "
                  "end inside it");
        return error_param(err, "continue_final_message");
    }
    const bool keeps_space =
        at + MARK_BYTES <= out->text.len && memcmp(out->text.data + at, mark, MARK_BYTES) == 0;
    cut(out, keeps_space ? at : end_without_space(out->text.data, at));
    return true;
}

/* ---- rendering --------------------------------------------------------------------------------*/

static bool render(const struct chat_template *t, const struct chat_request *request,
                   struct jinja_output *out, struct error *err)
{
    const int i = choose(t, request->tools != NULL);
    if (i < 0)
        return refuse_choice(t, err);
    json_t *ours = make_ours(t, request), *users = make_users(request);
    const struct jinja_input input = {.ours = ours, .users = users, .now = request->now};
    const bool good = jinja_render(t->compiled[i], &input, out, err);
    json_decref(ours);
    json_decref(users);
    if (!good && err->kind == ERROR_LIMIT)
        err->kind = ERROR_INPUT; /* a budget is used up by what was given: later is no better */
    return good || error_in(err, "chat template");
}

bool chat_template_render(const struct chat_template *t, const struct chat_request *given,
                          struct jinja_output *out, struct error *err)
{
    struct chat_request request = *given;
    *out = (struct jinja_output){0};
    take_flag(&request.add_generation_prompt, given->variables, "add_generation_prompt");
    take_flag(&request.continue_final_message, given->variables, "continue_final_message");
    request.tools = json_is_null(request.tools) ? NULL : request.tools;
    request.documents = json_is_null(request.documents) ? NULL : request.documents;
    if (!check_request(&request, err))
        return false;
    if (!request.continue_final_message)
        return render(t, &request, out, err);
    json_t *marked;
    const json_t *text;
    if (!mark_messages(&marked, &text, request.messages, err))
        return false;
    request.messages = marked;
    const bool good = render(t, &request, out, err) && cut_at_mark(out, text, err);
    json_decref(marked);
    return good;
}
