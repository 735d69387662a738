/* runtime/jinja/syntax/scoping.h: names that a frame hides.
 *
 * The reference decides before it renders where every name lives. A frame (the template, a body of
 * a loop, a macro, …) that sets a name, and does not look at it before, has a variable of its own
 * for it from its beginning, without a value. What stands inside of the frame and looks at the name
 * before it is set finds that variable, and not the one that the caller gave:
 *
 *     {% for i in [1] %}{{ x }}{% endfor %}{% set x = 1 %}      x is undefined in the loop
 *
 * A frame does not hide what a frame around it has looked at or set.
 *
 * Source: the behaviour of jinja2.idtracking, release 3.1.2.
 */
#pragma once

struct ast;

/* Fills `hides` of all nodes, macros and the ast itself. */
void scoping_analyze(struct ast *ast);
