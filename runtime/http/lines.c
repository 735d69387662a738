#include "runtime/http/lines.h"

#include <stdbool.h>

static bool is_control(char c) { return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f; }

enum lines_result lines_scan(struct lines *lines, const char *data, size_t n, size_t *n_used)
{
    for (size_t i = 0; i < n; i++) {
        const char c = data[i];
        switch (lines->state) {
        case LINES_AT_BEGIN:
            if (c == '\r') {
                lines->state = LINES_AFTER_LAST_CR;
                break;
            }
            if (c == ' ' || c == '\t' || is_control(c))
                return LINES_BAD;
            lines->state = LINES_INSIDE;
            break;
        case LINES_INSIDE:
            if (c == '\r')
                lines->state = LINES_AFTER_CR;
            else if (is_control(c))
                return LINES_BAD;
            break;
        case LINES_AFTER_CR:
            if (c != '\n')
                return LINES_BAD;
            lines->state = LINES_AT_BEGIN;
            lines->n_lines++;
            break;
        case LINES_AFTER_LAST_CR:
            if (c != '\n')
                return LINES_BAD;
            lines->state = LINES_AT_BEGIN;
            *n_used = i + 1;
            return LINES_END;
        }
    }
    *n_used = n;
    return LINES_MORE;
}
