/* runtime/jinja/scope.h: which value a name has where.
 *
 * Loops, macros, `with`, filter and call blocks have scopes of their own; `if` has not. A name is
 * looked for outwards, and always set in the innermost scope: what a loop sets is gone after each
 * turn. Macros keep the scope in which they were written, and see what it holds when they are
 * called.
 *
 * Scopes but the outermost are looked through one entry after the other, since they have few; where
 * a template gives them many, looking costs steps. False: over the budget, raised.
 *
 * Source: jinja2.idtracking and the scoping rules of the template documentation ("Assignments").
 */
#pragma once
#include "runtime/jinja/values/value.h"

struct scope {
    struct scope *parent; /* NULL: the outermost, which holds all variables by number */
    struct scope_entry {
        uint32_t name; /* number in the ast */
        struct value value;
    } * entries;
    uint32_t n, capacity;
    struct value *variables; /* [n_names] of the outermost: kind UNDEFINED without a cause: none */
    bool *hidden;            /* [n_names] of the outermost; NULL: none is */
    bool kept;               /* somebody holds on to it: it cannot be emptied and used again */
};

struct scope *scope_make_outermost(struct run *r, uint32_t n_names); /* NULL: raised */
/* The same variables, none hidden: what a block sees, which is no part of the frame around it. */
struct scope *scope_make_context(struct run *r, const struct scope *outermost);
struct scope *scope_make(struct run *r, struct scope *parent); /* NULL: raised */
/* Empty again, or a new one where somebody still holds on to the old. NULL: raised. */
struct scope *scope_renew(struct run *r, struct scope *scope);
void scope_keep(struct scope *scope); /* and all around it */
/* In this scope the names have no value until they are set, whatever is around it. */
struct name_list;
bool scope_hide(struct run *r, struct scope *scope, const struct name_list *names);
bool scope_set(struct run *r, struct scope *scope, uint32_t name, struct value value);
/* *out NULL: it has none. */
bool scope_find(struct run *r, const struct scope *scope, uint32_t name, const struct value **out);
