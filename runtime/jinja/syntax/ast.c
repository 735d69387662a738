/* What a tree has besides the parser: its children one by one, its end, and where in the source
 * something is wrong. */
#include "runtime/jinja/syntax/ast.h"

#include "base/error.h"
#include "base/utf8.h"
#include "runtime/jinja/syntax/parser.h"

#include <stdio.h>
#include <string.h>

enum {
    SHOWN_BYTES = 160, /* of a line of the source, at most */
    PLACE_BYTES = 80,  /* of line, column and class in a message, at most */
    ERROR_BYTES = sizeof(((struct error *)0)->text),
    CUT_BYTES = 8, /* of what shows where a line was cut */
};

void ast_release(struct ast *ast)
{
    arena_release(&ast->arena);
    *ast = (struct ast){0};
}

/* ---- children ------------------------------------------------------------------------------- */

struct visit {
    node_visitor *visit;
    void *context;
};

static bool child(const struct visit *v, struct node *node, enum name_use use)
{
    return node == NULL || v->visit(v->context, node, use);
}

static bool each(const struct visit *v, const struct node_list *list, enum name_use use)
{
    for (uint32_t i = 0; i < list->n; i++)
        if (!child(v, list->items[i], use))
            return false;
    return true;
}

static bool arguments(const struct visit *v, const struct call *call)
{
    return call == NULL ||
           (each(v, &call->positional, NAME_READ) && each(v, &call->keywords, NAME_READ) &&
            child(v, call->star, NAME_READ) && child(v, call->star_star, NAME_READ));
}

static bool macro(const struct visit *v, const struct macro *m)
{
    for (uint32_t i = 0; i < m->n_parameters; i++)
        if (!child(v, m->defaults[i], NAME_READ))
            return false;
    return each(v, &m->body, NAME_READ);
}

/* All targets first, as they stand in the reference's tree. */
static bool with(const struct visit *v, const struct node *node)
{
    for (uint32_t i = 0; i < node->list.n; i += 2)
        if (!child(v, node->list.items[i], NAME_PARAMETER))
            return false;
    for (uint32_t i = 1; i < node->list.n; i += 2)
        if (!child(v, node->list.items[i], NAME_READ))
            return false;
    return each(v, &node->body, NAME_READ);
}

bool node_children(struct node *node, enum name_use use, node_visitor *visit, void *context)
{
    const struct visit v = {visit, context};
    struct node *const *parts = node->parts;
    switch (node->kind) {
    case NODE_CONDITIONAL: /* the condition first */
        return child(&v, parts[1], NAME_READ) && child(&v, parts[0], NAME_READ) &&
               child(&v, parts[2], NAME_READ);
    case NODE_TUPLE:
        return each(&v, &node->list, use);
    case NODE_FILTER:
    case NODE_TEST:
    case NODE_CALL:
        return child(&v, parts[0], NAME_READ) && arguments(&v, node->as.use.call);
    case NODE_FOR:
        return child(&v, parts[0], NAME_STORED) && child(&v, parts[1], NAME_READ) &&
               each(&v, &node->body, NAME_READ) && each(&v, &node->otherwise, NAME_READ) &&
               child(&v, parts[2], NAME_READ);
    case NODE_SET:
    case NODE_SET_BLOCK:
        return child(&v, parts[0], NAME_STORED) && child(&v, parts[1], NAME_READ) &&
               each(&v, &node->body, NAME_READ);
    case NODE_FILTER_BLOCK:
        return each(&v, &node->body, NAME_READ) && child(&v, parts[0], NAME_READ);
    case NODE_WITH:
        return with(&v, node);
    case NODE_MACRO:
    case NODE_CALL_BLOCK:
        return child(&v, parts[0], NAME_READ) && macro(&v, node->as.macro);
    default:
        return child(&v, parts[0], NAME_READ) && child(&v, parts[1], NAME_READ) &&
               child(&v, parts[2], NAME_READ) && each(&v, &node->list, NAME_READ) &&
               each(&v, &node->body, NAME_READ) && each(&v, &node->otherwise, NAME_READ);
    }
}

/* ---- errors --------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static size_t cut_back(const char *text, size_t at) /* to the beginning of a character */
{
    while (at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80)
        at--;
    return at;
}

/* The line without the blanks around it; a long one is cut around the column. */
static void show_line(const struct ast *ast, uint32_t line, uint32_t column, char *out, size_t room)
{
    const char *text = ast->source, *const source_end = ast->source + ast->n_source;
    for (uint32_t i = 1; i < line; i++) {
        const char *newline = memchr(text, '\n', (size_t)(source_end - text));
        if (newline == NULL)
            break;
        text = newline + 1;
    }
    const char *newline = memchr(text, '\n', (size_t)(source_end - text));
    size_t begin = 0, end = (size_t)((newline ? newline : source_end) - text), at = 0;
    for (uint32_t i = 1; i < column && at < end; i++)
        utf8_read(text, &at);
    while (begin < end && is_blank(text[begin]))
        begin++;
    while (end > begin && is_blank(text[end - 1]))
        end--;
    const bool is_long = end - begin > room;
    const bool cut_before = is_long && at > begin + room / 2;
    if (cut_before)
        begin = cut_back(text, end - at < room / 2 ? end - room : at - room / 2);
    const bool cut_behind = end - begin > room;
    if (cut_behind)
        end = cut_back(text, begin + room);
    snprintf(out, room + CUT_BYTES, "%s%.*s%s", cut_before ? "…" : "", (int)(end - begin),
             text + begin, cut_behind ? "…" : "");
    for (; *out != '\0'; out++)
        if ((unsigned char)*out < 0x20)
            *out = ' ';
}

/* What a struct error has left for the line. */
static size_t room_for(const char *message)
{
    const size_t taken = strlen(message) + PLACE_BYTES + CUT_BYTES;
    const size_t room = taken < ERROR_BYTES ? ERROR_BYTES - taken : 0;
    return room < SHOWN_BYTES ? room : SHOWN_BYTES;
}

static enum error_kind kind_of(enum exception kind)
{
    return kind == LIMIT_EXCEEDED  ? ERROR_LIMIT
           : kind == NOT_SUPPORTED ? ERROR_UNSUPPORTED
                                   : ERROR_INPUT;
}

bool ast_error(const struct ast *ast, uint32_t line, uint32_t column, enum exception kind,
               const char *message, struct error *err)
{
    char shown[SHOWN_BYTES + CUT_BYTES];
    if (line == 0)
        return error_set(err, kind_of(kind), "%s: %s", exception_name(kind), message);
    show_line(ast, line, column, shown, room_for(message));
    return error_set(err, kind_of(kind), "line %u, column %u: %s: %s%s%s", line, column,
                     exception_name(kind), message, shown[0] != '\0' ? ": " : "", shown);
}
