/* runtime/http/target.h: the path and the query of a request's target (RFC 9112, section 3.2). */
#pragma once
#include <stdbool.h>

/* "/a%20b?c=d" and "http://host/a%20b?c=d" have the path "/a b" and the query "c=d"; "": no query.
 * Dots are not resolved: routes are compared as they are. `*path` is of memory_alloc(), `*query` is
 * inside of `target`. False: a "%" without two digits, a character that no URL has, a NUL or
 * another control character behind a "%", or a target of another form. */
bool target_split(const char *target, char **path, const char **query);
