#include "runtime/jinja/scope.h"

#include "runtime/jinja/run.h"

#include <string.h>

enum { FIRST_CAPACITY = 4 };

struct scope *scope_make_outermost(struct run *r, uint32_t n_names)
{
    struct scope *scope = scope_make(r, NULL);
    if (scope == NULL)
        return NULL;
    scope->variables = run_alloc(r, n_names + 1, sizeof *scope->variables);
    return scope->variables != NULL ? scope : NULL;
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
        return true;
    }
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

const struct value *scope_find(const struct scope *scope, uint32_t name)
{
    for (; scope->parent != NULL; scope = scope->parent)
        for (uint32_t i = 0; i < scope->n; i++)
            if (scope->entries[i].name == name)
                return &scope->entries[i].value;
    const struct value *found = &scope->variables[name];
    return found->kind != VALUE_UNDEFINED || found->as.undefined != NULL ? found : NULL;
}
