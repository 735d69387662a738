#include "runtime/jinja/scope.h"

#include "runtime/jinja/syntax/ast.h"
#include "runtime/jinja/values/run.h"

#include <string.h>

enum { FIRST_CAPACITY = 4, ENTRIES_PER_STEP = 16 };

struct scope *scope_make_outermost(struct run *r, uint32_t n_names)
{
    struct scope *scope = scope_make(r, NULL);
    if (scope == NULL)
        return NULL;
    scope->variables = run_alloc(r, n_names + 1, sizeof *scope->variables);
    scope->hidden = run_alloc(r, n_names + 1, sizeof *scope->hidden);
    return scope->variables != NULL && scope->hidden != NULL ? scope : NULL;
}

struct scope *scope_make_context(struct run *r, const struct scope *outermost)
{
    struct scope *scope = scope_make(r, NULL);
    if (scope != NULL)
        scope->variables = outermost->variables;
    return scope;
}

struct scope *scope_make(struct run *r, struct scope *parent)
{
    struct scope *scope = run_alloc(r, 1, sizeof *scope);
    if (scope != NULL)
        scope->parent = parent;
    return scope;
}

struct scope *scope_renew(struct run *r, struct scope *scope)
{
    if (scope->kept)
        return scope_make(r, scope->parent);
    scope->n = 0;
    return scope;
}

void scope_keep(struct scope *scope)
{
    for (; scope != NULL && !scope->kept; scope = scope->parent)
        scope->kept = true;
}

static bool grow(struct run *r, struct scope *scope)
{
    const uint32_t capacity = scope->capacity ? 2 * scope->capacity : FIRST_CAPACITY;
    struct scope_entry *entries = run_alloc(r, capacity, sizeof *entries);
    if (entries == NULL)
        return false;
    if (scope->n > 0)
        memcpy(entries, scope->entries, scope->n * sizeof *entries);
    scope->entries = entries;
    scope->capacity = capacity;
    return true;
}

bool scope_set(struct run *r, struct scope *scope, uint32_t name, struct value value)
{
    if (scope->variables != NULL) {
        scope->variables[name] = value;
        if (scope->hidden != NULL)
            scope->hidden[name] = false;
        return true;
    }
    if (!run_step(r, scope->n / ENTRIES_PER_STEP))
        return false;
    for (uint32_t i = 0; i < scope->n; i++) {
        if (scope->entries[i].name == name) {
            scope->entries[i].value = value;
            return true;
        }
    }
    if (scope->n == scope->capacity && !grow(r, scope))
        return false;
    scope->entries[scope->n++] = (struct scope_entry){name, value};
    return true;
}

/* An undefined value without a cause stands for no value. */
static bool is_value(const struct value *v)
{
    return v->kind != VALUE_UNDEFINED || v->as.undefined != NULL;
}

bool scope_hide(struct run *r, struct scope *scope, const struct name_list *names)
{
    const struct value none = {.kind = VALUE_UNDEFINED};
    for (uint32_t i = 0; names != NULL && i < names->n; i++) {
        if (scope->hidden != NULL)
            scope->hidden[names->names[i]] = true;
        else if (!scope_set(r, scope, names->names[i], none))
            return false;
    }
    return true;
}

bool scope_find(struct run *r, const struct scope *scope, uint32_t name, const struct value **out)
{
    const struct value *found = NULL;
    size_t n_looked_at = 0;
    for (; scope->parent != NULL && found == NULL; scope = scope->parent) {
        n_looked_at += scope->n;
        for (uint32_t i = 0; i < scope->n && found == NULL; i++)
            if (scope->entries[i].name == name)
                found = &scope->entries[i].value;
    }
    if (found == NULL && !(scope->hidden != NULL && scope->hidden[name]))
        found = &scope->variables[name];
    *out = found != NULL && is_value(found) ? found : NULL;
    return run_step(r, n_looked_at / ENTRIES_PER_STEP);
}
