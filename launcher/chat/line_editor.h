/* launcher/chat/line_editor.h: lines that a user edits in a terminal.
 *
 * Arrow keys, history, emacs keys, in UTF-8. Pasted text stays one line with newlines inside
 * (bracketed paste), and so does what follows a backslash at the end of a line. Ctrl-C takes a line
 * back, Ctrl-D on an empty one is the end of the input. The history is kept in a file that only
 * this user can read, of at most 1,000 lines of at most 16 KB.
 */
#pragma once
#include "launcher/line_input.h" /* enum line_result */

#include <signal.h>
#include <stdbool.h>

struct line_editor;

/* Over standard input and output, which are terminals. The flag is borrowed. */
struct line_editor *line_editor_open(const volatile sig_atomic_t *interrupt);
/* Writes the history file. NULL is fine. */
void line_editor_close(struct line_editor *editor);

/* One line, without its last newline. Memory of `line` is bounded by its maximum, and by 1 MB for
 * what is pasted. LINE_DROPPED: *line has what was there. */
enum line_result line_editor_read(struct line_editor *editor, const char *prompt,
                                  struct bytes *line);
