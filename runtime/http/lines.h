/* runtime/http/lines.h: where a block of header lines ends, with no line that could be read in two
 * ways.
 *
 * A line ends with CR LF and nothing else; a CR or LF alone, a NUL or another control character
 * (but for the tab), and a line that begins with white space (the folding of RFC 9112, section 5.2)
 * are refused: servers and proxies disagree on them, and live one behind the other. The parser
 * below takes some of them. Bytes may come in any pieces.
 */
#pragma once
#include <stddef.h>

struct lines { /* all zero at the begin of a block */
    enum { LINES_AT_BEGIN, LINES_INSIDE, LINES_AFTER_CR, LINES_AFTER_LAST_CR } state;
    unsigned n_lines; /* that were not empty */
};

enum lines_result {
    LINES_MORE, /* the block goes on */
    LINES_END,  /* an empty line was the last that was read */
    LINES_BAD,
};
/* *n_used: all of n, or as many as belong to the block. */
enum lines_result lines_scan(struct lines *lines, const char *data, size_t n, size_t *n_used);
