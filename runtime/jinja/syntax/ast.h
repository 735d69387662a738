/* runtime/jinja/syntax/ast.h: a template as a tree.
 *
 * A node stands where it begins: an operator at its first operand, but an attribute, a filter or a
 * test at its name, because what is before it has nodes of its own.
 *
 * Everything lives in the arena of the template and is not changed after it was parsed. Constants
 * are values whose strings are in that arena. Names of variables are numbered, so that a rendering
 * finds them without comparing texts.
 *
 * Source: jinja2.nodes; the grammar of jinja2.parser.
 */
#pragma once
#include "base/memory.h"
#include "runtime/jinja/builtins/builtins.h"
#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/value.h"

#include <stdint.h>

struct error;

enum node_kind {
    /* expressions */
    NODE_CONSTANT,    /* constant */
    NODE_NAME,        /* name */
    NODE_TUPLE,       /* list */
    NODE_LIST,        /* list */
    NODE_DICT,        /* list: key, value, key, value, … */
    NODE_CONDITIONAL, /* parts[0] if parts[1] else parts[2]; parts[2] NULL: undefined */
    NODE_BINARY,      /* parts[0] op parts[1] */
    NODE_NEGATIVE,
    NODE_POSITIVE,
    NODE_NOT, /* parts[0] */
    NODE_AND,
    NODE_OR,        /* parts[0], parts[1] */
    NODE_CONCAT,    /* list: a ~ b ~ c */
    NODE_COMPARE,   /* list: first, second, …; compare[i] stands before list item i + 1 */
    NODE_FILTER,    /* parts[0]|name(call); parts[0] NULL: the body of a filter block */
    NODE_TEST,      /* parts[0] is name(call) */
    NODE_CALL,      /* parts[0](call) */
    NODE_ATTRIBUTE, /* parts[0].text */
    NODE_ITEM,      /* parts[0][parts[1]] */
    NODE_SLICE,     /* only as parts[1] of NODE_ITEM: parts[0]:parts[1]:parts[2], NULL absent */
    NODE_NAMESPACE_TARGET, /* name.text, only as a target of set */
    /* statements */
    NODE_TEXT,         /* constant: a string of the template itself */
    NODE_PRINT,        /* parts[0] */
    NODE_FOR,          /* for parts[0] in parts[1] if parts[2]: body, otherwise; flag: recursive */
    NODE_IF,           /* if parts[0]: body, otherwise (an elif is one NODE_IF in `otherwise`) */
    NODE_SET,          /* parts[0] (target) = parts[1] */
    NODE_SET_BLOCK,    /* parts[0] (target) = body, through the filters parts[1] or NULL */
    NODE_MACRO,        /* macro */
    NODE_CALL_BLOCK,   /* parts[0]: a NODE_CALL, with macro as its caller */
    NODE_FILTER_BLOCK, /* parts[0]: filters over body */
    NODE_WITH,         /* list: target, value, target, value, …; body */
    NODE_BLOCK,        /* name: body; flag: scoped; required: fails instead */
    NODE_GENERATION,   /* body */
    NODE_AUTOESCAPE,   /* parts[0], body */
    NODE_BREAK,
    NODE_CONTINUE,
    NODE_NO_LOADER, /* include, import, from, extends (flag): computes parts[0], then fails */
};

enum compare {
    COMPARE_EQ,
    COMPARE_NE,
    COMPARE_LT,
    COMPARE_LE,
    COMPARE_GT,
    COMPARE_GE,
    COMPARE_IN,
    COMPARE_NOT_IN
};

struct node_list {
    struct node **items;
    uint32_t n;
};

struct call { /* the arguments of a call, a filter or a test */
    struct node_list positional;
    struct node_list keywords;           /* values */
    const struct string **keyword_names; /* [keywords.n] */
    struct node *star, *star_star;       /* *args, **kwargs; or NULL */
};

struct name_list { /* of variables, by number */
    uint32_t n;
    uint32_t names[];
};

struct macro {
    uint32_t name; /* number of the variable it is bound to; of a caller: of "caller" */
    const struct string *shown_name; /* NULL for a call block: the reference names it None */
    uint32_t n_parameters;
    const uint32_t *parameters;            /* numbers of names */
    const struct string **parameter_names; /* [n_parameters] */
    struct node **defaults;                /* [n_parameters], NULL where there is none */
    struct node_list body;
    const struct name_list *hides; /* NULL: nothing; scoping.h */
    /* Whether the body (or a nested one) looks at these names. */
    bool uses_caller, uses_varargs, uses_kwargs;
};

/* Rendering and whatever else walks a tree may recurse into it: it is never higher. Then a template
 * that compiles does not meet the RUN_MAX_DEPTH by itself, without macros. The reference ends
 * earlier: Python takes 100 blocks or 200 brackets in each other, and chains of operators are that
 * for it. */
enum { AST_MAX_HEIGHT = 190 };

struct node {
    enum node_kind kind;
    uint32_t line, column; /* from 1; column in characters */
    uint32_t height;       /* of the tree below it: 1 for a leaf, at most AST_MAX_HEIGHT */
    struct node *parts[3];
    struct node_list list, body, otherwise;
    const struct name_list *hides, *otherwise_hides; /* of the two bodies; NULL: nothing */
    uint32_t name;                                   /* number of a variable, or of a block */
    bool flag, required;
    union {
        struct value constant;
        const struct string *text; /* attribute name */
        enum arithmetic op;
        enum compare *compare; /* [list.n - 1] */
        struct {
            const struct string *shown;  /* name of the filter or test, for messages */
            const struct filter *filter; /* NULL: there is no filter of this name */
            const struct test *test;
            struct call *call; /* NULL: no parentheses; also of NODE_CALL */
        } use;
        struct macro *macro;
    } as;
};

/* Numbers of the names that blocks set by themselves; every ast has them. */
enum {
    AST_NAME_LOOP,
    AST_NAME_CALLER,
    AST_NAME_VARARGS,
    AST_NAME_KWARGS,
    AST_FIRST_NAME, /* of those that the template brings */
};

struct ast {
    struct arena arena;
    char *source; /* with the newlines normalized, as line numbers count */
    size_t n_source;
    struct node_list body;
    const struct name_list *hides; /* NULL: nothing */
    const struct string **names;   /* [n_names] numbered variables */
    uint32_t n_names;
};

/* ERROR_INPUT: "line 3, column 8: TemplateSyntaxError: expected token …: <the line>". Release also
 * after a failure. */
bool ast_parse(struct ast *out, const char *source, size_t n_bytes, struct error *err);
void ast_release(struct ast *ast);
/* Fills err with position, class, message, and the line of the source (cut to fit): "line 3, column
 * 8: TypeError: …: {{ the line }}". A line of 0 is left out. Always false. */
bool ast_error(const struct ast *ast, uint32_t line, uint32_t column, enum exception kind,
               const char *message, struct error *err);
