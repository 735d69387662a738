/* base/json_scan.h: is this text JSON, and within limits? Only base/json.c asks.
 *
 * Allocates nothing, reads each byte once (numbers twice), and nests as deep as the limit.
 * Accepts RFC 8259 with these refusals: numbers beyond 64 signed bits (without fraction and
 * exponent) or beyond the range of a double, \u0000, lone surrogates, bytes that are no UTF-8.
 * Duplicate keys are not seen here.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct error;
struct json_limits;

enum { JSON_MAX_DEPTH = 1024 }; /* the most a json_limits may allow */

bool json_scan(const char *text, size_t n_bytes, const struct json_limits *limits,
               struct error *err);
