/* runtime/jinja/eval.h: a template at work: expressions to values, statements to text. */
#pragma once
#include "runtime/jinja/scope.h"
#include "runtime/jinja/syntax/ast.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

struct render {
    struct run run; /* the first member: macros and loops get back from a run to its render */
    const struct ast *ast;
    struct scope *outermost;
    struct scope *context;   /* of blocks */
    struct scope *scope;     /* of the node that is being computed */
    struct builder *out;     /* where text goes now */
    struct value block_text; /* what the filters of a filter block are applied to */
    size_t max_output_bytes;
};

/* How a statement ended. */
enum flow {
    FLOW_FAILED,
    FLOW_NEXT,
    FLOW_BREAK,
    FLOW_CONTINUE,
};

/* ---- eval.c ---------------------------------------------------------------------------------- */
bool eval(struct render *r, const struct node *node, struct value *out);
bool eval_truth(struct render *r, const struct node *node, bool *out);
/* A call whose arguments get the keyword `extra` (NULL: none) as well. */
bool eval_call(struct render *r, const struct node *node, const struct keyword *extra,
               struct value *out);
/* A reason for a missing value, as text of ours with printf. */
bool eval_undefined(struct render *r, struct value *out, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- render.c -------------------------------------------------------------------------------- */
enum flow render_body(struct render *r, const struct node_list *body);
/* The text of a body in this scope. A break or continue that ended it early leaves no text. */
enum flow render_to_text(struct render *r, const struct node_list *body, struct scope *scope,
                         struct value *out);
bool render_assign(struct render *r, const struct node *target, struct value value);

/* ---- loop.c, macro.c ------------------------------------------------------------------------- */
enum flow loop_render(struct render *r, const struct node *node);
/* The value of a macro or of the body of a call block, which keeps the scope of now. */
bool macro_make(struct render *r, const struct macro *macro, struct value *out);
